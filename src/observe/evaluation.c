/* evaluation.c - see evaluation.h. */
#include "noodle/evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "noodle/doubles.h"

/* One number of a score. */
typedef double (*number_fn)(const ndl_token_score *s);

static double nll(const ndl_token_score *s)
{
    return -s->log_p;
}

static double base_nll(const ndl_token_score *s)
{
    return -s->base_log_p;
}

static double nll_change(const ndl_token_score *s)
{
    return s->base_log_p - s->log_p;
}

static double divergence(const ndl_token_score *s)
{
    return s->kl;
}

static double agreement(const ndl_token_score *s)
{
    return s->same_top ? 1.0 : 0.0;
}

static double p_change(const ndl_token_score *s)
{
    return exp(s->log_p) - exp(s->base_log_p);
}

/* In two passes: one pass over squares would lose the small differences of
 * models that are nearly the same. */
static ndl_mean mean_of(const ndl_token_score *s, size_t n, number_fn number)
{
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++) sum += number(&s[i]);
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = number(&s[i]) - mean;
        squares += d * d;
    }
    return (ndl_mean){ mean, sqrt(squares / (double)(n - 1) / (double)n) };
}

/* To first order, as errors are small. */
static ndl_mean exp_of(ndl_mean m)
{
    const double e = exp(m.value);
    return (ndl_mean){ e, e * m.error };
}

static ndl_perplexity perplexity(const ndl_token_score *s, size_t n,
                                 number_fn number)
{
    const ndl_mean m = mean_of(s, n, number);
    return (ndl_perplexity){ m, exp_of(m) };
}

ndl_perplexity ndl_evaluation_perplexity(const ndl_token_score *s, size_t n)
{
    NDL_ASSERT(n >= 2);
    return perplexity(s, n, nll);
}

double ndl_evaluation_quantile(const double *sorted, size_t n, double q)
{
    const double at = q * (double)(n - 1);
    const size_t below = (size_t)at;
    if (below + 1 >= n) return sorted[n - 1];
    return sorted[below] +
           (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

static ndl_status sort_kl(ndl_comparison *c, const ndl_token_score *s, size_t n)
{
    double *kl = malloc(n * sizeof *kl);
    if (!kl) return NDL_FAIL(NDL_EOS, "evaluation: out of memory");
    for (size_t i = 0; i < n; i++) kl[i] = s[i].kl;
    ndl_doubles_sort(kl, n);
    c->kl_median = ndl_doubles_median(kl, n);
    c->kl_99 = ndl_evaluation_quantile(kl, n, 0.99);
    c->kl_max = kl[n - 1];
    free(kl);
    return NDL_OK;
}

ndl_status ndl_evaluation_compare(ndl_comparison *out, const ndl_token_score *s,
                                  size_t n)
{
    NDL_ASSERT(n >= 2);
    ndl_comparison c = { .base = perplexity(s, n, base_nll) };
    double squares = 0.0;
    NDL_TRY(sort_kl(&c, s, n));
    c.log_ratio = mean_of(s, n, nll_change);
    c.ratio = exp_of(c.log_ratio);
    c.kl = mean_of(s, n, divergence);
    c.same_top = mean_of(s, n, agreement);
    c.p_change = mean_of(s, n, p_change);
    for (size_t i = 0; i < n; i++) {
        const double d = p_change(&s[i]);
        squares += d * d;
        if (s[i].max_diff > c.max_diff) c.max_diff = s[i].max_diff;
    }
    c.p_change_rms = sqrt(squares / (double)n);
    *out = c;
    return NDL_OK;
}
