/*
 * matmul_int8_avx2.c - products with int8 weights, AVX2.
 *
 * Bound by VPMADDWD: bytes widen to 16 bits, whose products of pairs are exact
 * (VPMADDUBSW would saturate, as weights go up to 255).  Weights widen in
 * registers, by a mask for the even k of a line and a shift for the odd ones;
 * activations do once for all panels, into a buffer in that same order:
 *
 *   q      k = 0 1 2 3 4 5 .. 31
 *   wide   0 2 | 4 6 | .. | 28 30   then   1 3 | 5 7 | .. | 29 31
 *
 * so that one broadcast of 32 bits meets the even or the odd half of a line.
 * Rows of a tile lie side by side there, [K/32][4][32], hence at distances that
 * the compiler knows.
 *
 * 1 and 2 rows read 35 and 31 GB/s of weights, 4 rows and more compute at 90 to
 * 118 GOP/s, which is the FMA peak (bench_kernels, N x K = 5632 x 2048, blocks
 * of 64, one core of a Zen 4 EPYC shared with other work).
 */
#include "shares.h"
#include "simd_avx2.h"
#include "variants.h"

enum {
    TILE_ROWS = 4,   /* x 16 lanes: 8 sums, and 6 registers to feed them   */
    PASS_ROWS = 32,  /* widened at once                                    */
    K_BLOCK = 512,   /* of several tiles: 8 KB of weights stay in L1       */
    K_STREAM = 4096, /* of one tile, which uses every weight once          */
    WIDE_CELLS = PASS_ROWS * K_BLOCK, /* 32 KB of the stack                */
    GROUP = 8,         /* lines that share a stretch of the buffer, ... */
    CELLS = 4 * GROUP, /* ... which has so many cells of a row          */
    LINE = 64
};

/* A tile; and, with more rows and panels, the product that it is a part of. */
typedef struct tile {
    float *y;
    size_t ldy;
    const int8_t *q;
    const float *scale;
    const int32_t *start;
    size_t lda; /* bytes */
    const uint8_t *w;
    const uint16_t *scales;
    size_t panel, scale_panel;
    int rows, panels, blocks, block;
    bool carry;
    int16_t *wide;    /* [K/32][4][32], of each tile */
    size_t tile_wide; /* cells from a tile to the next */
} tile;

typedef __m256i counts[TILE_ROWS][2];

NDL_INLINE const void *past(const void *at, size_t skip)
{
    return (const char *)at + skip;
}

/* The even or the odd k of half a line. */
NDL_INLINE __m256i widen(const uint8_t *w, const bool odd)
{
    const __m256i raw = _mm256_loadu_si256((const void *)w);
    return odd ? _mm256_srli_epi16(raw, 8)
               : _mm256_and_si256(raw, _mm256_set1_epi16(0xff));
}

NDL_INLINE __m256i broadcast_pair(const int16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* n + the products of w and x, in the register of n.  Spelt as instructions
 * because GCC 12 otherwise adds up the products of many lines first, and
 * spills them. */
NDL_INLINE __m256i dot_in_place(__m256i n, __m256i w, __m256i x)
{
    __m256i products;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
            : "+x"(n), "=&x"(products)
            : "x"(w), "x"(x));
    return n;
}

NDL_INLINE void count_line(counts n, const uint8_t *w, const int16_t *x,
                           const int rows)
{
    NDL_UNROLL for (int odd = 0; odd < 2; odd++)
    {
        const __m256i low = widen(w, odd), high = widen(w + LINE / 2, odd);
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const __m256i pair =
                broadcast_pair(x + r * CELLS + odd * CELLS / 2);
            n[r][0] = dot_in_place(n[r][0], low, pair);
            n[r][1] = dot_in_place(n[r][1], high, pair);
        }
    }
}

NDL_INLINE void count_block(counts n, const tile *t, int b, const int rows)
{
    const size_t at = (size_t)b * (size_t)t->block;
    const uint8_t *w = t->w + at * NDL_LANES;
    const int16_t *x = t->wide + at * TILE_ROWS;
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        const int32_t *start = past(t->start, (size_t)r * t->lda);
        n[r][0] = n[r][1] = _mm256_set1_epi32(start[b]);
    }
    const uint8_t *end = w + (size_t)t->block * NDL_LANES;
    do {
        NDL_UNROLL for (int line = 0; line < GROUP; line++)
            count_line(n, w + line * LINE, x + 2 * line, rows);
        w += GROUP * LINE;
        x += TILE_ROWS * CELLS;
    } while (w < end);
}

/* The sums stay in y, as 16 registers do not hold them beside the counts. */
NDL_INLINE void scale_block(counts n, const tile *t, int b, const int rows)
{
    const uint16_t *half = t->scales + (size_t)b * NDL_LANES;
    NDL_UNROLL for (int i = 0; i < 2; i++)
    {
        const __m256 wide =
            _mm256_cvtph_ps(_mm_loadu_si128((const void *)(half + 8 * i)));
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const float *scale = past(t->scale, (size_t)r * t->lda);
            const __m256 s = _mm256_mul_ps(wide, _mm256_set1_ps(scale[b]));
            float *y = t->y + (size_t)r * t->ldy + 8 * i;
            const __m256 acc =
                b > 0 || t->carry ? _mm256_loadu_ps(y) : _mm256_setzero_ps();
            _mm256_storeu_ps(
                y, _mm256_fmadd_ps(_mm256_cvtepi32_ps(n[r][i]), s, acc));
        }
    }
}

/* `rows` is a constant in every caller. */
NDL_INLINE void run(const tile *t, const int rows)
{
    for (int b = 0; b < t->blocks; b++) {
        counts n;
        count_block(n, t, b, rows);
        scale_block(n, t, b, rows);
    }
}

static void run_1(const tile *t)
{
    run(t, 1);
}
static void run_2(const tile *t)
{
    run(t, 2);
}
static void run_3(const tile *t)
{
    run(t, 3);
}
static void run_4(const tile *t)
{
    run(t, 4);
}

static void (*const runs[TILE_ROWS])(const tile *t) = { run_1, run_2, run_3,
                                                        run_4 };

/* Rows first .. end - 1 of what has all else. */
static tile rows_of(const tile *all, int first, int end)
{
    tile t = *all;
    const size_t skip = (size_t)first * all->lda;
    t.y += (size_t)first * all->ldy;
    t.q += skip;
    t.scale = past(all->scale, skip);
    t.start = past(all->start, skip);
    t.rows = end - first;
    return t;
}

static int n_tiles(const tile *all)
{
    return ndl_parts(all->rows, TILE_ROWS);
}

static tile tile_of(const tile *all, int i)
{
    const int n = n_tiles(all);
    tile t = rows_of(all, ndl_even_begin(all->rows, n, i),
                     ndl_even_begin(all->rows, n, i + 1));
    t.wide += (size_t)i * all->tile_wide;
    return t;
}

static void every_tile(const tile *all)
{
    tile sub = *all;
    for (int p = 0; p < all->panels; p++) {
        for (int i = 0; i < n_tiles(all); i++) {
            const tile t = tile_of(&sub, i);
            runs[t.rows - 1](&t);
        }
        sub.y += NDL_LANES;
        sub.w += all->panel;
        sub.scales += all->scale_panel;
    }
}

static void widen_row(int16_t *wide, const int8_t *q, int n)
{
    for (int i = 0; i < n; i += CELLS) {
        const __m256i both = _mm256_loadu_si256((const void *)(q + i));
        const __m256i even = _mm256_slli_epi16(both, 8);
        __m256i *at = (void *)(wide + (size_t)i * TILE_ROWS);
        _mm256_storeu_si256(at, _mm256_srai_epi16(even, 8));
        _mm256_storeu_si256(at + 1, _mm256_srai_epi16(both, 8));
    }
}

static void widen_rows(const tile *all)
{
    for (int i = 0; i < n_tiles(all); i++) {
        const tile t = tile_of(all, i);
        for (int r = 0; r < t.rows; r++)
            widen_row(t.wide + r * CELLS, t.q + (size_t)r * t.lda,
                      t.blocks * t.block);
    }
}

static void every_k(tile t)
{
    const int total = t.blocks;
    const int most = (t.rows <= TILE_ROWS ? K_STREAM : K_BLOCK) / t.block;
    t.tile_wide = (size_t)most * (size_t)t.block * TILE_ROWS;
    for (int b = 0; b < total; b += most) {
        t.blocks = ndl_smaller(most, total - b);
        const size_t k = (size_t)t.blocks * (size_t)t.block;
        t.carry = b > 0;
        widen_rows(&t);
        every_tile(&t);
        t.q += k;
        t.scale += t.blocks;
        t.start += t.blocks;
        t.w += k * NDL_LANES;
        t.scales += (size_t)t.blocks * NDL_LANES;
    }
}

/* A product of no k is +0, which no block writes. */
static void clear(float *y, size_t ldy, int rows, int panels)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < panels * NDL_LANES; i++)
            y[(size_t)t * ldy + (size_t)i] = 0;
}

NDL_DECL_MATMUL8(ndl_matmul_int8_avx2)
{
    int16_t wide[WIDE_CELLS] __attribute__((aligned(64)));
    const int nb = ndl_parts(k, block), passes = ndl_parts(rows, PASS_ROWS);
    const size_t kp = (size_t)nb * (size_t)block;
    const int8_t *q = a;
    const float *scale = (const float *)(const void *)(q + kp);
    const tile all = { .y = y,
                       .ldy = ldy,
                       .q = q,
                       .scale = scale,
                       .start = (const int32_t *)(const void *)(scale + nb),
                       .lda = lda,
                       .w = w,
                       .scales = scales,
                       .panel = kp * NDL_LANES,
                       .scale_panel = (size_t)nb * NDL_LANES,
                       .panels = panels,
                       .blocks = nb,
                       .block = block,
                       .wide = wide };
    if (nb == 0) clear(y, ldy, rows, panels);
    for (int i = 0; i < passes; i++)
        every_k(rows_of(&all, ndl_even_begin(rows, passes, i),
                        ndl_even_begin(rows, passes, i + 1)));
}
