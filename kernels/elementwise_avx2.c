/*
 * elementwise_avx2.c - AVX2.  add and bias are bound by L1 and L2: 120 to 175
 * GB/s (bench_kernels, Zen 4).  gather touches a line for every one or two
 * elements and runs at the rate of memory as it is (33 of 35 GB/s), so the
 * reference serves.
 */
#include "simd_avx2.h"
#include "variants.h"

NDL_INLINE void add_first(float *y, const float *x, int n)
{
    __m256 sum = _mm256_add_ps(ndl_load_first(y, n), ndl_load_first(x, n));
    ndl_store_first(y, n, sum);
}

NDL_DECL_ADD(ndl_add_avx2)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i += 8)
            add_first(y + t * ldy + i, x + t * ldx + i, d - i);
}

NDL_DECL_BIAS(ndl_bias_avx2)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i += 8) add_first(y + t * ldy + i, b + i, d - i);
}
