/*
 * strategy.c - see strategy.h: what is asked is checked, alike ranks become
 * one kind, the solution becomes a plan with notes.
 */
#include "noodle/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "alike.h"
#include "noodle/clock.h"
#include "strategy_report.h"

enum { MAX_TOKENS = 1 << 24, DEFAULT_SEC = 10 };

static const char *const names[NDL_N_STRATEGIES] = {
    [NDL_STRATEGY_BALANCED] = "balanced",
    [NDL_STRATEGY_BOTTLENECK] = "bottleneck-first",
    [NDL_STRATEGY_MEMORY] = "memory-aware",
    [NDL_STRATEGY_LATENCY] = "latency",
    [NDL_STRATEGY_THROUGHPUT] = "throughput",
};

const char *ndl_strategy_name(ndl_strategy s)
{
    NDL_ASSERT((int)s >= 0 && s < NDL_N_STRATEGIES);
    return names[s];
}

bool ndl_strategy_parse(const char *name, ndl_strategy *out)
{
    for (int i = 0; i < NDL_N_STRATEGIES; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (ndl_strategy)i;
        return true;
    }
    return false;
}

/* ---- what is asked ---- */

static ndl_status check_workload(const ndl_workload *w)
{
    if (w->prompt_tokens < 0 || w->new_tokens < 0 ||
        w->prompt_tokens > MAX_TOKENS || w->new_tokens > MAX_TOKENS ||
        w->prompt_tokens + w->new_tokens == 0)
        return NDL_FAIL(NDL_EUSAGE,
                        "workload: %d prompt and %d new tokens: give 0 to %d "
                        "of each, and one at least",
                        w->prompt_tokens, w->new_tokens, MAX_TOKENS);
    if (w->sequences < 1 || w->chunk_rows < 1)
        return NDL_FAIL(NDL_EUSAGE,
                        "workload: %d sequences in batches of %d rows: both "
                        "must be 1 at least",
                        w->sequences, w->chunk_rows);
    return NDL_OK;
}

static ndl_status check_pins(const ndl_strategy_setup *s, int n_blocks,
                             const ndl_cluster *c)
{
    for (int i = 0; i < s->n_pins; i++) {
        const ndl_pin *p = &s->pins[i];
        if (p->layer < 0 || p->layer > n_blocks + 1)
            return NDL_FAIL(NDL_EUSAGE,
                            "pin: layer %d does not exist: 0 is the embedding, "
                            "1 to %d the blocks, %d the head",
                            p->layer, n_blocks, n_blocks + 1);
        if (p->node < 0 || p->node >= c->n)
            return NDL_FAIL(NDL_EUSAGE,
                            "pin: layer %d: node %d does not exist: there are "
                            "%d",
                            p->layer, p->node, c->n);
        for (int k = 0; k < i; k++)
            if (s->pins[k].layer == p->layer && s->pins[k].node != p->node)
                return NDL_FAIL(NDL_EUSAGE,
                                "pin: layer %d is pinned to both %s and %s: "
                                "drop one of the pins",
                                p->layer, c->nodes[s->pins[k].node].name,
                                c->nodes[p->node].name);
    }
    return NDL_OK;
}

static ndl_status check(const ndl_strategy_task *t)
{
    const ndl_strategy_setup *s = t->setup;
    const int n_nodes = ndl_cluster_size(t->cluster);
    NDL_ASSERT(t->costs->n_blocks >= 1 && t->costs->n_blocks <= NDL_MAX_LAYERS);
    NDL_TRY(check_workload(t->work));
    if (n_nodes < 1)
        return NDL_FAIL(NDL_EUNAVAIL, "plan: no node may host a stage: start "
                                      "more ranks or describe some nodes");
    if (n_nodes > NDL_CLUSTER_NODES)
        return NDL_FAIL(NDL_EUSAGE, "plan: %d nodes are more than %d", n_nodes,
                        NDL_CLUSTER_NODES);
    if (!isfinite(s->stage_sec) || s->stage_sec < 0.0)
        return NDL_FAIL(NDL_EUSAGE,
                        "plan: a limit of %g s for a decode step: "
                        "give a positive time",
                        s->stage_sec);
    if (s->min_stages < 0 || s->max_stages < 0 ||
        (s->max_stages > 0 && s->min_stages > s->max_stages))
        return NDL_FAIL(NDL_EUSAGE,
                        "plan: %d to %d stages: no number is in that range",
                        s->min_stages, s->max_stages);
    return check_pins(s, t->costs->n_blocks, t->cluster);
}

/* ---- merged kinds ---- */

/* From merged kinds back to nodes: each kind's nodes in cluster order. */
static ndl_status unmerge(ndl_solution *s, const ndl_alike *a)
{
    bool *used = calloc((size_t)a->n, sizeof *used);
    if (!used) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < s->n; i++) {
        ndl_partition_stage *stage = &s->stages[i];
        for (int k = 0; k < a->n; k++) {
            if (a->kind[k] != stage->type || used[k]) continue;
            /* A kind of several virtual nodes was not merged. */
            used[k] = a->cluster.nodes[stage->type].rank >= 0;
            stage->type = k;
            break;
        }
    }
    free(used);
    return NDL_OK;
}

static ndl_status plan_it(ndl_plan *out, const ndl_strategy_task *given,
                          const ndl_strategy_task *task, const ndl_alike *a,
                          const ndl_strategy_next *next)
{
    ndl_solution s = { 0 };
    ndl_plan plan = { 0 };
    ndl_advice advice = {
        .task = task, .given = given, .alike = a, .next = next
    };
    /* The advice is to have time left. */
    ndl_strategy_task first = *task;
    first.until_sec -= 0.4 * (task->until_sec - ndl_clock_sec());
    ndl_status st = ndl_solution_find(&s, &first);
    if (st == NDL_EUNAVAIL) return ndl_advice_explain(&advice);
    if (st == NDL_EDATA)
        return NDL_FAIL(NDL_EDATA, "plan: a time of the nodes is negative or "
                                   "not finite: measure again");
    NDL_TRY(st);
    NDL_TRY_GOTO(done, st, ndl_strategy_report(&plan, task, &s));
    advice.figure = ndl_advice_figure(&plan, task->setup->strategy);
    if (given->cluster != task->cluster) {
        ndl_plan_fini(&plan);
        NDL_TRY_GOTO(done, st, unmerge(&s, a));
        NDL_TRY_GOTO(done, st, ndl_strategy_report(&plan, given, &s));
    }
    advice.solution = &s;
    NDL_TRY_GOTO(done, st, ndl_advice_give(&plan, &advice));
    *out = plan;
    plan.stages = NULL;
done:
    free(plan.stages);
    ndl_solution_fini(&s);
    return st;
}

ndl_status ndl_strategy_plan(ndl_plan *out, const ndl_strategy_setup *setup,
                             const ndl_plan_costs *costs,
                             const ndl_cluster *cluster,
                             const ndl_workload *workload,
                             const ndl_strategy_next *next)
{
    const double sec = setup->max_sec > 0.0 ? setup->max_sec : DEFAULT_SEC;
    const ndl_strategy_task given = { setup, costs, cluster, workload,
                                      ndl_clock_sec() + sec };
    NDL_TRY(check(&given));
    ndl_alike alike = { 0 };
    NDL_TRY(ndl_alike_merge(&alike, cluster, setup, 4.0 * costs->width,
                            4.0 * costs->width * workload->chunk_rows));
    ndl_strategy_task task = given;
    if (ndl_alike_helps(cluster, setup)) {
        task.setup = &alike.setup;
        task.cluster = &alike.cluster;
    }
    const ndl_status st = plan_it(out, &given, &task, &alike, next);
    ndl_alike_fini(&alike);
    return st;
}
