/* simd_avx2.h - what the AVX2 files share: inlining, unrolling, tails. */
#ifndef NDL_SIMD_AVX2_H
#define NDL_SIMD_AVX2_H

#include <immintrin.h>

#include "lanes.h"

#define NDL_INLINE static inline __attribute__((always_inline))

/* Loops with constant bounds over arrays of registers: unrolled at every
 * level of optimisation, or the arrays would live in memory. */
#if defined(__clang__)
#define NDL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NDL_UNROLL _Pragma("GCC unroll 16")
#endif

/* All ones in lane i where i < n. */
NDL_INLINE __m256i ndl_first_lanes(int n)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}

/* Lanes 0 .. n-1 from memory, zeros after; touches nothing past n. */
NDL_INLINE __m256 ndl_load_first(const float *x, int n)
{
    if (n >= 8) return _mm256_loadu_ps(x);
    return _mm256_maskload_ps(x, ndl_first_lanes(n));
}

NDL_INLINE void ndl_store_first(float *y, int n, __m256 v)
{
    if (n >= 8)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, ndl_first_lanes(n), v);
}

/* The sums of 16 lanes held in two registers, folded. */
NDL_INLINE float ndl_fold_sum(__m256 low, __m256 high)
{
    float s[NDL_LANES];
    _mm256_storeu_ps(s, low);
    _mm256_storeu_ps(s + 8, high);
    return ndl_lanes_sum(s);
}

#endif /* NDL_SIMD_AVX2_H */
