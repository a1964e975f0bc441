/* check_rope.c - the rotation, and its table against libm in double. */
#include "kernel_check.h"

enum { X, X2, TABLE, WANT };

typedef struct shape {
    int rows, heads, hd, pair;
    size_t ldx;
} shape;

/* pair is a random divisor of hd / 2. */
static shape random_shape(void)
{
    shape s = { random_int(0, 3), random_int(0, 4), 2 * random_int(1, 70), 0,
                0 };
    if (random_int(0, 1)) s.hd = 32 * random_int(1, 5);
    do s.pair = random_int(1, s.hd / 2);
    while (s.hd / 2 % s.pair);
    s.ldx = (size_t)(s.heads * s.hd + random_int(0, 5));
    return s;
}

static void make_table(float *table, const shape *s)
{
    double inv[128];
    ndl_rope_inverse(inv, 10000, s->hd);
    for (int t = 0; t < s->rows; t++)
        ndl_rope_table(table + (size_t)t * s->hd, random_int(0, 5000), inv,
                       s->hd / 2);
}

/* The index of both halves of frequency f, from the contract's words. */
static void halves(const shape *s, int f, int *a, int *b)
{
    int block = f / s->pair, l = f % s->pair;
    *a = 2 * s->pair * block + l;
    *b = *a + s->pair;
}

static void compare(const shape *s, const float *y, const float *x,
                    const float *table, worst *bad)
{
    for (int t = 0; t < s->rows; t++)
        for (int h = 0; h < s->heads; h++)
            for (int f = 0; f < s->hd / 2; f++) {
                int a, b;
                halves(s, f, &a, &b);
                size_t at = t * s->ldx + (size_t)h * s->hd;
                const float *cs = table + ((size_t)t * s->hd / 2 + f) * 2;
                double p = x[at + a], q = x[at + b];
                double size = 0x1p-23 * (fabs(p) + fabs(q)) + 0x1p-124;
                worst_add(bad, y[at + a], p * cs[0] - q * cs[1], size);
                worst_add(bad, y[at + b], q * cs[0] + p * cs[1], size);
            }
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad = { 0, 0 };
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 200; i++) {
            shape s = random_shape();
            size_t n = s.rows * s.ldx;
            float *x = random_floats(X, n), *y = guard_floats(X2, n);
            float *table = guard_floats(TABLE, (size_t)s.rows * s.hd);
            make_table(table, &s);
            for (size_t j = 0; j < n; j++) y[j] = x[j];
            k[v].rope(y, s.ldx, table, s.rows, s.heads, s.hd, s.pair);
            compare(&s, y, x, table, &bad);
            for (int t = 0; t < s.rows; t++)
                for (size_t j = (size_t)s.heads * s.hd; j < s.ldx; j++)
                    assert_same_bits(y + t * s.ldx + j, x + t * s.ldx + j, 1);
            assert_guards_intact();
        }
    assert_within(&bad, "rope");
}

static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 500; i++) {
        shape s = random_shape();
        size_t n = s.rows * s.ldx;
        float *x = random_floats(X, n), *want = guard_floats(WANT, n);
        float *table = guard_floats(TABLE, (size_t)s.rows * s.hd);
        make_table(table, &s);
        for (size_t j = 0; j < n; j++) want[j] = x[j];
        k[0].rope(want, s.ldx, table, s.rows, s.heads, s.hd, s.pair);
        for (int v = 1; v < n_levels; v++) {
            float *x2 = guard_floats(X2, n);
            for (size_t j = 0; j < n; j++) x2[j] = x[j];
            k[v].rope(x2, s.ldx, table, s.rows, s.heads, s.hd, s.pair);
            assert_same_bits(x2, want, n);
            assert_guards_intact();
        }
    }
}

/* Half a ULP of f32 below 1 and a little: all that the contract's 1e-7 leaves
 * to the rounding of the result. */
static const double TABLE_BOUND = 0x1p-25 + 1e-9;

static void check_position(int position, const double *inv, int n, worst *bad)
{
    float table[256];
    ndl_rope_table(table, position, inv, n);
    for (int f = 0; f < n; f++) {
        double angle = position * inv[f];
        worst_add(bad, table[2 * f], cos(angle), TABLE_BOUND);
        worst_add(bad, table[2 * f + 1], sin(angle), TABLE_BOUND);
    }
}

static void table_is_close_to_libm(void **state)
{
    (void)state;
    double inv[64];
    worst bad = { 0, 0 };
    ndl_rope_inverse(inv, 500000, 128);
    for (int i = 0; i < 3000; i++) check_position(i, inv, 64, &bad);
    for (int i = 0; i < 20000; i++)
        check_position(random_int(0, (1 << 24) - 1), inv, 64, &bad);
    assert_within(&bad, "rope table");
}

/* Every quadrant, and angles at which the reduced argument is about 0. */
static void table_is_right_at_multiples_of_half_pi(void **state)
{
    (void)state;
    worst bad = { 0, 0 };
    for (int i = -8000; i < 8000; i++) {
        double inv = i * 0.78539816339744831;
        check_position(1, &inv, 1, &bad);
    }
    assert_within(&bad, "rope table at multiples of pi/4");
}

static void position_zero_does_not_rotate(void **state)
{
    (void)state;
    double inv[3] = { 1, 0.5, 1e-9 };
    float table[6];
    ndl_rope_table(table, 0, inv, 3);
    for (int f = 0; f < 3; f++)
        assert_true(table[2 * f] == 1 && table[2 * f + 1] == 0);
}

static void inverse_frequencies_are_close_to_libm(void **state)
{
    (void)state;
    static const double thetas[] = { 1, 1.5, 2, 100, 1e4, 5e5, 1e6, 1e7, 1e15 };
    worst bad = { 0, 0 };
    for (size_t i = 0; i < sizeof thetas / sizeof *thetas; i++)
        for (int hd = 2; hd <= 256; hd += 2) {
            double inv[128];
            ndl_rope_inverse(inv, thetas[i], hd);
            for (int f = 0; f < hd / 2; f++) {
                double want = pow(thetas[i], -2.0 * f / hd);
                worst_add(&bad, inv[f], want, 1e-12 * want);
            }
        }
    assert_within(&bad, "inverse frequencies");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
        cmocka_unit_test(table_is_close_to_libm),
        cmocka_unit_test(table_is_right_at_multiples_of_half_pi),
        cmocka_unit_test(position_zero_does_not_rotate),
        cmocka_unit_test(inverse_frequencies_are_close_to_libm),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
