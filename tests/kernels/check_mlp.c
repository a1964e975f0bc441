/* check_mlp.c - SwiGLU and GELU. */
#include "kernel_check.h"

enum { X, Y, Y2 };

typedef struct shape {
    int rows, f;
    size_t ldx, ldy;
} shape;

/* Columns that the gates and ups of f results take; the last block ends with
 * the last up. */
static size_t glu_columns(int f)
{
    return f ? (size_t)(f - 1) / 16 * 32 + 16 + (f - 1) % 16 + 1 : 0;
}

static shape random_shape(int glu)
{
    shape s = { random_int(0, 4), random_int(0, 100), 0, 0 };
    size_t columns = glu ? glu_columns(s.f) : (size_t)s.f;
    s.ldx = columns + (size_t)random_int(0, 5);
    s.ldy = (size_t)(s.f + random_int(0, 5));
    return s;
}

/* Values over the range where the functions bend, some far outside. */
static float *random_inputs(int slot, const shape *s)
{
    float *x = random_floats(slot, s->rows * s->ldx);
    for (size_t i = 0; i < s->rows * s->ldx; i++) x[i] *= i % 7 ? 8.0f : 100.0f;
    return x;
}

static double silu(double g)
{
    return g / (1 + exp(-g));
}

static double gelu(double x)
{
    double u = 0.79788456080286536 * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1 + tanh(u));
}

/* silu: exp is within 2 ULP, the division and the sum round: 4 ULP. */
static void swiglu_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad = { 0, 0 };
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 300; i++) {
            shape s = random_shape(1);
            float *x = random_inputs(X, &s);
            float *y = guard_floats(Y, s.rows * s.ldy);
            k[v].swiglu(y, s.ldy, x, s.ldx, s.rows, s.f);
            for (int t = 0; t < s.rows; t++)
                for (int j = 0; j < s.f; j++) {
                    const float *pair = x + t * s.ldx + j / 16 * 32 + j % 16;
                    double want = silu(pair[0]) * pair[16];
                    worst_add(&bad, y[t * s.ldy + j], want,
                              fabs(want) * 4 * 0x1p-23 + 1e-30);
                }
            assert_painted(y, s.rows, s.ldy, (size_t)s.f);
            assert_guards_intact();
        }
    assert_within(&bad, "swiglu");
}

static void gelu_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad = { 0, 0 };
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 600; i++) {
            shape s = random_shape(0);
            float *x = random_inputs(X, &s);
            float *y = guard_floats(Y, s.rows * s.ldy);
            k[v].gelu(y, s.ldy, x, s.ldx, s.rows, s.f);
            for (int t = 0; t < s.rows; t++)
                for (int j = 0; j < s.f; j++) {
                    double a = x[t * s.ldx + j];
                    worst_add(&bad, y[t * s.ldy + j], gelu(a),
                              3e-7 * fmax(1, fabs(a)));
                }
            assert_painted(y, s.rows, s.ldy, (size_t)s.f);
            assert_guards_intact();
        }
    assert_within(&bad, "gelu (absolute, 3e-7 max(1, |x|))");
}

static void gelu_is_stable_far_out(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    const float x[] = { 1e30f, -1e30f, 3e38f, -3e38f, 0.0f, -0.0f, 1e-30f };
    for (int v = 0; v < n_levels; v++) {
        float y[7];
        k[v].gelu(y, 7, x, 7, 1, 7);
        assert_true(y[0] == x[0] && y[2] == x[2]);
        assert_true(y[1] == 0 && y[3] == 0);
        assert_same_bits(y + 4, x + 4, 2);
        assert_true(y[6] == 0.5e-30f);
    }
}

static void apply(const ndl_kernels *k, int glu, float *y, const float *x,
                  const shape *s)
{
    if (glu)
        k->swiglu(y, s->ldy, x, s->ldx, s->rows, s->f);
    else
        k->gelu(y, s->ldy, x, s->ldx, s->rows, s->f);
}

static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 1000; i++) {
        shape s = random_shape(i % 2);
        size_t n = s.rows * s.ldy;
        float *x = random_inputs(X, &s);
        float *y = guard_floats(Y, n);
        apply(&k[0], i % 2, y, x, &s);
        for (int v = 1; v < n_levels; v++) {
            float *y2 = guard_floats(Y2, n);
            apply(&k[v], i % 2, y2, x, &s);
            assert_same_bits(y2, y, n);
            assert_guards_intact();
        }
    }
}

static void gelu_may_work_in_place(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int f = 1; f < 60; f++) {
            float *x = random_floats(X, 2 * (size_t)f);
            float *y = guard_floats(Y, 2 * (size_t)f);
            k[v].gelu(y, f, x, f, 2, f);
            k[v].gelu(x, f, x, f, 2, f);
            assert_same_bits(x, y, 2 * (size_t)f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swiglu_is_close_to_fp64),
        cmocka_unit_test(gelu_is_close_to_fp64),
        cmocka_unit_test(gelu_is_stable_far_out),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
        cmocka_unit_test(gelu_may_work_in_place),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
