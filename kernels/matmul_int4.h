/*
 * matmul_int4.h - where the operands of a product with int4 weights lie, and
 * the walk over rows and panels that its versions share.
 */
#ifndef NDL_MATMUL_INT4_H
#define NDL_MATMUL_INT4_H

#include "lanes.h"
#include "shares.h"

enum {
    NDL_INT4_K = 32,        /* of a block                           */
    NDL_INT4_BYTES = 256,   /* of a panel's block: 4 lines          */
    NDL_INT4_LINE = 64,     /* 16 lanes x 4 k, and the 4 k 16 later */
    NDL_INT4_AHEAD = 64,    /* blocks that a lone tile fetches ahead */
    NDL_INT4_L2 = 512 << 10 /* bytes of activations that stay in L2 */
};

typedef struct ndl_int4 {
    float *y;
    size_t ldy;
    const uint8_t *a;
    size_t lda;
    const uint8_t *w;
    const uint16_t *scales;
    int rows, panels, nb;
} ndl_int4;

/* Some rows by one panel. */
typedef struct ndl_int4_tile {
    float *y;
    size_t ldy;
    const uint8_t *a;
    size_t lda;
    const uint8_t *w;
    const uint16_t *scales;
    size_t nb;
    /* What to fetch into L2 meanwhile, 4 lines of it a block, and how far on
     * from block to block.  It may lie past the end of w: fetching never
     * faults. */
    uintptr_t ahead;
    size_t ahead_step;
} ndl_int4_tile;

typedef void (*ndl_int4_run_fn)(const ndl_int4_tile *t);

/* A row of rows8 is one piece of memory of three types: read as bytes. */
static inline int32_t ndl_int4_i32(const uint8_t *at)
{
    int32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline float ndl_int4_f32(const uint8_t *at)
{
    float x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* 4 lines of weights, each asked for three times, as tile_int8_avx512vnni.c
 * tells: a fetch is dropped when too many are under way (3 rows: 23 -> 29 GB/s,
 * with 2 rows 25 -> 31).  __builtin_prefetch and not the instruction: this file
 * has no ISA. */
static inline void ndl_int4_fetch(uintptr_t ahead)
{
    enum { TIMES = 3, AGAIN = 2048 };
    for (int i = 0; i < 4 * TIMES; i++) {
        const size_t on = (size_t)(i % 4) * NDL_INT4_LINE;
        const size_t back = (size_t)(i / 4) * AGAIN;
        __builtin_prefetch((const char *)(ahead + on - back), 0, 2);
    }
}

/* The scales of the block `ahead` further on, a half of a line. */
static inline void ndl_int4_fetch_scales(const uint8_t *scales)
{
    const uintptr_t at = (uintptr_t)scales + NDL_INT4_AHEAD * 32;
    __builtin_prefetch((const char *)at, 0, 2);
}

/* All rows of m by panel p, in even tiles of at most `most`.  One tile fetches
 * its own weights ahead of use; of several, each fetches its share of the next
 * panel, or the first tile there would wait for memory (the last two a half
 * each: 75.5 % of the peak at 16 and 24 rows, all a share each: 76.3 and 77.3).
 */
static inline void ndl_int4_panel(const ndl_int4 *m, int p,
                                  const ndl_int4_run_fn *runs, int most)
{
    const int tiles = ndl_parts(m->rows, most);
    const size_t nb = (size_t)m->nb, blocks = (size_t)p * nb;
    ndl_int4_tile t = { .ldy = m->ldy, .lda = m->lda, .nb = nb };
    t.w = m->w + blocks * NDL_INT4_BYTES;
    t.scales = m->scales + blocks * NDL_LANES;
    t.ahead = (uintptr_t)t.w;
    if (tiles == 1) {
        t.ahead += NDL_INT4_AHEAD * NDL_INT4_BYTES;
        t.ahead_step = NDL_INT4_BYTES;
    }
    for (int i = 0; i < tiles; i++) {
        const int first = ndl_even_begin(m->rows, tiles, i);
        const int rows = ndl_even_begin(m->rows, tiles, i + 1) - first;
        t.y = m->y + (size_t)first * m->ldy + (size_t)p * NDL_LANES;
        t.a = m->a + (size_t)first * m->lda;
        if (tiles > 1) {
            const size_t skip = (size_t)ndl_even_begin(m->nb, tiles, i);
            t.ahead = (uintptr_t)t.w + (nb + skip) * NDL_INT4_BYTES;
            t.ahead_step = (size_t)ndl_parts(NDL_INT4_BYTES, tiles);
        }
        runs[rows - 1](&t);
    }
}

/* Blocks of rows whose activations stay in L2 over all panels, 24 at least and
 * even in size; `runs` are tiles of 1 to `most` rows. */
static inline void ndl_int4_walk(ndl_int4 m, const ndl_int4_run_fn *runs,
                                 int most)
{
    const ndl_int4 all = m;
    const int fit = m.nb ? NDL_INT4_L2 / (m.nb * (NDL_INT4_K + 8)) : all.rows;
    const int blocks = ndl_parts(all.rows, fit < 24 ? 24 : fit);
    for (int i = 0; i < blocks; i++) {
        const int first = ndl_even_begin(all.rows, blocks, i);
        m.rows = ndl_even_begin(all.rows, blocks, i + 1) - first;
        m.y = all.y + (size_t)first * all.ldy;
        m.a = all.a + (size_t)first * all.lda;
        for (int p = 0; p < m.panels; p++) ndl_int4_panel(&m, p, runs, most);
    }
}

#endif /* NDL_MATMUL_INT4_H */
