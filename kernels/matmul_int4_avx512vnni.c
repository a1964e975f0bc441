/*
 * matmul_int4_avx512vnni.c - products with int4 weights on Cascade Lake, Zen 4
 * and later.
 *
 * Bound by memory for 1 or 2 rows, then by VPDPBUSD: 8 of them a row, panel
 * and block share their pipes with the multiplication and the FMA that end a
 * block, which leaves 77 % of its peak on Zen 4.  Weights in L2, 8 x 16 lanes x
 * 2048 k, one core: 1 row reads 69 GB/s, 2 read 48, 3 reach 74 % and all more
 * 77 %.
 *
 * Nibbles are unpacked in registers, once for at most 8 rows: the logic goes to
 * pipes that VPDPBUSD leaves free.  Unpacking for all rows into L1, for tiles
 * of 6 rows x 32 lanes, is no faster from 192 rows and slower before.
 */
#include "matmul_int4.h"
#include "simd_avx2.h"
#include "variants.h"

/* 10 to 16 rows spill: 12 rows 76 % of the peak for 78. */
enum { ROWS = 8 };

/* The weights of a block: 4 x 4 k in the low halves, and in the high halves 16
 * times the 4 x 4 that follow, which spares a shift of each. */
typedef struct cells {
    __m512i low[4], high[4];
} cells;

NDL_INLINE void unpack(cells *u, const uint8_t *w)
{
    const __m512i mask = _mm512_set1_epi8(15);
    NDL_UNROLL for (int g = 0; g < 4; g++)
    {
        const __m512i both = _mm512_loadu_si512(w + NDL_INT4_LINE * g);
        u->low[g] = _mm512_and_si512(both, mask);
        u->high[g] = _mm512_andnot_si512(mask, both);
    }
}

NDL_INLINE __m512i all_lanes(const uint8_t *q)
{
    return _mm512_set1_epi32(ndl_int4_i32(q));
}

/* The sum over a block: two short chains rather than a long one (2 rows 8 %
 * faster, 8 rows 1 %). */
NDL_INLINE __m512i sum_block(const cells *u, const uint8_t *q, __m512i start)
{
    __m512i low = start, high = _mm512_setzero_si512();
    NDL_UNROLL for (int g = 0; g < 4; g++)
    {
        low = _mm512_dpbusd_epi32(low, u->low[g], all_lanes(q + 4 * g));
        high = _mm512_dpbusd_epi32(high, u->high[g], all_lanes(q + 16 + 4 * g));
    }
    return _mm512_add_epi32(low, _mm512_srai_epi32(high, 4));
}

/* `rows` is a constant in every caller.  8 rows leave no register for a
 * counter: q, the offset of a block in a row, is also that of its scales and an
 * eighth of that of its weights. */
NDL_INLINE void run(const ndl_int4_tile *t, const int rows)
{
    const uint8_t *scales = (const uint8_t *)t->scales, *a[ROWS];
    const size_t kp = t->nb * NDL_INT4_K, starts = 4 * t->nb;
    uintptr_t ahead = t->ahead;
    __m512 acc[ROWS];
    /* The lines of y are on their way while the tile computes. */
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        _mm_prefetch((const char *)(t->y + (size_t)r * t->ldy), _MM_HINT_T0);
        acc[r] = _mm512_setzero_ps();
        a[r] = t->a + (size_t)r * t->lda;
    }
    for (size_t q = 0, s = kp; q < kp; q += NDL_INT4_K, s += 4) {
        cells u;
        unpack(&u, t->w + 8 * q);
        ndl_int4_fetch(ahead);
        /* From 2 rows 1 to 2 % faster, 1 row 4 % slower. */
        if (rows > 1) ndl_int4_fetch_scales(scales + q);
        ahead += t->ahead_step;
        const __m512 ws = _mm512_cvtph_ps(
            _mm256_loadu_si256((const __m256i *)(const void *)(scales + q)));
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            const __m512i i =
                sum_block(&u, a[r] + q, all_lanes(a[r] + s + starts));
            const __m512 as = _mm512_set1_ps(ndl_int4_f32(a[r] + s));
            acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(i),
                                     _mm512_mul_ps(ws, as), acc[r]);
        }
    }
    NDL_UNROLL for (int r = 0; r < rows; r++)
        _mm512_storeu_ps(t->y + (size_t)r * t->ldy, acc[r]);
}

static void run_1(const ndl_int4_tile *t)
{
    run(t, 1);
}
static void run_2(const ndl_int4_tile *t)
{
    run(t, 2);
}
static void run_3(const ndl_int4_tile *t)
{
    run(t, 3);
}
static void run_4(const ndl_int4_tile *t)
{
    run(t, 4);
}
static void run_5(const ndl_int4_tile *t)
{
    run(t, 5);
}
static void run_6(const ndl_int4_tile *t)
{
    run(t, 6);
}
static void run_7(const ndl_int4_tile *t)
{
    run(t, 7);
}
static void run_8(const ndl_int4_tile *t)
{
    run(t, 8);
}

NDL_DECL_MATMUL8(ndl_matmul_int4_avx512vnni)
{
    static const ndl_int4_run_fn runs[ROWS] = { run_1, run_2, run_3, run_4,
                                                run_5, run_6, run_7, run_8 };
    const ndl_int4 m = { y,    ldy,    a,
                         lda,  w,      scales,
                         rows, panels, (k + block - 1) / block };
    ndl_int4_walk(m, runs, ROWS);
}
