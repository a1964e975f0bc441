/* elementwise_ref.c - the bits of add, bias and gather. */
#include "lanes.h"
#include "variants.h"

NDL_DECL_ADD(ndl_add_ref)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i++) y[t * ldy + i] += x[t * ldx + i];
}

NDL_DECL_BIAS(ndl_bias_ref)
{
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < d; i++) y[t * ldy + i] += b[i];
}

NDL_DECL_GATHER(ndl_gather_f32_ref, float)
{
    const float *panel = w + (size_t)(row / NDL_LANES) * NDL_LANES * k;
    for (int i = 0; i < k; i++)
        y[i] = panel[(size_t)i * NDL_LANES + row % NDL_LANES];
}

NDL_DECL_GATHER(ndl_gather_bf16_ref, uint16_t)
{
    size_t pairs = ((size_t)k + 1) / 2;
    const uint16_t *panel = w + (size_t)(row / NDL_LANES) * 32 * pairs;
    for (int i = 0; i < k; i++) {
        size_t pair = (size_t)i / 2 * NDL_LANES + row % NDL_LANES;
        y[i] = ndl_bf16_f32(panel[2 * pair + i % 2]);
    }
}
