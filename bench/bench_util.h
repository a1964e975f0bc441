/*
 * bench_util.h - what benches share: the clock, repetition, the lines that
 * say where a number comes from.
 */
#ifndef NDL_BENCH_UTIL_H
#define NDL_BENCH_UTIL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
