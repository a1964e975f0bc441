/*
 * matmul_blocks.c - see matmul_blocks.h.
 *
 * One row to about five are bound by memory, many by the FMA pipes; between
 * them both have to run at once, which is what fetching ahead is for.  What it
 * gives is told in the files of the versions; the shares of peak in comments
 * here are those of matmul_avx2.c.
 */
#include "matmul_blocks.h"

#include "kernels.h"

enum {
    /* Rows that share one pass over w.  192 gave 95.5 % of the peak at 512
     * rows for 96.3 (f32, k 2048), and 93.5 for 94.6 at k 5632. */
    ROW_BLOCK = 96,
    L2_BYTES = 512 * 1024, /* of activations of a pass, half of L2      */
    AHEAD = 64,            /* lines from a stream's use to its fetching */
    LINE = 64              /* bytes: 16 lanes of 1 k, for bf16 of 2     */
};

typedef struct blocks {
    ndl_blocks of;
    ndl_tiler tiler;
    size_t panel_lines;
} blocks;

/* The line of k0 of panel p, which may lie past the end of w when it is only
 * fetched ahead of use, which never faults. */
static uintptr_t line_of(const blocks *m, int p, int k0)
{
    size_t line = (size_t)p * m->panel_lines + (size_t)(k0 / m->tiler.depth);
    return (uintptr_t)m->of.w + line * LINE;
}

/* A tile over k0 .. k0 + n - 1 of some rows, without its ahead. */
static ndl_tile make_tile(const blocks *m, int first, int rows, int p, int k0,
                          int n)
{
    const size_t line_cells = (size_t)NDL_LANES * (size_t)m->tiler.depth;
    const ndl_blocks *of = &m->of;
    ndl_tile t = { .y = of->y + (size_t)first * of->ldy + (size_t)p * NDL_LANES,
                   .ldy = of->ldy,
                   .step = line_cells,
                   .panel = line_cells * m->panel_lines,
                   .rows = rows,
                   .panels = 1,
                   .k = n,
                   .depth = m->tiler.depth,
                   .carry = k0 > 0 };
    for (int r = 0; r < rows; r++) {
        size_t at = (size_t)(first + r) * of->ldx + (size_t)k0;
        t.x[r] = (const char *)of->x + at * m->tiler.x_bytes;
    }
    return t;
}

/* All row tiles over k0 .. k0 + n - 1 of the panels of one tile.  k0 is even.
 * Meanwhile the last two tiles fetch the block at `next`, half each: without
 * that the first tile of a block waits for memory and the others leave memory
 * idle (9 rows: 43 -> 84 % of peak, 24 rows: 75 -> 91 %).  Spread over all
 * tiles it helps less (16 rows: 65 %). */
static void stream_rows(const blocks *m, int p, int panels, int k0, int n,
                        uintptr_t next)
{
    const int tiles = (m->of.rows + m->tiler.rows - 1) / m->tiler.rows;
    const int lines = n / m->tiler.depth;
    for (int i = 0; i < tiles; i++) {
        int first = ndl_even_begin(m->of.rows, tiles, i);
        int rows = ndl_even_begin(m->of.rows, tiles, i + 1) - first;
        int half = i - (tiles - 2);
        ndl_tile t = make_tile(m, first, rows, p, k0, n);
        t.panels = panels;
        if (half >= 0) {
            uintptr_t skip = (uintptr_t)(half * (lines / 2)) * LINE;
            t.ahead = next + skip;
            t.ahead_step = LINE / 2;
        }
        m->tiler.run(&t, (const void *)line_of(m, p, k0));
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

/* One span of k of the panels of a tile, block by block. */
static void stream_panels(const blocks *m, int p, int k0, int k)
{
    const int n = parts(k, m->tiler.k_block);
    const int panels = ndl_smaller(m->tiler.panels, m->of.panels - p);
    for (int b = 0; b < n; b++) {
        int begin = part_begin(k0, k, n, b);
        int end = part_begin(k0, k, n, b + 1);
        const uintptr_t next =
            b + 1 < n ? line_of(m, p, end) : line_of(m, p + panels, k0);
        stream_rows(m, p, panels, begin, end - begin, next);
    }
}

/* More than one tile of rows: the span of k keeps the activations in L2 over
 * all panels, the block of k inside it keeps the weights in L1 over all rows.
 * When the activations fit whole, w is read as one stream. */
static void many_rows(const blocks *m)
{
    const int fit = L2_BYTES / (int)m->tiler.x_bytes / m->of.rows;
    const int spans = parts(m->of.k, fit);
    for (int s = 0; s < spans; s++) {
        int begin = part_begin(0, m->of.k, spans, s);
        int end = part_begin(0, m->of.k, spans, s + 1);
        for (int p = 0; p < m->of.panels; p += m->tiler.panels)
            stream_panels(m, p, begin, end - begin);
    }
}

/* Rows of one tall tile: it computes too long on a line for the CPU to look
 * far ahead; alone it draws 20 GB/s.  Short chunks of some panels in turn,
 * fetched 4 KB ahead into L2, draw 28 to 32 (6 rows: 54 -> 71 % of peak, bf16
 * 46 -> 78 %).  Fetching into L1 instead halves the rate (14 GB/s at any
 * distance).  The price: when the weights are in L2, which no model does, 4
 * rows of f32 give 55 % of peak and not 91.  A tile of several panels has its
 * streams in itself and takes a chunk of all k. */
static void side_by_side(const blocks *m, int first, int panels)
{
    const int depth = m->tiler.depth;
    const int chunk = m->tiler.chunk ? m->tiler.chunk * depth : m->of.k;
    const int last = first + panels;
    ndl_tile t = make_tile(m, 0, m->of.rows, first, 0, chunk);
    t.ahead_step = LINE;
    int k0 = 0;
    do {
        t.k = ndl_smaller(chunk, m->of.k - k0);
        t.carry = k0 > 0;
        for (int p = first; p < last; p += m->tiler.panels) {
            t.panels = ndl_smaller(m->tiler.panels, last - p);
            t.y = m->of.y + (size_t)p * NDL_LANES;
            t.ahead = line_of(m, p, k0 + AHEAD * depth);
            m->tiler.run(&t, (const void *)line_of(m, p, k0));
        }
        for (int r = 0; r < m->of.rows; r++)
            t.x[r] = (const char *)t.x[r] + (size_t)chunk * m->tiler.x_bytes;
        k0 += chunk;
    } while (k0 < m->of.k);
}

/* Every weight is used once, so nothing stays in a cache. */
static void few_rows(const blocks *m)
{
    const int streams = m->tiler.streams;
    if (m->of.rows > m->tiler.wide) {
        for (int p = 0; p < m->of.panels; p += streams)
            side_by_side(m, p, ndl_smaller(streams, m->of.panels - p));
        return;
    }
    ndl_tile t = make_tile(m, 0, m->of.rows, 0, 0, m->of.k);
    t.panels = m->of.panels;
    m->tiler.run(&t, m->of.w);
}

/* Blocks of whole tiles of rows, even in size so that none ends as a thin
 * remainder. */
void ndl_blocks_run(const ndl_blocks *product, const ndl_tiler *tiler)
{
    const int lines = product->k / tiler->depth + product->k % tiler->depth;
    const int n = (product->rows + ROW_BLOCK - 1) / ROW_BLOCK;
    blocks m = { *product, *tiler, (size_t)lines };
    for (int b = 0; b < n; b++) {
        int first = ndl_even_groups_begin(product->rows, tiler->rows, n, b);
        int end = ndl_even_groups_begin(product->rows, tiler->rows, n, b + 1);
        size_t at = (size_t)first * product->ldx * tiler->x_bytes;
        m.of.rows = end - first;
        m.of.y = product->y + (size_t)first * product->ldy;
        m.of.x = (const char *)product->x + at;
        if (m.of.rows <= tiler->rows)
            few_rows(&m);
        else
            many_rows(&m);
    }
}
