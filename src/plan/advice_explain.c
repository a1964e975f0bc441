/*
 * advice_explain.c - advice.h: why there is no plan.  Limits are taken away
 * one after the other; the one after which there is a plan is to blame.
 */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "noodle/clock.h"

static ndl_status is_feasible(const ndl_strategy_task *task)
{
    ndl_terms t = { 0 };
    ndl_solution s = { 0 };
    NDL_TRY(ndl_terms_init(&t, task));
    const double now = ndl_clock_sec();
    const double left = task->until_sec - now;
    const ndl_status st = ndl_solution_least(
        &s, &t, NDL_TERMS_MEMORY, now + (left > 0.0 ? left / 16.0 : 0.0));
    ndl_solution_fini(&s);
    ndl_terms_fini(&t);
    return st;
}

/* The least that the slowest decode step of a stage can take. */
static ndl_status least_step(double *out, const ndl_strategy_task *task)
{
    ndl_terms t = { 0 };
    ndl_solution s = { 0 };
    NDL_TRY(ndl_terms_init(&t, task));
    const ndl_status st =
        ndl_solution_least(&s, &t, NDL_TERMS_STEP, task->until_sec);
    if (st == NDL_OK) {
        double least = 0.0, sum;
        ndl_terms_set_batch(&t, ndl_terms_batch_of(task->work, s.n));
        const ndl_partition_problem p = ndl_terms_problem(&t, NDL_TERMS_STEP);
        if (ndl_partition_judge(&p, s.stages, s.n, &least, &sum)) *out = least;
    }
    ndl_solution_fini(&s);
    ndl_terms_fini(&t);
    return st;
}

static ndl_status blame_pins(const ndl_advice *a)
{
    const int n = a->task->setup->n_pins;
    return NDL_FAIL(NDL_EUSAGE,
                    "pin: the %d pinned layer%s cannot be placed so: there is "
                    "a plan without pins, but with them the order of the "
                    "nodes, their memory or another limit is broken: drop or "
                    "move a pin",
                    n, n == 1 ? "" : "s");
}

static ndl_status blame_step(const ndl_strategy_task *free_of_it, double limit)
{
    double least = 0.0;
    NDL_TRY(least_step(&least, free_of_it));
    return NDL_FAIL(NDL_EUNAVAIL,
                    "no split keeps the decode step of every stage within "
                    "%.4g ms: the best that these nodes can do is %.4g ms: "
                    "allow more, or use more or faster nodes",
                    1e3 * limit, 1e3 * least);
}

static ndl_status blame_stages(const ndl_advice *a, const char *limit, int n)
{
    return NDL_FAIL(NDL_EUNAVAIL,
                    "no plan has %s %d stage%s: %d nodes and %d layers "
                    "(embedding, blocks and head) within the nodes' memory do "
                    "not allow it, another number of stages is possible",
                    limit, n, n == 1 ? "" : "s",
                    ndl_cluster_size(a->task->cluster),
                    a->task->costs->n_blocks + 2);
}

/* ---- memory ---- */

/* Would it fit with `count` nodes of the kind? */
static ndl_status fits_with(const ndl_strategy_task *task, int kind, int count)
{
    ndl_cluster more;
    ndl_strategy_task t = *task;
    NDL_TRY(ndl_advice_more(&more, task->cluster, kind, count));
    t.cluster = &more;
    const ndl_status st = is_feasible(&t);
    ndl_cluster_fini(&more);
    return st;
}

/* Least number of nodes of the kind, beside all others, that hold the model;
 * 0: however many there are, they do not.  More never hold less, and more than
 * there are layers are of no use. */
static ndl_status least_count(int *out, const ndl_strategy_task *t, int kind)
{
    const int have = t->cluster->nodes[kind].count;
    const int room = NDL_CLUSTER_NODES - ndl_cluster_size(t->cluster);
    const int layers = t->costs->n_blocks + 2;
    int low = have, high = have + (layers < room ? layers : room);
    *out = 0;
    ndl_status st = fits_with(t, kind, high);
    if (st != NDL_OK) return st == NDL_EUNAVAIL ? NDL_OK : st;
    while (high - low > 1) {
        const int mid = low + (high - low) / 2;
        st = fits_with(t, kind, mid);
        if (st != NDL_OK && st != NDL_EUNAVAIL) return st;
        if (st == NDL_OK)
            high = mid;
        else
            low = mid;
    }
    *out = high;
    return NDL_OK;
}

/* "2 more nodes like big or 5 more like old would hold it"; kinds of the same
 * memory help alike, four are told of. */
static ndl_status help_text(const ndl_strategy_task *t, char *buf, size_t cap)
{
    enum { MAX_TOLD = 4 };
    uint64_t tried[MAX_TOLD];
    int n_tried = 0, n_told = 0;
    size_t at = 0;
    buf[0] = '\0';
    for (int k = 0; k < t->cluster->n && n_tried < MAX_TOLD; k++) {
        const ndl_node *node = &t->cluster->nodes[k];
        char name[NDL_NODE_NAME];
        bool known = false;
        for (int i = 0; i < n_tried; i++)
            known |= tried[i] == node->memory_bytes;
        if (known || ndl_clock_sec() > t->until_sec) continue;
        tried[n_tried++] = node->memory_bytes;
        int count = 0;
        NDL_TRY(least_count(&count, t, k));
        if (count == 0) continue;
        const int more = count - node->count;
        at += (size_t)snprintf(buf + at, cap - at,
                               "%s%d more node%s like %.40s (%d in all)",
                               n_told ? " or " : "", more, more == 1 ? "" : "s",
                               ndl_advice_name(node, name), count);
        if (at >= cap) at = cap - 1;
        n_told++;
    }
    if (n_told) snprintf(buf + at, cap - at, " would hold it; ");
    return NDL_OK;
}

static ndl_status would_fit(const ndl_advice *a, const ndl_strategy_next *next)
{
    ndl_strategy_task t;
    ndl_alike alike = { 0 };
    NDL_TRY(ndl_advice_next(&t, &alike, a, next));
    const ndl_status st = is_feasible(&t);
    ndl_alike_fini(&alike);
    return st;
}

/* The largest that fits, since it costs the least quality. */
static ndl_status dtype_text(const ndl_advice *a, char *buf, size_t cap)
{
    buf[0] = '\0';
    for (const ndl_strategy_next *n = a->next; n; n = n->then) {
        const ndl_status st = would_fit(a, n);
        if (st == NDL_EUNAVAIL) continue;
        NDL_TRY(st);
        snprintf(buf, cap, "weights in %.16s would fit; ", n->dtype);
        break;
    }
    return NDL_OK;
}

static uint64_t largest_layer(const ndl_plan_costs *c)
{
    uint64_t most = c->block_bytes + c->kv_bytes;
    if (c->embed_bytes > most) most = c->embed_bytes;
    if (c->head_bytes + c->logits_bytes > most)
        most = c->head_bytes + c->logits_bytes;
    return most + c->buffer_bytes;
}

static ndl_status blame_memory(const ndl_advice *a)
{
    const ndl_cluster *c = a->given->cluster;
    const ndl_plan_costs *costs = a->given->costs;
    const int n = ndl_cluster_size(c), layers = costs->n_blocks + 2;
    const uint64_t kv = (uint64_t)costs->n_blocks * costs->kv_bytes;
    const uint64_t need =
        (uint64_t)costs->n_blocks * costs->block_bytes + kv +
        costs->embed_bytes + costs->head_bytes + costs->logits_bytes +
        (uint64_t)(n < layers ? n : layers) * costs->buffer_bytes -
        (n == 1 ? costs->shared_bytes : 0);
    uint64_t have = 0, most = 0;
    char text[5][32], help[360], dtype[64];
    NDL_TRY(help_text(a->task, help, sizeof help));
    NDL_TRY(dtype_text(a, dtype, sizeof dtype));
    for (int k = 0; k < c->n; k++) {
        have += (uint64_t)c->nodes[k].count * c->nodes[k].memory_bytes;
        if (c->nodes[k].memory_bytes > most) most = c->nodes[k].memory_bytes;
    }
    return NDL_FAIL(
        NDL_EUNAVAIL,
        "the model does not fit: it needs %s (of that %s for the KV cache), "
        "at least %s in one place, and %d node%s %s free, at most %s each: "
        "%s%suse less context (-c) or fewer sequences at once (--parallel)",
        ndl_plan_bytes_text(need, text[0], sizeof text[0]),
        ndl_plan_bytes_text(kv, text[1], sizeof text[1]),
        ndl_plan_bytes_text(largest_layer(costs), text[2], sizeof text[2]), n,
        n == 1 ? " has" : "s have",
        ndl_plan_bytes_text(have, text[3], sizeof text[3]),
        ndl_plan_bytes_text(most, text[4], sizeof text[4]), help, dtype);
}

ndl_status ndl_advice_explain(const ndl_advice *a)
{
    ndl_strategy_setup setup = *a->task->setup;
    const double stage_sec = setup.stage_sec;
    const int min_stages = setup.min_stages, max_stages = setup.max_stages;
    ndl_strategy_task t = *a->task;
    ndl_status st = NDL_EUNAVAIL;
    t.setup = &setup;
    if (setup.n_pins > 0) {
        setup.n_pins = 0;
        st = is_feasible(&t);
        if (st != NDL_EUNAVAIL) return st == NDL_OK ? blame_pins(a) : st;
    }
    if (stage_sec > 0.0) {
        setup.stage_sec = 0.0;
        st = is_feasible(&t);
        if (st != NDL_EUNAVAIL)
            return st == NDL_OK ? blame_step(&t, stage_sec) : st;
    }
    if (min_stages > 1) {
        setup.min_stages = 0;
        st = is_feasible(&t);
        if (st != NDL_EUNAVAIL)
            return st == NDL_OK ? blame_stages(a, "at least", min_stages) : st;
    }
    if (max_stages > 0) {
        setup.max_stages = 0;
        st = is_feasible(&t);
        if (st != NDL_EUNAVAIL)
            return st == NDL_OK ? blame_stages(a, "at most", max_stages) : st;
    }
    ndl_advice bare = *a;
    bare.task = &t;
    return blame_memory(&bare);
}
