/* mlp_ref.c - the bits of SwiGLU and GELU. */
#include "exp_poly.h"
#include "variants.h"

NDL_DECL_SWIGLU(ndl_swiglu_ref)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < f; i++) {
            const float *pair = x + t * ldx + (size_t)(i / NDL_LANES) * 32;
            float gate = pair[i % NDL_LANES];
            float up = pair[NDL_LANES + i % NDL_LANES];
            float silu = gate / (1.0f + ndl_exp_scalar(-gate));
            y[t * ldy + i] = silu * up;
        }
}

NDL_DECL_GELU(ndl_gelu_ref)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < f; i++) {
            float v = x[t * ldx + i];
            float z = v * fmaf(v * v, NDL_GELU_B, NDL_GELU_A);
            y[t * ldy + i] = v / (1.0f + ndl_exp_scalar(z));
        }
}
