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
                          kscale,
                          vscale,
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
                          kscale,
                          vscale,
                          scratch,
                          scale,
                          hd,
                          ndl_lanes_round(hd) };
    ndl_attend_run(&a, rows, NDL_LINE_WIDEN);
}

/* m and l of up to 16 rows, and by what o and o2 are multiplied. */
NDL_INLINE void merge_sums(float *m, float *l, const float *m2, const float *l2,
                           int rows, float factors[2][NDL_LANES])
{
    const __m512 old = ndl_lanes_load(m, rows), new = ndl_lanes_load(m2, rows);
    const __m512 n = _mm512_max_ps(old, new);
    const __m512 a = ndl_exp_to_zero(_mm512_sub_ps(old, n));
    const __m512 b = ndl_exp_to_zero(_mm512_sub_ps(new, n));
    const __m512 sum = _mm512_mul_ps(ndl_lanes_load(l2, rows), b);
    ndl_lanes_store(l, rows, _mm512_fmadd_ps(ndl_lanes_load(l, rows), a, sum));
    ndl_lanes_store(m, rows, n);
    _mm512_storeu_ps(factors[0], a);
    _mm512_storeu_ps(factors[1], b);
}

/* o = o * a + o2 * b */
NDL_INLINE void merge_row(float *o, const float *o2, int hp, float a, float b)
{
    const __m512 old = _mm512_set1_ps(a), new = _mm512_set1_ps(b);
    for (int i = 0; i < hp; i += NDL_LANES) {
        __m512 v = _mm512_mul_ps(_mm512_loadu_ps(o2 + i), new);
        v = _mm512_fmadd_ps(_mm512_loadu_ps(o + i), old, v);
        _mm512_storeu_ps(o + i, v);
    }
}

NDL_DECL_ATTEND_MERGE(ndl_attend_merge_avx512)
{
    const int hp = ndl_lanes_round(hd);
    float factors[2][NDL_LANES];
    for (int r = 0; r < rows; r++) {
        const int i = r % NDL_LANES;
        const size_t at = (size_t)r * hp;
        if (i == 0) merge_sums(m + r, l + r, m2 + r, l2 + r, rows - r, factors);
        merge_row(o + at, o2 + at, hp, factors[0][i], factors[1][i]);
    }
}
