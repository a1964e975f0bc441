/*
 * bench_util.h - what benches share: the clock, repetition, the limits of
 * this core, the lines that say where a number comes from.
 */
#ifndef NDL_BENCH_UTIL_H
#define NDL_BENCH_UTIL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Processor time of this thread: what it waits while others have the core is
 * not the kernel's.  A read costs a system call, hence samples of 1 ms. */
static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Something to measure; round counts up so that it can move through data. */
typedef struct bench_case {
    void (*run)(void *arg, int round);
    void *arg;
} bench_case;

typedef struct bench_time {
    double min_sec, median_sec;
    int samples;
} bench_time;

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_sample(const bench_case *c, int n, int *round)
{
    double start = bench_now();
    for (int i = 0; i < n; i++) c->run(c->arg, (*round)++);
    return (bench_now() - start) / n;
}

/* Seconds of one run: warm-up dropped, samples of at least 1 ms, as many as
 * fit into `budget_sec`, at least 5. */
static inline bench_time bench_measure(bench_case c, double budget_sec)
{
    enum { MAX = 401 };
    double sample[MAX];
    int round = 0, n = 1, count = 0;
    while (bench_sample(&c, n, &round) * n < 1e-3) n *= 2;
    double end = bench_now() + budget_sec;
    while (count < MAX && (count < 5 || bench_now() < end))
        sample[count++] = bench_sample(&c, n, &round);
    qsort(sample, (size_t)count, sizeof *sample, bench_compare);
    return (bench_time){ sample[0], sample[count / 2], count };
}

/* The limits of the core.  Without AVX2 + FMA they are those of plain code. */
typedef struct bench_limits {
    double flop_sec, read_bytes_sec;
} bench_limits;

static volatile float bench_sink;

enum { BENCH_FMAS = 1 << 16, BENCH_READ = 256 << 20 };

#if defined(__x86_64__)
#if defined(__clang__)
#define BENCH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BENCH_UNROLL _Pragma("GCC unroll 12")
#endif

/* Twelve chains of 8 lanes keep two pipes of latency 4 or 5 full. */
__attribute__((target("avx2,fma"))) static inline void bench_fmas(void *arg,
                                                                  int round)
{
    (void)arg;
    __m256 s[12], a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(1e-9f);
    BENCH_UNROLL for (int c = 0; c < 12; c++) s[c] =
        _mm256_set1_ps((float)(round + c));
    for (int i = 0; i < BENCH_FMAS; i++)
        BENCH_UNROLL for (int c = 0; c < 12; c++) s[c] =
            _mm256_fmadd_ps(a, b, s[c]);
    BENCH_UNROLL for (int c = 1; c < 12; c++) s[0] = _mm256_add_ps(s[0], s[c]);
    bench_sink = _mm256_cvtss_f32(s[0]);
}
static const double BENCH_FLOP = 2.0 * 8 * 12 * BENCH_FMAS;

__attribute__((target("avx2,fma"))) static inline void bench_read(void *arg,
                                                                  int round)
{
    (void)round;
    const float *x = arg;
    __m256 s[4];
    BENCH_UNROLL for (int c = 0; c < 4; c++) s[c] = _mm256_setzero_ps();
    for (size_t i = 0; i < BENCH_READ / sizeof *x; i += 32)
        BENCH_UNROLL for (int c = 0; c < 4; c++) s[c] =
            _mm256_add_ps(s[c], _mm256_loadu_ps(x + i + 8 * c));
    BENCH_UNROLL for (int c = 1; c < 4; c++) s[0] = _mm256_add_ps(s[0], s[c]);
    bench_sink = _mm256_cvtss_f32(s[0]);
}
#else
static inline void bench_fmas(void *arg, int round)
{
    (void)arg;
    float s[12] = { (float)round };
    for (int i = 0; i < BENCH_FMAS; i++)
        for (int c = 0; c < 12; c++) s[c] = s[c] * 0.5f + 1.0f;
    for (int c = 0; c < 12; c++) bench_sink = s[c];
}
static const double BENCH_FLOP = 2.0 * 12 * BENCH_FMAS;

static inline void bench_read(void *arg, int round)
{
    (void)round;
    const uint64_t *x = arg;
    uint64_t sum = 0;
    for (size_t i = 0; i < BENCH_READ / sizeof *x; i++) sum += x[i];
    bench_sink = (float)sum;
}
#endif

/* `memory` has at least BENCH_READ bytes. */
static inline bench_limits bench_find_limits(void *memory)
{
    bench_case fma = { bench_fmas, NULL }, read = { bench_read, memory };
    bench_limits l = { 0, 0 };
    l.flop_sec = BENCH_FLOP / bench_measure(fma, 0.5).min_sec;
    l.read_bytes_sec = (double)BENCH_READ / bench_measure(read, 1.0).min_sec;
    return l;
}

/* The value of the first line of /proc/cpuinfo that starts with `key`. */
static inline void bench_cpuinfo(const char *key)
{
    char line[4096];
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !value) continue;
        printf("# %s%s", key, value);
        break;
    }
    fclose(f);
}

#endif /* NDL_BENCH_UTIL_H */
