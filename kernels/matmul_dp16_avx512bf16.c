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
#include "matmul_blocks.h"
#include "simd_avx2.h"
#include "variants.h"

enum {
    LINE = 2 * NDL_LANES, /* cells of one pair of k of a panel */
    ROWS = 8,             /* of the tallest tile                         */
    TALL = 3,             /* panels of a tile that fetches ahead, ...    */
    TALL_ROWS = 4,        /* ... which has so many rows or more          */
    WIDE = 4,             /* panels of a tile of every weight's only use */
    WIDE_ROWS = 6,        /* ... which has so many rows or fewer         */
    /* 96 KB of weights in L2, 16 KB of activations of a tile in L1. */
    K_BLOCK = 1024
};

NDL_INLINE void begin(const ndl_tile *t, __m512 acc[][WIDE], const float *y,
                      const int rows, const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
            t->carry ? _mm512_loadu_ps(y + r * t->ldy + c * NDL_LANES)
                     : _mm512_setzero_ps();
}

NDL_INLINE void end(const ndl_tile *t, __m512 acc[][WIDE], float *y,
                    const int rows, const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < panels; c++)
            _mm512_storeu_ps(y + r * t->ldy + c * NDL_LANES, acc[r][c]);
}

/* Tall tiles fetch what they are told to.  Where few rows go wide the CPU
 * follows the streams by itself, and better. */
NDL_INLINE void fetch(const char *ahead, size_t panel, const int panels)
{
    NDL_UNROLL for (int c = 0; c < panels; c++)
        _mm_prefetch(ahead + c * panel * sizeof(uint16_t), _MM_HINT_T1);
}

/* Activations lie at any alignment. */
NDL_INLINE __m512bh broadcast_pair(const uint16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* One pair of k for a whole tile; `half` of one where k is odd: the other
 * half of either operand takes no part, whatever it holds. */
NDL_INLINE void fuse(__m512 acc[][WIDE], const uint16_t *w, size_t panel,
                     const uint16_t *const *x, ptrdiff_t i, const int rows,
                     const int panels, const bool half)
{
    __m512bh wi[WIDE];
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
    __m512 acc[ROWS][WIDE];
    const uint16_t *x[ROWS];
    const size_t panel = t->panel, ahead_step = t->ahead_step;
    const char *ahead = t->ahead ? t->ahead : (const void *)w;
    const ptrdiff_t even = t->k - t->k % 2;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] =
        (const uint16_t *)t->x[r] + even;
    begin(t, acc, y, rows, panels);
    for (ptrdiff_t i = -even; i < 0; i += 2, w += LINE, ahead += ahead_step) {
        if (rows >= TALL_ROWS && panels <= TALL) fetch(ahead, panel, panels);
        fuse(acc, w, panel, x, i, rows, panels, false);
    }
    if (even < t->k) fuse(acc, w, panel, x, 0, rows, panels, true);
    end(t, acc, y, rows, panels);
}

static void run_1x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 1, 1);
}
static void run_1x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 1, 2);
}
static void run_1x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 1, 3);
}
static void run_1x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 1, 4);
}
static void run_2x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 2, 1);
}
static void run_2x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 2, 2);
}
static void run_2x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 2, 3);
}
static void run_2x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 2, 4);
}
static void run_3x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 3, 1);
}
static void run_3x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 3, 2);
}
static void run_3x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 3, 3);
}
static void run_3x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 3, 4);
}
static void run_4x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 4, 1);
}
static void run_4x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 4, 2);
}
static void run_4x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 4, 3);
}
static void run_4x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 4, 4);
}
static void run_5x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 5, 1);
}
static void run_5x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 5, 2);
}
static void run_5x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 5, 3);
}
static void run_5x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 5, 4);
}
static void run_6x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 6, 1);
}
static void run_6x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 6, 2);
}
static void run_6x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 6, 3);
}
static void run_6x4(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 6, 4);
}
static void run_7x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 7, 1);
}
static void run_7x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 7, 2);
}
static void run_7x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 7, 3);
}
static void run_8x1(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 8, 1);
}
static void run_8x2(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 8, 2);
}
static void run_8x3(const ndl_tile *t, const uint16_t *w, float *y)
{
    run(t, w, y, 8, 3);
}

typedef void (*run_fn)(const ndl_tile *t, const uint16_t *w, float *y);

/* clang-format off */
static const run_fn runs[ROWS][WIDE] = {
    { run_1x1, run_1x2, run_1x3, run_1x4 },
    { run_2x1, run_2x2, run_2x3, run_2x4 },
    { run_3x1, run_3x2, run_3x3, run_3x4 },
    { run_4x1, run_4x2, run_4x3, run_4x4 },
    { run_5x1, run_5x2, run_5x3, run_5x4 },
    { run_6x1, run_6x2, run_6x3, run_6x4 },
    { run_7x1, run_7x2, run_7x3 },
    { run_8x1, run_8x2, run_8x3 },
};
/* clang-format on */

/* All panels of t, as many at a time as the rows leave registers for. */
static void run_tile(const ndl_tile *t, const void *cells)
{
    const int widest = t->rows > WIDE_ROWS ? TALL : WIDE;
    const uint16_t *w = cells;
    float *y = t->y;
    for (int p = 0; p < t->panels;) {
        const int n = t->panels - p < widest ? t->panels - p : widest;
        runs[t->rows - 1][n - 1](t, w, y);
        w += (size_t)n * t->panel;
        y += n * NDL_LANES;
        p += n;
    }
}

NDL_DECL_MATMUL16(ndl_matmul_dp16_avx512bf16)
{
    static const ndl_tiler tiler = { .run = run_tile,
                                     .depth = 2,
                                     .x_bytes = sizeof(uint16_t),
                                     .rows = ROWS,
                                     .panels = TALL,
                                     .wide = WIDE_ROWS,
                                     .k_block = K_BLOCK,
                                     .streams = TALL };
    const ndl_blocks m = { y, ldy, a, lda, w, rows, panels, k };
    ndl_blocks_run(&m, &tiler);
}
