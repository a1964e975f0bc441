/* exp_avx2.h - exp_poly.h in eight lanes, step by step the same. */
#ifndef NDL_EXP_AVX2_H
#define NDL_EXP_AVX2_H

#include "exp_poly.h"
#include "simd_avx2.h"

NDL_INLINE __m256 ndl_horner(__m256 p, __m256 r, float c)
{
    return _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
}

/* The special cases are blended in at the end; before it the lanes that they
 * replace may hold anything. */
NDL_INLINE __m256 ndl_exp_special(__m256 x, __m256 y)
{
    __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(NDL_EXP_LOW), _CMP_LT_OQ);
    __m256 high = _mm256_cmp_ps(x, _mm256_set1_ps(NDL_EXP_HIGH), _CMP_GT_OQ);
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    y = _mm256_andnot_ps(low, y);
    y = _mm256_blendv_ps(y, _mm256_set1_ps(INFINITY), high);
    return _mm256_blendv_ps(y, x, nan);
}

NDL_INLINE __m256 ndl_exp_avx2_lanes(__m256 x)
{
    const __m256 round = _mm256_set1_ps(NDL_EXP_ROUND);
    __m256 sum = _mm256_fmadd_ps(x, _mm256_set1_ps(NDL_EXP_LOG2E), round);
    __m256 n = _mm256_sub_ps(sum, round);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-NDL_EXP_LN2_HIGH), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-NDL_EXP_LN2_LOW), r);
    __m256 p = _mm256_set1_ps(NDL_EXP_C6);
    p = ndl_horner(p, r, NDL_EXP_C5);
    p = ndl_horner(p, r, NDL_EXP_C4);
    p = ndl_horner(p, r, NDL_EXP_C3);
    p = ndl_horner(p, r, NDL_EXP_C2);
    p = ndl_horner(p, r, 1.0f);
    p = ndl_horner(p, r, 1.0f);
    __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(sum), 23);
    __m256i bits = _mm256_add_epi32(_mm256_castps_si256(p), shift);
    return ndl_exp_special(x, _mm256_castsi256_ps(bits));
}

#endif /* NDL_EXP_AVX2_H */
