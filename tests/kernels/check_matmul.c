/* check_matmul.c - matrix products with f32 and bf16 weights. */
#include "kernel_check.h"

enum { X, Y, Y2, W };

typedef struct shape {
    int rows, panels, k, bf16;
    size_t ldx, ldy;
} shape;

static size_t cells(const shape *s)
{
    size_t k = s->bf16 ? (size_t)(s->k + 1) / 2 * 2 : (size_t)s->k;
    return (size_t)s->panels * 16 * k;
}

static const void *random_weights(const shape *s)
{
    if (s->bf16) return random_cells(W, cells(s));
    return random_floats(W, cells(s));
}

static double weight(const shape *s, const void *w, int n, int i)
{
    size_t p = (size_t)n / 16, lane = (size_t)n % 16;
    if (!s->bf16) return ((const float *)w)[(p * s->k + i) * 16 + lane];
    size_t pairs = (size_t)(s->k + 1) / 2;
    size_t at = ((p * pairs + i / 2) * 16 + lane) * 2 + i % 2;
    return f32_of_bf16(((const uint16_t *)w)[at]);
}

static void multiply(const ndl_kernels *k, const shape *s, float *y,
                     const float *x, const void *w)
{
    if (s->bf16)
        k->matmul_bf16(y, s->ldy, x, s->ldx, w, s->rows, s->panels, s->k);
    else
        k->matmul_f32(y, s->ldy, x, s->ldx, w, s->rows, s->panels, s->k);
}

/* Exactly rows * ld - (ld - columns) floats: the last row has no padding. */
static size_t extent(int rows, size_t ld, size_t columns)
{
    return rows ? (size_t)(rows - 1) * ld + columns : 0;
}

static shape random_shape(int max_k)
{
    shape s = { random_int(0, 19),
                random_int(0, 8),
                random_int(0, max_k),
                random_int(0, 1),
                0,
                0 };
    s.ldx = (size_t)s.k + (size_t)random_int(0, 5);
    s.ldy = 16 * (size_t)s.panels + (size_t)random_int(0, 5);
    return s;
}

/* Rounding of a chain of k fused steps: k u times the sum of magnitudes;
 * 16 denormals' worth for what flushing takes away. */
static void compare_with_fp64(const shape *s, const float *y, const float *x,
                              const void *w, worst *bad)
{
    for (int t = 0; t < s->rows; t++)
        for (int n = 0; n < 16 * s->panels; n++) {
            double sum = 0, size = 0;
            for (int i = 0; i < s->k; i++) {
                double term = x[t * s->ldx + i] * weight(s, w, n, i);
                sum += term;
                size += fabs(term);
            }
            double bound = s->k * (0x1p-24 * size + 0x1p-120);
            worst_add(bad, y[t * s->ldy + n], sum, bound);
        }
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    worst bad = { 0, 0 };
    for (int v = 0, n_levels = levels(k); v < n_levels; v++)
        for (int i = 0; i < 60; i++) {
            shape s = random_shape(120);
            const void *w = random_weights(&s);
            float *x = random_floats(X, extent(s.rows, s.ldx, s.k));
            float *y = guard_floats(Y, s.rows * s.ldy);
            multiply(&k[v], &s, y, x, w);
            compare_with_fp64(&s, y, x, w, &bad);
            assert_painted(y, s.rows, s.ldy, 16 * (size_t)s.panels);
            assert_guards_intact();
        }
    assert_within(&bad, "matmul");
}

/* Every level against the reference. */
static void check_same(const shape *s)
{
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    const void *w = random_weights(s);
    float *x = random_floats(X, extent(s->rows, s->ldx, s->k));
    size_t n = extent(s->rows, s->ldy, 16 * (size_t)s->panels);
    float *y = guard_floats(Y, n);
    multiply(&k[0], s, y, x, w);
    for (int v = 1; v < n_levels; v++) {
        float *y2 = guard_floats(Y2, n);
        multiply(&k[v], s, y2, x, w);
        assert_same_bits(y2, y, n);
        assert_guards_intact();
    }
}

static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    fast_version();
    for (int i = 0; i < 250; i++) {
        shape s = random_shape(i % 4 ? 90 : 700);
        check_same(&s);
    }
}

/* Past the sizes of every block: rows 192, k 384 and 512, activations
 * 512 KB. */
static void blocks_of_rows_and_of_k_do_not_change_bits(void **state)
{
    (void)state;
    static const shape large[] = {
        { 200, 1, 300, 0, 300, 16 },  { 200, 1, 301, 1, 303, 17 },
        { 40, 2, 3900, 0, 3900, 32 }, { 40, 2, 3901, 1, 3901, 35 },
        { 7, 3, 513, 0, 513, 48 },    { 193, 1, 256, 0, 256, 16 },
        { 9, 7, 1100, 0, 1100, 113 }, { 17, 5, 1537, 0, 1539, 80 },
        { 8, 4, 2049, 0, 2049, 64 },  { 193, 4, 700, 0, 700, 64 }
    };
    fast_version();
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        check_same(&large[i]);
}

static void a_row_does_not_depend_on_the_other_rows(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    for (int v = 0, n_levels = levels(k); v < n_levels; v++)
        for (int i = 0; i < 16; i++) {
            shape s = random_shape(600);
            s.rows = random_int(1, 26);
            s.bf16 = i % 2;
            const void *w = random_weights(&s);
            float *x = random_floats(X, s.rows * s.ldx);
            float *y = guard_floats(Y, s.rows * s.ldy);
            multiply(&k[v], &s, y, x, w);
            shape one = s;
            one.rows = 1;
            for (int t = 0; t < s.rows; t++) {
                float *y2 = guard_floats(Y2, s.ldy);
                multiply(&k[v], &one, y2, x + t * s.ldx, w);
                assert_same_bits(y2, y + t * s.ldy, 16 * (size_t)s.panels);
            }
        }
}

static void no_k_gives_plus_zero(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    float x[1] = { 1 }, zero[48] = { 0 };
    for (int v = 0, n_levels = levels(k); v < n_levels; v++)
        for (int bf16 = 0; bf16 < 2; bf16++)
            for (int rows = 1; rows <= 19; rows++) {
                shape s = { rows, 3, 0, bf16, 0, 48 };
                float *y = guard_floats(Y, (size_t)rows * 48);
                multiply(&k[v], &s, y, x, guard_bytes(W, 0));
                for (int t = 0; t < rows; t++)
                    assert_same_bits(y + 48 * t, zero, 48);
            }
}

/* An odd k ends in half a pair; the other half must not take part. */
static void the_last_half_pair_of_bf16_is_not_read(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    for (int v = 0, n_levels = levels(k); v < n_levels; v++)
        for (int rows = 1; rows <= 7; rows++) {
            shape s = { rows, 4, 9, 1, 9, 64 };
            uint16_t *w = random_cells(W, cells(&s));
            for (int n = 0; n < 64; n++)
                w[(((size_t)(n / 16) * 5 + 4) * 16 + n % 16) * 2 + 1] = 0x7fc0;
            float *x = random_floats(X, (size_t)rows * 9);
            float *y = guard_floats(Y, (size_t)rows * 64);
            multiply(&k[v], &s, y, x, w);
            for (int i = 0; i < rows * 64; i++) assert_true(y[i] == y[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
        cmocka_unit_test(blocks_of_rows_and_of_k_do_not_change_bits),
        cmocka_unit_test(a_row_does_not_depend_on_the_other_rows),
        cmocka_unit_test(no_k_gives_plus_zero),
        cmocka_unit_test(the_last_half_pair_of_bf16_is_not_read),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
