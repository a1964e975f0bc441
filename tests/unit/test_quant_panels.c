/*
 * test_quant_panels.c - what is packed is what the kernels read: rows come
 * back through the table of kernels, and products are those of the weights.
 */
#include "../../src/formats/quant_panels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/formats/quantise.h"
#include "../../src/formats/widen.h"
#include "../support/chance.h"
#include "kernels.h"

enum { ROWS = 16, PANELS = 2, MOST_COLS = 400, TOKENS = 3 };

static const ndl_quant_shape shapes[] = {
    { NDL_INT8, 64, 64 },  { NDL_INT8, 1, 64 },   { NDL_INT8, 100, 64 },
    { NDL_INT8, 400, 64 }, { NDL_INT8, 32, 32 },  { NDL_INT8, 77, 32 },
    { NDL_INT4, 32, 32 },  { NDL_INT4, 1, 32 },   { NDL_INT4, 17, 32 },
    { NDL_INT4, 77, 32 },  { NDL_INT4, 384, 32 },
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static float rows[PANELS][ROWS * MOST_COLS];
static float back[ROWS * MOST_COLS];
static _Alignas(64) uint8_t quants[PANELS * ROWS * (MOST_COLS + 64) + 64];
static _Alignas(64) uint16_t scales[PANELS * ROWS * 16 + 1];

/* The last `empty` rows of the last panel are padding. */
static void fill(const ndl_quant_shape *s, int empty)
{
    for (int p = 0; p < PANELS; p++)
        for (int i = 0; i < ROWS * s->cols; i++)
            rows[p][i] = (float)between(-30000, 30000) * 0x1p-18f;
    memset(rows[PANELS - 1] + (size_t)(ROWS - empty) * (size_t)s->cols, 0,
           (size_t)empty * (size_t)s->cols * sizeof **rows);
}

static void pack(const ndl_quant_shape *s)
{
    const size_t bytes = ndl_quant_panel_bytes(s);
    const size_t n = ndl_quant_panel_scales(s);
    memset(quants, 0x5a, sizeof quants);
    memset(scales, 0x5a, sizeof scales);
    for (int p = 0; p < PANELS; p++)
        ndl_quant_panel_pack(quants + (size_t)p * bytes, scales + (size_t)p * n,
                             rows[p], s);
    assert_int_equal(quants[PANELS * bytes], 0x5a);
    assert_int_equal(scales[PANELS * n], 0x5a5a);
}

static void sizes_are_those_of_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(ndl_quant_panel_bytes(&shapes[2]), 128 * 16);
    assert_int_equal(ndl_quant_panel_scales(&shapes[2]), 2 * 16);
    assert_int_equal(ndl_quant_panel_bytes(&shapes[9]), 96 * 16 / 2);
    assert_int_equal(ndl_quant_panel_scales(&shapes[9]), 3 * 16);
}

static void kernels_gather_the_rows_that_were_quantised(void **state)
{
    (void)state;
    ndl_kernels k;
    ndl_kernels_init(&k, ndl_cpu_flags());
    random_state = chance_seed(1);
    for (int j = 0; j < N_SHAPES; j++) {
        const ndl_quant_shape *s = &shapes[j];
        const bool wide = s->dtype == NDL_INT8;
        const ndl_gather8_fn gather = wide ? k.gather_int8 : k.gather_int4;
        const int zero = wide ? NDL_QUANTISE_ZERO8 : NDL_QUANTISE_ZERO4;
        fill(s, 5);
        pack(s);
        for (int r = 0; r < PANELS * ROWS; r++) {
            const float *w = rows[r / ROWS] + r % ROWS * s->cols;
            uint8_t q[MOST_COLS + 64];
            uint16_t scale[16];
            float y[MOST_COLS], step;
            (wide ? ndl_quantise_int8 : ndl_quantise_int4)(q, scale, w, s->cols,
                                                           s->block);
            gather(y, quants, scales, r, s->cols, s->block);
            for (int i = 0; i < s->cols; i++) {
                ndl_widen(&step, &scale[i / s->block], NDL_FLOAT_F16, 1);
                assert_true(y[i] == step * (float)(q[i] - zero));
            }
        }
    }
}

static void unpacking_gives_the_bits_of_the_kernels(void **state)
{
    (void)state;
    ndl_kernels k;
    ndl_kernels_init(&k, 0);
    random_state = chance_seed(2);
    for (int j = 0; j < N_SHAPES; j++) {
        const ndl_quant_shape *s = &shapes[j];
        const bool wide = s->dtype == NDL_INT8;
        fill(s, 0);
        pack(s);
        ndl_quant_panel_unpack(back, quants + ndl_quant_panel_bytes(s),
                               scales + ndl_quant_panel_scales(s), s);
        for (int r = 0; r < ROWS; r++) {
            float y[MOST_COLS];
            (wide ? k.gather_int8 : k.gather_int4)(y, quants, scales, ROWS + r,
                                                   s->cols, s->block);
            assert_memory_equal(y, back + r * s->cols,
                                (size_t)s->cols * sizeof *y);
        }
    }
}

static void padding_is_q_0_with_scale_0(void **state)
{
    (void)state;
    random_state = chance_seed(3);
    for (int j = 0; j < N_SHAPES; j++) {
        const ndl_quant_shape *s = &shapes[j];
        const uint8_t zero = s->dtype == NDL_INT8 ? 128 : 0x88;
        fill(s, 16);
        pack(s);
        for (size_t i = 0; i < ndl_quant_panel_bytes(s); i++)
            assert_int_equal(quants[ndl_quant_panel_bytes(s) + i], zero);
        for (size_t i = 0; i < ndl_quant_panel_scales(s); i++)
            assert_int_equal(scales[ndl_quant_panel_scales(s) + i], 0);
    }
}

static void kernels_multiply_what_was_packed(void **state)
{
    (void)state;
    ndl_kernels k;
    ndl_kernels_init(&k, ndl_cpu_flags());
    random_state = chance_seed(4);
    for (int j = 0; j < N_SHAPES; j++) {
        const ndl_quant_shape *s = &shapes[j];
        const bool wide = s->dtype == NDL_INT8;
        static float x[TOKENS][MOST_COLS], y[TOKENS][PANELS * ROWS];
        static _Alignas(64) uint8_t a[TOKENS * 1024];
        const size_t lda = ndl_rows8_bytes(s->cols, s->block);
        fill(s, 3);
        pack(s);
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < s->cols; i++)
                x[t][i] = (float)between(-1000, 1000) * 0x1p-9f;
        assert_true(lda * TOKENS <= sizeof a);
        k.rows8(a, lda, x[0], MOST_COLS, TOKENS, s->cols, s->block,
                wide ? 128 : 8);
        (wide ? k.matmul_int8 : k.matmul_int4)(y[0], PANELS * ROWS, a, lda,
                                               quants, scales, TOKENS, PANELS,
                                               s->cols, s->block);
        for (int t = 0; t < TOKENS; t++)
            for (int r = 0; r < PANELS * ROWS; r++) {
                const float *w = rows[r / ROWS] + r % ROWS * s->cols;
                double sum = 0, size = 0;
                for (int i = 0; i < s->cols; i++) {
                    sum += (double)w[i] * x[t][i];
                    size += fabs((double)w[i] * x[t][i]);
                }
                /* Half a step of the weights (of |w| <= 0.115) and of the
                 * activations (of |x| <= 2), each k. */
                const double step = wide ? 0.0011 : 0.02;
                const double bound =
                    s->cols * (2.0 * step / 2 * 1.3 + 0.12 * 2.0 / 254);
                assert_true(fabs(y[t][r] - sum) <= bound + 1e-5 * size);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_whole_blocks),
        cmocka_unit_test(kernels_gather_the_rows_that_were_quantised),
        cmocka_unit_test(unpacking_gives_the_bits_of_the_kernels),
        cmocka_unit_test(padding_is_q_0_with_scale_0),
        cmocka_unit_test(kernels_multiply_what_was_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
