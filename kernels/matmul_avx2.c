/*
 * matmul_avx2.c - matrix products, AVX2 + FMA: which tile when.
 *
 * One row to about five are bound by memory, nine and more by the FMA pipes;
 * between them both have to run at once, which is what fetching ahead is for.
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
#include "tile_avx2.h"
#include "variants.h"

enum {
    K_BLOCK = 384,          /* at most: a sub-panel of 24 KB stays in L1 */
    ROW_BLOCK = 192,        /* rows that share one pass over w           */
    L2_FLOATS = 128 * 1024, /* activations of a pass: 512 KB of L2       */
    STREAMS = 3,            /* panels that 4 to 6 rows read in turn ...  */
    CHUNK = 16,             /* ... so many lines at a time ...           */
    AHEAD = 64,             /* ... fetched so many lines before          */
    LINE = 64               /* bytes: 16 lanes of 1 k, for bf16 of 2     */
};

typedef struct product {
    float *y;
    size_t ldy;
    const float *x;
    size_t ldx;
    const void *w;
    size_t panel; /* elements of w from a panel to the next */
    int rows, panels, k;
    int depth; /* k in a cell: 1 for f32, 2 for bf16 */
} product;

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static size_t cell_of(const product *m, int p, int k0)
{
    return (size_t)p * m->panel + (size_t)k0 * NDL_LANES;
}

/* The line of k0 of panel p, which may lie past the end of w: it is only
 * fetched ahead of use, which never faults. */
static const void *line_of(const product *m, int p, int k0)
{
    uintptr_t bytes = (uintptr_t)cell_of(m, p, k0) * (4 / (size_t)m->depth);
    return (const void *)((uintptr_t)m->w + bytes);
}

/* A tile over k0 .. k0 + n - 1 of all rows up to 6, without its ahead. */
static ndl_tile make_tile(const product *m, int first, int rows, int p, int k0,
                          int n)
{
    ndl_tile t = { .y = m->y + first * m->ldy + (size_t)p * NDL_LANES,
                   .ldy = m->ldy,
                   .step = (size_t)NDL_LANES * m->depth,
                   .panel = m->panel,
                   .rows = rows,
                   .panels = 1,
                   .k = n,
                   .depth = m->depth,
                   .carry = k0 > 0 };
    for (int r = 0; r < rows; r++) t.x[r] = m->x + (first + r) * m->ldx + k0;
    return t;
}

/* All row tiles over k0 .. k0 + n - 1 of panel p.  k0 is even.  Meanwhile the
 * last two tiles fetch the block at `next`, half each: without that the first
 * tile of a block waits for memory and the others leave memory idle (9 rows:
 * 43 -> 84 % of peak, 24 rows: 75 -> 91 %).  Spread over all tiles it helps
 * less (16 rows: 65 %). */
static void stream_rows(const product *m, int p, int k0, int n,
                        const void *next)
{
    const int tiles = (m->rows + NDL_TILE_ROWS - 1) / NDL_TILE_ROWS;
    const int lines = n / m->depth;
    for (int i = 0; i < tiles; i++) {
        int first = ndl_even_begin(m->rows, tiles, i);
        int rows = ndl_even_begin(m->rows, tiles, i + 1) - first;
        int half = i - (tiles - 2);
        ndl_tile t = make_tile(m, first, rows, p, k0, n);
        if (half >= 0) {
            uintptr_t skip = (uintptr_t)(half * (lines / 2)) * LINE;
            t.ahead = (const void *)((uintptr_t)next + skip);
            t.ahead_step = LINE / 2;
        }
        ndl_tile_run(&t, m->w, cell_of(m, p, k0));
    }
}

/* Where part i of n begins in k0 .. k0 + k - 1, even as bf16 goes by pairs. */
static int part_begin(int k0, int k, int n, int i)
{
    return k0 + (i < n ? ndl_even_begin(k / 2, n, i) * 2 : k);
}

static int parts(int total, int most)
{
    return total > most ? (total - 1) / most + 1 : 1;
}

/* One span of k of panel p, block by block. */
static void stream_panel(const product *m, int p, int k0, int k)
{
    const int blocks = parts(k, K_BLOCK);
    for (int b = 0; b < blocks; b++) {
        int begin = part_begin(k0, k, blocks, b);
        int end = part_begin(k0, k, blocks, b + 1);
        const void *next =
            b + 1 < blocks ? line_of(m, p, end) : line_of(m, p + 1, k0);
        stream_rows(m, p, begin, end - begin, next);
    }
}

/* More than one tile of rows: the span of k keeps the activations in L2 over
 * all panels, the block of k inside it keeps the weights in L1 over all rows.
 * When the activations fit whole, w is read as one stream. */
static void many_rows(const product *m)
{
    const int spans = parts(m->k, L2_FLOATS / m->rows);
    for (int s = 0; s < spans; s++) {
        int begin = part_begin(0, m->k, spans, s);
        int end = part_begin(0, m->k, spans, s + 1);
        for (int p = 0; p < m->panels; p++)
            stream_panel(m, p, begin, end - begin);
    }
}

/* 4 to 6 rows, bf16 from 3: a tile is one panel wide and computes too long on
 * a line for the CPU to look far ahead; alone it draws 20 GB/s.  Short chunks
 * of some panels in turn, fetched 4 KB ahead into L2, draw 28 to 32 (6 rows:
 * 54 -> 71 % of peak, bf16 46 -> 78 %).  Fetching into L1 instead halves the
 * rate (14 GB/s at any distance).  The price: when the weights are in L2, which
 * no model does, 4 rows of f32 give 55 % of peak and not 91. */
static void side_by_side(const product *m, int first, int panels)
{
    const int chunk = CHUNK * m->depth;
    ndl_tile t = make_tile(m, 0, m->rows, first, 0, chunk);
    t.ahead_step = LINE;
    for (int k0 = 0; k0 == 0 || k0 < m->k; k0 += chunk) {
        t.k = smaller(chunk, m->k - k0);
        t.carry = k0 > 0;
        for (int p = first; p < first + panels; p++) {
            t.y = m->y + (size_t)p * NDL_LANES;
            t.ahead = line_of(m, p, k0 + AHEAD * m->depth);
            ndl_tile_run(&t, m->w, cell_of(m, p, k0));
        }
        for (int r = 0; r < m->rows; r++) t.x[r] += chunk;
    }
}

/* Up to 6 rows: every weight is used once, so nothing stays in a cache. */
static void few_rows(const product *m)
{
    const int wide = m->depth == 1 ? 3 : 2; /* rows of a wide tile */
    if (m->rows > wide) {
        for (int p = 0; p < m->panels; p += STREAMS)
            side_by_side(m, p, smaller(STREAMS, m->panels - p));
        return;
    }
    ndl_tile t = make_tile(m, 0, m->rows, 0, 0, m->k);
    t.panels = m->panels;
    ndl_tile_run(&t, m->w, 0);
}

/* Blocks of rows, even in size so that none ends as a thin remainder. */
static void run_blocks(product m)
{
    const product all = m;
    const int blocks = (all.rows + ROW_BLOCK - 1) / ROW_BLOCK;
    for (int b = 0; b < blocks; b++) {
        int first = ndl_even_begin(all.rows, blocks, b);
        m.rows = ndl_even_begin(all.rows, blocks, b + 1) - first;
        m.y = all.y + first * all.ldy;
        m.x = all.x + first * all.ldx;
        if (m.rows <= NDL_TILE_ROWS)
            few_rows(&m);
        else
            many_rows(&m);
    }
}

NDL_DECL_MATMUL(ndl_matmul_f32_avx2, float)
{
    size_t panel = (size_t)k * NDL_LANES;
    product m = { y, ldy, x, ldx, w, panel, rows, panels, k, 1 };
    run_blocks(m);
}

NDL_DECL_MATMUL(ndl_matmul_bf16_avx2, uint16_t)
{
    size_t panel = ((size_t)k + 1) / 2 * NDL_LANES * 2;
    product m = { y, ldy, x, ldx, w, panel, rows, panels, k, 2 };
    run_blocks(m);
}
