/* matmul8_ref.c - the bits of products with int8 and int4 weights, and of one
 * of their rows. */
#include <math.h>

#include "lanes.h"
#include "variants.h"

/* Element i of a panel's lane, as it is stored. */
typedef int (*cell_fn)(const uint8_t *panel, int lane, int i);

static int cell_int8(const uint8_t *panel, int lane, int i)
{
    return panel[((size_t)(i / 4) * NDL_LANES + (size_t)lane) * 4 +
                 (size_t)(i % 4)];
}

static int cell_int4(const uint8_t *panel, int lane, int i)
{
    const int line = i % 16 / 4;
    const size_t block = (size_t)(i / 32) * 4 * NDL_LANES * 4;
    const uint8_t byte =
        panel[block + (size_t)((line * NDL_LANES + lane) * 4 + i % 4)];
    return i % 32 < 16 ? byte & 15 : byte >> 4;
}

typedef struct weights {
    const uint8_t *w;
    const uint16_t *scales;
    cell_fn cell;
    size_t panel; /* bytes */
    int nb, block, zero;
} weights;

static weights weights_of(const uint8_t *w, const uint16_t *scales, int k,
                          int block, cell_fn cell)
{
    const int nb = (k + block - 1) / block;
    const size_t kp = (size_t)nb * (size_t)block;
    const bool wide = cell == cell_int8;
    return (weights){ w,  scales, cell,          wide ? kp * 16 : kp * 8,
                      nb, block,  wide ? 128 : 8 };
}

static float product(const weights *m, const int8_t *q, int p, int lane)
{
    const float *scale =
        (const float *)(const void *)(q + (size_t)m->nb * (size_t)m->block);
    const int32_t *start = (const int32_t *)(const void *)(scale + m->nb);
    const uint8_t *panel = m->w + (size_t)p * m->panel;
    float acc = 0;
    for (int b = 0; b < m->nb; b++) {
        int32_t i = start[b];
        for (int j = b * m->block; j < (b + 1) * m->block; j++)
            i += m->cell(panel, lane, j) * q[j];
        const size_t at = ((size_t)p * (size_t)m->nb + (size_t)b) * NDL_LANES;
        const float s = ndl_f16_f32(m->scales[at + (size_t)lane]) * scale[b];
        acc = fmaf((float)i, s, acc);
    }
    return acc;
}

static void multiply(const weights *m, float *y, size_t ldy, const void *a,
                     size_t lda, int rows, int panels)
{
    for (int t = 0; t < rows; t++)
        for (int n = 0; n < panels * NDL_LANES; n++)
            y[(size_t)t * ldy + (size_t)n] =
                product(m, (const int8_t *)a + (size_t)t * lda, n / NDL_LANES,
                        n % NDL_LANES);
}

static void gather(const weights *m, float *y, int row, int k)
{
    const int p = row / NDL_LANES, lane = row % NDL_LANES;
    const uint8_t *panel = m->w + (size_t)p * m->panel;
    for (int i = 0; i < k; i++) {
        const size_t at =
            ((size_t)p * (size_t)m->nb + (size_t)(i / m->block)) * NDL_LANES;
        y[i] = ndl_f16_f32(m->scales[at + (size_t)lane]) *
               (float)(m->cell(panel, lane, i) - m->zero);
    }
}

NDL_DECL_MATMUL8(ndl_matmul_int8_ref)
{
    const weights m = weights_of(w, scales, k, block, cell_int8);
    multiply(&m, y, ldy, a, lda, rows, panels);
}

NDL_DECL_MATMUL8(ndl_matmul_int4_ref)
{
    const weights m = weights_of(w, scales, k, block, cell_int4);
    multiply(&m, y, ldy, a, lda, rows, panels);
}

NDL_DECL_GATHER8(ndl_gather_int8_ref)
{
    const weights m = weights_of(w, scales, k, block, cell_int8);
    gather(&m, y, row, k);
}

NDL_DECL_GATHER8(ndl_gather_int4_ref)
{
    const weights m = weights_of(w, scales, k, block, cell_int4);
    gather(&m, y, row, k);
}
