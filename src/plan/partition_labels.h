/*
 * partition_labels.h - what both searches for the least sum share.
 */
#ifndef NOODLE_PARTITION_LABELS_H
#define NOODLE_PARTITION_LABELS_H

#include "partition_solve.h"

/* Least sums of what precedes a stage, with the link, per start. */
typedef struct ndl_starts {
    int lo, hi;   /* outside of it there are none; lo > hi: no start at all */
    double *base; /* (n + 1), INFINITY: no start here                      */
    double *key;  /* (n + 1) scratch                                       */
    int *queue;   /* (n + 1) scratch                                       */
} ndl_starts;

bool ndl_starts_init(ndl_starts *s, const ndl_chain *c);
void ndl_starts_fini(ndl_starts *s);

/** Lower `out` (n + 1) to the least sums per end of a stage of kind v. */
void ndl_starts_extend(double *out, const ndl_starts *s, const ndl_hunt *h,
                       int v);

/** The start of the best stage of kind v that ends there; -1: none. */
int ndl_starts_best(const ndl_starts *s, const ndl_hunt *h, int v, int end,
                    double *least);

/** As ndl_labels_find, for a given order. */
ndl_answer ndl_labels_find_given(const ndl_hunt *h, const ndl_sum_query *q);

#endif /* NOODLE_PARTITION_LABELS_H */
