/*
 * matmul_f32_avx512.c - f32 matrix products, AVX-512: Skylake-X and later,
 * Zen 4 and later.
 *
 * Bound by one or two FMAs a cycle of latency 4, so 4 to 8 chains must be in
 * flight; 32 registers hold 24 sums beside the weights of a k.  8 rows x 48
 * lanes cost 3 loads and 8 broadcasts for 24 FMAs.  A sum stays one chain in
 * k order whatever the shape, hence the bits of the reference.
 *
 *   rows            1    2    3    4    5    6    7    8    9   64  192
 *   panels          4    4    4    4    4    4    3    3  5+4 rows
 *   chains          4    8   12   16   20   24   21   24
 *   share of peak  48   81   83   99   99   99   98   98   96   97   96 %
 *
 * (weights in L2; one core of a Zen 4 EPYC shared with other work, GCC 12.)
 * From memory, up to 6 rows are bound by it, and 4 panels side by side draw
 * more than 3 fetched ahead do: 23 to 25 GB/s against 18 to 22 (4 rows, N x K
 * = 4096 x 4096); 8 panels draw the same.  1 row draws 34.8 GB/s from one
 * panel, the FMAs of which would allow 59, 34.1 from 2 and 33.5 from 4.  In a
 * tile of one panel, which is what may be left over of the width, each
 * activation is used once and broadcast inside the FMA.
 */
#include "tile_avx512.h"
#include "variants.h"

enum {
    LINE = NDL_LANES, /* cells of one k of a panel */
    LONE = 1,         /* panels of a tile of 1 row */
    /* 96 KB of weights in L2, 16 KB of activations of a tile in L1. */
    K_BLOCK = 512
};

/* `rows` and `panels` are constants in every caller.  i counts up to 0, from
 * the ends of the rows: a register less, and 8 x 3 has none to spare. */
NDL_INLINE void run(const ndl_tile *t, const float *w, float *y, const int rows,
                    const int panels)
{
    __m512 acc[NDL_TILE_MOST][NDL_TILE_WIDE];
    const float *x[NDL_TILE_MOST];
    const size_t panel = t->panel, ahead_step = t->ahead_step;
    uintptr_t ahead = t->ahead ? t->ahead : (uintptr_t)w;
    const ptrdiff_t k = t->k;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] = (const float *)t->x[r] + k;
    ndl_tile_begin(t, acc, y, rows, panels);
    for (ptrdiff_t i = -k; i < 0; i++, w += LINE, ahead += ahead_step) {
        __m512 wi[NDL_TILE_WIDE];
        if (rows >= NDL_TILE_TALL_ROWS && panels <= NDL_TILE_TALL)
            ndl_tile_fetch(ahead, panel * sizeof(*w), panels);
        NDL_UNROLL for (int c = 0; c < panels; c++) wi[c] =
            _mm512_loadu_ps(w + c * panel);
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const __m512 xi = _mm512_set1_ps(x[r][i]);
            NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
                _mm512_fmadd_ps(xi, wi[c], acc[r][c]);
        }
    }
    ndl_tile_end(t, acc, y, rows, panels);
}

NDL_TILE_RUN(float, LONE)

NDL_DECL_MATMUL(ndl_matmul_f32_avx512, float)
{
    static const ndl_tiler tiler = { .run = run_tile,
                                     .depth = 1,
                                     .x_bytes = sizeof(float),
                                     .rows = NDL_TILE_MOST,
                                     .panels = NDL_TILE_TALL,
                                     .wide = NDL_TILE_WIDE_ROWS,
                                     .k_block = K_BLOCK,
                                     .streams = NDL_TILE_TALL };
    const ndl_blocks m = { y, ldy, x, ldx, w, rows, panels, k };
    ndl_blocks_run(&m, &tiler);
}
