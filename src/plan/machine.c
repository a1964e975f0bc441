/*
 * machine.c - see machine.h.
 *
 * Each thing is tried over and over for a fixed time, and the best of the
 * tries in the middle counts: other ranks of the node may begin a little later
 * or end a little earlier, and a try that has the node to itself would promise
 * what a run cannot have.
 */
#include "noodle/machine.h"

#include <math.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"
#include "noodle/load.h"
#include "peak.h"

static const double phase_sec = 36e-3; /* six phases: a quarter of a second */
static const double try_sec = 1e-3;    /* long beside 50 us to wake a thread */
static const uint64_t least_bytes = 64u << 20; /* if no cache is known */

enum { LEAST_TRIES = 4, MOST_TRIES = 256, LINE_WORDS = 64 };

/* Where a thread works; a cache line of its own behind each. */
typedef struct desk {
    alignas(64) uint32_t acc[NDL_PEAK_LANES];
    uint32_t a[NDL_PEAK_WIDTH], b[NDL_PEAK_WIDTH];
    uint64_t sum; /* of what was read: the compiler cannot drop the reads */
    bool is_touched;
} desk;

typedef struct work {
    const ndl_machine_setup *setup;
    ndl_peaks peaks;
    ndl_load_memory memory;
    size_t slice_words; /* of a thread */
    desk *desks;        /* (n_threads) */
    int n_threads;      /* at work in this phase */
    const ndl_peak_kernel *kernel;
    int64_t rounds;
    size_t n_words; /* that each thread reads */
} work;

/* ---- what a thread does ---- */

/* Zeros are as fast as any numbers, and stay normal ones for ever. */
static void calculate(void *arg, int task, int thread)
{
    work *w = arg;
    desk *d = &w->desks[thread];
    (void)task;
    w->kernel->run(d->acc, d->a, d->b, w->rounds);
}

static uint64_t *slice_of(const work *w, int thread)
{
    return (uint64_t *)w->memory.at + w->slice_words * (size_t)thread;
}

/* By the thread that will read it, so that its pages are near. */
static void touch(void *arg, int task, int thread)
{
    work *w = arg;
    (void)task;
    if (w->desks[thread].is_touched) return;
    memset(slice_of(w, thread), 1, w->slice_words * sizeof(uint64_t));
    w->desks[thread].is_touched = true;
}

static void read_slice(void *arg, int task, int thread)
{
    work *w = arg;
    (void)task;
    w->desks[thread].sum += w->peaks.read(slice_of(w, thread), w->n_words);
}

/* ---- tries ---- */

static double run_once(work *w, ndl_pool_fn fn)
{
    const double start = ndl_clock_sec();
    if (w->n_threads == 1)
        fn(w, 0, 0);
    else
        ndl_pool_run(w->setup->pool, w->n_threads, fn, w);
    return ndl_clock_sec() - start;
}

static double best_of(work *w, ndl_pool_fn fn)
{
    double sec[MOST_TRIES], best;
    int n = 0;
    const double end = ndl_clock_sec() + phase_sec;
    while (n < MOST_TRIES && (n < LEAST_TRIES || ndl_clock_sec() < end))
        sec[n++] = run_once(w, fn);
    best = sec[n / 4];
    for (int i = n / 4; i < n - n / 4; i++)
        if (sec[i] < best) best = sec[i];
    return best > 1e-9 ? best : 1e-9;
}

/* Rounds that take about try_sec on one thread. */
static void choose_rounds(work *w)
{
    const int n_threads = w->n_threads;
    double sec = 0.0;
    w->n_threads = 1;
    for (w->rounds = 1024; w->rounds < INT64_C(1) << 40; w->rounds *= 2) {
        sec = fmin(run_once(w, calculate), run_once(w, calculate));
        if (sec >= try_sec / 8.0) break;
    }
    w->rounds = (int64_t)((double)w->rounds * try_sec / sec) + 1;
    w->n_threads = n_threads;
}

/* Operations a second of `n_threads` together. */
static double calculating(work *w, const ndl_peak_kernel *k, int n_threads)
{
    w->kernel = k;
    w->n_threads = n_threads;
    choose_rounds(w);
    const double operations =
        2.0 * k->products * k->n_lanes * (double)w->rounds * (double)n_threads;
    return operations / best_of(w, calculate);
}

/* More than four times as far as so many caches reach. */
static uint64_t past_caches(const work *w, int n_caches)
{
    const uint64_t cache = w->setup->cache_bytes;
    const uint64_t bytes = (cache * 4 + cache / 4) * (uint64_t)n_caches;
    return bytes > least_bytes ? bytes : least_bytes;
}

/* Bytes a second.  One thread alone reads through the others' slices too, as
 * far as it takes to get past its own cache. */
static double reading(work *w, int n_threads)
{
    const size_t n = (size_t)ndl_pool_size(w->setup->pool);
    const size_t line = LINE_WORDS * sizeof(uint64_t);
    const size_t alone = past_caches(w, 1) / line * LINE_WORDS;
    w->n_threads = n_threads;
    w->n_words = w->slice_words;
    if (n_threads == 1 && n > 1)
        w->n_words = alone < n * w->slice_words ? alone : n * w->slice_words;
    const double bytes =
        (double)w->n_words * sizeof(uint64_t) * (double)n_threads;
    return bytes / best_of(w, read_slice);
}

/* ---- all of it ---- */

static ndl_status meet(const work *w, ndl_status mine)
{
    const ndl_machine_setup *s = w->setup;
    return s->meet ? s->meet(s->meet_arg, mine) : mine;
}

static ndl_status take_memory(work *w)
{
    const uint64_t most = w->setup->memory_bytes;
    const size_t n = (size_t)ndl_pool_size(w->setup->pool);
    uint64_t bytes = past_caches(w, w->setup->n_caches);
    if (bytes > most) bytes = most;
    const size_t line = LINE_WORDS * sizeof(uint64_t);
    w->slice_words = bytes / n / line * LINE_WORDS;
    if (w->slice_words == 0)
        return NDL_FAIL(NDL_EOS,
                        "hardware: no memory left to measure with: end what "
                        "else runs on this node");
    w->desks = aligned_alloc(alignof(desk), n * sizeof *w->desks);
    if (!w->desks) return NDL_FAIL(NDL_EOS, "hardware: out of memory");
    memset(w->desks, 0, n * sizeof *w->desks);
    NDL_TRY(ndl_load_memory_take(
        &w->memory, w->slice_words * n * sizeof(uint64_t), NDL_LOAD_COPY));
    w->n_threads = (int)n;
    run_once(w, touch);
    for (size_t i = 0; i < n; i++) touch(w, 0, (int)i); /* who came too late */
    return NDL_OK;
}

static void name_features(char *out, size_t cap)
{
    const unsigned features = ndl_cpu_features();
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < 32; i++) {
        const unsigned bit = 1u << i;
        const char *name = features & bit ? ndl_cpu_feature_name(bit) : NULL;
        if (!name || at + strlen(name) + 2 > cap) continue;
        at += (size_t)snprintf(out + at, cap - at, "%s%s", at ? " " : "", name);
    }
}

static ndl_status measure(work *w, ndl_machine *m)
{
    const int all = ndl_pool_size(w->setup->pool);
    const bool has_bf16 = w->peaks.bf16.run != NULL;
    NDL_TRY(meet(w, NDL_OK));
    m->f32_flop = calculating(w, &w->peaks.f32, all);
    NDL_TRY(meet(w, NDL_OK));
    m->bf16_flop = has_bf16 ? calculating(w, &w->peaks.bf16, all) : m->f32_flop;
    NDL_TRY(meet(w, NDL_OK));
    m->int8_op = calculating(w, &w->peaks.int8, all);
    NDL_TRY(meet(w, NDL_OK));
    m->read_bytes = reading(w, all);
    NDL_TRY(meet(w, NDL_OK));
    m->core_f32_flop = calculating(w, &w->peaks.f32, 1);
    NDL_TRY(meet(w, NDL_OK));
    m->core_read_bytes = reading(w, 1);
    return NDL_OK;
}

void ndl_machine_count_caches(ndl_machine_setup *setup, const ndl_topology *t,
                              int n_threads)
{
    const bool has_l3 = t->l3_bytes > 0;
    const int sharing = has_l3 ? t->l3_sharing : t->l2_sharing;
    setup->cache_bytes = has_l3 ? t->l3_bytes : t->l2_bytes;
    setup->n_caches = sharing > 0 ? (n_threads + sharing - 1) / sharing : 1;
}

ndl_status ndl_machine_measure(ndl_machine *out, const ndl_machine_setup *setup)
{
    ndl_machine m = { .f32_flop = 0.0 };
    work w = { .setup = setup };
    ndl_peaks_init(&w.peaks, ndl_cpu_features());
    name_features(m.isa, sizeof m.isa);
    /* An agreement of its own: memory may be missing on one of the ranks. */
    ndl_status st = meet(&w, take_memory(&w));
    if (st == NDL_OK) st = measure(&w, &m);
    if (st == NDL_OK) *out = m;
    ndl_load_memory_free(&w.memory);
    free(w.desks);
    return st;
}
