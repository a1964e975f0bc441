/*
 * partition.h - the exact split of a chain of layers over nodes.
 *
 * Pure numbers: layers with a time on every kind of node, bytes, memory, and
 * links; nothing is known of models or ranks.  A stage is a run of consecutive
 * layers on one node; every node hosts at most one stage.  Two objectives:
 *
 *   period   min of max over stages and links:  max(cost(stage), link)
 *   sum      min of sum over stages and links, with max <= bound
 *
 * A link lies between consecutive stages, before the first (from rank 0) and
 * after the last (to rank 0).  Sources: PLANNING.md of the project's design
 * notes; Pinar, Tabak, Aykanat, JPDC 2008 (chain on chain), Benoit, Robert
 * 2008 (period and latency).
 */
#ifndef NOODLE_PARTITION_H
#define NOODLE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/status.h"

enum { NDL_PARTITION_ITEMS = 4098, NDL_PARTITION_NODES = 4096 };

/* The chain and the nodes.  All arrays are borrowed for the call; times are
 * from 0 to 1e150 (checked: NDL_EDATA). */
typedef struct ndl_partition_problem {
    int n_items;            /* layers: embedding, blocks, head            */
    int n_types;            /* kinds of nodes                             */
    const int *count;       /* (n_types) nodes of each, >= 1              */
    const double *time;     /* (n_types, n_items) of the period           */
    const double *sum;      /* (n_types, n_items) of the sum; NULL: time  */
    const double *link;     /* (n_types, n_types) period and sum of a hop from
                               one kind to another; [k][k]: among its own */
    const double *sum_link; /* as link, for the sum; NULL: link         */
    const double *enter, *leave; /* (n_types) rank 0 to first stage, last
                             stage to rank 0; both objectives; NULL: 0  */
    const uint64_t *bytes;       /* (n_items) that a layer takes             */
    uint64_t stage_bytes;        /* that any stage takes on top              */
    uint64_t shared_bytes;       /* a stage with first and last layer saves  */
    const uint64_t *memory;      /* (n_types) of one node                    */
    const int *pin;              /* (n_items) the kind that must host it, or -1;
                                    NULL: none */
    int min_stages, max_stages;  /* 0: no limit                          */
    double stage_limit;          /* of a stage's cost in `limited`; 0: none  */
    const double *limited;       /* (n_types, n_items) what stage_limit limits;
                                    NULL: time */
    const int *order;            /* (n_order) kinds in the order in which they
                                    must be used, any may be left out; NULL:
                                    free */
    int n_order;                 /* sum of the counts                        */
} ndl_partition_problem;

typedef struct ndl_partition_stage {
    int type;
    int place;    /* index in `order` if that is given, else -1 */
    int first, n; /* items, n >= 1 */
} ndl_partition_stage;

typedef struct ndl_partition {
    int n_stages;
    ndl_partition_stage *stages;
    double period; /* of this partition                                  */
    double sum;
    double bound;   /* proven: nothing is better than this, in the objective
                       asked for; equal to it: proven optimal              */
    int64_t states; /* looked at */
} ndl_partition;

void ndl_partition_fini(ndl_partition *p);

/**
 * Least period.  Exact (bound == period) for a given order; for a free order
 * while the states, product of (count + 1) x kinds, are at most 2^22, and the
 * time suffices; past that the best found, with a certified bound.
 *
 * Method: bisection over the bits of T, feasibility by sets of attainable
 * ends per (used nodes, last node), or by the furthest end alone where all
 * links fit into T.
 *
 * @param max_sec  stop improving after so long (0: no limit).
 * @return NDL_OK; NDL_EUNAVAIL if no partition meets the limits (no message:
 *         the caller knows what the numbers mean); NDL_EDATA; NDL_EOS.
 */
ndl_status ndl_partition_period(ndl_partition *out,
                                const ndl_partition_problem *p, double max_sec);

/** Least sum among those whose period is <= bound (INFINITY: all).  Statuses
 * and exactness as above, but to 1e-12 of the sum, and while what has to be
 * kept fits into 1 GiB. */
ndl_status ndl_partition_sum(ndl_partition *out, const ndl_partition_problem *p,
                             double bound, double max_sec);

/**
 * Least sum + weight * period (weight >= 0): a prompt of weight + 1 chunks on
 * its way through the pipeline.  Walks the Pareto front of the two.
 */
ndl_status ndl_partition_mixed(ndl_partition *out,
                               const ndl_partition_problem *p, double weight,
                               double max_sec);

/** What a given partition costs; false if it breaks a limit.  The one
 * definition of costs, which the solvers keep to the bit. */
bool ndl_partition_judge(const ndl_partition_problem *p,
                         const ndl_partition_stage *stages, int n_stages,
                         double *period, double *sum);

#endif /* NOODLE_PARTITION_H */
