/*
 * tile_avx512.h - what the AVX-512 microkernels of products share: sums that
 * come and go, fetching ahead, and which shapes of tile there are.
 */
#ifndef NDL_TILE_AVX512_H
#define NDL_TILE_AVX512_H

#include "matmul_blocks.h"
#include "simd_avx2.h"

enum {
    NDL_TILE_TALL = 3,      /* panels of a tile that fetches ahead, ...    */
    NDL_TILE_TALL_ROWS = 4, /* ... which has so many rows or more          */
    NDL_TILE_WIDE = 4,      /* panels of a tile of every weight's only use */
    NDL_TILE_WIDE_ROWS = 6  /* ... which has so many rows or fewer         */
};

/* The lines of y are on their way while the tile computes: waiting for them
 * when storing cost 1 to 2 % from 64 rows on. */
NDL_INLINE void ndl_tile_begin(const ndl_tile *t, __m512 acc[][NDL_TILE_WIDE],
                               const float *y, const int rows, const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++)
    {
        const float *at = y + r * t->ldy + c * NDL_LANES;
        if (!t->carry) _mm_prefetch((const char *)at, _MM_HINT_T0);
        acc[r][c] = t->carry ? _mm512_loadu_ps(at) : _mm512_setzero_ps();
    }
}

NDL_INLINE void ndl_tile_end(const ndl_tile *t, __m512 acc[][NDL_TILE_WIDE],
                             float *y, const int rows, const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++)
            _mm512_storeu_ps(y + r * t->ldy + c * NDL_LANES, acc[r][c]);
}

/* Tall tiles fetch what they are told to, once: asked for thrice, as the
 * quantised tiles do, 8 rows lose 5 % of the peak.  Where few rows go wide the
 * CPU follows the streams by itself, and better. */
NDL_INLINE void ndl_tile_fetch(uintptr_t ahead, size_t bytes, const int panels)
{
    NDL_UNROLL for (int c = 0; c < panels; c++)
        _mm_prefetch((const char *)(ahead + (uintptr_t)c * bytes), _MM_HINT_T1);
}

/* Define run_tile(), which runs all panels of a tile, as many at a time as the
 * rows leave registers for (`lone` of them if there is one row), by
 * run(t, w, y, rows, panels) of the file, once for each shape so that both are
 * constants there. */
#define NDL_TILE_SHAPE(cell, rows, panels)                                     \
    static void run_##rows##x##panels(const ndl_tile *t, const cell *w,        \
                                      float *y)                                \
    {                                                                          \
        run(t, w, y, rows, panels);                                            \
    }
#define NDL_TILE_SHAPES(cell, rows)                                            \
    NDL_TILE_SHAPE(cell, rows, 1)                                              \
    NDL_TILE_SHAPE(cell, rows, 2)                                              \
    NDL_TILE_SHAPE(cell, rows, 3)
/* clang-format off */
#define NDL_TILE_RUN(cell, lone)                                               \
    NDL_TILE_SHAPES(cell, 1) NDL_TILE_SHAPE(cell, 1, 4)                        \
    NDL_TILE_SHAPES(cell, 2) NDL_TILE_SHAPE(cell, 2, 4)                        \
    NDL_TILE_SHAPES(cell, 3) NDL_TILE_SHAPE(cell, 3, 4)                        \
    NDL_TILE_SHAPES(cell, 4) NDL_TILE_SHAPE(cell, 4, 4)                        \
    NDL_TILE_SHAPES(cell, 5) NDL_TILE_SHAPE(cell, 5, 4)                        \
    NDL_TILE_SHAPES(cell, 6) NDL_TILE_SHAPE(cell, 6, 4)                        \
    NDL_TILE_SHAPES(cell, 7)                                                   \
    NDL_TILE_SHAPES(cell, 8)                                                   \
                                                                               \
    typedef void (*run_fn)(const ndl_tile *t, const cell *w, float *y);        \
    static const run_fn runs[NDL_TILE_MOST][NDL_TILE_WIDE] = {                 \
        { run_1x1, run_1x2, run_1x3, run_1x4 },                                \
        { run_2x1, run_2x2, run_2x3, run_2x4 },                                \
        { run_3x1, run_3x2, run_3x3, run_3x4 },                                \
        { run_4x1, run_4x2, run_4x3, run_4x4 },                                \
        { run_5x1, run_5x2, run_5x3, run_5x4 },                                \
        { run_6x1, run_6x2, run_6x3, run_6x4 },                                \
        { run_7x1, run_7x2, run_7x3 },                                         \
        { run_8x1, run_8x2, run_8x3 },                                         \
    };                                                                         \
                                                                               \
    static void run_tile(const ndl_tile *t, const void *cells)                 \
    {                                                                          \
        const int widest = t->rows == 1                   ? (lone)             \
                           : t->rows > NDL_TILE_WIDE_ROWS ? NDL_TILE_TALL      \
                                                          : NDL_TILE_WIDE;     \
        const cell *w = cells;                                                 \
        float *y = t->y;                                                       \
        for (int p = 0; p < t->panels;) {                                      \
            const int n = t->panels - p < widest ? t->panels - p : widest;     \
            runs[t->rows - 1][n - 1](t, w, y);                                 \
            w += (size_t)n * t->panel;                                         \
            y += n * NDL_LANES;                                                \
            p += n;                                                            \
        }                                                                      \
    }
/* clang-format on */

#endif /* NDL_TILE_AVX512_H */
