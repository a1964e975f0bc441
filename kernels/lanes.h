/*
 * lanes.h - what all versions share about the 16 lanes: the fold, the padded
 * width, bf16.  Plain scalar C, exact or in one documented order.
 */
#ifndef NDL_LANES_H
#define NDL_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

/* Fold 16 strided partial sums 8, 4, 2, 1; destroys s. */
static inline float ndl_lanes_sum(float s[NDL_LANES])
{
    for (int width = NDL_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) s[i] += s[i + width];
    return s[0];
}

/* The larger one; of equals (the two zeros) and with a NaN the second, which
 * is what MAXPS does. */
static inline float ndl_lanes_larger(float a, float b)
{
    return a > b ? a : b;
}

/* Fold 16 strided maxima in the same order; destroys s. */
static inline float ndl_lanes_max(float s[NDL_LANES])
{
    for (int width = NDL_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            s[i] = ndl_lanes_larger(s[i + width], s[i]);
    return s[0];
}

/* n rounded up to whole lanes. */
static inline int ndl_lanes_round(int n)
{
    return (n + NDL_LANES - 1) / NDL_LANES * NDL_LANES;
}

static inline float ndl_bits_f32(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t ndl_f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Exact: bf16 is the upper half of f32. */
static inline float ndl_bf16_f32(uint16_t x)
{
    return ndl_bits_f32((uint32_t)x << 16);
}

/* Nearest, ties to even.  A NaN keeps its sign and stays one even when its
 * upper half alone would read as infinity. */
static inline uint16_t ndl_f32_bf16(float x)
{
    uint32_t bits = ndl_f32_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Exact. */
static inline float ndl_f16_f32(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16;
    const uint32_t rest = x & 0x7fffu;
    if (rest >= 0x7c00u) return ndl_bits_f32(sign | 0x7f800000u | rest << 13);
    if (rest >= 0x0400u)
        return ndl_bits_f32(sign | ((rest << 13) + ((127u - 15u) << 23)));
    const float tiny = (float)rest * 0x1p-24f;
    return sign ? -tiny : tiny;
}

#endif /* NDL_LANES_H */
