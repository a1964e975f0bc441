/*
 * attend_line_avx512.h - the line of a page that attention in AVX-512 works on:
 * 64 bytes, 16 lanes of f32 or of two bf16.
 */
#ifndef NDL_ATTEND_LINE_AVX512_H
#define NDL_ATTEND_LINE_AVX512_H

#include <stdbool.h>

#include "lanes_avx512.h"

/* What a line means.  Constant in every function that takes it,
 * once inlined. */
typedef enum ndl_line {
    NDL_LINE_F32,   /* 16 lanes of f32                                   */
    NDL_LINE_WIDEN, /* 16 lanes of two bf16, each widened, x is f32      */
    NDL_LINE_PAIRS  /* those, x is pairs of bf16: VDPBF16PS; only in files
                       that are compiled for it                          */
} ndl_line;

/* How many of the summed index a line holds. */
NDL_INLINE int ndl_line_depth(const ndl_line kind)
{
    return kind == NDL_LINE_F32 ? 1 : 2;
}

/* acc + x * w, of pairs the sum of both products; in the register of acc.  The
 * fused step is spelt as the instruction because GCC 12 otherwise overwrites w
 * or x at times, and spills some of the sums of a wide tile. */
NDL_INLINE __m512 ndl_line_fuse(__m512 acc, const float *x, __m512 w,
                                const ndl_line kind)
{
#if defined(__AVX512BF16__)
    if (kind == NDL_LINE_PAIRS)
        return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_set1_ps(*x), (__m512bh)w);
#endif
    (void)kind;
    __asm__("vfmadd231ps %2, %1, %0"
            : "+v"(acc)
            : "v"(_mm512_set1_ps(*x)), "v"(w));
    return acc;
}

/* The first (upper = false) or second of two bf16, as f32. */
NDL_INLINE __m512 ndl_line_widen(__m512 w, const bool upper)
{
    __m512i raw = _mm512_castps_si512(w);
    if (upper)
        raw = _mm512_and_si512(raw, _mm512_set1_epi32((int)0xffff0000u));
    else
        raw = _mm512_slli_epi32(raw, 16);
    return _mm512_castsi512_ps(raw);
}

/* A line whose second half does not count: not even its NaNs may. */
NDL_INLINE __m512 ndl_line_first_half(__m512 w)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(w), _mm512_set1_epi32(0xffff)));
}

#endif /* NDL_ATTEND_LINE_AVX512_H */
