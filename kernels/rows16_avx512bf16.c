/*
 * rows16_avx512bf16.c - rows of activations rounded to bf16, for
 * matmul_dp16.
 *
 * VCVTNEPS2BF16 rounds to nearest, ties to even, and keeps a NaN one, quiet
 * and of its sign, as ndl_f32_bf16() does.  A denormal becomes a zero of its
 * sign, in whatever mode the thread is: the product would take it for zero
 * anyway.  Bound by memory.
 */
#include "lanes_avx512.h"
#include "variants.h"

static void round_row(uint16_t *a, const float *x, int k)
{
    int i = 0;
    for (; i + NDL_LANES <= k; i += NDL_LANES) {
        const __m256bh cells = _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));
        _mm256_storeu_si256((void *)(a + i), (__m256i)cells);
    }
    if (i == k) return;
    /* A last odd k brings its other half, a zero, with it. */
    const int n = k - i, even = n + n % 2;
    const __m512 rest = ndl_lanes_load(x + i, n);
    _mm256_mask_storeu_epi16(a + i, ndl_lanes_first(even),
                             (__m256i)_mm512_cvtneps_pbh(rest));
}

NDL_DECL_ROWS16(ndl_rows16_avx512bf16)
{
    for (int t = 0; t < rows; t++)
        round_row(a + (size_t)t * lda, x + (size_t)t * ldx, k);
}
