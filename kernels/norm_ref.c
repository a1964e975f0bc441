/* norm_ref.c - the bits of RMSNorm and LayerNorm. */
#include <math.h>

#include "lanes.h"
#include "variants.h"

NDL_DECL_RMSNORM(ndl_rmsnorm_ref)
{
    for (int t = 0; t < rows; t++) {
        const float *xt = x + t * ldx;
        float s[NDL_LANES] = { 0 };
        for (int i = 0; i < d; i++)
            s[i % NDL_LANES] = fmaf(xt[i], xt[i], s[i % NDL_LANES]);
        float r = 1.0f / sqrtf(ndl_lanes_sum(s) / (float)d + eps);
        for (int i = 0; i < d; i++) y[t * ldy + i] = xt[i] * r * gain[i];
    }
}

NDL_DECL_LAYERNORM(ndl_layernorm_ref)
{
    for (int t = 0; t < rows; t++) {
        const float *xt = x + t * ldx;
        float s[NDL_LANES] = { 0 }, v[NDL_LANES] = { 0 };
        for (int i = 0; i < d; i++) s[i % NDL_LANES] += xt[i];
        float mean = ndl_lanes_sum(s) / (float)d;
        for (int i = 0; i < d; i++) {
            float c = xt[i] - mean;
            v[i % NDL_LANES] = fmaf(c, c, v[i % NDL_LANES]);
        }
        float r = 1.0f / sqrtf(ndl_lanes_sum(v) / (float)d + eps);
        for (int i = 0; i < d; i++)
            y[t * ldy + i] = fmaf((xt[i] - mean) * r, gain[i], bias[i]);
    }
}
