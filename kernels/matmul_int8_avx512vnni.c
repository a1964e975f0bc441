/*
 * matmul_int8_avx512vnni.c - products with int8 weights, AVX-512 VNNI: which
 * tile when.
 *
 * Up to 8 rows are one tile over all of k, in which every weight is used once
 * and the rate is that of memory.  More rows pass one tile of them after the
 * other over a part of w that stays in L2, panel by panel, so that a tile's
 * activations stay in L1; sums pass from one span of k to the next through y.
 *
 * Weights in L1 instead (2 panels, k 512) and rows innermost gave 72 % of the
 * peak for 81 % at 192 rows, as each tile then begins and ends four times as
 * often.  Parts of 128 to 512 KB, spans of 1536 to 3072 and passes of 96 to 192
 * rows differ by less than the noise (N x K = 5632 x 2048 and 2048 x 5632,
 * blocks of 64, one core of a Zen 4 EPYC shared with other work).
 */
#include "shares.h"
#include "tile_int8.h"
#include "variants.h"

enum {
    TILE_ROWS = 6,          /* when there is more than one tile            */
    PASS_ROWS = 192,        /* rows that share one pass over w             */
    SPAN = 2048,            /* of k: 12 KB of a tile's activations in L1   */
    PART_BYTES = 256 << 10, /* of weights, of 1 MB L2                      */
    WIDEST = 2,             /* panels of a tile of 6 rows                  */
    AHEAD = 16384,          /* bytes that a lone tile fetches ahead         */
    LINE = 64
};

/* Rows `first` and on of a tile that has all else. */
static ndl_tile8 tile_of(const ndl_tile8 *all, int first, int rows)
{
    ndl_tile8 t = *all;
    const size_t skip = (size_t)first * all->lda;
    t.y += (size_t)first * all->ldy;
    t.q += skip;
    t.scale += skip / sizeof *t.scale;
    t.start += skip / sizeof *t.start;
    t.rows = rows;
    return t;
}

/* Every tile of rows over a part.  The last one fetches the next part
 * meanwhile: without that the first one waits for memory and the others leave
 * memory idle (12 rows: 55 -> 74 % of the peak, 24 rows: 64 -> 77 %). */
static void every_tile(const ndl_tile8 *part)
{
    const int tiles = ndl_parts(part->rows, TILE_ROWS);
    for (int i = 0; i < tiles; i++) {
        const int first = ndl_even_begin(part->rows, tiles, i);
        const int end = ndl_even_begin(part->rows, tiles, i + 1);
        ndl_tile8 t = tile_of(part, first, end - first);
        t.end_ahead = i + 1 < tiles ? 0 : t.blocks;
        ndl_tile_int8_avx512vnni(&t);
    }
}

/* Some panels, span by span of k. */
static void every_span(const ndl_tile8 *some, int spans)
{
    for (int i = 0; i < spans; i++) {
        const int b = ndl_even_begin(some->blocks, spans, i);
        const size_t first = (size_t)b * (size_t)some->lines;
        ndl_tile8 part = *some;
        part.blocks = ndl_even_begin(some->blocks, spans, i + 1) - b;
        part.carry = i > 0;
        part.q += first * 4;
        part.scale += b;
        part.start += b;
        part.w += first * LINE;
        part.scales += (size_t)b * NDL_LANES;
        part.ahead = (size_t)part.blocks * (size_t)some->lines * LINE;
        if (i + 1 == spans)
            part.ahead = (size_t)some->panels * some->panel - first * LINE;
        every_tile(&part);
    }
}

/* How many panels make a part: whole wide tiles. */
static int panels_of_part(const ndl_tile8 *all, int spans)
{
    const size_t fit = PART_BYTES / (all->panel / (size_t)spans + 1);
    return fit < WIDEST ? WIDEST : (int)(fit / WIDEST) * WIDEST;
}

static void every_part(const ndl_tile8 *all)
{
    const int k = all->blocks * all->lines * 4;
    const int spans = k > 0 ? ndl_parts(k, SPAN) : 1;
    const int most = panels_of_part(all, spans);
    for (int p = 0; p < all->panels; p += most) {
        ndl_tile8 some = *all;
        some.panels = ndl_smaller(most, all->panels - p);
        some.y += (size_t)p * NDL_LANES;
        some.w += (size_t)p * all->panel;
        some.scales += (size_t)p * all->scale_panel;
        every_span(&some, spans);
    }
}

static void every_pass(const ndl_tile8 *all)
{
    const int passes = ndl_parts(all->rows, PASS_ROWS);
    for (int i = 0; i < passes; i++) {
        const int first = ndl_even_begin(all->rows, passes, i);
        const int end = ndl_even_begin(all->rows, passes, i + 1);
        const ndl_tile8 t = tile_of(all, first, end - first);
        every_part(&t);
    }
}

/* Up to 8 rows.  From 4 on a tile computes too long on a line for the CPU to
 * look far ahead; fetching ahead helps (6 rows: 50 -> 75 % of the peak, 8 rows:
 * 47 -> 82 %; 4 KB ahead 52 and 69).  Fewer rows it slows down by a third. */
static void one_tile(ndl_tile8 t)
{
    t.in_cache = false;
    t.ahead = AHEAD;
    t.end_ahead = t.blocks;
    ndl_tile_int8_avx512vnni(&t);
}

NDL_DECL_MATMUL8(ndl_matmul_int8_avx512vnni)
{
    const int nb = ndl_parts(k, block), kp = nb * block;
    const int8_t *q = a;
    const float *scale = (const float *)(const void *)(q + kp);
    const ndl_tile8 all = { .y = y,
                            .ldy = ldy,
                            .q = q,
                            .scale = scale,
                            .start = (const int32_t *)(const void *)scale + nb,
                            .lda = lda,
                            .w = w,
                            .scales = scales,
                            .panel = (size_t)kp * NDL_LANES,
                            .scale_panel = (size_t)nb * NDL_LANES,
                            .rows = rows,
                            .panels = panels,
                            .blocks = nb,
                            .lines = block / 4,
                            .in_cache = true };
    if (rows <= 0) return;
    if (rows <= NDL_TILE8_ROWS)
        one_tile(all);
    else
        every_pass(&all);
}
