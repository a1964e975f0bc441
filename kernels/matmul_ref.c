/*
 * matmul_ref.c - the bits of matrix products.  bf16 weights widen exactly;
 * the activations stay f32.
 */
#include <math.h>

#include "lanes.h"
#include "variants.h"

NDL_DECL_MATMUL(ndl_matmul_f32_ref, float)
{
    for (int t = 0; t < rows; t++)
        for (int p = 0; p < panels; p++)
            for (int lane = 0; lane < NDL_LANES; lane++) {
                const float *wp = w + (size_t)p * k * NDL_LANES + lane;
                float sum = 0;
                for (int i = 0; i < k; i++)
                    sum = fmaf(x[t * ldx + i], wp[(size_t)i * NDL_LANES], sum);
                y[t * ldy + (size_t)p * NDL_LANES + lane] = sum;
            }
}

NDL_DECL_MATMUL(ndl_matmul_bf16_ref, uint16_t)
{
    size_t pairs = ((size_t)k + 1) / 2;
    for (int t = 0; t < rows; t++)
        for (int p = 0; p < panels; p++)
            for (int lane = 0; lane < NDL_LANES; lane++) {
                const uint16_t *wp = w + (p * pairs * NDL_LANES + lane) * 2;
                float sum = 0;
                for (int i = 0; i < k; i++) {
                    size_t at = (size_t)i / 2 * NDL_LANES * 2 + i % 2;
                    sum = fmaf(x[t * ldx + i], ndl_bf16_f32(wp[at]), sum);
                }
                y[t * ldy + (size_t)p * NDL_LANES + lane] = sum;
            }
}
