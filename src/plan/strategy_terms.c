/*
 * strategy_terms.c - seconds and bytes of every layer on every kind of node,
 * from the cost model, the links and the workload.
 *
 * A request that is served while all stages are at work costs a stage
 *
 *   sum over its prompt's chunks of the chunk's time
 *   + steps / b * (a decode step of b sequences at the mean context)
 *
 * since a step serves b requests at once; the first token comes with the
 * prompt, so that there are new_tokens - 1 steps.  Of prompts shorter than a
 * chunk as many as fit share one.  A link costs the same sum over the messages
 * of that request.  Of one request alone a prompt of N chunks is taken as N
 * equal ones, each of the mean time; decode steps have one row.
 */
#include "strategy_terms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES = 4, TOKEN_BYTES = 16 }; /* of a row in, of a token out */

ndl_layer_kind ndl_terms_layer(const ndl_terms *t, int item)
{
    if (item == 0) return NDL_LAYER_EMBED;
    return item == t->n_items - 1 ? NDL_LAYER_HEAD : NDL_LAYER_BLOCK;
}

int ndl_terms_batch_of(const ndl_workload *work, int n_stages)
{
    return (int)(((int64_t)work->sequences + n_stages - 1) / n_stages);
}

uint64_t ndl_terms_bytes(const ndl_terms *t, int first, int n)
{
    const ndl_plan_costs *c = t->task->costs;
    uint64_t sum = c->buffer_bytes;
    for (int i = first; i < first + n; i++) sum += t->bytes[i];
    return n == t->n_items ? sum - c->shared_bytes : sum;
}

static int full_rows(const ndl_workload *w)
{
    return w->prompt_tokens < w->chunk_rows ? w->prompt_tokens : w->chunk_rows;
}

/* Decode steps of a request. */
static int steps_of(const ndl_workload *w)
{
    return w->new_tokens - (w->prompt_tokens > 0 && w->new_tokens > 0);
}

/* Prompts that share a chunk while many requests wait. */
static int prompts_of_chunk(const ndl_workload *w)
{
    if (w->prompt_tokens == 0 || w->prompt_tokens > w->chunk_rows) return 1;
    const int fit = w->chunk_rows / w->prompt_tokens;
    return fit < w->sequences ? fit : w->sequences;
}

static int mean_context(const ndl_workload *w)
{
    return w->prompt_tokens + w->new_tokens / 2;
}

/* A request's part of a chunk of several prompts. */
static double shared_prompt_sec(const ndl_cost *cost, ndl_layer_kind kind,
                                const ndl_workload *w)
{
    const int n = prompts_of_chunk(w);
    ndl_work work = ndl_work_prompt(0, w->prompt_tokens, true, 1.0);
    work.n_rows *= n;
    work.keys *= n;
    work.n_sequences = work.n_samples = n;
    return ndl_cost_sec(cost, kind, &work) / n;
}

static double prompt_sec(const ndl_cost *cost, ndl_layer_kind kind,
                         const ndl_workload *w, double crowd)
{
    const int rows = full_rows(w);
    double sum = 0.0;
    for (int at = 0; at < w->prompt_tokens;) {
        const int left = w->prompt_tokens - at;
        const int n = left < rows ? left : rows;
        const ndl_work chunk = ndl_work_prompt(at, n, n == left, crowd);
        sum += ndl_cost_sec(cost, kind, &chunk);
        at += n;
    }
    return sum;
}

/* A prompt's messages of `row_bytes` a row over one link. */
static double prompt_link_sec(const ndl_link *link, const ndl_workload *w,
                              double row_bytes)
{
    const int rows = full_rows(w);
    if (rows == 0) return 0.0;
    const int rest = w->prompt_tokens % rows;
    double sum = w->prompt_tokens / rows * ndl_link_sec(link, rows * row_bytes);
    if (rest) sum += ndl_link_sec(link, rest * row_bytes);
    return sum;
}

/* ---- arrays ---- */

static bool allocate(ndl_terms *t)
{
    const size_t k = (size_t)t->n_kinds, n = (size_t)t->n_items;
    double **const per_item[] = { &t->step, &t->busy, &t->chunk, &t->alone };
    double **const per_pair[] = { &t->prompt_link, &t->chunk_link, &t->link,
                                  &t->alone_link };
    double **const per_kind[] = { &t->prompt_enter, &t->chunk_enter, &t->enter,
                                  &t->leave };
    bool ok = true;
    for (size_t i = 0; i < 4; i++) {
        ok &= (*per_item[i] = calloc(k * n, sizeof(double))) != NULL;
        ok &= (*per_pair[i] = calloc(k * k, sizeof(double))) != NULL;
        ok &= (*per_kind[i] = calloc(k, sizeof(double))) != NULL;
    }
    ok &= (t->prompt = calloc(k * NDL_N_LAYER_KINDS, sizeof(double))) != NULL;
    ok &= (t->zeros = calloc(k * (k > n ? k : n), sizeof(double))) != NULL;
    ok &= (t->count = calloc(k, sizeof *t->count)) != NULL;
    ok &= (t->order = calloc((size_t)t->n_nodes, sizeof *t->order)) != NULL;
    ok &= (t->pin = calloc(n, sizeof *t->pin)) != NULL;
    ok &= (t->bytes = calloc(n, sizeof *t->bytes)) != NULL;
    ok &= (t->memory = calloc(k, sizeof *t->memory)) != NULL;
    return ok;
}

void ndl_terms_fini(ndl_terms *t)
{
    double *const doubles[] = { t->prompt,      t->step,         t->busy,
                                t->chunk,       t->alone,        t->prompt_link,
                                t->chunk_link,  t->link,         t->alone_link,
                                t->chunk_enter, t->prompt_enter, t->enter,
                                t->leave,       t->zeros };
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        free(doubles[i]);
    free(t->count);
    free(t->order);
    free(t->pin);
    free(t->bytes);
    free(t->memory);
    *t = (ndl_terms){ 0 };
}

/* ---- what does not depend on the batch ---- */

static void set_chain(ndl_terms *t)
{
    const ndl_strategy_task *task = t->task;
    const ndl_plan_costs *c = task->costs;
    const int last = t->n_items - 1;
    for (int i = 0; i <= last; i++) {
        t->pin[i] = -1;
        t->bytes[i] = i == 0      ? c->embed_bytes
                      : i == last ? c->head_bytes + c->logits_bytes
                                  : c->block_bytes + c->kv_bytes;
    }
    for (int i = 0; i < task->setup->n_pins; i++)
        t->pin[task->setup->pins[i].layer] = task->setup->pins[i].node;
    for (int k = 0, at = 0; k < t->n_kinds; k++) {
        t->count[k] = task->cluster->nodes[k].count;
        t->memory[k] = task->cluster->nodes[k].memory_bytes;
        for (int i = 0; i < t->count[k]; i++) t->order[at++] = k;
    }
}

/* Times of kind k, of one request alone, and of its prompt at work. */
static void set_kind(ndl_terms *t, int k)
{
    const ndl_workload *w = t->task->work;
    const ndl_cost *cost = &t->task->cluster->nodes[k].cost;
    const ndl_work step = ndl_work_decode(1, mean_context(w), 0.0);
    const int steps = steps_of(w);
    double chunk[NDL_N_LAYER_KINDS], alone[NDL_N_LAYER_KINDS];
    for (int l = 0; l < NDL_N_LAYER_KINDS; l++) {
        t->prompt[k * NDL_N_LAYER_KINDS + l] =
            prompts_of_chunk(w) > 1
                ? shared_prompt_sec(cost, (ndl_layer_kind)l, w)
                : prompt_sec(cost, (ndl_layer_kind)l, w, 1.0);
        chunk[l] = prompt_sec(cost, (ndl_layer_kind)l, w, 0.0);
        if (t->n_chunks) chunk[l] /= t->n_chunks;
        alone[l] = chunk[l];
        if (steps)
            alone[l] += steps * ndl_cost_sec(cost, (ndl_layer_kind)l, &step);
    }
    const size_t row = (size_t)k * (size_t)t->n_items;
    for (int i = 0; i < t->n_items; i++) {
        t->chunk[row + (size_t)i] = chunk[ndl_terms_layer(t, i)];
        t->alone[row + (size_t)i] = alone[ndl_terms_layer(t, i)];
    }
    /* Whoever has item 0 is the first stage and whoever has the last is the
     * last: what the ids and tokens of decode steps cost on their way goes
     * with those items, so that `enter` is a chunk's alone. */
    const ndl_link *entry = &t->task->cluster->entry[k];
    const double mean = t->n_chunks ? 1.0 / t->n_chunks : 0.0;
    t->prompt_enter[k] = prompt_link_sec(entry, w, ID_BYTES);
    t->chunk_enter[k] = mean * t->prompt_enter[k];
    if (steps == 0) return;
    t->alone[row] += steps * ndl_link_sec(entry, ID_BYTES);
    t->alone[row + (size_t)t->n_items - 1] +=
        steps * ndl_link_sec(entry, TOKEN_BYTES);
}

static void set_links(ndl_terms *t)
{
    const ndl_workload *w = t->task->work;
    const double row_bytes = t->task->costs->width * 4.0;
    const double mean = t->n_chunks ? 1.0 / t->n_chunks : 0.0;
    const size_t n = (size_t)t->n_kinds * (size_t)t->n_kinds;
    const int steps = steps_of(w);
    for (size_t i = 0; i < n; i++) {
        const ndl_link *link = &t->task->cluster->links[i];
        t->prompt_link[i] = prompt_link_sec(link, w, row_bytes);
        t->chunk_link[i] = mean * t->prompt_link[i];
        t->alone_link[i] = t->chunk_link[i];
        if (steps) t->alone_link[i] += steps * ndl_link_sec(link, row_bytes);
    }
}

ndl_status ndl_terms_init(ndl_terms *out, const ndl_strategy_task *task)
{
    const ndl_workload *w = task->work;
    const int rows = full_rows(w);
    ndl_terms t = { .task = task,
                    .n_kinds = task->cluster->n,
                    .n_items = task->costs->n_blocks + 2,
                    .n_nodes = ndl_cluster_size(task->cluster),
                    .n_chunks = rows ? (w->prompt_tokens - 1) / rows + 1 : 0 };
    if (!allocate(&t)) {
        ndl_terms_fini(&t);
        return NDL_FAIL(NDL_EOS, "plan: out of memory");
    }
    set_chain(&t);
    for (int k = 0; k < t.n_kinds; k++) set_kind(&t, k);
    set_links(&t);
    ndl_terms_set_batch(&t, ndl_terms_batch_of(w, 1));
    *out = t;
    return NDL_OK;
}

/* ---- what does ---- */

static void set_batch_of_kind(ndl_terms *t, int k, double steps)
{
    const ndl_workload *w = t->task->work;
    const ndl_cost *cost = &t->task->cluster->nodes[k].cost;
    const ndl_link *entry = &t->task->cluster->entry[k];
    const ndl_work work = ndl_work_decode(t->batch, mean_context(w), 1.0);
    const size_t row = (size_t)k * (size_t)t->n_items;
    double step[NDL_N_LAYER_KINDS];
    for (int l = 0; l < NDL_N_LAYER_KINDS; l++)
        step[l] = ndl_cost_sec(cost, (ndl_layer_kind)l, &work);
    for (int i = 0; i < t->n_items; i++) {
        const int l = ndl_terms_layer(t, i);
        t->step[row + (size_t)i] = step[l];
        t->busy[row + (size_t)i] =
            t->prompt[k * NDL_N_LAYER_KINDS + l] + steps * step[l];
    }
    t->enter[k] = t->prompt_enter[k];
    t->leave[k] = 0.0;
    if (steps == 0.0) return;
    t->enter[k] += steps * ndl_link_sec(entry, (double)t->batch * ID_BYTES);
    t->leave[k] = steps * ndl_link_sec(entry, (double)t->batch * TOKEN_BYTES);
}

void ndl_terms_set_batch(ndl_terms *t, int batch)
{
    const double steps = steps_of(t->task->work) / (double)batch;
    const double bytes = (double)batch * t->task->costs->width * 4.0;
    const size_t n = (size_t)t->n_kinds * (size_t)t->n_kinds;
    t->batch = batch;
    for (int k = 0; k < t->n_kinds; k++) set_batch_of_kind(t, k, steps);
    for (size_t i = 0; i < n; i++) {
        t->link[i] = t->prompt_link[i];
        if (steps > 0.0)
            t->link[i] +=
                steps * ndl_link_sec(&t->task->cluster->links[i], bytes);
    }
}

ndl_partition_problem ndl_terms_problem(const ndl_terms *t, ndl_terms_view view)
{
    const ndl_strategy_setup *setup = t->task->setup;
    ndl_partition_problem p = {
        .n_items = t->n_items,
        .n_types = t->n_kinds,
        .count = t->count,
        .time = t->busy,
        .link = t->link,
        .enter = t->enter,
        .leave = t->leave,
        .bytes = t->bytes,
        .stage_bytes = t->task->costs->buffer_bytes,
        .shared_bytes = t->task->costs->shared_bytes,
        .memory = t->memory,
        .pin = t->pin,
        .stage_limit = setup->stage_sec,
        .limited = t->step,
        .order = setup->free_order ? NULL : t->order,
        .n_order = setup->free_order ? 0 : t->n_nodes,
    };
    switch (view) {
    case NDL_TERMS_LINKED: break;
    case NDL_TERMS_STAGES:
        p.link = t->zeros;
        p.sum_link = t->link;
        p.enter = p.leave = NULL;
        break;
    case NDL_TERMS_ALONE:
        p.time = t->chunk;
        p.sum = t->alone;
        p.link = t->chunk_link;
        p.sum_link = t->alone_link;
        p.enter = t->chunk_enter;
        p.leave = NULL;
        break;
    case NDL_TERMS_STEP:
        p.time = t->step;
        p.link = t->zeros;
        p.enter = p.leave = NULL;
        break;
    case NDL_TERMS_MEMORY:
        p.time = p.link = t->zeros;
        p.enter = p.leave = NULL;
        break;
    }
    return p;
}
