/*
 * tile_int8_avx512vnni.c - the microkernel for int8 weights, AVX-512 VNNI
 * (Cascade Lake and later, Zen 4 and later).
 *
 * Bound by VPDPBUSD.  A line of weights is the unsigned operand, 4 bytes of a
 * row the signed one, broadcast from memory, which costs no shuffle.  Sums of
 * a block start from the row's correction and stay integers to its end, where
 * each costs a conversion, a product of scales and a fused step; the last two
 * share their pipes with VPDPBUSD, hence at most 16/18 of the peak in blocks
 * of 64 and 8/10 in blocks of 32.
 *
 * A tile is 1 to 12 rows by one panel, so that w is a single stream for any
 * number of rows, and 12 chains hide the latency.  Weights in L2, k 2048, one
 * core of a Zen 4 EPYC shared with other work, GCC 12: 12 rows reach 87.4 % of
 * the peak, as does a tile of 6 rows by 2 panels; but from memory 9 rows go
 * from 63 to 83 % and 12 from 80 to 85, as they are one tile rather than two.
 */
#include <string.h>

#include "simd_avx2.h"
#include "tile_int8.h"

enum { LINE = 64, UNROLL = 4, CALM_ROWS = 3, HALF_ROWS = 6 };

typedef __m512 sums[NDL_TILE8_ROWS];
typedef __m512i counts[NDL_TILE8_ROWS];

/* Multiples of the bytes from a row to the next. */
typedef struct strides {
    size_t one, three, five;
} strides;

/* Where a tile is.  `start` is of the row's corrections; its scales are always
 * as far from them. */
typedef struct place {
    const char *q, *start;
    const uint8_t *w;
    const uint16_t *scales;
    uintptr_t ahead;
    size_t ahead_step;
    strides row;
} place;

NDL_INLINE __m512i broadcast_4(const void *at)
{
    int32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

/* n + the products of u and q, in the register of n.  Spelt as the instruction
 * because GCC 12 otherwise moves the counts around with each line, and spills
 * some of the sums.  Broadcasting inside the instruction is 3 to 4 % slower. */
NDL_INLINE __m512i dot_in_place(__m512i n, __m512i u, __m512i q)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(n) : "v"(u), "v"(q));
    return n;
}

/* Keeps the compiler from computing the twelve offsets once and for all: they
 * would not fit into the registers, and addresses can scale these three. */
NDL_INLINE void forget(strides *row)
{
    __asm__("" : "+r"(row->one), "+r"(row->three), "+r"(row->five));
}

/* The same place of row r. */
NDL_INLINE const char *of_row(const char *first, const strides *row, int r)
{
    if (r >= HALF_ROWS) first += 2 * row->three;
    switch (r % HALF_ROWS) {
    case 1: return first + row->one;
    case 2: return first + 2 * row->one;
    case 3: return first + row->three;
    case 4: return first + 4 * row->one;
    case 5: return first + row->five;
    default: return first;
    }
}

/* A fetch is dropped when too many are under way, and then the tile waits for
 * memory; so each line is asked for three times.  Asked for once, 4 rows read
 * 23 GB/s, 5 read 26 and 6 read 28; twice 27, 30 and 31; thrice 32, 33 and 32.
 * Spread over the lines and in bursts is the same. */
NDL_INLINE void fetch(place *at)
{
    enum { AGAIN = 2048 }; /* 4 KB: 13 rows 79.5 % for 81.3 */
    NDL_UNROLL for (int i = 0; i < 3; i++) _mm_prefetch(
        (const char *)(at->ahead - (uintptr_t)i * AGAIN), _MM_HINT_T1);
    at->ahead += at->ahead_step;
    __asm__("" : "+r"(at->ahead)); /* else one register for each line */
}

/* The products of a block; moves `at` over its lines. */
NDL_INLINE void count_block(counts n, place *at, int left, const int rows)
{
    forget(&at->row);
    NDL_UNROLL for (int r = 0; r < rows; r++) n[r] =
        broadcast_4(of_row(at->start, &at->row, r));
    do { /* at least once, which saves copies of the counts */
        forget(&at->row);
        NDL_UNROLL for (int line = 0; line < UNROLL; line++)
        {
            const __m512i w = _mm512_loadu_si512(at->w + line * LINE);
            if (rows > CALM_ROWS) fetch(at);
            NDL_UNROLL for (int r = 0; r < rows; r++)
            {
                const char *q = of_row(at->q, &at->row, r);
                n[r] = dot_in_place(n[r], w, broadcast_4(q + line * 4));
            }
        }
        at->w += UNROLL * LINE;
        at->q += UNROLL * 4;
        left -= UNROLL;
    } while (left > 0);
}

NDL_INLINE void scale_block(sums acc, counts n, place *at, const char *scale,
                            const int rows)
{
    const __m512 wide =
        _mm512_cvtph_ps(_mm256_loadu_si256((const void *)at->scales));
    forget(&at->row);
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        const __m512 row =
            _mm512_castsi512_ps(broadcast_4(of_row(scale, &at->row, r)));
        acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(n[r]),
                                 _mm512_mul_ps(wide, row), acc[r]);
    }
}

/* The lines of y are on their way while the tile computes: from 192 rows on
 * they come from memory, and waiting for them when storing cost 2 %. */
NDL_INLINE void begin(sums acc, const ndl_tile8 *t, const int rows)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        _mm_prefetch((const char *)(t->y + (size_t)r * t->ldy), _MM_HINT_T0);
        acc[r] = _mm512_setzero_ps();
    }
}

/* One panel.  `rows` is a constant in every caller. */
NDL_INLINE void run(const ndl_tile8 *t, const int rows)
{
    sums acc;
    place at = { .q = (const char *)t->q,
                 .start = (const char *)t->start,
                 .w = t->w,
                 .scales = t->scales,
                 .ahead = t->ahead,
                 .ahead_step = t->ahead_step,
                 .row = { t->lda, 3 * t->lda, 5 * t->lda } };
    const ptrdiff_t to_scale = (const char *)t->scale - at.start;
    const uint16_t *last = at.scales + (size_t)t->blocks * NDL_LANES;
    const int lines = t->lines;
    begin(acc, t, rows);
    while (at.scales < last) {
        counts n;
        count_block(n, &at, lines, rows);
        scale_block(acc, n, &at, at.start + to_scale, rows);
        at.start += sizeof *t->start;
        at.scales += NDL_LANES;
    }
    NDL_UNROLL for (int r = 0; r < rows; r++)
        _mm512_storeu_ps(t->y + (size_t)r * t->ldy, acc[r]);
}

#define RUN(rows)                                                              \
    static void run_##rows(const ndl_tile8 *t)                                 \
    {                                                                          \
        run(t, rows);                                                          \
    }
/* clang-format off */
RUN(1) RUN(2) RUN(3) RUN(4) RUN(5) RUN(6)
RUN(7) RUN(8) RUN(9) RUN(10) RUN(11) RUN(12)
    /* clang-format on */

    void ndl_tile_int8_avx512vnni(const ndl_tile8 *t)
{
    static void (*const runs[NDL_TILE8_ROWS])(
        const ndl_tile8 *) = { run_1, run_2, run_3, run_4,  run_5,  run_6,
                               run_7, run_8, run_9, run_10, run_11, run_12 };
    ndl_tile8 at = *t;
    for (int p = 0; p < t->panels; p++) {
        runs[t->rows - 1](&at);
        at.y += NDL_LANES;
        at.w += at.panel;
        at.ahead += at.panel;
        at.scales += at.scale_panel;
    }
}
