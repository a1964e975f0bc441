/*
 * partition_solve.h - the solvers of a prepared chain under a set limit, and
 * the bounds; what a split costs is in partition_chain.h.
 */
#ifndef NOODLE_PARTITION_SOLVE_H
#define NOODLE_PARTITION_SOLVE_H

#include "partition_reach.h"

/** A split whose stages are within the limit, links and the least number of
 * stages disregarded. */
ndl_answer ndl_furthest_find(const ndl_hunt *h);

/** Whether that is possible for so many nodes. */
bool ndl_furthest_is_possible(const ndl_chain *c);

/** Least start (n if none) from which each multiset of nodes gets to the end
 * of the chain, links disregarded. */
void ndl_furthest_back(int *back, const ndl_chain *c, const ndl_reach *r);

/** A split with all that it uses within the limit. */
ndl_answer ndl_ends_find(const ndl_hunt *h);

/* The least sum within the limit of the reach, which is set with sums. */
typedef struct ndl_sum_query {
    double below; /* find nothing that is not below it                  */
    /* What remains at least after (class, position): (classes, n + 1);
     * less `price` (k) for each node that is left over; NULL: 0. */
    const double *rest, *price;
} ndl_sum_query;

/** NO: there is none below; UNKNOWN: what was found may not be the least. */
ndl_answer ndl_labels_find(const ndl_hunt *h, const ndl_sum_query *q);

/** Least period by the work alone, whoever does it.  price: (2 k), the first k
 * are for ndl_bound_allows. */
double ndl_bound_period(const ndl_chain *c, double *price);

/** False: no split has only stages that are within the limit of the reach. */
bool ndl_bound_allows(const ndl_chain *c, const ndl_reach *r,
                      const double *price);

/** Fill `rest` and `price` of a query; return the proven least sum, to
 * rounding.  `target`: a known sum, to aim at. */
double ndl_rest_bound(const ndl_chain *c, const ndl_reach *r, double target,
                      double *rest, double *price);

typedef struct ndl_search_query {
    double bound; /* < 0: least period; otherwise least sum under that period */
    double goal;  /* stop there                                               */
    double work;  /* about so many operations; more under a time limit        */
} ndl_search_query;

/** Improve `best` by looking at orders of the nodes. */
ndl_status ndl_search(ndl_chain *c, const ndl_search_query *q, ndl_split *best);

#endif /* NOODLE_PARTITION_SOLVE_H */
