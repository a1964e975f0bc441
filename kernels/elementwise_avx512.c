/*
 * elementwise_avx512.c - AVX-512 (F, BW, DQ, VL).  add and bias are bound by
 * L1 and L2.  gather runs at the rate of memory as it is: the reference serves.
 */
#include "lanes_avx512.h"
#include "variants.h"

NDL_INLINE void add_first(float *y, const float *x, int n)
{
    __m512 sum = _mm512_add_ps(ndl_lanes_load(y, n), ndl_lanes_load(x, n));
    ndl_lanes_store(y, n, sum);
}

NDL_DECL_ADD(ndl_add_avx512)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i += NDL_LANES)
            add_first(y + t * ldy + i, x + t * ldx + i, d - i);
}

NDL_DECL_BIAS(ndl_bias_avx512)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i += NDL_LANES)
            add_first(y + t * ldy + i, b + i, d - i);
}
