/* rows8_ref.c - the bits of quantised activations. */
#include "int8_ref.h"
#include "variants.h"

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
            const float inv =
                ndl_int8_inverse(ndl_int8_largest(row + at, n), &scale[b]);
            int32_t sum = 0;
            for (int i = 0; i < block; i++) {
                q[at + i] = i < n ? ndl_int8_round(row[at + i], inv) : 0;
                sum += q[at + i];
            }
            start[b] = -zero * sum;
        }
    }
}
