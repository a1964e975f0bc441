/*
 * exp_poly.h - the definition of exp, and what SiLU and GELU make of it.
 *
 * exp(x) = 2^n exp(r) with n = rint(x log2(e)) and |r| <= ln(2)/2, r by two
 * fused steps (Cody and Waite), exp(r) by a polynomial of degree 6 whose
 * first two coefficients are 1 and whose others are the minimax fit of the
 * relative error (3.1e-9 before rounding; 1.01 ULP measured after).
 *
 * Why two tricks are exact:
 *   - adding 1.5 * 2^23 leaves rint in the low bits of the sum, so no
 *     conversion instruction (and no rounding mode of one) is involved;
 *   - n is added to the exponent field of the polynomial's value and not
 *     multiplied as 2^n: n = 128 happens only just below overflow, where the
 *     value is < 1, and n = -126 only above -87.33654, where it is >= 1, so
 *     the field never leaves 1..254.
 */
#ifndef NDL_EXP_POLY_H
#define NDL_EXP_POLY_H

#include <math.h>

#include "lanes.h"

#define NDL_EXP_LOW      (-87.33654f)
#define NDL_EXP_HIGH     88.72283f
#define NDL_EXP_LOG2E    0x1.715476p+0f
#define NDL_EXP_ROUND    12582912.0f /* 1.5 * 2^23 */
#define NDL_EXP_LN2_HIGH 0x1.62e430p-1f
#define NDL_EXP_LN2_LOW  (-0x1.05c610p-29f)
#define NDL_EXP_C2       0x1.fffffcp-2f
#define NDL_EXP_C3       0x1.555492p-3f
#define NDL_EXP_C4       0x1.5558f2p-5f
#define NDL_EXP_C5       0x1.123a20p-7f
#define NDL_EXP_C6       0x1.6a23d0p-10f

/* gelu(x) = x / (1 + exp(x (A + B x^2))): because (1 + tanh u) / 2 equals
 * 1 / (1 + exp(-2u)), the tanh form needs one exp and cancels nowhere.
 * A = -2 sqrt(2/pi), B = 0.044715 A. */
#define NDL_GELU_A (-1.5957691216f)
#define NDL_GELU_B (-0.0713548163f)

static inline float ndl_exp_scalar(float x)
{
    if (x != x) return x;
    if (x < NDL_EXP_LOW) return 0.0f;
    if (x > NDL_EXP_HIGH) return INFINITY;
    float sum = fmaf(x, NDL_EXP_LOG2E, NDL_EXP_ROUND);
    float n = sum - NDL_EXP_ROUND;
    float r = fmaf(n, -NDL_EXP_LN2_HIGH, x);
    r = fmaf(n, -NDL_EXP_LN2_LOW, r);
    float p = NDL_EXP_C6;
    p = fmaf(p, r, NDL_EXP_C5);
    p = fmaf(p, r, NDL_EXP_C4);
    p = fmaf(p, r, NDL_EXP_C3);
    p = fmaf(p, r, NDL_EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return ndl_bits_f32(ndl_f32_bits(p) + (ndl_f32_bits(sum) << 23));
}

#endif /* NDL_EXP_POLY_H */
