/*
 * partition_sum.c - the least sum under a bound of the period: bounds first,
 * a good split for them to cut with, then all labels that are left.
 */
#include <math.h>

#include "partition_solver.h"

/* Labels that cannot become better than this part of the best are dropped:
 * above what rounding does, far below what anybody can measure. */
static const double TIE = 1 - 1e-13;

/* From so many labels on it pays to look for a good split before. */
static const double MANY = 1e6;

/* What rounding may have added to a bound, with much to spare. */
static const double SLACK = 1e-11;

static const double WORK = 2e9; /* operations of a search, some seconds */

/* Labels in a free order; 0: too many. */
static double labels(const ndl_solver *s)
{
    ndl_counts n;
    ndl_counts_init(&n, &s->c);
    if (n.n > NDL_COUNTS_STATES / s->r.n_classes) return 0;
    return (double)n.n * s->r.n_classes * s->c.n;
}

/* Whether there is any split at all, when time did not suffice to find out. */
static void find_any(ndl_solver *s, double bound)
{
    const double deadline = s->c.deadline;
    s->c.deadline = INFINITY;
    s->c.late = false;
    if (ndl_solver_find(s, bound, true) == NDL_ANSWER_YES)
        ndl_solver_offer(s, 0);
    s->c.deadline = deadline;
    s->c.late = true;
}

/* Not all labels could be looked at: good is what is left. */
static ndl_status look_around(ndl_solver *s, const ndl_sum_task *t,
                              double *lower)
{
    if (s->c.order) {
        ndl_reach_set(&s->r, &s->c, t->bound, true);
        *lower = ndl_rest_bound(&s->c, &s->r, s->best.sum, s->rest, s->price);
    }
    *lower *= 1 - SLACK;
    if (!s->c.order) {
        const double work = t->search ? WORK : WORK / 64;
        const ndl_search_query q = { t->bound, *lower, work };
        NDL_TRY(ndl_search(&s->c, &q, &s->best));
    }
    if (s->best.n == 0 && t->search) find_any(s, t->bound);
    *lower = fmin(*lower, s->best.sum);
    return NDL_OK;
}

/* True: the bounds alone tell that there is nothing better. */
static bool is_settled(ndl_solver *s, const ndl_sum_task *t, double *lower)
{
    const double target = fmin(t->below, s->best.sum);
    *lower = ndl_rest_bound(&s->c, &s->r, target, s->rest, s->price);
    return *lower == INFINITY || *lower >= target * TIE;
}

ndl_status ndl_solver_sum(ndl_solver *s, const ndl_sum_task *t, double *lower)
{
    const ndl_hunt h = { &s->c, &s->r, &s->found };
    ndl_sum_query q = { .rest = s->rest, .price = s->price };
    *lower = INFINITY;
    s->best.n = 0;
    s->best.sum = s->best.period = INFINITY;
    if (s->c.min > s->c.max) return NDL_OK;
    ndl_solver_offer_single(s, t->bound, 0);
    ndl_reach_set(&s->r, &s->c, t->bound, true);
    const double n = labels(s);
    if (!s->c.order && t->search && n >= MANY) {
        const ndl_search_query look = { t->bound, 0, n };
        NDL_TRY(ndl_search(&s->c, &look, &s->best));
    }
    ndl_answer x = NDL_ANSWER_NO;
    if (s->c.order || !is_settled(s, t, lower)) {
        q.below = fmin(t->below, s->best.n ? s->best.sum * TIE : INFINITY);
        x = ndl_labels_find(&h, &q);
        if (s->found.n > 0) ndl_solver_offer(s, 0);
    }
    if (x == NDL_ANSWER_UNKNOWN) return look_around(s, t, lower);
    *lower = fmin(t->below, s->best.sum);
    return NDL_OK;
}
