/*
 * bench_limits.h - what one core can do at most, measured over and over.
 *
 * A shared machine is fast in one second and slow in the next.  A kernel is
 * therefore held against samples of the limit that were taken between its own,
 * not against one number from the beginning.
 */
#ifndef NDL_BENCH_LIMITS_H
#define NDL_BENCH_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "peak.h"

typedef enum ndl_limit {
    NDL_LIMIT_F32,
    NDL_LIMIT_BF16, /* f32's, where the processor has no bf16 arithmetic */
    NDL_LIMIT_INT8,
    NDL_LIMIT_READ
} ndl_limit;

enum { NDL_LIMITS = NDL_LIMIT_READ + 1, NDL_LIMIT_WINDOW = 15 };

/* The newest samples of a limit, in a ring. */
typedef struct ndl_limit_samples {
    double rate[NDL_LIMIT_WINDOW]; /* operations or bytes a second */
    int64_t rounds;                /* of a sample of arithmetic    */
    int n, next;
} ndl_limit_samples;

typedef struct ndl_bench_limits {
    ndl_peaks peaks;
    const unsigned char *memory; /* borrowed */
    size_t bytes, at;            /* of it; where the next sample reads */
    ndl_limit_samples of[NDL_LIMITS];
} ndl_bench_limits;

/* "f32", "bf16", "int8", "read". */
const char *ndl_limit_name(ndl_limit limit);

/* Fill the windows.  `memory` is far larger than the last-level cache and
 * stays; reading moves through it. */
void ndl_bench_limits_init(ndl_bench_limits *l, const void *memory,
                           size_t bytes);

/* Take one more sample, in about a millisecond. */
void ndl_bench_limits_sample(ndl_bench_limits *l, ndl_limit limit);

/* Of the samples in the window. */
double ndl_bench_limits_median(const ndl_bench_limits *l, ndl_limit limit);
double ndl_bench_limits_best(const ndl_bench_limits *l, ndl_limit limit);

#endif /* NDL_BENCH_LIMITS_H */
