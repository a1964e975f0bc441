/*
 * partition_mixed.c - the least sum + weight * period.  Splits are sorted by
 * their period into intervals; the least sum under the upper end of one, and
 * its lower end, bound all in it.  An interval that may hide something better
 * is cut in two, until none is left.
 */
#include <math.h>
#include <stdlib.h>

#include "partition_solver.h"

static const double TIE = 1 - 1e-13; /* as in partition_sum.c */

/* An interval that only bounds are known of is not cut below this part. */
static const double NARROW = 0.02;

/* Splits with low <= period < high, none with a sum below `sum`. */
typedef struct interval {
    double low, high, sum;
} interval;

typedef struct front {
    ndl_solver *s;
    double weight;
    ndl_split best;
    double value; /* of the best                              */
    double lower; /* proven for the intervals that were closed */
    interval *open;
    int n, cap;
} front;

static double value_of(const front *f, double sum, double period)
{
    return sum + f->weight * period;
}

/* The solver's latest best split may be the best of all. */
static void offer(front *f)
{
    const ndl_split *x = &f->s->best;
    if (x->n == 0 || value_of(f, x->sum, x->period) >= f->value) return;
    f->value = value_of(f, x->sum, x->period);
    ndl_split_copy(&f->best, x);
}

static ndl_status open_interval(front *f, interval x)
{
    if (!(x.low < x.high)) return NDL_OK;
    if (f->n == f->cap) {
        const int cap = f->cap ? 2 * f->cap : 64;
        interval *open = realloc(f->open, (size_t)cap * sizeof *open);
        if (!open)
            return NDL_FAIL(NDL_EOS, "partition: no memory: use fewer nodes");
        f->open = open;
        f->cap = cap;
    }
    f->open[f->n++] = x;
    return NDL_OK;
}

/* The interval with the least bound leaves the list. */
static interval take(front *f)
{
    int best = 0;
    for (int i = 1; i < f->n; i++)
        if (value_of(f, f->open[i].sum, f->open[i].low) <
            value_of(f, f->open[best].sum, f->open[best].low))
            best = i;
    const interval x = f->open[best];
    f->open[best] = f->open[--f->n];
    return x;
}

/* Look at the lower half of an interval. */
static ndl_status cut(front *f, interval x)
{
    const double high = (f->value - x.sum) / f->weight * (2 - TIE);
    if (high < x.high) x.high = high;
    const double half = (fmax(x.low, x.high) - x.low) / 2;
    const double at = x.low + (half < INFINITY ? half : x.low + 1);
    ndl_sum_task t = { at, f->value - f->weight * x.low, false };
    double sum;
    NDL_TRY(ndl_solver_sum(f->s, &t, &sum));
    const ndl_split *found = &f->s->best;
    const bool exact = sum >= fmin(t.below, found->sum);
    offer(f);
    const interval half_left = { x.low, nextafter(at, INFINITY),
                                 fmax(sum, x.sum) };
    if (exact && found->sum < t.below)
        NDL_TRY(open_interval(f, (interval){ x.low, found->period, sum }));
    else if (!exact && at - x.low > NARROW * x.low)
        NDL_TRY(open_interval(f, half_left));
    else if (!exact)
        f->lower = fmin(f->lower, value_of(f, half_left.sum, x.low));
    const double next = ndl_reach_next(&f->s->r, &f->s->c);
    return open_interval(f, (interval){ next, x.high, x.sum });
}

static ndl_status close_all(front *f)
{
    while (f->n > 0) {
        const interval x = take(f);
        const double bound = value_of(f, x.sum, x.low);
        if (bound >= f->value * TIE) continue;
        if (ndl_chain_late(&f->s->c))
            f->lower = fmin(f->lower, bound);
        else
            NDL_TRY(cut(f, x));
    }
    return NDL_OK;
}

/* Both ends of the front, and all between them as one interval. */
static ndl_status begin(front *f)
{
    double low, sum;
    const ndl_sum_task t = { INFINITY, INFINITY, true };
    NDL_TRY(ndl_solver_period(f->s, &low));
    if (f->s->best.n == 0) return NDL_OK;
    low = fmin(low, f->s->best.period);
    offer(f);
    NDL_TRY(ndl_solver_sum(f->s, &t, &sum));
    offer(f);
    /* Where the sum is proven, what lasts longer cannot be better. */
    const double high = sum >= f->s->best.sum ? f->s->best.period : INFINITY;
    f->s->best.n = 0;
    ndl_solver_offer_single(f->s, INFINITY, f->weight);
    offer(f);
    return open_interval(f, (interval){ low, high, sum });
}

static ndl_status solve(ndl_solver *s, double weight, double *lower)
{
    front f = { .s = s, .weight = weight, .value = INFINITY };
    ndl_status st;
    f.lower = INFINITY;
    NDL_TRY(ndl_split_init(&f.best, &s->c));
    NDL_TRY_GOTO(done, st, begin(&f));
    NDL_TRY_GOTO(done, st, close_all(&f));
    ndl_split_copy(&s->best, &f.best);
    *lower = fmin(f.lower, f.value);
done:
    free(f.open);
    ndl_split_fini(&f.best);
    return st;
}

ndl_status ndl_partition_mixed(ndl_partition *out,
                               const ndl_partition_problem *p, double weight,
                               double max_sec)
{
    ndl_solver s;
    ndl_status st;
    double lower = 0;
    if (!(weight >= 0 && weight <= 1e150))
        return NDL_FAIL(NDL_EDATA,
                        "partition: weight %g of the period: it "
                        "must be from 0 to 1e150",
                        weight);
    if (weight == 0) return ndl_partition_sum(out, p, INFINITY, max_sec);
    NDL_TRY(ndl_solver_init(&s, p, max_sec));
    NDL_TRY_GOTO(done, st, solve(&s, weight, &lower));
    st = ndl_solver_finish(&s, out, lower);
done:
    ndl_solver_fini(&s);
    return st;
}
