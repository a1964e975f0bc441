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
 * A tile is 4 to 6 rows by 2 panels, so that many chains hide the latency; or
 * 1 to 8 rows by 1 panel when w comes from memory, which is faster as a single
 * stream (1 row: 35 GB/s for 28 from 4 panels at once, 3 rows 28 for 25).  In
 * L1 or L2, 6 x 2 gives 88 % of the peak, in blocks of 32 78 % (Zen 4, GCC 12).
 */
#include <string.h>

#include "simd_avx2.h"
#include "tile_int8.h"

enum { MAX_PANELS = 2, LINE = 64, UNROLL = 4, CALM_ROWS = 3 };

typedef __m512 sums[NDL_TILE8_ROWS][MAX_PANELS];
typedef __m512i counts[NDL_TILE8_ROWS][MAX_PANELS];

NDL_INLINE __m512i broadcast_4(const void *at)
{
    int32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

/* n + the products of u and q, in the register of n.  Spelt as the instruction
 * because GCC 12 otherwise moves the counts around with each line, and spills
 * some of the sums in the tile of 6 x 2. */
NDL_INLINE __m512i dot_in_place(__m512i n, __m512i u, __m512i q)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(n) : "v"(u), "v"(q));
    return n;
}

/* `skip` bytes on. */
NDL_INLINE const void *past(const void *at, size_t skip)
{
    return (const char *)at + skip;
}

NDL_INLINE void count_line(counts n, const ndl_tile8 *at, int line,
                           const int rows, const int panels)
{
    __m512i w[MAX_PANELS];
    NDL_UNROLL for (int p = 0; p < panels; p++) w[p] =
        _mm512_loadu_si512(at->w + (size_t)p * at->panel + line * LINE);
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        const __m512i x =
            broadcast_4(at->q + (size_t)r * at->lda + (size_t)line * 4);
        NDL_UNROLL for (int p = 0; p < panels; p++) n[r][p] =
            dot_in_place(n[r][p], w[p], x);
    }
}

/* Addresses as numbers, as they may lie past the end of w: fetching never
 * faults.  Nothing ahead is the line itself. */
NDL_INLINE void fetch_ahead(const ndl_tile8 *at, size_t ahead, const int panels)
{
    const uintptr_t w = (uintptr_t)at->w + ahead;
    NDL_UNROLL for (int p = 0; p < panels; p++)
        NDL_UNROLL for (int line = 0; line < UNROLL; line++) _mm_prefetch(
            (const char *)(w + (size_t)p * at->panel + (size_t)line * LINE),
            _MM_HINT_T1);
}

/* The products of a block; moves `at` over its lines. */
NDL_INLINE void count_block(counts n, ndl_tile8 *at, size_t ahead,
                            const int rows, const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        const __m512i start = broadcast_4(past(at->start, (size_t)r * at->lda));
        NDL_UNROLL for (int p = 0; p < panels; p++) n[r][p] = start;
    }
    int left = at->lines; /* never none, which saves copies of the counts */
    do {
        if (rows > CALM_ROWS) fetch_ahead(at, ahead, panels);
        NDL_UNROLL for (int line = 0; line < UNROLL; line++)
            count_line(n, at, line, rows, panels);
        at->w += UNROLL * LINE;
        at->q += UNROLL * 4;
        left -= UNROLL;
    } while (left > 0);
}

NDL_INLINE void scale_block(sums acc, counts n, const ndl_tile8 *at,
                            const int rows, const int panels)
{
    NDL_UNROLL for (int p = 0; p < panels; p++)
    {
        const uint16_t *half = at->scales + (size_t)p * at->scale_panel;
        const __m512 wide =
            _mm512_cvtph_ps(_mm256_loadu_si256((const void *)half));
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const __m512 row = _mm512_castsi512_ps(
                broadcast_4(past(at->scale, (size_t)r * at->lda)));
            acc[r][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(n[r][p]),
                                        _mm512_mul_ps(wide, row), acc[r][p]);
        }
    }
}

NDL_INLINE void begin(sums acc, const ndl_tile8 *t, const int rows,
                      const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int p = 0; p < panels; p++) acc[r][p] =
            t->carry ? _mm512_loadu_ps(t->y + (size_t)r * t->ldy + p * 16)
                     : _mm512_setzero_ps();
}

NDL_INLINE void end(sums acc, const ndl_tile8 *t, const int rows,
                    const int panels)
{
    NDL_UNROLL for (int r = 0; r < rows; r++)
        NDL_UNROLL for (int p = 0; p < panels; p++)
            _mm512_storeu_ps(t->y + (size_t)r * t->ldy + p * 16, acc[r][p]);
}

/* `rows` and `panels` are constants in every caller. */
NDL_INLINE void run(const ndl_tile8 *t, const int rows, const int panels)
{
    sums acc;
    ndl_tile8 at = *t;
    begin(acc, t, rows, panels);
    for (int b = 0; b < t->blocks; b++) {
        counts n;
        const size_t ahead = b < t->end_ahead ? t->ahead : 0;
        count_block(n, &at, ahead, rows, panels);
        scale_block(acc, n, &at, rows, panels);
        at.start++;
        at.scale++;
        at.scales += NDL_LANES;
    }
    end(acc, t, rows, panels);
}

static void run_1x1(const ndl_tile8 *t)
{
    run(t, 1, 1);
}
static void run_2x1(const ndl_tile8 *t)
{
    run(t, 2, 1);
}
static void run_3x1(const ndl_tile8 *t)
{
    run(t, 3, 1);
}
static void run_4x2(const ndl_tile8 *t)
{
    run(t, 4, 2);
}
static void run_4x1(const ndl_tile8 *t)
{
    run(t, 4, 1);
}
static void run_5x2(const ndl_tile8 *t)
{
    run(t, 5, 2);
}
static void run_5x1(const ndl_tile8 *t)
{
    run(t, 5, 1);
}
static void run_6x2(const ndl_tile8 *t)
{
    run(t, 6, 2);
}
static void run_6x1(const ndl_tile8 *t)
{
    run(t, 6, 1);
}
static void run_7x1(const ndl_tile8 *t)
{
    run(t, 7, 1);
}
static void run_8x1(const ndl_tile8 *t)
{
    run(t, 8, 1);
}

typedef void (*run_fn)(const ndl_tile8 *t);

/* Of one panel, and of two. */
static const run_fn narrow[NDL_TILE8_ROWS] = { run_1x1, run_2x1, run_3x1,
                                               run_4x1, run_5x1, run_6x1,
                                               run_7x1, run_8x1 };
static const run_fn wide[NDL_TILE8_ROWS] = { NULL,    NULL,    NULL, run_4x2,
                                             run_5x2, run_6x2, NULL, NULL };

void ndl_tile_int8_avx512vnni(const ndl_tile8 *t)
{
    const run_fn one = narrow[t->rows - 1], two = wide[t->rows - 1];
    ndl_tile8 at = *t;
    for (int p = 0; p < t->panels;) {
        const int n = two && t->in_cache && t->panels - p >= 2 ? 2 : 1;
        (n == 2 ? two : one)(&at);
        at.y += n * NDL_LANES;
        at.w += (size_t)n * at.panel;
        at.scales += (size_t)n * at.scale_panel;
        p += n;
    }
}
