/* check_elementwise.c - add, bias and gather: exact, so without bounds. */
#include "kernel_check.h"

enum { X, Y, Y2, W };

static void add_and_bias_are_sums_of_floats(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 400; i++) {
            int rows = random_int(0, 4), d = random_int(0, 70), add = i % 2;
            size_t ldx = add ? (size_t)(d + random_int(0, 5)) : 0;
            size_t ldy = (size_t)(d + random_int(0, 5)), n = rows * ldy;
            float *x = random_floats(X, add ? rows * ldx : (size_t)d);
            float *y = random_floats(Y, n), *y2 = guard_floats(Y2, n);
            for (size_t j = 0; j < n; j++) y2[j] = y[j];
            for (int t = 0; t < rows; t++)
                for (int j = 0; j < d; j++) y2[t * ldy + j] += x[t * ldx + j];
            if (add)
                k[v].add(y, ldy, x, ldx, rows, d);
            else
                k[v].bias(y, ldy, x, rows, d);
            assert_same_bits(y, y2, n);
            assert_guards_intact();
        }
}

static void gather_finds_the_row_of_panels(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 200; i++) {
            int n = 16 * random_int(1, 4), d = random_int(0, 60);
            int row = random_int(0, n - 1), pairs = (d + 1) / 2;
            const float *w = random_floats(W, (size_t)n * d);
            float *y = guard_floats(Y, (size_t)d);
            k[v].gather_f32(y, w, row, d);
            for (int j = 0; j < d; j++)
                assert_same_bits(y + j, w + (row / 16 * d + j) * 16 + row % 16,
                                 1);
            const uint16_t *c = random_cells(W, (size_t)n * 2 * pairs);
            k[v].gather_bf16(y, c, row, d);
            for (int j = 0; j < d; j++) {
                size_t pair = (size_t)(row / 16 * pairs + j / 2) * 16;
                float want = f32_of_bf16(c[(pair + row % 16) * 2 + j % 2]);
                assert_same_bits(y + j, &want, 1);
            }
            assert_guards_intact();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_and_bias_are_sums_of_floats),
        cmocka_unit_test(gather_finds_the_row_of_panels),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
