/*
 * matmul_avx2.c - matrix products, AVX2 + FMA: sizes for the driver.
 *
 * Shares of the FMA peak (118 GFLOP/s), for 1 row of the read bandwidth
 * (35 GB/s), bench_kernels, N x K = 768 x 3072 and 2560 x 2048, one core of a
 * Zen 4 EPYC shared with other work:
 *
 *   rows        1      2    3    4    5    6    7    9   16   64  192  512
 *   f32   99 % rd   28.7 42.2 54.1 66.6 72.7 75.2 86.2 89.2 91.1 90.5 89.3
 *                   28.6 40.9 51.8 65.3 71.4 70.9 81.3 86.4 89.8 88.9 88.8
 *   bf16  93 % rd   50.0 60.6 72.0 76.4 78.6 75.4 86.4 89.3 91.5 90.8 89.6
 *                   47.6 59.4 70.4 75.7 77.5 71.2 82.4 86.5 89.1 87.5 88.1
 *
 * Weights in L2 (in-l2): 92 to 94 % from 64 rows.  K_BLOCK 192, 256, 320, 384,
 * 448 differ by 2 points at 16 rows and more, rows 96 to 384 a block and 320 to
 * 640 KB of activations by 1: any of them would do on a CPU with 32 KB + 1 MB.
 */
#include "matmul_blocks.h"
#include "tile_avx2.h"
#include "variants.h"

enum {
    K_BLOCK = 384, /* a sub-panel of 24 KB stays in L1 */
    STREAMS = 3,   /* see matmul_blocks.c              */
    CHUNK = 16
};

static void run_f32(const ndl_tile *t, const void *w)
{
    ndl_tile_f32_avx2(t, w);
}

static void run_bf16(const ndl_tile *t, const void *w)
{
    ndl_tile_bf16_avx2(t, w);
}

/* clang-format off */
static const ndl_tiler f32_tiler = {
    run_f32, 1, sizeof(float), NDL_TILE_ROWS, 1, 3, K_BLOCK, STREAMS, CHUNK
};
static const ndl_tiler bf16_tiler = {
    run_bf16, 2, sizeof(float), NDL_TILE_ROWS, 1, 2, K_BLOCK, STREAMS, CHUNK
};
/* clang-format on */

NDL_DECL_MATMUL(ndl_matmul_f32_avx2, float)
{
    const ndl_blocks m = { y, ldy, x, ldx, w, rows, panels, k };
    ndl_blocks_run(&m, &f32_tiler);
}

NDL_DECL_MATMUL(ndl_matmul_bf16_avx2, uint16_t)
{
    const ndl_blocks m = { y, ldy, x, ldx, w, rows, panels, k };
    ndl_blocks_run(&m, &bf16_tiler);
}
