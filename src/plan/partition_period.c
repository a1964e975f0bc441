/*
 * partition_period.c - the least period.  The values that it can have are
 * costs of stages and links; they are narrowed down by halving the bits of
 * the limit, and each test moves a side to such a value, so that the sides
 * meet in the optimum itself.
 */
#include <math.h>
#include <string.h>

#include "partition_solver.h"

static const double WORK = 4e9; /* operations of a search, some seconds */

/* Non-negative doubles are ordered as their bits are. */
static double middle(double low, double high)
{
    uint64_t a, b;
    memcpy(&a, &low, sizeof a);
    memcpy(&b, &high, sizeof b);
    a += (b - a) / 2;
    memcpy(&low, &a, sizeof low);
    return low;
}

static double longest_stage(const ndl_solver *s)
{
    const size_t row = (size_t)s->c.n + 1;
    double longest = 0;
    for (int i = 0; i < s->found.n; i++) {
        const ndl_partition_stage *x = &s->found.stage[i];
        const size_t from = (size_t)x->type * row + (size_t)x->first;
        const size_t to = from + (size_t)x->n;
        longest = fmax(longest, s->c.time[to] - s->c.time[from]);
    }
    return longest;
}

/* Raise `lower` to the least period, with links or without; false: unknown.
 * Without links it is often the answer, so with links it is tried first. */
static bool halve(ndl_solver *s, bool links, double *lower)
{
    double high = s->best.period;
    bool first = links;
    while (*lower < high) {
        const double at = first ? *lower : middle(*lower, high);
        first = false;
        if (ndl_chain_late(&s->c)) return false;
        const ndl_answer x = ndl_solver_find(s, at, links);
        if (x == NDL_ANSWER_UNKNOWN) return false;
        if (x == NDL_ANSWER_NO) {
            *lower = fmin(high, ndl_reach_next(&s->r, &s->c));
            continue;
        }
        ndl_solver_offer(s, INFINITY);
        high = fmin(links ? s->found.period : longest_stage(s), s->best.period);
    }
    return true;
}

/* Raise `lower` to the least limit that the bounds allow. */
static void raise(ndl_solver *s, double *lower)
{
    double high = s->best.period;
    while (*lower < high && !ndl_chain_late(&s->c)) {
        const double at = middle(*lower, high);
        ndl_reach_set(&s->r, &s->c, at, false);
        if (ndl_bound_allows(&s->c, &s->r, s->price))
            high = at;
        else
            *lower = fmin(high, ndl_reach_next(&s->r, &s->c));
    }
}

/* Whether there is any split: asked without a time limit. */
static ndl_answer find_any(ndl_solver *s)
{
    const double deadline = s->c.deadline;
    s->c.deadline = INFINITY;
    const ndl_answer x = ndl_solver_find(s, INFINITY, true);
    s->c.deadline = deadline;
    if (x == NDL_ANSWER_YES) ndl_solver_offer(s, INFINITY);
    return x;
}

ndl_status ndl_solver_period(ndl_solver *s, double *lower)
{
    *lower = INFINITY;
    if (s->c.min > s->c.max) return NDL_OK;
    ndl_solver_offer_single(s, INFINITY, INFINITY);
    const ndl_answer any = find_any(s);
    if (any == NDL_ANSWER_NO) return NDL_OK;
    *lower = ndl_bound_period(&s->c, s->price);
    raise(s, lower);
    const bool sets = ndl_furthest_is_possible(&s->c);
    if (sets && halve(s, false, lower) && halve(s, true, lower)) return NDL_OK;
    const ndl_search_query q = { -1, *lower, WORK };
    return ndl_search(&s->c, &q, &s->best);
}
