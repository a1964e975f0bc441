/*
 * exp_avx512.c - AVX-512 (F, BW, DQ, VL).  Bound by the FMA pipes: 9 fused
 * steps and 8 cheap ones for 16 values.
 */
#include "exp_avx512.h"
#include "variants.h"

NDL_DECL_EXP(ndl_exp_avx512)
{
    for (int i = 0; i < n; i += NDL_LANES) {
        __m512 v = ndl_lanes_load(x + i, n - i);
        ndl_lanes_store(y + i, n - i, ndl_exp_avx512_lanes(v));
    }
}
