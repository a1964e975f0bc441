/* exp_avx512.h - exp_poly.h in sixteen lanes, step by step the same. */
#ifndef NDL_EXP_AVX512_H
#define NDL_EXP_AVX512_H

#include <stdbool.h>

#include "exp_poly.h"
#include "lanes_avx512.h"

NDL_INLINE __m512 ndl_horner16(__m512 p, __m512 r, float c)
{
    return _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
}

/* The special cases are blended in at the end; before it the lanes that they
 * replace may hold anything. */
NDL_INLINE __m512 ndl_exp_special16(__m512 x, __m512i bits, const bool above)
{
    const __m512 low = _mm512_set1_ps(NDL_EXP_LOW);
    const __m512 high = _mm512_set1_ps(NDL_EXP_HIGH);
    __mmask16 some = _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);
    __mmask16 over = _mm512_cmp_ps_mask(x, high, _CMP_GT_OQ);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512 y = _mm512_castsi512_ps(_mm512_maskz_mov_epi32(some, bits));
    if (above) y = _mm512_mask_mov_ps(y, over, _mm512_set1_ps(INFINITY));
    return _mm512_mask_mov_ps(y, nan, x);
}

/* above: may x be above NDL_EXP_HIGH?  A constant. */
NDL_INLINE __m512 ndl_exp_up_to(__m512 x, const bool above)
{
    const __m512 round = _mm512_set1_ps(NDL_EXP_ROUND);
    __m512 sum = _mm512_fmadd_ps(x, _mm512_set1_ps(NDL_EXP_LOG2E), round);
    __m512 n = _mm512_sub_ps(sum, round);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-NDL_EXP_LN2_HIGH), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-NDL_EXP_LN2_LOW), r);
    __m512 p = _mm512_set1_ps(NDL_EXP_C6);
    p = ndl_horner16(p, r, NDL_EXP_C5);
    p = ndl_horner16(p, r, NDL_EXP_C4);
    p = ndl_horner16(p, r, NDL_EXP_C3);
    p = ndl_horner16(p, r, NDL_EXP_C2);
    p = ndl_horner16(p, r, 1.0f);
    p = ndl_horner16(p, r, 1.0f);
    __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(sum), 23);
    __m512i bits = _mm512_add_epi32(_mm512_castps_si512(p), shift);
    return ndl_exp_special16(x, bits, above);
}

NDL_INLINE __m512 ndl_exp_avx512_lanes(__m512 x)
{
    return ndl_exp_up_to(x, true);
}

#endif /* NDL_EXP_AVX512_H */
