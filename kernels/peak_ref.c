/*
 * peak_ref.c - the definition of peak.h in plain C: the best that a compiler
 * makes of it where there are no versions of our own.
 *
 * An empty asm that may touch memory keeps the compiler from computing the
 * products once for all rounds.
 */
#include <math.h>

#include "peak.h"

/* A fused operation where it is one instruction, else two. */
static inline float multiply_add(float a, float b, float c)
{
#if defined(__FP_FAST_FMAF) || defined(__aarch64__)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

enum { LANES = NDL_PEAK_LANES, WIDTH = NDL_PEAK_WIDTH };

NDL_DECL_PEAK(ndl_peak_f32_ref)
{
    float *y = acc;
    const float *p = a, *q = b;
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" ::: "memory");
        for (int i = 0; i < LANES; i += WIDTH)
            for (int k = 0; k < WIDTH; k++)
                y[i + k] = multiply_add(p[k], q[k], y[i + k]);
    }
}

NDL_DECL_PEAK(ndl_peak_int8_ref)
{
    int32_t *y = acc;
    const uint8_t *p = a;
    const int8_t *q = b;
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" ::: "memory");
        for (int i = 0; i < LANES; i += WIDTH)
            for (int k = 0; k < WIDTH; k++)
                y[i + k] += p[4 * k] * q[4 * k] + p[4 * k + 1] * q[4 * k + 1] +
                            p[4 * k + 2] * q[4 * k + 2] +
                            p[4 * k + 3] * q[4 * k + 3];
    }
}

NDL_DECL_PEAK_READ(ndl_peak_read_ref)
{
    uint64_t sum[8] = { 0 };
    for (size_t i = 0; i < n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += x[i + (size_t)k];
    for (int k = 1; k < 8; k++) sum[0] += sum[k];
    return sum[0];
}
