/*
 * tile_bf16_avx2.c - the microkernel for bf16 weights, AVX2 + FMA.
 *
 * A line holds 16 lanes of two consecutive k; bf16 is the upper half of f32,
 * so the even k is a shift by 16 and the odd k a mask, in registers and
 * exact.  Per pair of k and panel that is 4 integer steps beside 4 fused
 * steps a row: free at 4 rows and more, where they go to other pipes.
 *
 *   rows           1    2    3    4    5    6
 *   panels         4    3    1    1    1    1
 *   chains         8   12    6    8   10   12
 *   share of peak 70   68   72   89   93   97 % (weights in L2, whole
 *                  k; Zen 4, GCC 12; what matmul_avx2.c adds is told there)
 *
 * 3 rows x 2 panels gave 65 %: the mask, 3 activations and 12 sums leave no
 * register for the weights.  2 x 2 gave 85 % here but 41 for 46 from memory.
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
    return (size_t)(c / 2) * panel + (size_t)(c % 2) * 16;
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

/* Half of a pair, from the cells of one column. */
NDL_INLINE __m256 widen(const uint16_t *w, const bool odd)
{
    __m256i raw = _mm256_loadu_si256((const void *)w);
    if (odd)
        raw = _mm256_and_si256(raw, _mm256_set1_epi32((int)0xffff0000u));
    else
        raw = _mm256_slli_epi32(raw, 16);
    return _mm256_castsi256_ps(raw);
}

/* acc + a * b in the register of acc.  Spelt as the instruction because GCC 12
 * otherwise takes the form that overwrites a, moves the sums around with each
 * k, and spills some of them. */
NDL_INLINE __m256 fma_in_place(__m256 a, __m256 b, __m256 acc)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(acc) : "x"(a), "x"(b));
    return acc;
}

/* One k of a narrow tile: the weights stay, activations pass. */
NDL_INLINE void fuse_tall(__m256 acc[][MAX_COLUMNS], const uint16_t *w,
                          const float *const *x, const int rows, const bool odd)
{
    const __m256 w0 = widen(w, odd), w1 = widen(w + 16, odd);
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        __m256 xi = _mm256_broadcast_ss(x[r] + odd);
        acc[r][0] = fma_in_place(xi, w0, acc[r][0]);
        acc[r][1] = fma_in_place(xi, w1, acc[r][1]);
    }
}

/* One k of a wide tile: the activations stay, weights pass. */
NDL_INLINE void fuse_wide(__m256 acc[][MAX_COLUMNS], const uint16_t *w,
                          size_t panel, const float *const *x, const int rows,
                          const int columns, const bool odd)
{
    __m256 xi[NDL_TILE_ROWS];
    NDL_UNROLL for (int r = 0; r < rows; r++) xi[r] =
        _mm256_broadcast_ss(x[r] + odd);
    NDL_UNROLL for (int c = 0; c < columns; c++)
    {
        const __m256 wi = widen(w + column_w(panel, c), odd);
        NDL_UNROLL for (int r = 0; r < rows; r++) acc[r][c] =
            fma_in_place(xi[r], wi, acc[r][c]);
    }
}

NDL_INLINE void fuse(__m256 acc[][MAX_COLUMNS], const uint16_t *w, size_t panel,
                     const float *const *x, const int rows, const int columns,
                     const bool odd)
{
    if (columns == 2)
        fuse_tall(acc, w, x, rows, odd);
    else
        fuse_wide(acc, w, panel, x, rows, columns, odd);
}

/* Where panel p starts to fetch ahead; at its own line when there is nothing
 * to fetch, as the step is 0 then. */
NDL_INLINE uintptr_t first_ahead(const ndl_tile *t, int p, const uint16_t *w)
{
    size_t steps = (size_t)p * (size_t)(t->k / 2);
    return t->ahead ? t->ahead + steps * t->ahead_step : (uintptr_t)w;
}

/* `rows` and `columns` are constants in every caller. */
NDL_INLINE void run(const ndl_tile *t, const uint16_t *w, int p, const int rows,
                    const int columns)
{
    __m256 acc[NDL_TILE_ROWS][MAX_COLUMNS];
    const float *x[NDL_TILE_ROWS];
    float *y = t->y + (size_t)p * NDL_LANES;
    const size_t step = t->step, panel = t->panel;
    const int k = t->k;
    int i = 0;
    w += (size_t)p * panel;
    uintptr_t ahead = first_ahead(t, p, w);
    const size_t ahead_step = t->ahead_step;
    NDL_UNROLL for (int r = 0; r < rows; r++) x[r] = t->x[r];
    begin(t, acc, y, rows, columns);
    for (; i + 2 <= k; i += 2, w += step) {
        if (columns == 2) _mm_prefetch((const char *)ahead, _MM_HINT_T1);
        ahead += ahead_step;
        fuse(acc, w, panel, x, rows, columns, false);
        /* Emits nothing; the odd half reads the line again from L1 rather
         * than have it kept in registers that the sums need. */
        __asm__ volatile("" : : : "memory");
        fuse(acc, w, panel, x, rows, columns, true);
        NDL_UNROLL for (int r = 0; r < rows; r++) x[r] += 2;
    }
    if (i < k) fuse(acc, w, panel, x, rows, columns, false);
    end(t, acc, y, rows, columns);
}

static void run_1x4(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 1, 8);
}
static void run_1x3(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 1, 6);
}
static void run_1x2(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 1, 4);
}
static void run_1x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 1, 2);
}
static void run_2x3(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 2, 6);
}
static void run_2x2(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 2, 4);
}
static void run_2x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 2, 2);
}
static void run_3x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 3, 2);
}
static void run_4x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 4, 2);
}
static void run_5x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 5, 2);
}
static void run_6x1(const ndl_tile *t, const uint16_t *w, int p)
{
    run(t, w, p, 6, 2);
}

typedef void (*run_fn)(const ndl_tile *t, const uint16_t *w, int p);

/* clang-format off */
static const run_fn runs[NDL_TILE_ROWS][4] = {
    { run_1x1, run_1x2, run_1x3, run_1x4 },
    { run_2x1, run_2x2, run_2x3, NULL },
    { run_3x1, NULL, NULL, NULL },
    { run_4x1, NULL, NULL, NULL },
    { run_5x1, NULL, NULL, NULL },
    { run_6x1, NULL, NULL, NULL },
};
/* clang-format on */
static const int widest[NDL_TILE_ROWS] = { 4, 3, 1, 1, 1, 1 };

void ndl_tile_bf16_avx2(const ndl_tile *t, const uint16_t *w)
{
    const int wide = widest[t->rows - 1];
    for (int p = 0; p < t->panels;) {
        int n = t->panels - p < wide ? t->panels - p : wide;
        runs[t->rows - 1][n - 1](t, w, p);
        p += n;
    }
}
