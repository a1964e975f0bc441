/*
 * attend_rows_avx512.h - attention of query rows over one page in AVX-512:
 * scores, softmax, values, for each kind of line (attend_tile_avx512.h).
 *
 * Rows go in tiles of up to 8.  In the second product a masked key must not
 * take part even with p = 0 (0 * NaN, and 0 * v + -0 is +0): the rows of a
 * tile run to the smallest count together, then each to its own end.
 */
#ifndef NDL_ATTEND_ROWS_AVX512_H
#define NDL_ATTEND_ROWS_AVX512_H

#include "attend_tile_avx512.h"
#include "exp_avx512.h"

/* One page and the rows that look at it. */
typedef struct ndl_attend_page {
    float *o, *m, *l;
    const float *const *q;
    const int *n_keys;
    const void *kpage, *vpage;
    float *scratch;
    float scale;
    int hd, hp;
} ndl_attend_page;

static inline float *ndl_attend_scores(const ndl_attend_page *a, int r)
{
    return a->scratch + (size_t)r * NDL_PAGE_KEYS;
}

#if defined(__AVX512BF16__)
/* 16 floats to bf16, nearest even, denormals to 0; y may be x. */
NDL_INLINE void ndl_attend_round(float *y, __m512 x)
{
    _mm256_storeu_si256((void *)y, (__m256i)_mm512_cvtneps_pbh(x));
}

/* The row of o, which is not needed yet, holds the rounded query. */
static const float *ndl_attend_round_query(const ndl_attend_page *a, int r)
{
    float *y = a->o + (size_t)r * a->hp;
    for (int i = 0; i < a->hd; i += NDL_LANES)
        ndl_attend_round(y + i / 2, ndl_lanes_load(a->q[r] + i, a->hd - i));
    return y;
}
#endif

/* The query as the tile takes it. */
NDL_INLINE const float *ndl_attend_query(const ndl_attend_page *a, int r,
                                         const ndl_line kind)
{
#if defined(__AVX512BF16__)
    if (kind == NDL_LINE_PAIRS) return ndl_attend_round_query(a, r);
#endif
    (void)kind;
    return a->q[r];
}

/* s[r][j] = q[r] . k[j] * scale for whole panels up to n_keys. */
NDL_INLINE void ndl_attend_keys(const ndl_attend_page *a, int first, int rows,
                                int n_keys, const ndl_line kind)
{
    const int lines = a->hd / ndl_line_depth(kind);
    ndl_attend_tile t = { .y = ndl_attend_scores(a, first),
                          .ldy = NDL_PAGE_KEYS,
                          .w = a->kpage,
                          .step = NDL_LANES,
                          .panel = (size_t)NDL_LANES * lines,
                          .rows = rows,
                          .panels = (n_keys + NDL_LANES - 1) / NDL_LANES,
                          .lines = lines,
                          .factor = a->scale };
    for (int r = 0; r < rows; r++)
        t.x[r] = ndl_attend_query(a, first + r, kind);
    ndl_attend_tile_run(&t, kind);
}

/* The largest of n scores. */
static float ndl_attend_max(const float *s, int n)
{
    __m512 top = _mm512_set1_ps(-INFINITY);
    for (int j = 0; j < n; j += NDL_LANES) {
        __m512 v = _mm512_loadu_ps(s + j);
        top = _mm512_mask_max_ps(top, ndl_lanes_first(n - j), v, top);
    }
    return ndl_lanes_fold_max(top);
}

/* s becomes p = exp(s - m), 0 past n to the end of the panel, as the tile
 * takes it; its sum. */
NDL_INLINE float ndl_attend_exp(float *s, int n, float m, const ndl_line kind)
{
    const __m512 top = _mm512_set1_ps(m);
    __m512 sum = _mm512_setzero_ps();
    for (int j = 0; j < n; j += NDL_LANES) {
        __m512 v = _mm512_sub_ps(_mm512_loadu_ps(s + j), top);
        v = ndl_exp_up_to(v, false);
        v = _mm512_maskz_mov_ps(ndl_lanes_first(n - j), v);
        sum = _mm512_add_ps(sum, v);
#if defined(__AVX512BF16__)
        if (kind == NDL_LINE_PAIRS) {
            ndl_attend_round(s + j / 2, v);
            continue;
        }
#endif
        (void)kind;
        _mm512_storeu_ps(s + j, v);
    }
    return ndl_lanes_fold_sum(sum);
}

/* o[r] (+)= sum of p[r][j] * v[j] over begin <= j < end; begin is even. */
NDL_INLINE void ndl_attend_values(const ndl_attend_page *a, int first, int rows,
                                  int begin, int end, const ndl_line kind)
{
    const int depth = ndl_line_depth(kind), line = begin / depth;
    const size_t step = (size_t)a->hp;
    ndl_attend_tile t = { .y = a->o + (size_t)first * a->hp,
                          .ldy = (size_t)a->hp,
                          .w = (const float *)a->vpage + (size_t)line * step,
                          .step = step,
                          .panel = NDL_LANES,
                          .rows = rows,
                          .panels = a->hp / NDL_LANES,
                          .lines = end / depth - line,
                          .half = end % depth,
                          .carry = begin > 0,
                          .factor = 1.0f };
    for (int r = 0; r < rows; r++)
        t.x[r] = ndl_attend_scores(a, first + r) +
                 (kind == NDL_LINE_PAIRS ? line : begin);
    ndl_attend_tile_run(&t, kind);
}

NDL_INLINE void ndl_attend_tile_of(const ndl_attend_page *a, int first,
                                   int rows, const ndl_line kind)
{
    int fewest = NDL_PAGE_KEYS, most = 0;
    for (int r = first; r < first + rows; r++) {
        if (a->n_keys[r] < fewest) fewest = a->n_keys[r];
        if (a->n_keys[r] > most) most = a->n_keys[r];
    }
    ndl_attend_keys(a, first, rows, most, kind);
    for (int r = first; r < first + rows; r++) {
        float *s = ndl_attend_scores(a, r);
        a->m[r] = ndl_attend_max(s, a->n_keys[r]);
        a->l[r] = ndl_attend_exp(s, a->n_keys[r], a->m[r], kind);
    }
    /* Two keys share a cell of bf16, so the common part is even. */
    const int common = fewest == most ? most : fewest / 2 * 2;
    ndl_attend_values(a, first, rows, 0, common, kind);
    for (int r = first; r < first + rows; r++)
        if (a->n_keys[r] > common)
            ndl_attend_values(a, r, 1, common, a->n_keys[r], kind);
}

/* All rows, shared evenly among tiles of 6, or one of 7 or 8. */
NDL_INLINE void ndl_attend_run(const ndl_attend_page *a, int rows,
                               const ndl_line kind)
{
    const int tiles = rows <= NDL_ATTEND_TILE ? rows > 0 : (rows + 5) / 6;
    for (int i = 0; i < tiles; i++) {
        const int first = rows * i / tiles, end = rows * (i + 1) / tiles;
        ndl_attend_tile_of(a, first, end - first, kind);
    }
}

#endif /* NDL_ATTEND_ROWS_AVX512_H */
