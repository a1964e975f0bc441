/*
 * attend_tile_avx512.h - the tile under attention in AVX-512.
 *
 *     y[r][16 p + lane] (+)= factor * sum over i of x[r][i] * w[i][p][lane]
 *
 * for up to 8 rows, in registers.  A line is 64 bytes of a page: 16 lanes of
 * one i (f32) or of two (bf16).  Keys and values differ in the strides only,
 * here in floats (4 bytes):
 *
 *             from line to line   from panel to panel
 *   K f32     16                  16 hd
 *   K bf16    16                  8 hd
 *   V         hp                  16
 *
 * Up to 6 rows run over 4 panels at a time and 7 or 8 over 3: 24 sums, the
 * lines and a broadcast fit 32 registers, and 4 divides the panels of a page
 * (16) and of hd = 64 and 128.  24 chains hide the latency (4 of FMA, 6 of
 * VDPBF16PS on Zen 4) and a line is loaded once for all rows.
 */
#ifndef NDL_ATTEND_TILE_AVX512_H
#define NDL_ATTEND_TILE_AVX512_H

#include "attend_line_avx512.h"

enum { NDL_ATTEND_TILE = 8, NDL_ATTEND_WIDE = 4 }; /* rows, panels: at most */

typedef struct ndl_attend_tile {
    float *y;
    size_t ldy;
    const float *x[NDL_ATTEND_TILE];
    const float *w;
    size_t step, panel; /* in floats */
    int rows, panels;
    int lines;
    bool half;  /* one line more, of which only the first of the two counts */
    bool carry; /* continue the sums that y holds, else start from 0        */
    float factor;
    /* With a line of every panel at work, as many lines in a row are fetched
     * (ndl_attend_fetches).  In bytes: they begin so far behind the panels at
     * work (behind the last ones: ahead_last, which may be below 0 and wrap),
     * go on in such steps, and are so many. */
    uintptr_t ahead, ahead_last;
    size_t ahead_step, ahead_bytes;
} ndl_attend_tile;

/* Panels that `rows` rows run over at a time. */
NDL_INLINE int ndl_attend_wide(const int rows)
{
    return rows > 6 ? NDL_ATTEND_WIDE - 1 : NDL_ATTEND_WIDE;
}

NDL_INLINE void ndl_attend_tile_fuse(__m512 acc[][NDL_ATTEND_WIDE],
                                     const __m512 *w, const float *const *x,
                                     int i, const ndl_line kind, const int rows,
                                     const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
            ndl_line_fuse(acc[r][c], x[r] + i, w[c], kind);
}

/* One line of every panel; half: see ndl_attend_tile. */
NDL_INLINE void ndl_attend_tile_line(__m512 acc[][NDL_ATTEND_WIDE],
                                     const float *w, size_t panel,
                                     const float *const *x, int i,
                                     const ndl_line kind, const int rows,
                                     const int panels, const bool half)
{
    __m512 line[NDL_ATTEND_WIDE], part[NDL_ATTEND_WIDE];
    NDL_UNROLL for (int c = 0; c < panels; c++)
    {
        line[c] = _mm512_loadu_ps(w + c * panel);
        part[c] = kind == NDL_LINE_WIDEN ? ndl_line_widen(line[c], false)
                  : half                 ? ndl_line_first_half(line[c])
                                         : line[c];
    }
    ndl_attend_tile_fuse(acc, part, x, i, kind, rows, panels);
    if (kind != NDL_LINE_WIDEN || half) return;
    NDL_UNROLL for (int c = 0; c < panels; c++) part[c] =
        ndl_line_widen(line[c], true);
    ndl_attend_tile_fuse(acc, part, x, i + 1, kind, rows, panels);
}

/* A tile of a decoding step may find its pages in memory alone, where the
 * processor's own prefetching follows one sequence of lines well and the four
 * of a tile badly: 1 row of hd = 64 takes 7.6 instead of 9.5 thousand ticks, 4
 * rows 9.2 instead of 10.6 (a plain read 5.2).  Tiles of 5 and 6 rows are those
 * of prompts, whose pages are in L2 or L3: there it would cost 1 %. */
NDL_INLINE bool ndl_attend_fetches(const ndl_line kind, const int rows)
{
    return kind != NDL_LINE_F32 && rows != 5 && rows != 6;
}

/* `panels` panels from panel p. */
NDL_INLINE void ndl_attend_tile_panels(const ndl_attend_tile *t, int p,
                                       const ndl_line kind, const int rows,
                                       const int panels)
{
    __m512 acc[NDL_ATTEND_TILE][NDL_ATTEND_WIDE];
    const float *x[NDL_ATTEND_TILE], *w = t->w + (size_t)p * t->panel;
    float *y = t->y + (size_t)p * NDL_LANES;
    const size_t step = t->step, panel = t->panel;
    const __m512 factor = _mm512_set1_ps(t->factor);
    const bool last = p + panels >= t->panels;
    uintptr_t next = (uintptr_t)w + (last ? t->ahead_last : t->ahead);
    const uintptr_t stop = next + t->ahead_bytes;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] = t->x[r];
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
            t->carry ? _mm512_loadu_ps(y + r * t->ldy + c * NDL_LANES)
                     : _mm512_setzero_ps();
    const int each = kind == NDL_LINE_WIDEN ? 2 : 1, end = each * t->lines;
    for (int i = 0; i < end; i += each, w += step) {
        if (ndl_attend_fetches(kind, rows)) {
            NDL_UNROLL for (int c = 0; c < panels; c++) _mm_prefetch(
                (const char *)(next + (uintptr_t)c * 64), _MM_HINT_T1);
            next = next < stop ? next + t->ahead_step : next;
        }
        ndl_attend_tile_line(acc, w, panel, x, i, kind, rows, panels, false);
    }
    if (t->half)
        ndl_attend_tile_line(acc, w, panel, x, end, kind, rows, panels, true);
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++) _mm512_storeu_ps(
            y + r * t->ldy + c * NDL_LANES, _mm512_mul_ps(acc[r][c], factor));
}

NDL_INLINE void ndl_attend_tile_rows(const ndl_attend_tile *t,
                                     const ndl_line kind, const int rows)
{
    const int wide = ndl_attend_wide(rows);
    int p = 0;
    for (; p + wide <= t->panels; p += wide)
        ndl_attend_tile_panels(t, p, kind, rows, wide);
    switch (t->panels - p) {
    case 1: ndl_attend_tile_panels(t, p, kind, rows, 1); break;
    case 2: ndl_attend_tile_panels(t, p, kind, rows, 2); break;
    case 3:
        if (wide > 3) ndl_attend_tile_panels(t, p, kind, rows, 3);
        break;
    default: break;
    }
}

NDL_INLINE void ndl_attend_tile_run(const ndl_attend_tile *t,
                                    const ndl_line kind)
{
    switch (t->rows) {
    case 1: ndl_attend_tile_rows(t, kind, 1); break;
    case 2: ndl_attend_tile_rows(t, kind, 2); break;
    case 3: ndl_attend_tile_rows(t, kind, 3); break;
    case 4: ndl_attend_tile_rows(t, kind, 4); break;
    case 5: ndl_attend_tile_rows(t, kind, 5); break;
    case 6: ndl_attend_tile_rows(t, kind, 6); break;
    case 7: ndl_attend_tile_rows(t, kind, 7); break;
    default: ndl_attend_tile_rows(t, kind, 8); break;
    }
}

#endif /* NDL_ATTEND_TILE_AVX512_H */
