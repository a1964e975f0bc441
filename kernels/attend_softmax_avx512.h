/*
 * attend_softmax_avx512.h - what happens to a row of scores between the two
 * products of attention in AVX-512.
 *
 * With exp at its 9 fused steps for 16 scores, 0.8 cycles a score (Zen 4, GCC
 * 12), beside 4 of both products of bf16 at hd = 64: panels that are whole go
 * without masks, and those of pairs are rounded two at a time.
 */
#ifndef NDL_ATTEND_SOFTMAX_AVX512_H
#define NDL_ATTEND_SOFTMAX_AVX512_H

#include "attend_line_avx512.h"
#include "exp_avx512.h"

#if defined(__AVX512BF16__)
/* 16 floats to bf16, nearest even, denormals to 0; y may be x. */
NDL_INLINE void ndl_attend_round(float *y, __m512 x)
{
    _mm256_storeu_si256((void *)y, (__m256i)_mm512_cvtneps_pbh(x));
}
#endif

/* s *= kscale for whole panels up to n. */
static void ndl_attend_scale(float *s, int n, const float *kscale)
{
    for (int j = 0; j < n; j += NDL_LANES)
        _mm512_storeu_ps(s + j, _mm512_mul_ps(_mm512_loadu_ps(s + j),
                                              _mm512_loadu_ps(kscale + j)));
}

/* The largest of n scores. */
static float ndl_attend_max(const float *s, int n)
{
    __m512 top = _mm512_set1_ps(-INFINITY);
    int j = 0;
    for (; j + NDL_LANES <= n; j += NDL_LANES)
        top = _mm512_max_ps(_mm512_loadu_ps(s + j), top);
    if (j < n)
        top = _mm512_mask_max_ps(top, ndl_lanes_first(n - j),
                                 _mm512_loadu_ps(s + j), top);
    return ndl_lanes_fold_max(top);
}

/* One panel of p = exp(s - m), `first` lanes of it, summed; times vscale, if
 * given, it is returned. */
NDL_INLINE __m512 ndl_attend_exp_panel(const float *s, __m512 m, __m512 *sum,
                                       __mmask16 first, const float *vscale)
{
    __m512 p = ndl_exp_to_zero(_mm512_sub_ps(_mm512_loadu_ps(s), m));
    p = _mm512_maskz_mov_ps(first, p);
    *sum = _mm512_add_ps(*sum, p);
    if (!vscale) return p;
    return _mm512_maskz_mul_ps(first, p, _mm512_loadu_ps(vscale));
}

/* The panels from j that are whole, as far as they come in twos, which pairs
 * are rounded in; returns where it stopped. */
NDL_INLINE int ndl_attend_exp_whole(float *s, int n, __m512 m, __m512 *sum,
                                    const float *vscale, const ndl_line kind)
{
    const __mmask16 all = 0xffff;
    int j = 0;
    for (; j + 2 * NDL_LANES <= n; j += 2 * NDL_LANES) {
        const float *v = vscale ? vscale + j : NULL;
        const float *v2 = vscale ? vscale + j + NDL_LANES : NULL;
        __m512 a = ndl_attend_exp_panel(s + j, m, sum, all, v);
        __m512 b = ndl_attend_exp_panel(s + j + NDL_LANES, m, sum, all, v2);
#if defined(__AVX512BF16__)
        if (kind == NDL_LINE_PAIRS) {
            _mm512_storeu_si512(s + j / 2, (__m512i)_mm512_cvtne2ps_pbh(b, a));
            continue;
        }
#endif
        (void)kind;
        _mm512_storeu_ps(s + j, a);
        _mm512_storeu_ps(s + j + NDL_LANES, b);
    }
    return j;
}

/* s becomes p, 0 past n to the end of the panel, as the tile takes it; the sum
 * is that of p before vscale. */
NDL_INLINE float ndl_attend_exp(float *s, int n, float max, const float *vscale,
                                const ndl_line kind)
{
    const __m512 m = _mm512_set1_ps(max);
    __m512 sum = _mm512_setzero_ps();
    int j = ndl_attend_exp_whole(s, n, m, &sum, vscale, kind);
    for (; j < n; j += NDL_LANES) {
        const float *v = vscale ? vscale + j : NULL;
        __m512 p =
            ndl_attend_exp_panel(s + j, m, &sum, ndl_lanes_first(n - j), v);
#if defined(__AVX512BF16__)
        if (kind == NDL_LINE_PAIRS) {
            ndl_attend_round(s + j / 2, p);
            continue;
        }
#endif
        _mm512_storeu_ps(s + j, p);
    }
    return ndl_lanes_fold_sum(sum);
}

#endif /* NDL_ATTEND_SOFTMAX_AVX512_H */
