/*
 * partition.c - the entries of the exact partition, and what a call owns.
 */
#include "noodle/partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "partition_solver.h"

void ndl_partition_fini(ndl_partition *p)
{
    free(p->stages);
    *p = (ndl_partition){ 0 };
}

ndl_status ndl_solver_init(ndl_solver *s, const ndl_partition_problem *p,
                           double max_sec)
{
    ndl_status st;
    *s = (ndl_solver){ 0 };
    NDL_TRY_GOTO(done, st, ndl_chain_init(&s->c, p, max_sec));
    NDL_TRY_GOTO(done, st, ndl_reach_init(&s->r, &s->c));
    NDL_TRY_GOTO(done, st, ndl_split_init(&s->found, &s->c));
    NDL_TRY_GOTO(done, st, ndl_split_init(&s->best, &s->c));
    const size_t k = (size_t)s->c.k;
    s->price = malloc(2 * k * sizeof *s->price);
    s->rest = malloc(k * ((size_t)s->c.n + 1) * sizeof *s->rest);
    if (!s->price || !s->rest)
        st = NDL_FAIL(NDL_EOS, "partition: no memory: use fewer layers or "
                               "kinds of nodes");
done:
    if (st != NDL_OK) ndl_solver_fini(s);
    return st;
}

void ndl_solver_fini(ndl_solver *s)
{
    ndl_split_fini(&s->best);
    ndl_split_fini(&s->found);
    ndl_reach_fini(&s->r);
    ndl_chain_fini(&s->c);
    free(s->price);
    free(s->rest);
    *s = (ndl_solver){ 0 };
}

static double value_of(const ndl_split *s, double weight)
{
    if (s->n == 0) return INFINITY;
    return weight < INFINITY ? s->sum + weight * s->period : s->period;
}

bool ndl_solver_offer(ndl_solver *s, double weight)
{
    if (!ndl_split_price(&s->found, &s->c) ||
        value_of(&s->found, weight) >= value_of(&s->best, weight))
        return false;
    ndl_split_copy(&s->best, &s->found);
    return true;
}

void ndl_solver_offer_single(ndl_solver *s, double bound, double weight)
{
    const ndl_partition_problem *p = s->c.p;
    const int places = p->order ? p->n_order : p->n_types;
    for (int i = 0; i < places; i++) {
        const int v = p->order ? p->order[i] : i;
        const ndl_partition_stage all = { v, p->order ? i : -1, 0, s->c.n };
        double period, sum;
        if (!ndl_partition_judge(p, &all, 1, &period, &sum) || period > bound)
            continue;
        s->found.n = 0;
        ndl_split_push(&s->found, all);
        ndl_solver_offer(s, weight);
    }
}

ndl_answer ndl_solver_find(ndl_solver *s, double limit, bool links)
{
    const ndl_hunt h = { &s->c, &s->r, &s->found };
    ndl_reach_set(&s->r, &s->c, limit, false);
    if (!links || (s->r.open && s->c.min == 0)) {
        const ndl_answer x = ndl_furthest_find(&h);
        if (x != NDL_ANSWER_UNKNOWN || !links) return x;
    }
    return ndl_ends_find(&h);
}

ndl_status ndl_solver_finish(ndl_solver *s, ndl_partition *out, double bound)
{
    if (s->best.n == 0) return NDL_EUNAVAIL;
    const size_t bytes = (size_t)s->best.n * sizeof *out->stages;
    ndl_partition made = { .n_stages = s->best.n, .states = s->c.states };
    made.stages = malloc(bytes);
    if (!made.stages)
        return NDL_FAIL(NDL_EOS, "partition: no memory for %d stages",
                        s->best.n);
    memcpy(made.stages, s->best.stage, bytes);
    NDL_ASSERT(ndl_partition_judge(s->c.p, made.stages, made.n_stages,
                                   &made.period, &made.sum));
    made.bound = bound;
    *out = made;
    return NDL_OK;
}

ndl_status ndl_partition_period(ndl_partition *out,
                                const ndl_partition_problem *p, double max_sec)
{
    ndl_solver s;
    ndl_status st;
    double lower = 0;
    NDL_TRY(ndl_solver_init(&s, p, max_sec));
    NDL_TRY_GOTO(done, st, ndl_solver_period(&s, &lower));
    st = ndl_solver_finish(&s, out, fmin(lower, s.best.period));
done:
    ndl_solver_fini(&s);
    return st;
}

ndl_status ndl_partition_sum(ndl_partition *out, const ndl_partition_problem *p,
                             double bound, double max_sec)
{
    ndl_solver s;
    ndl_status st;
    double lower = 0;
    const ndl_sum_task t = { bound, INFINITY, true };
    if (isnan(bound))
        return NDL_FAIL(NDL_EDATA, "partition: the bound of the period is no "
                                   "number: infinity is none");
    NDL_TRY(ndl_solver_init(&s, p, max_sec));
    if (bound >= 0) NDL_TRY_GOTO(done, st, ndl_solver_sum(&s, &t, &lower));
    st = ndl_solver_finish(&s, out, fmin(lower, s.best.sum));
done:
    ndl_solver_fini(&s);
    return st;
}
