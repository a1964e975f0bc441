/* check_rows8.c - activations quantised by blocks. */
#include "quantised.h"

enum { X, A, A2 };

static void *quantise(const ndl_kernels *k, const shape *s, int slot,
                      const float *x)
{
    void *a = guard_bytes(slot, rows8_extent(s));
    k->rows8(a, s->lda, x, s->ldx, s->rows, s->k, s->block, s->zero);
    return a;
}

/* Bytes, also those that pad a row, which nobody may touch. */
static void check_same(const ndl_kernels *k, int n, const shape *s,
                       const float *x)
{
    const void *want = quantise(&k[0], s, A, x);
    for (int v = 1; v < n; v++) {
        const void *got = quantise(&k[v], s, A2, x);
        assert_memory_equal(got, want, rows8_extent(s));
        assert_guards_intact();
    }
}

static shape shape_of_rows(void)
{
    shape s = random_shape();
    s.k = random_int(0, 700);
    s = shape_of(s.rows, 0, s.k, s.block);
    s.zero = random_int(0, 1) ? 128 : 8;
    return s;
}

static void every_version_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 300; i++) {
        const shape s = shape_of_rows();
        check_same(k, n, &s, random_floats(X, extent(s.rows, s.ldx, s.k)));
    }
}

/* A block of what no model should have: among it values so small that 127 / m
 * is infinite, and those just above. */
static void odd_values_give_the_bits_of_ref(void **state)
{
    (void)state;
    static const float odd[] = { NAN,     -NAN,      INFINITY, -INFINITY,
                                 0.0f,    -0.0f,     1e-40f,   -1e-40f,
                                 2e-38f,  -3.7e-37f, 3.8e-37f, 1e-36f,
                                 3.4e38f, -3.4e38f,  1.0f,     127.0f,
                                 0.5f,    -2.5f,     3.5f,     63.5f };
    enum { N_ODD = sizeof odd / sizeof *odd };
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 400; i++) {
        const shape s = shape_of_rows();
        const size_t size = extent(s.rows, s.ldx, s.k);
        const int first = random_int(0, N_ODD - 1);
        const int last = random_int(first, N_ODD - 1);
        float *x = guard_floats(X, size);
        for (size_t j = 0; j < size; j++) x[j] = odd[random_int(first, last)];
        check_same(k, n, &s, x);
    }
}

/* Random bits: every exponent, every kind of NaN. */
static void any_bits_give_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 200; i++) {
        const shape s = shape_of_rows();
        const size_t size = extent(s.rows, s.ldx, s.k);
        float *x = guard_floats(X, size);
        const uint32_t mask = i % 2 ? 0xffffffffu : 0xbfffffffu;
        for (size_t j = 0; j < size; j++) {
            const uint32_t bits = (uint32_t)random_bits() & mask;
            memcpy(&x[j], &bits, sizeof bits);
        }
        check_same(k, n, &s, x);
    }
}

static void check_block(const shape *s, const void *a, int t, int b,
                        const float *x)
{
    const int at = b * s->block;
    const int8_t *q = row_q(s, a, t);
    const double scale = row_scale(s, a, t)[b];
    int sum = 0;
    for (int i = at; i < at + s->block; i++) {
        sum += q[i];
        assert_true(q[i] >= -127);
        if (i >= s->k)
            assert_int_equal(q[i], 0);
        else if (fabsf(x[i]) > 1e-36f)
            assert_true(fabs(x[i] - scale * q[i]) <= scale * 0.50001);
    }
    assert_int_equal(row_start(s, a, t)[b], -s->zero * sum);
}

static void a_value_is_at_most_half_a_step_away(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 100; i++) {
        const shape s = shape_of_rows();
        const float *x = random_floats(X, extent(s.rows, s.ldx, s.k));
        const void *a = quantise(&k[i % n], &s, A, x);
        for (int t = 0; t < s.rows; t++)
            for (int b = 0; b < blocks_of(&s); b++)
                check_block(&s, a, t, b, x + (size_t)t * s.ldx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_gives_the_bits_of_ref),
        cmocka_unit_test(odd_values_give_the_bits_of_ref),
        cmocka_unit_test(any_bits_give_the_bits_of_ref),
        cmocka_unit_test(a_value_is_at_most_half_a_step_away),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
