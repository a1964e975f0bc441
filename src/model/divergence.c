/* divergence.c - see divergence.h. */
#include "noodle/divergence.h"

#include <math.h>

static size_t top(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* The largest goes first, so that no exponential overflows. */
double ndl_divergence_log_sum(const float *x, size_t n)
{
    const double largest = (double)x[top(x, n)];
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - largest);
    return largest + log(sum);
}

ndl_divergence ndl_divergence_of(const float *p, const float *q, size_t n)
{
    const double log_p = ndl_divergence_log_sum(p, n);
    const double log_q = ndl_divergence_log_sum(q, n);
    ndl_divergence d = { .same_top = top(p, n) == top(q, n) };
    for (size_t i = 0; i < n; i++) {
        const double a = (double)p[i] - log_p, b = (double)q[i] - log_q;
        const double diff = fabs((double)p[i] - (double)q[i]);
        d.kl += exp(a) * (a - b);
        if (diff > d.max_diff) d.max_diff = diff;
    }
    /* Rounding may leave a hair less than the zero that it cannot be below;
     * what is no number must stay none. */
    if (d.kl < 0.0) d.kl = 0.0;
    return d;
}
