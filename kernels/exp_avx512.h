/* exp_avx512.h - exp_poly.h in sixteen lanes, step by step the same. */
#ifndef NDL_EXP_AVX512_H
#define NDL_EXP_AVX512_H

#include "exp_poly.h"
#include "lanes_avx512.h"

NDL_INLINE __m512 ndl_horner16(__m512 p, __m512 r, float c)
{
    return _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
}

/* The polynomial; x is about n ln 2, and sum holds n in its low bits. */
NDL_INLINE __m512 ndl_exp_parts(__m512 x, __m512 *sum, __m512 *n)
{
    const __m512 round = _mm512_set1_ps(NDL_EXP_ROUND);
    *sum = _mm512_fmadd_ps(x, _mm512_set1_ps(NDL_EXP_LOG2E), round);
    *n = _mm512_sub_ps(*sum, round);
    __m512 r = _mm512_fmadd_ps(*n, _mm512_set1_ps(-NDL_EXP_LN2_HIGH), x);
    r = _mm512_fmadd_ps(*n, _mm512_set1_ps(-NDL_EXP_LN2_LOW), r);
    __m512 p = _mm512_set1_ps(NDL_EXP_C6);
    p = ndl_horner16(p, r, NDL_EXP_C5);
    p = ndl_horner16(p, r, NDL_EXP_C4);
    p = ndl_horner16(p, r, NDL_EXP_C3);
    p = ndl_horner16(p, r, NDL_EXP_C2);
    p = ndl_horner16(p, r, 1.0f);
    return ndl_horner16(p, r, 1.0f);
}

NDL_INLINE __mmask16 ndl_exp_not_low(__m512 x)
{
    return _mm512_cmp_ps_mask(x, _mm512_set1_ps(NDL_EXP_LOW), _CMP_NLT_UQ);
}

/* The special cases are blended in at the end; before it the lanes that they
 * replace may hold anything. */
NDL_INLINE __m512 ndl_exp_avx512_lanes(__m512 x)
{
    const __m512 high = _mm512_set1_ps(NDL_EXP_HIGH);
    __m512 sum, n, p = ndl_exp_parts(x, &sum, &n);
    __m512i shift = _mm512_slli_epi32(_mm512_castps_si512(sum), 23);
    __m512i bits = _mm512_maskz_add_epi32(ndl_exp_not_low(x),
                                          _mm512_castps_si512(p), shift);
    __mmask16 over = _mm512_cmp_ps_mask(x, high, _CMP_GT_OQ);
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512 y = _mm512_castsi512_ps(bits);
    y = _mm512_mask_mov_ps(y, over, _mm512_set1_ps(INFINITY));
    return _mm512_mask_mov_ps(y, nan, x);
}

/* For x that is at most 0 or a quiet NaN: the instruction that scales by 2^n
 * keeps the NaN and takes the place of three. */
NDL_INLINE __m512 ndl_exp_to_zero(__m512 x)
{
    __m512 sum, n, p = ndl_exp_parts(x, &sum, &n);
    return _mm512_maskz_scalef_ps(ndl_exp_not_low(x), p, n);
}

#endif /* NDL_EXP_AVX512_H */
