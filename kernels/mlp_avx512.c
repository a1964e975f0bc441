/*
 * mlp_avx512.c - AVX-512 (F, BW, DQ, VL).  Bound by exp (FMA pipes) and the
 * division.  A block of SwiGLU is one register of gates and one of ups.
 */
#include "exp_avx512.h"
#include "variants.h"

/* v / (1 + exp(z)) */
NDL_INLINE __m512 gated(__m512 v, __m512 z)
{
    __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_div_ps(v, _mm512_add_ps(one, ndl_exp_avx512_lanes(z)));
}

NDL_DECL_SWIGLU(ndl_swiglu_avx512)
{
    const __m512 sign = _mm512_set1_ps(-0.0f);
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < f; i += NDL_LANES) {
            const float *pair = x + t * ldx + 2 * (size_t)i;
            __m512 gate = ndl_lanes_load(pair, f - i);
            __m512 up = ndl_lanes_load(pair + NDL_LANES, f - i);
            __m512 silu = gated(gate, _mm512_xor_ps(gate, sign));
            ndl_lanes_store(y + t * ldy + i, f - i, _mm512_mul_ps(silu, up));
        }
}

NDL_DECL_GELU(ndl_gelu_avx512)
{
    const __m512 a = _mm512_set1_ps(NDL_GELU_A);
    const __m512 b = _mm512_set1_ps(NDL_GELU_B);
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < f; i += NDL_LANES) {
            __m512 v = ndl_lanes_load(x + t * ldx + i, f - i);
            __m512 z = _mm512_fmadd_ps(_mm512_mul_ps(v, v), b, a);
            z = _mm512_mul_ps(v, z);
            ndl_lanes_store(y + t * ldy + i, f - i, gated(v, z));
        }
}
