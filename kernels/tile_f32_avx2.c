/*
 * tile_f32_avx2.c - the f32 microkernel, AVX2 + FMA.
 *
 * Bound by the FMA pipes: two fused steps of 8 lanes a cycle, latency 4, so
 * at least 8 chains must be in flight and 16 registers hold at most 12 sums.
 * One k costs 2 loads of weights and a broadcast a row, below the 2 loads a
 * cycle that L1 gives:
 *
 *   rows           1    2    3    4    5    6
 *   panels         4    3    2    1    1    1
 *   chains         8   12   12    8   10   12
 *   share of peak 47   75   95   91   93   97 % (weights in L2, whole
 *                  k; Zen 4, GCC 12; what matmul_avx2.c adds is told there)
 *
 * A sum stays one chain in k order whatever the shape, hence the same bits.
 * 1 row reads 110 GB/s from L2, more than memory gives.
 */
#include "simd_avx2.h"
#include "tile_avx2.h"

enum { MAX_COLUMNS = 8 }; /* registers a row */

/* A column is half a panel. */
NDL_INLINE size_t column_y(int c)
{
    return (size_t)c * 8;
}

NDL_INLINE size_t column_w(size_t panel, int c)
{
    return (size_t)(c / 2) * panel + (size_t)(c % 2) * 8;
}

NDL_INLINE void begin(const ndl_tile *t, __m256 acc[][MAX_COLUMNS],
                      const float *y, int rows, int columns)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < columns; c++) acc[r][c] =
            t->carry ? _mm256_loadu_ps(y + r * t->ldy + column_y(c))
                     : _mm256_setzero_ps();
}

NDL_INLINE void end(const ndl_tile *t, __m256 acc[][MAX_COLUMNS], float *y,
                    int rows, int columns)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int c = 0; c < columns; c++)
            _mm256_storeu_ps(y + r * t->ldy + column_y(c), acc[r][c]);
}

/* One k of a narrow tile: the weights stay, activations pass. */
NDL_INLINE void fuse_tall(__m256 acc[][MAX_COLUMNS], const float *w,
                          const float *const *x, int i, const int rows)
{
    const __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8);
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        __m256 xi = _mm256_broadcast_ss(x[r] + i);
        acc[r][0] = _mm256_fmadd_ps(xi, w0, acc[r][0]);
        acc[r][1] = _mm256_fmadd_ps(xi, w1, acc[r][1]);
    }
}

/* One k of a wide tile: the activations stay, weights pass. */
NDL_INLINE void fuse_wide(__m256 acc[][MAX_COLUMNS], const float *w,
                          size_t panel, const float *const *x, int i,
                          const int rows, const int columns)
{
    __m256 xi[NDL_TILE_ROWS];
    NDL_UNROLL for (int r = 0; r < rows; r++) xi[r] =
        _mm256_broadcast_ss(x[r] + i);
    NDL_UNROLL for (int c = 0; c < columns; c++)
    {
        const __m256 wi = _mm256_loadu_ps(w + column_w(panel, c));
        NDL_UNROLL for (int r = 0; r < rows; r++) acc[r][c] =
            _mm256_fmadd_ps(xi[r], wi, acc[r][c]);
    }
}

/* Where panel p starts to fetch ahead; at its own line when there is nothing
 * to fetch, as the step is 0 then. */
NDL_INLINE uintptr_t first_ahead(const ndl_tile *t, int p, const float *w)
{
    size_t steps = (size_t)p * (size_t)t->k;
    return t->ahead ? t->ahead + steps * t->ahead_step : (uintptr_t)w;
}

/* `rows` and `columns` are constants in every caller. */
NDL_INLINE void run(const ndl_tile *t, const float *w, int p, const int rows,
                    const int columns)
{
    __m256 acc[NDL_TILE_ROWS][MAX_COLUMNS];
    const float *x[NDL_TILE_ROWS];
    float *y = t->y + (size_t)p * NDL_LANES;
    const size_t step = t->step, panel = t->panel;
    const int k = t->k;
    w += (size_t)p * panel;
    uintptr_t ahead = first_ahead(t, p, w);
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] = t->x[r];
    begin(t, acc, y, rows, columns);
    for (int i = 0; i < k; i++, w += step) {
        if (columns == 2) {
            _mm_prefetch((const char *)ahead, _MM_HINT_T1);
            ahead += t->ahead_step;
            fuse_tall(acc, w, x, i, rows);
        } else
            fuse_wide(acc, w, panel, x, i, rows, columns);
    }
    end(t, acc, y, rows, columns);
}

static void run_1x4(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 1, 8);
}
static void run_1x3(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 1, 6);
}
static void run_1x2(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 1, 4);
}
static void run_1x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 1, 2);
}
static void run_2x3(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 2, 6);
}
static void run_2x2(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 2, 4);
}
static void run_2x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 2, 2);
}
static void run_3x2(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 3, 4);
}
static void run_3x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 3, 2);
}
static void run_4x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 4, 2);
}
static void run_5x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 5, 2);
}
static void run_6x1(const ndl_tile *t, const float *w, int p)
{
    run(t, w, p, 6, 2);
}

typedef void (*run_fn)(const ndl_tile *t, const float *w, int p);

/* clang-format off */
static const run_fn runs[NDL_TILE_ROWS][4] = {
    { run_1x1, run_1x2, run_1x3, run_1x4 },
    { run_2x1, run_2x2, run_2x3, NULL },
    { run_3x1, run_3x2, NULL, NULL },
    { run_4x1, NULL, NULL, NULL },
    { run_5x1, NULL, NULL, NULL },
    { run_6x1, NULL, NULL, NULL },
};
/* clang-format on */
static const int widest[NDL_TILE_ROWS] = { 4, 3, 2, 1, 1, 1 };

void ndl_tile_f32_avx2(const ndl_tile *t, const float *w)
{
    const int wide = widest[t->rows - 1];
    for (int p = 0; p < t->panels;) {
        int n = t->panels - p < wide ? t->panels - p : wide;
        runs[t->rows - 1][n - 1](t, w, p);
        p += n;
    }
}
