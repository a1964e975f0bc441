/*
 * benchmark.c - see benchmark.h.
 *
 * A test overwrites the positions behind the depth and leaves those before it
 * as they are, so that the cache is filled once for all tests of a place.
 */
#include "noodle/benchmark.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "benchmark_work.h"
#include "noodle/clock.h"
#include "noodle/doubles.h"
#include "noodle/hardware.h"
#include "noodle/layout.h"
#include "noodle/machine.h"
#include "noodle/session.h"

static const double spin_sec = 50e-6; /* as in a run (session.c) */
static const uint64_t first_random = UINT64_C(0x6e6f6f646c65);

enum {
    PEAK_SHARE = 8, /* of free memory, for measuring what it reads */
    GEMM_ROWS = 512,
    GEMM_TRIES = 3 /* the best of them counts, as it does of peaks */
};

/* Which peak the weights' dtype is held against. */
typedef enum peak_kind { PEAK_F32, PEAK_BF16, PEAK_INT8 } peak_kind;

struct ndl_benchmark {
    ndl_benchmark_facts facts;
    ndl_benchmark_place place;
    const ndl_benchmark_watch *watch;
    peak_kind peak;
    ndl_model model;
    ndl_topology topology;
    ndl_hardware hardware;
    ndl_kernels kernels;
    ndl_pool *pool;
    ndl_weights *weights;
    ndl_forward *forward;
    ndl_benchmark_prices prices;
    ndl_benchmark_work work; /* since the repeat began */
    uint64_t random;         /* of the next token      */
    float *x;                /* (chunk_rows, D)        */
    int32_t *ids;            /* (chunk_rows)           */
    int *ends;               /* (chunk_rows): rows that want logits */
    ndl_span *spans;         /* (n_seqs)               */
};

/* ---- weights ---- */

/* All that depends on how dtypes are told is here. */
static ndl_status read_model(ndl_benchmark *b, ndl_store *store)
{
    ndl_mix mix;
    NDL_TRY(ndl_weights_read_model(store, &b->model, &mix));
    ndl_mix_write(mix, b->facts.dtype);
    /* Most of the arithmetic is between up and down. */
    const ndl_dtype dtype = (ndl_dtype)mix.of[NDL_GROUP_UP];
    b->peak = dtype == NDL_F32    ? PEAK_F32
              : dtype == NDL_BF16 ? PEAK_BF16
                                  : PEAK_INT8;
    return NDL_OK;
}

static ndl_status read_facts(ndl_benchmark *b, const char *path)
{
    ndl_store *store = NULL;
    uint64_t blocks = 0, head = 0;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_store_open(&store, path));
    NDL_TRY_GOTO(done, st, read_model(b, store));
    const ndl_part whole = ndl_layout_whole(&b->model);
    const ndl_part only_blocks = { 0, b->model.n_layers, false, false };
    const ndl_part only_head = { 0, 0, false, true };
    NDL_TRY_GOTO(done, st, ndl_weights_bytes(store, &whole, &b->facts.bytes));
    NDL_TRY_GOTO(done, st, ndl_weights_bytes(store, &only_blocks, &blocks));
    NDL_TRY_GOTO(done, st, ndl_weights_bytes(store, &only_head, &head));
    b->prices.block_bytes = (double)blocks;
    b->prices.head_bytes = (double)head;
    memcpy(b->facts.arch, b->model.arch, sizeof b->facts.arch);
    b->facts.n_params = ndl_model_params(&b->model);
    b->facts.context = b->model.context;
done:
    ndl_store_close(&store);
    return st;
}

static ndl_status make_pool(ndl_benchmark *b, int n_threads)
{
    const ndl_pool_config config = {
        .n_threads = n_threads,
        .spin_sec = n_threads > b->facts.n_cpus ? 0.0 : spin_sec,
        .thread_init = ndl_fp_setup,
    };
    if (b->pool && ndl_pool_size(b->pool) == n_threads) return NDL_OK;
    ndl_forward_destroy(&b->forward); /* it borrows the pool */
    ndl_pool_destroy(&b->pool);
    return ndl_pool_create(&b->pool, &config);
}

static ndl_status load_weights(ndl_benchmark *b, const char *path,
                               ndl_load load)
{
    const ndl_part whole = ndl_layout_whole(&b->model);
    const ndl_weights_how how = {
        .load = load,
        .free_bytes = b->hardware.free_bytes,
        .pool = b->pool,
        .progress = b->watch ? b->watch->on_load : NULL,
        .arg = b->watch ? b->watch->arg : NULL,
    };
    NDL_TRY(ndl_weights_open(&b->weights, path, &whole, &how));
    b->facts.load = ndl_weights_load(b->weights);
    return NDL_OK;
}

ndl_status ndl_benchmark_open(ndl_benchmark **out, const char *path,
                              ndl_load load, const ndl_benchmark_watch *watch)
{
    unsigned flags = 0;
    ndl_status st = NDL_OK;
    ndl_benchmark *b = calloc(1, sizeof *b);
    if (!b) return NDL_FAIL(NDL_EOS, "bench: out of memory");
    b->watch = watch;
    NDL_TRY_GOTO(done, st, ndl_session_cpu_flags(&flags));
    ndl_kernels_init(&b->kernels, flags);
    b->facts.kernels = b->kernels.name;
    NDL_TRY_GOTO(done, st, ndl_topology_read(&b->topology));
    NDL_TRY_GOTO(done, st, ndl_hardware_read(&b->hardware));
    b->facts.n_cpus = ndl_hardware_n_cpus(&b->hardware);
    NDL_TRY_GOTO(done, st, read_facts(b, path));
    NDL_TRY_GOTO(done, st, make_pool(b, b->facts.n_cpus));
    NDL_TRY_GOTO(done, st, load_weights(b, path, load));
    *out = b;
    b = NULL;
done:
    ndl_benchmark_close(&b);
    return st;
}

static void leave_place(ndl_benchmark *b)
{
    ndl_forward_destroy(&b->forward);
    free(b->x);
    free(b->ids);
    free(b->ends);
    free(b->spans);
    b->x = NULL;
    b->ids = NULL;
    b->ends = NULL;
    b->spans = NULL;
}

void ndl_benchmark_close(ndl_benchmark **bp)
{
    ndl_benchmark *b = *bp;
    if (!b) return;
    leave_place(b);
    ndl_weights_destroy(&b->weights);
    ndl_pool_destroy(&b->pool);
    free(b);
    *bp = NULL;
}

const ndl_benchmark_facts *ndl_benchmark_facts_of(const ndl_benchmark *b)
{
    return &b->facts;
}

/* ---- steps ---- */

/* The next of splitmix64: any generator will do, if it is the same for ever. */
static int32_t draw_id(ndl_benchmark *b)
{
    uint64_t z = b->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int32_t)((z ^ (z >> 31)) % (uint64_t)b->model.vocab);
}

/* Rows first .. first + n - 1 of all sequences' rows, one sequence after the
 * other: a step takes the end of one together with the beginning of the next,
 * as the scheduler of a run does.  Gives the spans and the last rows. */
static int make_spans(ndl_benchmark *b, int pos, int n_tokens, int64_t first,
                      int n, int *n_ends)
{
    int n_spans = 0;
    *n_ends = 0;
    for (int at = 0; at < n;) {
        const int seq = (int)((first + at) / n_tokens);
        const int begin = (int)((first + at) % n_tokens);
        const int left = n_tokens - begin;
        const int rows = left < n - at ? left : n - at;
        b->spans[n_spans++] = (ndl_span){ seq, pos + begin, rows };
        at += rows;
        if (rows == left) b->ends[(*n_ends)++] = at - 1;
    }
    return n_spans;
}

static ndl_status run_step(ndl_benchmark *b, int n_rows, int n_spans,
                           int n_logits)
{
    size_t ld = 0;
    if (b->watch && b->watch->pulse) NDL_TRY(b->watch->pulse(b->watch->arg));
    for (int i = 0; i < n_rows; i++) b->ids[i] = draw_id(b);
    ndl_forward_embed(b->forward, b->ids, b->spans, n_spans, b->x);
    ndl_forward_blocks(b->forward, b->spans, n_spans, b->x);
    for (int i = 0; i < n_logits; i += NDL_LOGITS_ROWS) {
        const int left = n_logits - i;
        ndl_forward_logits(b->forward, b->x, b->ends + i,
                           left < NDL_LOGITS_ROWS ? left : NDL_LOGITS_ROWS,
                           &ld);
    }
    ndl_benchmark_work_add(&b->work, &b->prices, b->spans, n_spans, n_logits);
    return NDL_OK;
}

/* Positions pos .. pos + n_tokens - 1 of all sequences. */
static ndl_status run_rows(ndl_benchmark *b, int pos, int n_tokens,
                           bool wants_logits)
{
    const int64_t all = (int64_t)b->place.n_seqs * n_tokens;
    for (int64_t first = 0; first < all;) {
        const int64_t left = all - first;
        const int n =
            left < b->place.chunk_rows ? (int)left : b->place.chunk_rows;
        int n_ends = 0;
        const int n_spans = make_spans(b, pos, n_tokens, first, n, &n_ends);
        NDL_TRY(run_step(b, n, n_spans, wants_logits ? n_ends : 0));
        first += n;
    }
    return NDL_OK;
}

static ndl_status run_test(ndl_benchmark *b, const ndl_benchmark_test *test)
{
    const int begin = b->place.depth;
    b->random = first_random;
    b->work = (ndl_benchmark_work){ 0.0, 0.0 };
    NDL_TRY(run_rows(b, begin, test->n_prompt, true));
    for (int i = 0; i < test->n_gen; i++)
        NDL_TRY(run_rows(b, begin + test->n_prompt + i, 1, true));
    return NDL_OK;
}

/* ---- places ---- */

ndl_status ndl_benchmark_check(const ndl_benchmark *b,
                               const ndl_benchmark_place *p)
{
    const int64_t context = (int64_t)p->depth + p->room;
    if (p->n_seqs > p->chunk_rows)
        return NDL_FAIL(NDL_EUSAGE,
                        "-b %d: a step takes %d rows, and each sequence "
                        "writes one: raise -ub",
                        p->n_seqs, p->chunk_rows);
    if (context > b->model.context)
        return NDL_FAIL(NDL_EUSAGE,
                        "-d %d: with %d tokens behind it that is beyond the "
                        "%d positions that the model knows: make -d, -p or "
                        "-n smaller",
                        p->depth, p->room, b->model.context);
    return NDL_OK;
}

static ndl_forward_limits limits_of(const ndl_benchmark_place *p)
{
    return (ndl_forward_limits){
        .max_rows = p->chunk_rows,
        .max_spans = p->n_seqs,
        .n_slots = p->n_seqs,
        .context = p->depth + p->room,
        .kv_types = p->kv_types,
    };
}

/* Refused before the system has to kill us. */
static ndl_status check_memory(ndl_benchmark *b,
                               const ndl_forward_limits *limits, int n_threads)
{
    const ndl_forward_memory need =
        ndl_forward_memory_of(&b->model, limits, n_threads);
    const double bytes = (double)need.kv_layer * b->model.n_layers +
                         (double)need.buffers + (double)need.logits;
    NDL_TRY(ndl_hardware_read(&b->hardware));
    if (bytes <= 0.95 * (double)b->hardware.free_bytes) return NDL_OK;
    return NDL_FAIL(NDL_EUNAVAIL,
                    "bench: %d sequences of %d positions take %.0f MiB, %.0f "
                    "MiB are free: make -b, -d or -p smaller",
                    limits->n_slots, limits->context, bytes / 1048576.0,
                    (double)b->hardware.free_bytes / 1048576.0);
}

static ndl_status make_buffers(ndl_benchmark *b)
{
    const size_t rows = (size_t)b->place.chunk_rows;
    b->x = malloc(rows * (size_t)b->model.width * sizeof *b->x);
    b->ids = malloc(rows * sizeof *b->ids);
    b->ends = malloc(rows * sizeof *b->ends);
    b->spans = malloc((size_t)b->place.n_seqs * sizeof *b->spans);
    if (b->x && b->ids && b->ends && b->spans) return NDL_OK;
    return NDL_FAIL(NDL_EOS, "bench: out of memory");
}

ndl_status ndl_benchmark_set(ndl_benchmark *b, const ndl_benchmark_place *place)
{
    const ndl_forward_limits limits = limits_of(place);
    const ndl_part whole = ndl_layout_whole(&b->model);
    NDL_TRY(ndl_benchmark_check(b, place));
    leave_place(b);
    NDL_TRY(make_pool(b, place->n_threads));
    NDL_TRY(check_memory(b, &limits, place->n_threads));
    b->place = *place;
    const ndl_benchmark_prices p =
        ndl_benchmark_prices_of(&b->model, place->kv_types);
    b->prices.row_flop = p.row_flop;
    b->prices.head_flop = p.head_flop;
    b->prices.key_flop = p.key_flop;
    b->prices.key_bytes = p.key_bytes;
    NDL_TRY(make_buffers(b));
    NDL_TRY(ndl_forward_create(&b->forward, b->weights, &whole, &limits,
                               &b->kernels, b->pool));
    b->random = first_random;
    return run_rows(b, 0, place->depth, false);
}

/* ---- tests ---- */

static double peak_of(const ndl_benchmark *b, const ndl_machine *m)
{
    switch (b->peak) {
    case PEAK_F32: return m->f32_flop;
    case PEAK_BF16: return m->bf16_flop;
    case PEAK_INT8: return m->int8_op;
    }
    return 0.0;
}

static ndl_status measure_peaks(ndl_benchmark *b, double *flop, double *bytes)
{
    ndl_machine machine;
    ndl_machine_setup setup = {
        .pool = b->pool,
        .memory_bytes = b->hardware.free_bytes / PEAK_SHARE,
    };
    ndl_machine_count_caches(&setup, &b->topology, b->place.n_threads);
    NDL_TRY(ndl_machine_measure(&machine, &setup));
    *flop = peak_of(b, &machine);
    *bytes = machine.read_bytes;
    return NDL_OK;
}

/* Between two repeats: what they left in the buffers is no longer needed. */
static double measure_gemm(ndl_benchmark *b)
{
    const int most = b->place.chunk_rows;
    double best = 0.0;
    for (int i = 0; i < GEMM_TRIES; i++) {
        const double begin = ndl_clock_sec();
        const double flop = ndl_forward_product(
            b->forward, most < GEMM_ROWS ? most : GEMM_ROWS);
        const double sec = ndl_clock_sec() - begin;
        best = fmax(best, flop / fmax(sec, 1e-9));
    }
    return best;
}

ndl_status ndl_benchmark_run(ndl_benchmark *b, const ndl_benchmark_test *test,
                             int n_repeats, bool warm_up,
                             ndl_benchmark_result *out)
{
    double flop[NDL_BENCHMARK_REPEATS], bytes[NDL_BENCHMARK_REPEATS];
    double gemm[NDL_BENCHMARK_REPEATS];
    NDL_ASSERT(n_repeats >= 1 && n_repeats <= NDL_BENCHMARK_REPEATS);
    NDL_ASSERT(b->forward && test->n_prompt >= 0 && test->n_gen >= 0 &&
               test->n_prompt + test->n_gen <= b->place.room);
    out->n = 0;
    if (warm_up) NDL_TRY(run_test(b, test));
    for (int i = 0; i < n_repeats; i++) {
        const double begin = ndl_clock_sec();
        NDL_TRY(run_test(b, test));
        const double sec = ndl_clock_sec() - begin;
        /* Nothing takes no time, whatever a coarse clock says. */
        out->sec[i] = sec > 1e-9 ? sec : 1e-9;
        out->n = i + 1;
        NDL_TRY(measure_peaks(b, &flop[i], &bytes[i]));
        gemm[i] = measure_gemm(b);
    }
    out->flop = b->work.flop;
    out->bytes = b->work.bytes;
    out->peak_flop = ndl_benchmark_spread_of(flop, n_repeats).median;
    out->peak_bytes = ndl_benchmark_spread_of(bytes, n_repeats).median;
    out->gemm_flop = ndl_benchmark_spread_of(gemm, n_repeats).median;
    return NDL_OK;
}

ndl_benchmark_spread ndl_benchmark_spread_of(const double *v, int n)
{
    ndl_benchmark_spread s = { .mean = 0.0 };
    double sorted[NDL_BENCHMARK_REPEATS], squares = 0.0;
    NDL_ASSERT(n >= 1 && n <= NDL_BENCHMARK_REPEATS);
    memcpy(sorted, v, (size_t)n * sizeof *v);
    ndl_doubles_sort(sorted, (size_t)n);
    for (int i = 0; i < n; i++) s.mean += v[i] / n;
    for (int i = 0; i < n; i++) squares += (v[i] - s.mean) * (v[i] - s.mean);
    s.stddev = n > 1 ? sqrt(squares / (n - 1)) : 0.0;
    s.median = ndl_doubles_median(sorted, (size_t)n);
    return s;
}
