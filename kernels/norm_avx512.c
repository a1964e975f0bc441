/*
 * norm_avx512.c - AVX-512 (F, BW, DQ, VL).  The order of the sums is that of
 * one register, so one chain: bound by its latency in one row, and the rows of
 * a batch overlap only as far as the processor looks ahead.
 */
#include <math.h>

#include "lanes_avx512.h"
#include "variants.h"

/* Lanes past the end keep their partial sum untouched, as in the reference:
 * adding 0 could turn a -0 that flushing has made into +0. */
static __m512 sum_of(const float *x, int d)
{
    __m512 s = _mm512_setzero_ps();
    int i = 0;
    for (; i + NDL_LANES <= d; i += NDL_LANES)
        s = _mm512_add_ps(s, _mm512_loadu_ps(x + i));
    if (i == d) return s;
    const __mmask16 last = ndl_lanes_first(d - i);
    return _mm512_mask_add_ps(s, last, s, _mm512_maskz_loadu_ps(last, x + i));
}

/* Squares of x - mean. */
static __m512 squares_of(const float *x, __m512 mean, int d)
{
    __m512 s = _mm512_setzero_ps();
    int i = 0;
    for (; i + NDL_LANES <= d; i += NDL_LANES) {
        __m512 c = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
        s = _mm512_fmadd_ps(c, c, s);
    }
    if (i == d) return s;
    const __mmask16 last = ndl_lanes_first(d - i);
    __m512 c = _mm512_sub_ps(_mm512_maskz_loadu_ps(last, x + i), mean);
    return _mm512_mask3_fmadd_ps(c, c, s, last);
}

static float inverse_deviation(__m512 squares, int d, float eps)
{
    return 1.0f / sqrtf(ndl_lanes_fold_sum(squares) / (float)d + eps);
}

NDL_DECL_RMSNORM(ndl_rmsnorm_avx512)
{
    for (int t = 0; t < rows; t++) {
        const float *xt = x + t * ldx;
        __m512 s = squares_of(xt, _mm512_setzero_ps(), d);
        __m512 r = _mm512_set1_ps(inverse_deviation(s, d, eps));
        for (int i = 0; i < d; i += NDL_LANES) {
            __m512 v = _mm512_mul_ps(ndl_lanes_load(xt + i, d - i), r);
            v = _mm512_mul_ps(v, ndl_lanes_load(gain + i, d - i));
            ndl_lanes_store(y + t * ldy + i, d - i, v);
        }
    }
}

NDL_DECL_LAYERNORM(ndl_layernorm_avx512)
{
    for (int t = 0; t < rows; t++) {
        const float *xt = x + t * ldx;
        float middle = ndl_lanes_fold_sum(sum_of(xt, d)) / (float)d;
        __m512 mean = _mm512_set1_ps(middle);
        __m512 s = squares_of(xt, mean, d);
        __m512 r = _mm512_set1_ps(inverse_deviation(s, d, eps));
        for (int i = 0; i < d; i += NDL_LANES) {
            __m512 v = _mm512_sub_ps(ndl_lanes_load(xt + i, d - i), mean);
            v = _mm512_fmadd_ps(_mm512_mul_ps(v, r),
                                ndl_lanes_load(gain + i, d - i),
                                ndl_lanes_load(bias + i, d - i));
            ndl_lanes_store(y + t * ldy + i, d - i, v);
        }
    }
}
