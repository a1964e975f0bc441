/* check_exp.c - exp against libm's in double, over its whole range. */
#include "kernel_check.h"

enum { X, Y, Y2, CHUNK = 4096 };

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Error in units of the last place of the exact result. */
static double ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs(got - want) / ldexp(1.0, exponent - 24);
}

/* The next CHUNK floats of magnitude bits `from`, `step` apart. */
static int fill(float *x, uint32_t *from, uint32_t to, uint32_t step)
{
    int n = 0;
    for (; n < CHUNK && *from <= to; n++, *from += step)
        x[n] = from_bits(*from);
    return n;
}

/* Every 199th float between two bounds of one sign (by magnitude). */
static double worst_ulps(const ndl_kernels *k, float low, float high)
{
    double bad = 0;
    uint32_t at, to;
    memcpy(&at, &low, sizeof at);
    memcpy(&to, &high, sizeof to);
    while (at <= to) {
        float *x = guard_floats(X, CHUNK), *y = guard_floats(Y, CHUNK);
        int n = fill(x, &at, to, 199);
        k->exp(y, x, n);
        for (int i = 0; i < n; i++) bad = fmax(bad, ulps(y[i], exp(x[i])));
    }
    return bad;
}

static void exp_is_within_two_ulps(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++) {
        double below = worst_ulps(&k[v], -1e-10f, -87.33654f);
        double above = worst_ulps(&k[v], 1e-10f, 88.72283f);
        print_message("%s: worst error %.3f ULP below 0, %.3f above\n",
                      k[v].name, below, above);
        assert_true(below <= 2 && above <= 2);
    }
}

static void exp_ends_in_zero_and_infinity(void **state)
{
    (void)state;
    static const float x[] = { -87.33654f, -87.336548f, -88.0f,    -1e30f,
                               -INFINITY,  88.72283f,   88.72284f, 1e30f,
                               INFINITY,   0.0f,        -0.0f,     1e-40f };
    enum { N = sizeof x / sizeof *x };
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++) {
        float *y = guard_floats(Y, N);
        k[v].exp(y, x, N);
        assert_true(y[0] >= 1.17549435e-38f && y[0] < 1.1756e-38f);
        for (int i = 1; i < 5; i++) assert_true(y[i] == 0 && !signbit(y[i]));
        assert_true(y[5] > 3.4e38f && y[5] < INFINITY);
        for (int i = 6; i < 9; i++) assert_true(y[i] == INFINITY);
        for (int i = 9; i < N; i++) assert_true(y[i] == 1.0f);
    }
}

static void exp_of_nan_is_nan(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++) {
        float x[9] = { 0, NAN, -NAN, 1, 2, 3, 4, 5, NAN }, y[9];
        k[v].exp(y, x, 9);
        for (int i = 0; i < 9; i++)
            assert_true((x[i] != x[i]) == (y[i] != y[i]));
    }
}

/* Bit patterns of every kind; both may only differ where neither does. */
static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int round = 0; round < 300; round++) {
        int n = random_int(0, 1000);
        float *x = guard_floats(X, (size_t)n);
        for (int i = 0; i < n; i++) {
            x[i] = random_unit() * 100;
            if (i % 3 == 0) x[i] = from_bits((uint32_t)random_bits());
        }
        float *y = guard_floats(Y, (size_t)n);
        float *y2 = guard_floats(Y2, (size_t)n);
        k[0].exp(y, x, n);
        for (int v = 1; v < n_levels; v++) {
            k[v].exp(y2, x, n);
            assert_same_bits(y2, y, (size_t)n);
            memcpy(y2, x, (size_t)n * sizeof *x);
            k[v].exp(y2, y2, n);
            assert_same_bits(y2, y, (size_t)n);
        }
        assert_guards_intact();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_ulps),
        cmocka_unit_test(exp_ends_in_zero_and_infinity),
        cmocka_unit_test(exp_of_nan_is_nan),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
