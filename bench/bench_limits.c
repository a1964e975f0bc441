/* bench_limits.c - see bench_limits.h.  The arithmetic is the best that the
 * processor has, whatever version of the kernels is looked at. */
#include "bench_limits.h"

#include <stdalign.h>

#include "bench_util.h"

static const double sample_sec = 1e-3;
static const size_t slice_bytes = (size_t)32 << 20; /* about a millisecond */

static volatile uint64_t sink;

const char *ndl_limit_name(ndl_limit limit)
{
    static const char *const names[NDL_LIMITS] = { "f32", "bf16", "int8",
                                                   "read" };
    return names[limit];
}

static const ndl_peak_kernel *kernel_of(const ndl_bench_limits *l,
                                        ndl_limit limit)
{
    if (limit == NDL_LIMIT_INT8) return &l->peaks.int8;
    if (limit == NDL_LIMIT_BF16 && l->peaks.bf16.run) return &l->peaks.bf16;
    return &l->peaks.f32;
}

/* Zeros are as fast as any numbers, and stay normal ones for ever. */
static double calculate_sec(const ndl_peak_kernel *k, int64_t rounds)
{
    alignas(64) static uint32_t acc[NDL_PEAK_LANES], zero[NDL_PEAK_WIDTH];
    const double start = bench_now();
    k->run(acc, zero, zero, rounds);
    return bench_now() - start;
}

/* The next slice: whoever reads the same one again finds it in the cache. */
static double read_rate(ndl_bench_limits *l)
{
    const size_t n = l->bytes < slice_bytes ? l->bytes : slice_bytes;
    if (l->at + n > l->bytes) l->at = 0;
    const void *slice = l->memory + l->at;
    const double start = bench_now();
    sink += l->peaks.read(slice, n / 512 * 64);
    const double sec = bench_now() - start;
    l->at += n;
    return (double)(n / 512 * 512) / sec;
}

void ndl_bench_limits_sample(ndl_bench_limits *l, ndl_limit limit)
{
    ndl_limit_samples *s = &l->of[limit];
    double rate = 0.0;
    if (limit == NDL_LIMIT_READ) {
        rate = read_rate(l);
    } else {
        const ndl_peak_kernel *k = kernel_of(l, limit);
        const double lanes = 2.0 * k->n_lanes * k->products;
        rate = lanes * (double)s->rounds / calculate_sec(k, s->rounds);
    }
    s->rate[s->next] = rate;
    s->next = (s->next + 1) % NDL_LIMIT_WINDOW;
    if (s->n < NDL_LIMIT_WINDOW) s->n++;
}

static int64_t choose_rounds(const ndl_peak_kernel *k)
{
    int64_t rounds = 1024;
    double sec = 0.0;
    while ((sec = calculate_sec(k, rounds)) < sample_sec / 8) rounds *= 2;
    return (int64_t)((double)rounds * sample_sec / sec) + 1;
}

void ndl_bench_limits_init(ndl_bench_limits *l, const void *memory,
                           size_t bytes)
{
    *l = (ndl_bench_limits){ .memory = memory, .bytes = bytes };
    ndl_peaks_init(&l->peaks, ndl_cpu_features());
    for (int i = 0; i < NDL_LIMITS; i++) {
        if (i != NDL_LIMIT_READ)
            l->of[i].rounds = choose_rounds(kernel_of(l, (ndl_limit)i));
        for (int s = 0; s < NDL_LIMIT_WINDOW; s++)
            ndl_bench_limits_sample(l, (ndl_limit)i);
    }
}

double ndl_bench_limits_median(const ndl_bench_limits *l, ndl_limit limit)
{
    double sorted[NDL_LIMIT_WINDOW];
    const ndl_limit_samples *s = &l->of[limit];
    memcpy(sorted, s->rate, sizeof sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, bench_compare);
    return sorted[s->n / 2];
}

double ndl_bench_limits_best(const ndl_bench_limits *l, ndl_limit limit)
{
    const ndl_limit_samples *s = &l->of[limit];
    double best = 0.0;
    for (int i = 0; i < s->n; i++)
        if (s->rate[i] > best) best = s->rate[i];
    return best;
}
