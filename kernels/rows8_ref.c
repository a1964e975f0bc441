/* rows8_ref.c - the bits of quantised activations. */
#include <math.h>
#include <string.h>

#include "lanes.h"
#include "variants.h"

static float largest(const float *x, int n)
{
    float m = 0;
    for (int i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (size > m) m = size;
    }
    return m;
}

/* Adding and taking away 1.5 * 2^23 rounds to nearest even, as the processor's
 * conversion does. */
static int8_t round_one(float x, float inv)
{
    const float v = x * inv, magic = 0x1.8p23f;
    if (!(v >= -127.0f)) return v < -127.0f ? -127 : 0; /* a NaN is 0 */
    if (v > 127.0f) return 127;
    const float shifted = v + magic;
    return (int8_t)(shifted - magic);
}

NDL_DECL_ROWS8(ndl_rows8_ref)
{
    const int nb = (k + block - 1) / block;
    for (int t = 0; t < rows; t++) {
        int8_t *q = (int8_t *)a + (size_t)t * lda;
        float *scale = (float *)(void *)(q + (size_t)nb * (size_t)block);
        int32_t *start = (int32_t *)(void *)(scale + nb);
        const float *row = x + (size_t)t * ldx;
        for (int b = 0; b < nb; b++) {
            const int at = b * block, n = k - at < block ? k - at : block;
            const float m = largest(row + at, n), ratio = 127.0f / m;
            const float inv = isfinite(ratio) ? ratio : 0.0f;
            int32_t sum = 0;
            for (int i = 0; i < block; i++) {
                q[at + i] = i < n ? round_one(row[at + i], inv) : 0;
                sum += q[at + i];
            }
            scale[b] = inv > 0.0f ? m / 127.0f : 0.0f;
            start[b] = -zero * sum;
        }
    }
}
