/* lanes_avx512.h - the 16 lanes in one register: tails and folds. */
#ifndef NDL_LANES_AVX512_H
#define NDL_LANES_AVX512_H

#include "simd_avx2.h"

/* Lane i for every i < n; n > 0. */
NDL_INLINE __mmask16 ndl_lanes_first(int n)
{
    return n >= NDL_LANES ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}

/* Lanes 0 .. n-1 from memory, zeros after; touches nothing past n. */
NDL_INLINE __m512 ndl_lanes_load(const float *x, int n)
{
    if (n >= NDL_LANES) return _mm512_loadu_ps(x);
    return _mm512_maskz_loadu_ps(ndl_lanes_first(n), x);
}

NDL_INLINE void ndl_lanes_store(float *y, int n, __m512 v)
{
    if (n >= NDL_LANES)
        _mm512_storeu_ps(y, v);
    else
        _mm512_mask_storeu_ps(y, ndl_lanes_first(n), v);
}

/* ndl_lanes_sum of a register. */
NDL_INLINE float ndl_lanes_fold_sum(__m512 v)
{
    __m256 h =
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 q =
        _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* ndl_lanes_max of a register. */
NDL_INLINE float ndl_lanes_fold_max(__m512 v)
{
    __m256 h =
        _mm256_max_ps(_mm512_extractf32x8_ps(v, 1), _mm512_castps512_ps256(v));
    __m128 q =
        _mm_max_ps(_mm256_extractf128_ps(h, 1), _mm256_castps256_ps128(h));
    q = _mm_max_ps(_mm_movehl_ps(q, q), q);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(q), q));
}

#endif /* NDL_LANES_AVX512_H */
