/*
 * attend_avx512.c - attention over one page and the merge of pages, AVX-512
 * (F, BW, DQ, VL), with the bits of the reference.  Bound by the FMA pipes at
 * many rows, by memory at 1:
 *
 *   rows (hd = 128)        1    4    8   48
 *   share of peak, f32    45   91   88   92 %
 *                  bf16   70   91   87   92 %
 *
 * (Pages in L2, one core of a Zen 4 EPYC, GCC 12, exp not counted as work.)
 */
#include "attend_rows_avx512.h"
#include "variants.h"

NDL_DECL_ATTEND(ndl_attend_f32_avx512, float)
{
    ndl_attend_page a = { o,
                          m,
                          l,
                          q,
                          n_keys,
                          kpage,
                          vpage,
                          scratch,
                          scale,
                          hd,
                          ndl_lanes_round(hd) };
    ndl_attend_run(&a, rows, NDL_LINE_F32);
}

NDL_DECL_ATTEND(ndl_attend_bf16_avx512, uint16_t)
{
    ndl_attend_page a = { o,
                          m,
                          l,
                          q,
                          n_keys,
                          kpage,
                          vpage,
                          scratch,
                          scale,
                          hd,
                          ndl_lanes_round(hd) };
    ndl_attend_run(&a, rows, NDL_LINE_WIDEN);
}

NDL_DECL_ATTEND_MERGE(ndl_attend_merge_avx512)
{
    const int hp = ndl_lanes_round(hd);
    for (int r = 0; r < rows; r++) {
        float n = ndl_lanes_larger(m[r], m2[r]);
        float a = ndl_exp_scalar(m[r] - n), b = ndl_exp_scalar(m2[r] - n);
        const __m512 old = _mm512_set1_ps(a), new = _mm512_set1_ps(b);
        l[r] = fmaf(l[r], a, l2[r] * b);
        m[r] = n;
        for (int i = 0; i < hp; i += NDL_LANES) {
            float *at = o + (size_t)r * hp + i;
            __m512 v = _mm512_loadu_ps(o2 + (size_t)r * hp + i);
            v = _mm512_fmadd_ps(_mm512_loadu_ps(at), old,
                                _mm512_mul_ps(v, new));
            _mm512_storeu_ps(at, v);
        }
    }
}
