/* int8_ref.h - how numbers that share a scale become int8 (products.h, rows8),
 * one at a time: the rule of activations, and of keys and values. */
#ifndef NDL_INT8_REF_H
#define NDL_INT8_REF_H

#include <math.h>
#include <stdint.h>

/* The largest magnitude; a NaN does not count. */
static inline float ndl_int8_largest(const float *x, int n)
{
    float m = 0;
    for (int i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (size > m) m = size;
    }
    return m;
}

/* For a largest magnitude m: returns inv, and the scale through *scale. */
static inline float ndl_int8_inverse(float m, float *scale)
{
    const float ratio = 127.0f / m, inv = isfinite(ratio) ? ratio : 0.0f;
    *scale = inv > 0.0f ? m / 127.0f : 0.0f;
    return inv;
}

/* Adding and taking away 1.5 * 2^23 rounds to nearest even, as the processor's
 * conversion does. */
static inline int8_t ndl_int8_round(float x, float inv)
{
    const float v = x * inv, magic = 0x1.8p23f;
    if (!(v >= -127.0f)) return v < -127.0f ? -127 : 0; /* a NaN is 0 */
    if (v > 127.0f) return 127;
    const float shifted = v + magic;
    return (int8_t)(shifted - magic);
}

#endif /* NDL_INT8_REF_H */
