/*
 * partition_solver.h - what one call of the public functions owns.
 */
#ifndef NOODLE_PARTITION_SOLVER_H
#define NOODLE_PARTITION_SOLVER_H

#include "partition_solve.h"

typedef struct ndl_solver {
    ndl_chain c;
    ndl_reach r;
    ndl_split found; /* by the latest search                             */
    ndl_split best;  /* in the objective asked for                       */
    double *price;   /* (2 k) scratch of bounds                          */
    double *rest;    /* (k, n + 1) scratch of bounds                     */
} ndl_solver;

ndl_status ndl_solver_init(ndl_solver *s, const ndl_partition_problem *p,
                           double max_sec);
void ndl_solver_fini(ndl_solver *s);

/** Take `found` as best if its number of stages is allowed and it is better:
 * shorter in sum + weight * period, INFINITY: in period alone. */
bool ndl_solver_offer(ndl_solver *s, double weight);

/** Offer all splits of one stage with a period of at most bound.  They stand
 * apart, as what they save makes their memory break the order of sizes. */
void ndl_solver_offer_single(ndl_solver *s, double bound, double weight);

/** Least period: best, and what is proven; best.n 0: none. */
ndl_status ndl_solver_period(ndl_solver *s, double *lower);

/* Least sum. */
typedef struct ndl_sum_task {
    double bound; /* of the period                                       */
    double below; /* of no use if not below this                         */
    bool search;  /* look for a good split first                         */
} ndl_sum_task;

/** Least sum under a bound: best, if below, and what is proven. */
ndl_status ndl_solver_sum(ndl_solver *s, const ndl_sum_task *t, double *lower);

/** A split with a period of at most `limit`, if `links`, otherwise with such
 * stages: found, priced. */
ndl_answer ndl_solver_find(ndl_solver *s, double limit, bool links);

/** Hand over the best split. */
ndl_status ndl_solver_finish(ndl_solver *s, ndl_partition *out, double bound);

#endif /* NOODLE_PARTITION_SOLVER_H */
