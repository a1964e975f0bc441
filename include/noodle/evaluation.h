/*
 * evaluation.h - from the scores of single tokens to what one says of a model:
 * perplexity, and the distance from another model on the same text.
 *
 * Pure.  Everything is summed in the order of the scores, so that the same
 * scores give the same bits.
 */
#ifndef NOODLE_EVALUATION_H
#define NOODLE_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>

#include "noodle/status.h"

/* A token of the text; all but log_p only where two models are compared. */
typedef struct ndl_token_score {
    double log_p;      /* natural logarithm of its probability */
    double base_log_p; /* in the base's eyes                   */
    double kl;         /* KL(base || this), >= 0               */
    double max_diff;   /* of two logits of a token             */
    bool same_top;
} ndl_token_score;

typedef struct ndl_mean {
    double value;
    double error; /* its standard error */
} ndl_mean;

typedef struct ndl_perplexity {
    ndl_mean nll; /* mean of -log_p                          */
    ndl_mean ppl; /* exp of it, with the error carried along */
} ndl_perplexity;

typedef struct ndl_comparison {
    ndl_perplexity base;
    ndl_mean log_ratio; /* of the perplexities, this to base; the error is
                           that of the differences, token by token      */
    ndl_mean ratio;
    ndl_mean kl;
    double kl_median, kl_99, kl_max;
    ndl_mean same_top; /* share of the tokens                    */
    double max_diff;
    ndl_mean p_change; /* of the probability of the right token  */
    double p_change_rms;
} ndl_comparison;

/** @param s  (n), n >= 2: one score has no error. */
ndl_perplexity ndl_evaluation_perplexity(const ndl_token_score *s, size_t n);

/** @return NDL_OK; NDL_EOS out of memory. */
ndl_status ndl_evaluation_compare(ndl_comparison *out, const ndl_token_score *s,
                                  size_t n);

/** The value below which a share q (0..1) of them lies; between two of them it
 * is interpolated.  @param sorted  (n), n >= 1, ascending. */
double ndl_evaluation_quantile(const double *sorted, size_t n, double q);

#endif /* NOODLE_EVALUATION_H */
