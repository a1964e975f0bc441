/*
 * matmul_int8_avx512vnni.c - products with int8 weights, AVX-512 VNNI: which
 * tile when.
 *
 * Up to 12 rows are one tile, in which every weight is used once and fetched
 * ahead of use.  More rows pass one tile of them after the other over a part
 * of w that stays in L2, panel by panel, and fetch the next part meanwhile.
 */
#include "shares.h"
#include "tile_int8.h"
#include "variants.h"

/* One core of a Zen 4 EPYC shared with other work, blocks of 64.  512 rows by
 * k 2048: passes of 64, 96, 128 and 192 rows give 83.8, 84.3, 83.9 and 84.1 %
 * of the peak; by k 5632: 83.9, 83.5, 83.1 and 82.6; by k 14336: 84.3, 83.4,
 * 83.4 and 83.3.  Hence bytes; spans of k, whose sums go through y, gave 78 %
 * for 82 at 16 rows by k 5632.  Parts of 128, 256 and 512 KB: 82.5, 83.8 and
 * 83.3 % at k 2048, 82.8, 83.9 and 82.9 at k 5632. */
enum {
    PASS_BYTES = 400 << 10, /* of activations that share one pass over w */
    PASS_LEAST = 24,        /* rows of it                                */
    PART_BYTES = 256 << 10, /* of weights                                */
    AHEAD = 16384,          /* bytes that a lone tile fetches ahead      */
    LINE = 64
};

/* Rows `first` .. `end` - 1 of a tile that has all else. */
static ndl_tile8 tile_of(const ndl_tile8 *all, int first, int end)
{
    ndl_tile8 t = *all;
    const size_t skip = (size_t)first * all->lda;
    t.y += (size_t)first * all->ldy;
    t.q += skip;
    t.scale += skip / sizeof *t.scale;
    t.start += skip / sizeof *t.start;
    t.rows = end - first;
    return t;
}

/* Every tile of rows over a part.  Each of them fetches an even share of each
 * panel of the next part meanwhile: when the last one fetched all, it waited
 * for memory, and the others left memory idle (13 rows: 71 -> 83 % of the peak,
 * 16 rows: 80 -> 82 %). */
static void every_tile(const ndl_tile8 *part)
{
    const int tiles = ndl_parts(part->rows, NDL_TILE8_ROWS);
    const int lines = part->blocks * part->lines;
    const uintptr_t next =
        (uintptr_t)part->w + (size_t)part->panels * part->panel;
    for (int i = 0; i < tiles; i++) {
        const int first = ndl_even_begin(part->rows, tiles, i);
        const int end = ndl_even_begin(part->rows, tiles, i + 1);
        ndl_tile8 t = tile_of(part, first, end);
        t.ahead = next + (size_t)ndl_even_begin(lines, tiles, i) * LINE;
        t.ahead_step = (size_t)ndl_parts(LINE, tiles);
        ndl_tile_int8_avx512vnni(&t);
    }
}

static void every_part(const ndl_tile8 *all)
{
    const size_t fit = PART_BYTES / (all->panel + 1);
    const int most = fit < 1 ? 1 : (int)fit;
    for (int p = 0; p < all->panels; p += most) {
        ndl_tile8 part = *all;
        part.panels = ndl_smaller(most, all->panels - p);
        part.y += (size_t)p * NDL_LANES;
        part.w += (size_t)p * all->panel;
        part.scales += (size_t)p * all->scale_panel;
        every_tile(&part);
    }
}

static void every_pass(const ndl_tile8 *all)
{
    const size_t k = all->panel / NDL_LANES;
    const int fit = (int)(PASS_BYTES / (k + 1)) / NDL_TILE8_ROWS;
    const int most = fit * NDL_TILE8_ROWS;
    const int passes =
        ndl_parts(all->rows, most < PASS_LEAST ? PASS_LEAST : most);
    for (int i = 0; i < passes; i++) {
        const int first =
            ndl_even_groups_begin(all->rows, NDL_TILE8_ROWS, passes, i);
        const int end =
            ndl_even_groups_begin(all->rows, NDL_TILE8_ROWS, passes, i + 1);
        const ndl_tile8 t = tile_of(all, first, end);
        every_part(&t);
    }
}

/* Up to 12 rows: from 4 on a tile computes too long on a line for the CPU to
 * look far ahead.  4 KB ahead gives 21 GB/s at 6 rows, 16 KB 30, and so do 32
 * to 128 KB. */
static void one_tile(ndl_tile8 t)
{
    t.ahead = (uintptr_t)t.w + AHEAD;
    t.ahead_step = LINE;
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
                            .lines = block / 4 };
    if (rows <= 0) return;
    if (rows <= NDL_TILE8_ROWS)
        one_tile(all);
    else
        every_pass(&all);
}
