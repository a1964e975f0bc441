/*
 * partition_reach.h - what fits under a limit T of the period: how far a stage
 * reaches, which links may be used, and which kinds are alike as the last one.
 */
#ifndef NOODLE_PARTITION_REACH_H
#define NOODLE_PARTITION_REACH_H

#include "partition_chain.h"

typedef struct ndl_reach {
    double limit;
    bool open;     /* all links fit, also from and to rank 0                 */
    int *end;      /* (k, n + 1) furthest end of a stage that begins here    */
    int *begin;    /* (k, n + 1) least start of a stage that ends here       */
    int words;     /* of a set of positions 0 .. n                           */
    uint64_t *can; /* (k, words) positions whose layer the kind can take     */
    bool *enters;  /* (k) whether rank 0 may send to it                      */
    int n_classes; /* kinds whose onward links are the same                  */
    int *class_of; /* (k) */
    double *after; /* (classes, k + 1) cost of the link onward, [k]: to rank
                      0; INFINITY: may not be used                           */
} ndl_reach;

ndl_status ndl_reach_init(ndl_reach *r, const ndl_chain *c);
void ndl_reach_fini(ndl_reach *r);

/** Set the limit.  `sums`: links cost what they add to the sum, otherwise 0;
 * the classes follow from that. */
void ndl_reach_set(ndl_reach *r, const ndl_chain *c, double limit, bool sums);

/** The least cost of a stage or link above the limit; INFINITY: none. */
double ndl_reach_next(const ndl_reach *r, const ndl_chain *c);

#endif /* NOODLE_PARTITION_REACH_H */
