/*
 * rope_avx512.c - AVX-512 (F, BW, DQ, VL).  Bound by loads and stores.
 * Sixteen frequencies at a time, the last ones of a block by masks; pairs so
 * narrow that masks cost more than they save (no layout that we pack) go one
 * by one.
 */
#include <math.h>

#include "lanes_avx512.h"
#include "variants.h"

enum { NARROW = 4 };

static void rotate_one(float *a, float *b, const float *cs)
{
    float x = *a, y = *b;
    *a = fmaf(x, cs[0], -(y * cs[1]));
    *b = fmaf(y, cs[0], x * cs[1]);
}

/* n <= 16 frequencies: their cosines and sines, which alternate in cs. */
NDL_INLINE void split(const float *cs, int n, __m512 *cosine, __m512 *sine)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18,
                                           20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    __m512 low = ndl_lanes_load(cs, 2 * n), high = _mm512_setzero_ps();
    if (n > NDL_LANES / 2)
        high = ndl_lanes_load(cs + NDL_LANES, 2 * n - NDL_LANES);
    *cosine = _mm512_permutex2var_ps(low, even, high);
    *sine = _mm512_permutex2var_ps(low, odd, high);
}

/* Rotate n <= 16 pairs in every head; a and b are those of the first head. */
NDL_INLINE void rotate(float *a, float *b, const float *cs, int n, int heads,
                       int hd)
{
    __m512 cosine, sine;
    split(cs, n, &cosine, &sine);
    for (int h = 0; h < heads; h++, a += hd, b += hd) {
        __m512 x = ndl_lanes_load(a, n), y = ndl_lanes_load(b, n);
        __m512 xs = _mm512_mul_ps(x, sine), ys = _mm512_mul_ps(y, sine);
        ndl_lanes_store(a, n, _mm512_fmsub_ps(x, cosine, ys));
        ndl_lanes_store(b, n, _mm512_fmadd_ps(y, cosine, xs));
    }
}

/* One block of 2 * pair elements in every head. */
static void rotate_block(float *x, const float *cs, int heads, int hd, int pair)
{
    int l = 0;
    for (; l + NDL_LANES <= pair; l += NDL_LANES)
        rotate(x + l, x + l + pair, cs + 2 * l, NDL_LANES, heads, hd);
    if (pair - l >= NARROW) {
        rotate(x + l, x + l + pair, cs + 2 * l, pair - l, heads, hd);
        return;
    }
    for (; l < pair; l++)
        for (int h = 0; h < heads; h++) {
            float *a = x + (size_t)h * hd + l;
            rotate_one(a, a + pair, cs + 2 * l);
        }
}

NDL_DECL_ROPE(ndl_rope_avx512)
{
    for (int t = 0; t < rows; t++)
        for (int f = 0; f < hd / 2; f += pair) {
            const float *cs = table + ((size_t)t * (hd / 2) + f) * 2;
            rotate_block(x + t * ldx + 2 * (size_t)f, cs, heads, hd, pair);
        }
}
