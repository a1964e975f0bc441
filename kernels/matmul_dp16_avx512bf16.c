/*
 * matmul_dp16_avx512bf16.c - products of bf16 weights and bf16 activations:
 * Cooper Lake, Sapphire Rapids and later, Zen 4 and later.
 *
 * VDPBF16PS adds two products to each sum: twice the rate of f32 and half the
 * bytes.  It rounds and flushes in its own way whatever the mode of the
 * thread, so its bits are its own, but they depend on nothing else: a sum is
 * one chain over the pairs of k in order, and where a block of k ends it
 * waits in y, in f32, which loses nothing.  Latency 6, one a cycle:
 *
 *   rows            1    2    3    4    5    6    7    8    9   64  192
 *   panels          4    4    4    4    4    4    3    3  5+4 rows
 *   chains          4    8   12   16   20   24   21   24
 *   share of peak  47   91   82   98   98   98   96   96   96   96   94 %
 *
 * (peak: twice that of f32; weights in L2; one core of a Zen 4 EPYC shared
 * with other work, GCC 12.)  Up to 6 rows are bound by memory and follow
 * matmul_f32_avx512.c, where the widths are told.
 */
#include "tile_avx512.h"
#include "variants.h"

enum {
    LINE = 2 * NDL_LANES, /* cells of one pair of k of a panel */
    /* 96 KB of weights in L2, 16 KB of activations of a tile in L1. */
    K_BLOCK = 1024
};

/* Activations lie at any alignment. */
NDL_INLINE __m512bh broadcast_pair(const uint16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* One pair of k for a whole tile; `half` of one where k is odd: the other
 * half of either operand takes no part, whatever it holds. */
NDL_INLINE void fuse(__m512 acc[][NDL_TILE_WIDE], const uint16_t *w,
                     size_t panel, const uint16_t *const *x, ptrdiff_t i,
                     const int rows, const int panels, const bool half)
{
    __m512bh wi[NDL_TILE_WIDE];
    NDL_UNROLL for (int c = 0; c < panels; c++)
    {
        __m512i line = _mm512_loadu_si512(w + c * panel);
        if (half) line = _mm512_and_si512(line, _mm512_set1_epi32(0xffff));
        wi[c] = (__m512bh)line;
    }
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        const __m512bh xi = half ? (__m512bh)_mm512_set1_epi32(x[r][i])
                                 : broadcast_pair(x[r] + i);
        NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
            _mm512_dpbf16_ps(acc[r][c], xi, wi[c]);
    }
}

/* `rows` and `panels` are constants in every caller.  i counts up to 0, from
 * the ends of the rows: a register less, and 8 x 3 has none to spare. */
NDL_INLINE void run(const ndl_tile *t, const uint16_t *w, float *y,
                    const int rows, const int panels)
{
    __m512 acc[NDL_TILE_MOST][NDL_TILE_WIDE];
    const uint16_t *x[NDL_TILE_MOST];
    const size_t panel = t->panel, ahead_step = t->ahead_step;
    uintptr_t ahead = t->ahead ? t->ahead : (uintptr_t)w;
    const ptrdiff_t even = t->k - t->k % 2;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] =
        (const uint16_t *)t->x[r] + even;
    ndl_tile_begin(t, acc, y, rows, panels);
    for (ptrdiff_t i = -even; i < 0; i += 2, w += LINE, ahead += ahead_step) {
        if (rows >= NDL_TILE_TALL_ROWS && panels <= NDL_TILE_TALL)
            ndl_tile_fetch(ahead, panel * sizeof(*w), panels);
        fuse(acc, w, panel, x, i, rows, panels, false);
    }
    if (even < t->k) fuse(acc, w, panel, x, 0, rows, panels, true);
    ndl_tile_end(t, acc, y, rows, panels);
}

NDL_TILE_RUN(uint16_t, NDL_TILE_WIDE)

NDL_DECL_MATMUL16(ndl_matmul_dp16_avx512bf16)
{
    static const ndl_tiler tiler = { .run = run_tile,
                                     .depth = 2,
                                     .x_bytes = sizeof(uint16_t),
                                     .rows = NDL_TILE_MOST,
                                     .panels = NDL_TILE_TALL,
                                     .wide = NDL_TILE_WIDE_ROWS,
                                     .k_block = K_BLOCK,
                                     .streams = NDL_TILE_TALL };
    const ndl_blocks m = { y, ldy, a, lda, w, rows, panels, k };
    ndl_blocks_run(&m, &tiler);
}
