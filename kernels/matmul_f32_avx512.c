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
 * = 4096 x 4096); 8 panels draw the same.  In a tile of one panel, which is
 * what may be left over of the width, each activation is used once and
 * broadcast inside the FMA.
 */
#include "matmul_blocks.h"
#include "simd_avx2.h"
#include "variants.h"

enum {
    LINE = NDL_LANES, /* cells of one k of a panel */
    ROWS = 8,         /* of the tallest tile                         */
    TALL = 3,         /* panels of a tile that fetches ahead, ...    */
    TALL_ROWS = 4,    /* ... which has so many rows or more          */
    WIDE = 4,         /* panels of a tile of every weight's only use */
    WIDE_ROWS = 6,    /* ... which has so many rows or fewer         */
    /* 96 KB of weights in L2, 16 KB of activations of a tile in L1. */
    K_BLOCK = 512
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
        _mm_prefetch(ahead + c * panel * sizeof(float), _MM_HINT_T1);
}

/* `rows` and `panels` are constants in every caller.  i counts up to 0, from
 * the ends of the rows: a register less, and 8 x 3 has none to spare. */
NDL_INLINE void run(const ndl_tile *t, const float *w, float *y, const int rows,
                    const int panels)
{
    __m512 acc[ROWS][WIDE];
    const float *x[ROWS];
    const size_t panel = t->panel, ahead_step = t->ahead_step;
    const char *ahead = t->ahead ? t->ahead : (const void *)w;
    const ptrdiff_t k = t->k;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] = (const float *)t->x[r] + k;
    begin(t, acc, y, rows, panels);
    for (ptrdiff_t i = -k; i < 0; i++, w += LINE, ahead += ahead_step) {
        __m512 wi[WIDE];
        if (rows >= TALL_ROWS && panels <= TALL) fetch(ahead, panel, panels);
        NDL_UNROLL for (int c = 0; c < panels; c++) wi[c] =
            _mm512_loadu_ps(w + c * panel);
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const __m512 xi = _mm512_set1_ps(x[r][i]);
            NDL_UNROLL for (int c = 0; c < panels; c++) acc[r][c] =
                _mm512_fmadd_ps(xi, wi[c], acc[r][c]);
        }
    }
    end(t, acc, y, rows, panels);
}

static void run_1x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 1, 1);
}
static void run_1x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 1, 2);
}
static void run_1x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 1, 3);
}
static void run_1x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 1, 4);
}
static void run_2x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 2, 1);
}
static void run_2x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 2, 2);
}
static void run_2x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 2, 3);
}
static void run_2x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 2, 4);
}
static void run_3x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 3, 1);
}
static void run_3x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 3, 2);
}
static void run_3x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 3, 3);
}
static void run_3x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 3, 4);
}
static void run_4x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 4, 1);
}
static void run_4x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 4, 2);
}
static void run_4x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 4, 3);
}
static void run_4x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 4, 4);
}
static void run_5x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 5, 1);
}
static void run_5x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 5, 2);
}
static void run_5x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 5, 3);
}
static void run_5x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 5, 4);
}
static void run_6x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 6, 1);
}
static void run_6x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 6, 2);
}
static void run_6x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 6, 3);
}
static void run_6x4(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 6, 4);
}
static void run_7x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 7, 1);
}
static void run_7x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 7, 2);
}
static void run_7x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 7, 3);
}
static void run_8x1(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 8, 1);
}
static void run_8x2(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 8, 2);
}
static void run_8x3(const ndl_tile *t, const float *w, float *y)
{
    run(t, w, y, 8, 3);
}

typedef void (*run_fn)(const ndl_tile *t, const float *w, float *y);

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
    const float *w = cells;
    float *y = t->y;
    for (int p = 0; p < t->panels;) {
        const int n = t->panels - p < widest ? t->panels - p : widest;
        runs[t->rows - 1][n - 1](t, w, y);
        w += (size_t)n * t->panel;
        y += n * NDL_LANES;
        p += n;
    }
}

NDL_DECL_MATMUL(ndl_matmul_f32_avx512, float)
{
    static const ndl_tiler tiler = { .run = run_tile,
                                     .depth = 1,
                                     .x_bytes = sizeof(float),
                                     .rows = ROWS,
                                     .panels = TALL,
                                     .wide = WIDE_ROWS,
                                     .k_block = K_BLOCK,
                                     .streams = TALL };
    const ndl_blocks m = { y, ldy, x, ldx, w, rows, panels, k };
    ndl_blocks_run(&m, &tiler);
}
