/* strategy_report.c - see strategy_report.h. */
#include "strategy_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_BYTES = 16 }; /* that a sampled token takes on its way back */

typedef struct report {
    const ndl_strategy_task *task;
    const ndl_solution *s;
    ndl_terms t;
    double busy_sum, busy_max;
    ndl_plan plan;
} report;

static const ndl_node *node_of(const report *r, int stage)
{
    return &r->task->cluster->nodes[r->s->stages[stage].type];
}

static int full_rows(const ndl_workload *w)
{
    return w->prompt_tokens < w->chunk_rows ? w->prompt_tokens : w->chunk_rows;
}

/* ---- seconds ---- */

static double sum_of(const report *r, const double *sec, int stage)
{
    const ndl_partition_stage *s = &r->s->stages[stage];
    const double *row = sec + (size_t)s->type * (size_t)r->t.n_items;
    double sum = 0.0;
    for (int i = s->first; i < s->first + s->n; i++) sum += row[i];
    return sum;
}

/* A full chunk in the middle of a prompt. */
static double prompt_sec(const report *r, int stage)
{
    const ndl_workload *w = r->task->work;
    const ndl_partition_stage *s = &r->s->stages[stage];
    const int rows = full_rows(w);
    const ndl_work work =
        ndl_work_prompt((w->prompt_tokens - rows) / 2, rows, false, 1.0);
    double sum = 0.0;
    for (int i = s->first; rows > 0 && i < s->first + s->n; i++)
        sum += ndl_cost_sec(&node_of(r, stage)->cost, ndl_terms_layer(&r->t, i),
                            &work);
    return sum;
}

/* Handing that chunk on; without prompts, the rows of a decode step. */
static double link_sec(const report *r, int stage)
{
    const ndl_cluster *c = r->task->cluster;
    const int from = r->s->stages[stage].type;
    const int rows = r->t.n_chunks ? full_rows(r->task->work) : r->t.batch;
    if (stage == r->s->n - 1) return ndl_link_sec(&c->entry[from], TOKEN_BYTES);
    const int to = r->s->stages[stage + 1].type;
    return ndl_link_sec(&c->links[(size_t)from * (size_t)c->n + (size_t)to],
                        4.0 * rows * r->task->costs->width);
}

/* ---- reasons ---- */

static void say(ndl_plan_stage *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(ndl_plan_stage *s, const char *fmt, ...)
{
    const size_t at = strlen(s->why);
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->why + at, sizeof s->why - at, fmt, args);
    va_end(args);
}

/* Could the node hold a layer more of the stage before it or after it? */
static bool is_full(const report *r, int stage)
{
    const ndl_partition_stage *s = &r->s->stages[stage];
    const uint64_t have = node_of(r, stage)->memory_bytes;
    const bool before = s->first > 0;
    const bool after = s->first + s->n < r->t.n_items;
    if (!before && !after) return false;
    return (!before || ndl_terms_bytes(&r->t, s->first - 1, s->n + 1) > have) &&
           (!after || ndl_terms_bytes(&r->t, s->first, s->n + 1) > have);
}

static double least_time(const report *r, int item)
{
    const double *sec = r->t.busy + item;
    double least = sec[0];
    for (int k = 1; k < r->t.n_kinds; k++) {
        const double v = sec[(size_t)k * (size_t)r->t.n_items];
        if (v < least) least = v;
    }
    return least;
}

/* The embedding, the first block or the head: whose least time is greatest. */
static int slowest_item(const report *r)
{
    const int items[] = { r->t.n_items - 1, 1, 0 };
    int slowest = items[0];
    for (int i = 1; i < 3; i++)
        if (least_time(r, items[i]) > least_time(r, slowest))
            slowest = items[i];
    return slowest;
}

static void say_slowest(const report *r, int stage, ndl_plan_stage *out)
{
    static const char *const names[] = { "embedding", "blocks", "head" };
    const ndl_partition_stage *s = &r->s->stages[stage];
    const int item = slowest_item(r);
    const ndl_layer_kind kind = ndl_terms_layer(&r->t, item);
    const bool in = kind == NDL_LAYER_BLOCK
                        ? out->n_layers > 0
                        : item >= s->first && item < s->first + s->n;
    const double own =
        r->t.busy[(size_t)s->type * (size_t)r->t.n_items + (size_t)item];
    /* Of many equal blocks that is worth a word only where it is the aim. */
    if (kind == NDL_LAYER_BLOCK &&
        r->task->setup->strategy != NDL_STRATEGY_BOTTLENECK)
        return;
    if (r->t.n_kinds < 2 || !in || own > least_time(r, item)) return;
    say(out, ", %s: slowest layer, on the fastest node", names[kind]);
}

static void say_pins(const report *r, int stage, ndl_plan_stage *out)
{
    const ndl_partition_stage *s = &r->s->stages[stage];
    const char *sep = ", pinned: ";
    for (int i = s->first; i < s->first + s->n; i++) {
        if (r->t.pin[i] < 0) continue;
        const ndl_layer_kind kind = ndl_terms_layer(&r->t, i);
        if (kind == NDL_LAYER_BLOCK)
            say(out, "%sblock %d", sep, i - 1);
        else
            say(out, "%s%s", sep,
                kind == NDL_LAYER_EMBED ? "embedding" : "head");
        sep = ", ";
    }
}

static void say_why(const report *r, int stage, ndl_plan_stage *out)
{
    const double share =
        r->busy_sum > 0.0 ? 100.0 * out->busy_sec / r->busy_sum : 0.0;
    say(out, "%.1f %% of the work", share);
    if (stage == r->plan.bottleneck) say(out, ", bottleneck");
    if (is_full(r, stage)) say(out, ", all that fits its memory");
    say_slowest(r, stage, out);
    say_pins(r, stage, out);
}

/* ---- the plan ---- */

static void fill_stage(report *r, int stage)
{
    const ndl_partition_stage *s = &r->s->stages[stage];
    const ndl_node *node = node_of(r, stage);
    ndl_plan_stage *p = &r->plan.stages[stage];
    const bool embed = s->first == 0, head = s->first + s->n == r->t.n_items;
    p->rank = node->rank;
    p->first_layer = embed ? 0 : s->first - 1;
    p->n_layers = s->n - embed - head;
    p->embed = embed;
    p->head = head;
    p->n_threads = node->n_threads;
    ndl_plan_stage_needs(p, r->task->costs);
    p->free_bytes = node->memory_bytes;
    memcpy(p->host, node->name, sizeof p->host);
    p->prompt_sec = prompt_sec(r, stage);
    p->decode_sec = sum_of(r, r->t.step, stage);
    p->busy_sec = sum_of(r, r->t.busy, stage);
    p->link_sec = link_sec(r, stage);
    r->busy_sum += p->busy_sec;
    if (p->busy_sec > r->busy_max) {
        r->busy_max = p->busy_sec;
        r->plan.bottleneck = stage;
    }
}

/* The figures of the whole, by the solver's own definition of costs. */
static ndl_status fill_figures(report *r)
{
    const ndl_workload *w = r->task->work;
    ndl_partition_problem p = ndl_terms_problem(&r->t, NDL_TERMS_LINKED);
    double period, sum, chunk;
    if (!ndl_partition_judge(&p, r->s->stages, r->s->n, &period, &sum))
        return NDL_FAIL(NDL_ESOFTWARE, "plan: the solution breaks a limit");
    p = ndl_terms_problem(&r->t, NDL_TERMS_ALONE);
    if (!ndl_partition_judge(&p, r->s->stages, r->s->n, &chunk, &sum))
        return NDL_FAIL(NDL_ESOFTWARE, "plan: the solution breaks a limit");
    r->plan.period_sec = period;
    r->plan.latency_sec =
        sum + (r->t.n_chunks > 1 ? (r->t.n_chunks - 1) * chunk : 0.0);
    if (period > 0.0)
        r->plan.tokens_per_sec =
            ((double)w->prompt_tokens + w->new_tokens) / period;
    if (r->busy_max > 0.0)
        r->plan.balance = r->busy_sum / r->s->n / r->busy_max;
    /* The sums of the two may differ in the last bits. */
    if (r->busy_max < period * (1.0 - 1e-12)) r->plan.bottleneck = -1;
    return NDL_OK;
}

ndl_status ndl_strategy_report(ndl_plan *out, const ndl_strategy_task *task,
                               const ndl_solution *s)
{
    report r = { .task = task, .s = s };
    const bool measured = strcmp(task->cluster->source, "measured") == 0;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_terms_init(&r.t, task));
    ndl_terms_set_batch(&r.t, ndl_terms_batch_of(task->work, s->n));
    r.plan = (ndl_plan){ .n_stages = s->n,
                         .n_idle = r.t.n_nodes - s->n,
                         .workload = *task->work,
                         .gap = s->gap,
                         .bottleneck = -1 };
    snprintf(r.plan.strategy, sizeof r.plan.strategy, "%s",
             ndl_strategy_name(task->setup->strategy));
    snprintf(r.plan.source, sizeof r.plan.source, "%s",
             measured ? "measured" : "estimated");
    r.plan.stages = calloc((size_t)s->n, sizeof *r.plan.stages);
    if (!r.plan.stages) {
        st = NDL_FAIL(NDL_EOS, "plan: out of memory");
        goto done;
    }
    for (int i = 0; i < s->n; i++) fill_stage(&r, i);
    NDL_TRY_GOTO(done, st, fill_figures(&r));
    for (int i = 0; i < s->n; i++) say_why(&r, i, &r.plan.stages[i]);
    *out = r.plan;
    r.plan.stages = NULL;
done:
    free(r.plan.stages);
    ndl_terms_fini(&r.t);
    return st;
}
