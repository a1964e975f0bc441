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

#include "attend_softmax_avx512.h"
#include "attend_tile_avx512.h"

/* One page and the rows that look at it. */
typedef struct ndl_attend_page {
    float *o, *m, *l;
    const float *const *q;
    const int *n_keys;
    const void *kpage, *vpage;
    const float *kscale, *vscale; /* or NULL */
    float *scratch;
    float scale;
    int hd, hp;
} ndl_attend_page;

static inline float *ndl_attend_scores(const ndl_attend_page *a, int r)
{
    return a->scratch + (size_t)r * NDL_PAGE_KEYS;
}

#if defined(__AVX512BF16__)
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

/* While panels of keys are at work the next ones are fetched, and the first
 * values while the last are. */
NDL_INLINE void ndl_attend_keys_ahead(ndl_attend_tile *t, const void *vpage)
{
    const size_t wide = (size_t)ndl_attend_wide(t->rows);
    const size_t block = wide * t->panel * sizeof(float);
    const size_t before = ((size_t)t->panels - 1) / wide * block;
    t->ahead = block;
    t->ahead_last = (uintptr_t)vpage - (uintptr_t)t->w - before;
    t->ahead_step = wide * 64;
    t->ahead_bytes = block;
}

/* The same for values, in lines: about 4 KiB ahead. */
NDL_INLINE void ndl_attend_values_ahead(ndl_attend_tile *t)
{
    enum { AHEAD = 16 };
    t->ahead_step = t->step * sizeof(float);
    t->ahead = t->ahead_last = AHEAD * t->ahead_step;
    const size_t all = (size_t)t->lines * t->ahead_step;
    t->ahead_bytes = all > t->ahead ? all - t->ahead : 0;
}

/* s[r][j] = q[r] . k[j] * scale for whole panels up to n_keys. */
NDL_INLINE void ndl_attend_keys(const ndl_attend_page *a, int rows, int n_keys,
                                const ndl_line kind)
{
    const int lines = a->hd / ndl_line_depth(kind);
    ndl_attend_tile t = { .y = ndl_attend_scores(a, 0),
                          .ldy = NDL_PAGE_KEYS,
                          .w = a->kpage,
                          .step = NDL_LANES,
                          .panel = (size_t)NDL_LANES * lines,
                          .rows = rows,
                          .panels = (n_keys + NDL_LANES - 1) / NDL_LANES,
                          .lines = lines,
                          .factor = a->scale };
    ndl_attend_keys_ahead(&t, a->vpage);
    for (int r = 0; r < rows && r < NDL_ATTEND_TILE; r++)
        t.x[r] = ndl_attend_query(a, r, kind);
    ndl_attend_tile_run(&t, kind);
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
    ndl_attend_values_ahead(&t);
    for (int r = 0; r < rows; r++)
        t.x[r] = ndl_attend_scores(a, first + r) +
                 (kind == NDL_LINE_PAIRS ? line : begin);
    ndl_attend_tile_run(&t, kind);
}

/* All maxima come first: one waits for all of its row, the next need not. */
NDL_INLINE void ndl_attend_softmax(const ndl_attend_page *a, int rows,
                                   const ndl_line kind)
{
    for (int r = 0; r < rows; r++) {
        float *s = ndl_attend_scores(a, r);
        if (a->kscale) ndl_attend_scale(s, a->n_keys[r], a->kscale);
        a->m[r] = ndl_attend_max(s, a->n_keys[r]);
    }
    for (int r = 0; r < rows; r++) {
        float *s = ndl_attend_scores(a, r);
        const int n = a->n_keys[r];
        a->l[r] = a->vscale ? ndl_attend_exp(s, n, a->m[r], a->vscale, kind)
                            : ndl_attend_exp(s, n, a->m[r], NULL, kind);
    }
}

NDL_INLINE void ndl_attend_tile_of(const ndl_attend_page *a, int rows,
                                   const ndl_line kind)
{
    int fewest = NDL_PAGE_KEYS, most = 0;
    for (int r = 0; r < rows; r++) {
        if (a->n_keys[r] < fewest) fewest = a->n_keys[r];
        if (a->n_keys[r] > most) most = a->n_keys[r];
    }
    ndl_attend_keys(a, rows, most, kind);
    ndl_attend_softmax(a, rows, kind);
    /* Two keys share a cell of bf16, so the common part is even. */
    const int common = fewest == most ? most : fewest / 2 * 2;
    ndl_attend_values(a, 0, rows, 0, common, kind);
    for (int r = 0; r < rows; r++)
        if (a->n_keys[r] > common)
            ndl_attend_values(a, r, 1, common, a->n_keys[r], kind);
}

/* All rows, shared evenly among tiles of 6, or one of 7 or 8.  The tiles use
 * the same scratch, which stays in L1. */
NDL_INLINE void ndl_attend_run(const ndl_attend_page *a, int rows,
                               const ndl_line kind)
{
    const int tiles = rows <= NDL_ATTEND_TILE ? rows > 0 : (rows + 5) / 6;
    for (int i = 0; i < tiles; i++) {
        const int first = rows * i / tiles, end = rows * (i + 1) / tiles;
        ndl_attend_page tile = *a;
        tile.o += (size_t)first * a->hp;
        tile.m += first;
        tile.l += first;
        tile.q += first;
        tile.n_keys += first;
        ndl_attend_tile_of(&tile, end - first, kind);
    }
}

#endif /* NDL_ATTEND_ROWS_AVX512_H */
