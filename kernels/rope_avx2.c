/*
 * rope_avx2.c - AVX2 + FMA.  Bound by loads and stores: 0.05 ns a value
 * (bench_kernels, Zen 4).  Eight frequencies at a time when the halves of a
 * pair are at least 8 apart (every layout that we pack); the rest, and
 * narrower pairs, one by one.
 */
#include <math.h>

#include "simd_avx2.h"
#include "variants.h"

static void rotate_one(float *a, float *b, const float *cs)
{
    float x = *a, y = *b;
    *a = fmaf(x, cs[0], -(y * cs[1]));
    *b = fmaf(y, cs[0], x * cs[1]);
}

/* The even (c = 0x88) or odd (c = 0xdd) floats of two registers in order. */
NDL_INLINE __m256 in_order(__m256 shuffled)
{
    __m256d wide = _mm256_castps_pd(shuffled);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(wide, 0xd8));
}

/* Rotate 8 pairs in every head; a and b are those of the first head. */
NDL_INLINE void rotate_eight(float *a, float *b, const float *cs, int heads,
                             int hd)
{
    __m256 low = _mm256_loadu_ps(cs), high = _mm256_loadu_ps(cs + 8);
    __m256 cosine = in_order(_mm256_shuffle_ps(low, high, 0x88));
    __m256 sine = in_order(_mm256_shuffle_ps(low, high, 0xdd));
    for (int h = 0; h < heads; h++, a += hd, b += hd) {
        __m256 x = _mm256_loadu_ps(a), y = _mm256_loadu_ps(b);
        __m256 xs = _mm256_mul_ps(x, sine), ys = _mm256_mul_ps(y, sine);
        _mm256_storeu_ps(a, _mm256_fmsub_ps(x, cosine, ys));
        _mm256_storeu_ps(b, _mm256_fmadd_ps(y, cosine, xs));
    }
}

/* One block of 2 * pair elements in every head. */
static void rotate_block(float *x, const float *cs, int heads, int hd, int pair)
{
    int l = 0;
    for (; l + 8 <= pair; l += 8)
        rotate_eight(x + l, x + l + pair, cs + 2 * l, heads, hd);
    for (; l < pair; l++)
        for (int h = 0; h < heads; h++) {
            float *a = x + (size_t)h * hd + l;
            rotate_one(a, a + pair, cs + 2 * l);
        }
}

NDL_DECL_ROPE(ndl_rope_avx2)
{
    for (int t = 0; t < rows; t++)
        for (int f = 0; f < hd / 2; f += pair) {
            const float *cs = table + ((size_t)t * (hd / 2) + f) * 2;
            rotate_block(x + t * ldx + 2 * (size_t)f, cs, heads, hd, pair);
        }
}
