/* probe_rig.c - see probe_rig.h: how large, of what, and one run of it. */
#include "probe_rig.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"
#include "noodle/layout.h"

enum {
    SHARE_TIMES = 4,   /* as large as this rank's share of the last cache */
    WHOLE_TIMES = 2,   /* as large as all of it, which is its own when alone */
    MAX_RING = 8,      /* blocks: making them takes time too */
    MIN_RING = 2,      /* so that no block finds itself in a cache */
    COMPUTE_ROWS = 32, /* from here on arithmetic hides where weights are, and
                          a few blocks will do */
    PACE_RUNS = 5,     /* the first of which may find memory untouched */
    ID_STEP = 7919     /* spreads ids over the table; prime */
};

uint64_t ndl_probe_rig_beyond(const ndl_topology *t, int n_threads)
{
    const uint64_t least = (uint64_t)64 << 20, most = (uint64_t)512 << 20;
    const int sharing = t->l3_sharing > 0 ? t->l3_sharing : 1;
    const int threads = n_threads < sharing ? n_threads : sharing;
    const uint64_t share = t->l3_bytes / (uint64_t)sharing * (uint64_t)threads;
    uint64_t bytes = SHARE_TIMES * share;
    if (bytes < WHOLE_TIMES * t->l3_bytes) bytes = WHOLE_TIMES * t->l3_bytes;
    if (bytes < least) return least;
    return bytes < most ? bytes : most;
}

static int clamp(int64_t v, int least, int most)
{
    return v < least ? least : v > most ? most : (int)v;
}

static ndl_status part_bytes(const ndl_probe_rig *rig, const ndl_part *part,
                             uint64_t *out)
{
    return ndl_layout_bytes(&rig->model, rig->setup->mix, part, out);
}

/* The head's time is in proportion to the vocabulary, and the embedding looks
 * up one row of it: a table that exceeds the caches says all. */
static ndl_status shorten_vocabulary(ndl_probe_rig *rig, uint64_t enough)
{
    const ndl_model *m = rig->setup->model;
    const ndl_part head = { 0, 0, false, true };
    uint64_t all = 0;
    NDL_TRY(part_bytes(rig, &head, &all));
    const uint64_t row = all / (uint64_t)m->vocab;
    const uint64_t rows = (enough / row + NDL_PANEL) / NDL_PANEL * NDL_PANEL;
    if (rows < (uint64_t)m->vocab) rig->model.vocab = (int)rows;
    rig->head_scale = (double)m->vocab / rig->model.vocab;
    return NDL_OK;
}

/* All memory of a rig with the present number of blocks and slots. */
static ndl_status need_bytes(const ndl_probe_rig *rig, uint64_t block,
                             uint64_t *out)
{
    const ndl_part none = { 0, 0, true, true };
    const ndl_forward_memory memory =
        ndl_forward_memory_of(&rig->model, &rig->limits, rig->setup->n_threads);
    const uint64_t blocks = (uint64_t)rig->model.n_layers;
    uint64_t ends = 0;
    NDL_TRY(part_bytes(rig, &none, &ends));
    *out = blocks * (block + memory.kv_layer) +
           (uint64_t)rig->n_few * memory.kv_layer + ends + 2 * memory.buffers +
           memory.logits;
    return NDL_OK;
}

/* Give up in this order: copies, sequences, the second block. */
static bool shrink(ndl_probe_rig *rig)
{
    if (rig->model.n_layers > MIN_RING)
        rig->model.n_layers--;
    else if (rig->limits.n_slots > 1)
        rig->limits.n_slots = rig->limits.max_spans = rig->limits.n_slots / 2;
    else if (rig->model.n_layers > 1)
        rig->model.n_layers--;
    else
        return false;
    if (rig->model.n_layers <= rig->n_few) rig->n_few = 0;
    return true;
}

int ndl_probe_rig_prompts(const ndl_probe_setup *setup)
{
    const int context = clamp(setup->context, 2, NDL_PROBE_CONTEXT);
    const int slots = clamp(setup->n_slots, 1, NDL_PROBE_SEQUENCES);
    const int fit = clamp(setup->chunk_rows, 1, NDL_PROBE_ROWS) / context;
    return clamp(fit, 1, slots);
}

ndl_status ndl_probe_rig_design(ndl_probe_rig *rig,
                                const ndl_probe_setup *setup,
                                uint64_t memory_bytes, uint64_t enough)
{
    const ndl_part one = { 0, 1, false, false };
    const int n_layers = setup->model->n_layers;
    const int context = clamp(setup->context, 2, NDL_PROBE_CONTEXT);
    const int slots = clamp(setup->n_slots, 1, NDL_PROBE_SEQUENCES);
    const int chunk = clamp(setup->chunk_rows, 1, NDL_PROBE_ROWS);
    uint64_t block = 0, need = 0;
    *rig = (ndl_probe_rig){ .setup = setup, .model = *setup->model };
    NDL_TRY(shorten_vocabulary(rig, enough));
    NDL_TRY(part_bytes(rig, &one, &block));
    rig->model.n_layers =
        clamp((int64_t)(enough / block) + 1, MIN_RING, MAX_RING);
    if (rig->model.n_layers > n_layers) rig->model.n_layers = n_layers;
    rig->n_few = block > enough / SHARE_TIMES ? 1 : 2;
    if (rig->model.n_layers <= rig->n_few) rig->n_few = 0;
    rig->model.context = context;
    rig->limits = (ndl_forward_limits){
        .max_rows =
            chunk < context ? chunk : ndl_probe_rig_prompts(setup) * context,
        .max_spans = slots,
        .n_slots = slots,
        .context = context,
        .kv_types = setup->kv_types,
    };
    if (rig->limits.max_rows < NDL_PROBE_SEQUENCES)
        rig->limits.max_rows = NDL_PROBE_SEQUENCES;
    do {
        NDL_TRY(need_bytes(rig, block, &need));
        if (need <= memory_bytes) return NDL_OK;
    } while (shrink(rig));
    return NDL_FAIL(NDL_EOS,
                    "probe: one block takes %" PRIu64 " MiB, %" PRIu64
                    " MiB may be used: free memory or plan with estimates",
                    need >> 20, memory_bytes >> 20);
}

static ndl_status make_rows(ndl_probe_rig *rig)
{
    const size_t rows = (size_t)rig->limits.max_rows;
    const size_t n = rows * (size_t)rig->model.width;
    rig->x = malloc(n * sizeof *rig->x);
    rig->origin = malloc(n * sizeof *rig->origin);
    rig->ids = malloc(rows * sizeof *rig->ids);
    if (!rig->x || !rig->origin || !rig->ids)
        return NDL_FAIL(NDL_EOS, "probe: out of memory");
    for (size_t i = 0; i < n; i++)
        rig->origin[i] = ((float)(i * 37 % 101) - 50.0f) * 0.02f;
    memcpy(rig->x, rig->origin, n * sizeof *rig->x);
    for (size_t i = 0; i < rows; i++)
        rig->ids[i] = (int32_t)(i * ID_STEP % (size_t)rig->model.vocab);
    return NDL_OK;
}

static ndl_status make_forward(ndl_probe_rig *rig, ndl_forward **out,
                               const ndl_part *part)
{
    NDL_TRY(ndl_forward_create(out, rig->weights, part, &rig->limits,
                               rig->setup->kernels, rig->pool));
    return NDL_OK;
}

static ndl_status make_layers(ndl_probe_rig *rig)
{
    const ndl_probe_setup *s = rig->setup;
    const ndl_part all = { 0, rig->model.n_layers, true, true };
    const ndl_part few = { 0, rig->n_few, false, false };
    NDL_TRY(
        ndl_weights_blank(&rig->weights, &rig->model, s->mix, &all, rig->load));
    NDL_TRY(make_forward(rig, &rig->ring, &all));
    return rig->n_few > 0 ? make_forward(rig, &rig->few, &few) : NDL_OK;
}

static ndl_status set_speed(ndl_probe_rig *rig, double speed)
{
    NDL_TRY(ndl_forward_slow(rig->ring, speed, NULL, NULL));
    return rig->few ? ndl_forward_slow(rig->few, speed, NULL, NULL) : NDL_OK;
}

ndl_status ndl_probe_rig_open(ndl_probe_rig *rig, const ndl_probe_setup *setup,
                              uint64_t memory_bytes)
{
    const ndl_pool_config pool = { .n_threads = setup->n_threads,
                                   .spin_sec = setup->spin_sec,
                                   .thread_init = ndl_fp_setup };
    ndl_probe_rig r = { 0 };
    ndl_status st = NDL_OK;
    ndl_topology topology;
    NDL_TRY(ndl_topology_read(&topology));
    NDL_TRY(ndl_probe_rig_design(
        &r, setup, memory_bytes,
        ndl_probe_rig_beyond(&topology, setup->n_threads)));
    NDL_TRY_GOTO(done, st, ndl_pool_create(&r.pool, &pool));
    NDL_TRY_GOTO(done, st, ndl_load_measure(&r.facts, r.pool));
    r.load =
        setup->load == NDL_LOAD_AUTO ? ndl_load_choose(&r.facts) : setup->load;
    NDL_TRY_GOTO(done, st, make_rows(&r));
    NDL_TRY_GOTO(done, st, make_layers(&r));
    if (setup->speed < 1.0) NDL_TRY_GOTO(done, st, set_speed(&r, setup->speed));
    *rig = r;
    r = (ndl_probe_rig){ 0 };
done:
    ndl_probe_rig_close(&r);
    return st;
}

void ndl_probe_rig_close(ndl_probe_rig *rig)
{
    ndl_forward_destroy(&rig->few);
    ndl_forward_destroy(&rig->ring);
    ndl_weights_destroy(&rig->weights);
    ndl_pool_destroy(&rig->pool);
    free(rig->ids);
    free(rig->origin);
    free(rig->x);
    *rig = (ndl_probe_rig){ 0 };
}

static bool takes_few(const ndl_probe_rig *rig, const ndl_sample *what)
{
    return rig->few && what->rows >= COMPUTE_ROWS;
}

double ndl_probe_rig_scale(const ndl_probe_rig *rig, const ndl_sample *what)
{
    switch (what->kind) {
    case NDL_LAYER_EMBED: return 1.0;
    case NDL_LAYER_HEAD: return 1.0 / rig->head_scale;
    default: return takes_few(rig, what) ? rig->n_few : rig->model.n_layers;
    }
}

static int make_spans(ndl_span *spans, const ndl_sample *what)
{
    NDL_ASSERT(what->sequences <= NDL_PROBE_SEQUENCES);
    for (int i = 0; i < what->sequences; i++)
        spans[i] = (ndl_span){ i, what->context, what->rows / what->sequences };
    return what->sequences;
}

static void run_blocks(ndl_probe_rig *rig, const ndl_sample *what)
{
    ndl_span spans[NDL_PROBE_SEQUENCES];
    const int n = make_spans(spans, what);
    ndl_forward_blocks(takes_few(rig, what) ? rig->few : rig->ring, spans, n,
                       rig->x);
}

static void run_embedding(ndl_probe_rig *rig, const ndl_sample *what)
{
    ndl_span spans[NDL_PROBE_SEQUENCES];
    const int n = make_spans(spans, what);
    ndl_forward_embed(rig->ring, rig->ids, spans, n, rig->x);
}

static void run_head(ndl_probe_rig *rig, const ndl_sample *what)
{
    int rows[NDL_LOGITS_ROWS];
    size_t ld = 0;
    NDL_ASSERT(what->rows <= NDL_LOGITS_ROWS);
    for (int i = 0; i < what->rows; i++) rows[i] = i;
    ndl_forward_logits(rig->ring, rig->origin, rows, what->rows, &ld);
}

/* The system gives memory on first use, which takes longer than the use: slots
 * are used once before they are measured. */
static void touch_slots(ndl_probe_rig *rig, const ndl_sample *what)
{
    if (what->sequences <= rig->n_touched || what->kind != NDL_LAYER_BLOCK)
        return;
    run_blocks(rig, what);
    rig->n_touched = what->sequences;
}

/* Blocks add to their rows: run after run they would grow for ever. */
static void renew_rows(ndl_probe_rig *rig, const ndl_sample *what)
{
    memcpy(rig->x, rig->origin,
           (size_t)what->rows * (size_t)rig->model.width * sizeof *rig->x);
}

static void run_layers(ndl_probe_rig *rig, const ndl_sample *what)
{
    switch (what->kind) {
    case NDL_LAYER_EMBED: run_embedding(rig, what); break;
    case NDL_LAYER_HEAD: run_head(rig, what); break;
    default: run_blocks(rig, what); break;
    }
}

void ndl_probe_rig_pace(ndl_probe_rig *rig, const ndl_sample *what)
{
    if (rig->setup->speed >= 1.0) return; /* not the emulated one */
    set_speed(rig, 1.0); /* cannot fail: open() was the first time */
    for (int i = 0; i < PACE_RUNS; i++) {
        renew_rows(rig, what);
        run_layers(rig, what);
    }
    set_speed(rig, rig->setup->speed);
}

double ndl_probe_rig_run(ndl_probe_rig *rig, const ndl_sample *what)
{
    touch_slots(rig, what);
    renew_rows(rig, what);
    const double begin = ndl_clock_sec();
    run_layers(rig, what);
    /* A clock may not see the least of layers, but nothing takes no time. */
    const double sec = ndl_clock_sec() - begin;
    return (sec > 1e-9 ? sec : 1e-9) / ndl_probe_rig_scale(rig, what);
}
