/*
 * divergence.h - how likely a row of logits makes a token, and how far two rows
 * are from each other.
 *
 * All in double precision with natural logarithms, in the order of the ids, so
 * that the same logits give the same bits.  NaN or +inf gives a result
 * that is not finite; -inf is probability 0 in log_sum, and no finite kl.
 */
#ifndef NOODLE_DIVERGENCE_H
#define NOODLE_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>

/* The distance of one distribution over the vocabulary from another. */
typedef struct ndl_divergence {
    double kl;       /* sum of p * log(p / q), >= 0           */
    double max_diff; /* of two logits of the same token, >= 0 */
    bool same_top;   /* the same token is the likeliest; of equal ones the
                        smallest id counts                    */
} ndl_divergence;

/** log(sum(exp(x))): what a logit must lose to be a log probability.
 * @param x  (n), n >= 1. */
double ndl_divergence_log_sum(const float *x, size_t n);

/** KL(p || q) and its companions.
 * @param p, q  (n) logits of the base and of what is compared with it. */
ndl_divergence ndl_divergence_of(const float *p, const float *q, size_t n);

#endif /* NOODLE_DIVERGENCE_H */
