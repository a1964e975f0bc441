/* check_norm.c - RMSNorm and LayerNorm. */
#include "kernel_check.h"

enum { X, Y, Y2, GAIN, BIAS };

typedef struct shape {
    int rows, d, layer; /* layer: LayerNorm, else RMSNorm */
    size_t ldx, ldy;
} shape;

static shape random_shape(int max_d)
{
    shape s = { random_int(0, 4), random_int(1, max_d), random_int(0, 1), 0,
                0 };
    s.ldx = (size_t)(s.d + random_int(0, 3));
    s.ldy = (size_t)(s.d + random_int(0, 3));
    return s;
}

static const float EPS = 1e-5f;

static void normalise(const ndl_kernels *k, const shape *s, float *y,
                      const float *x, const float *gain, const float *bias)
{
    if (s->layer)
        k->layernorm(y, s->ldy, x, s->ldx, gain, bias, s->rows, s->d, EPS);
    else
        k->rmsnorm(y, s->ldy, x, s->ldx, gain, s->rows, s->d, EPS);
}

/* The sums have relative errors of at most (d/16 + 8) u; a mean that is off
 * by e moves every x - mean by e, which r and the gain enlarge. */
static void compare_row(const shape *s, const float *y, const float *x,
                        const float *gain, const float *bias, worst *bad)
{
    const double u = 0x1p-24 * (s->d / 16 + 12);
    double sum = 0, size = 0, square = 0;
    for (int i = 0; i < s->d; i++) {
        sum += x[i];
        size += fabs((double)x[i]);
    }
    double mean = s->layer ? sum / s->d : 0;
    for (int i = 0; i < s->d; i++) square += (x[i] - mean) * (x[i] - mean);
    double r = 1 / sqrt(square / s->d + (double)EPS);
    double moved = s->layer ? size / s->d * u : 0;
    for (int i = 0; i < s->d; i++) {
        double v = (x[i] - mean) * r * gain[i];
        double off = fabs(moved * r * gain[i]);
        /* A moved mean also enters the variance, by its square. */
        double bound = fabs(v) * (2 * u + moved * r * moved * r) + 2 * off;
        if (s->layer) bound += fabs((double)bias[i]) * 0x1p-23;
        worst_add(bad, y[i], v + (s->layer ? bias[i] : 0), bound + 0x1p-110);
    }
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad[2] = { { 0, 0 } };
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 400; i++) {
            shape s = random_shape(i % 8 ? 80 : 3000);
            float *x = random_floats(X, s.rows * s.ldx);
            float *gain = random_floats(GAIN, (size_t)s.d);
            float *bias = random_floats(BIAS, (size_t)s.d);
            float *y = guard_floats(Y, s.rows * s.ldy);
            normalise(&k[v], &s, y, x, gain, bias);
            for (int t = 0; t < s.rows; t++)
                compare_row(&s, y + t * s.ldy, x + t * s.ldx, gain, bias,
                            &bad[s.layer]);
            assert_painted(y, s.rows, s.ldy, (size_t)s.d);
            assert_guards_intact();
        }
    assert_within(&bad[0], "rmsnorm");
    assert_within(&bad[1], "layernorm");
}

static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 1500; i++) {
        shape s = random_shape(i % 8 ? 100 : 2100);
        float *x = random_floats(X, s.rows * s.ldx);
        float *gain = random_floats(GAIN, (size_t)s.d);
        float *bias = random_floats(BIAS, (size_t)s.d);
        float *y = guard_floats(Y, s.rows * s.ldy);
        normalise(&k[0], &s, y, x, gain, bias);
        for (int v = 1; v < n_levels; v++) {
            float *y2 = guard_floats(Y2, s.rows * s.ldy);
            normalise(&k[v], &s, y2, x, gain, bias);
            assert_same_bits(y2, y, s.rows * s.ldy);
        }
        assert_guards_intact();
    }
}

/* Tiny sums that flush to zeros of either sign, whose sign must not depend
 * on how a version treats the lanes past the end. */
static void zeros_keep_their_sign_past_the_end(void **state)
{
    (void)state;
    static const float tiny[] = { 1.3e-38f, -1.4e-38f, -0.0f, 0.0f };
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 2000; i++) {
        int d = random_int(1, 60);
        float *x = guard_floats(X, (size_t)d);
        float *gain = random_floats(GAIN, (size_t)d);
        float *bias = guard_floats(BIAS, (size_t)d);
        for (int j = 0; j < d; j++) {
            x[j] = tiny[random_bits() % 4];
            bias[j] = -0.0f;
        }
        float *y = guard_floats(Y, (size_t)d);
        k[0].layernorm(y, d, x, d, gain, bias, 1, d, 0x1p-126f);
        for (int v = 1; v < n_levels; v++) {
            float *y2 = guard_floats(Y2, (size_t)d);
            k[v].layernorm(y2, d, x, d, gain, bias, 1, d, 0x1p-126f);
            assert_same_bits(y2, y, (size_t)d);
        }
    }
}

static void a_constant_row_has_no_deviation(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    float x[64], gain[64], bias[64];
    for (int i = 0; i < 64; i++) {
        x[i] = 3;
        gain[i] = 2;
        bias[i] = (float)i;
    }
    for (int v = 0; v < n_levels; v++) {
        float *y = guard_floats(Y, 64);
        k[v].layernorm(y, 64, x, 64, gain, bias, 1, 64, EPS);
        assert_same_bits(y, bias, 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
        cmocka_unit_test(zeros_keep_their_sign_past_the_end),
        cmocka_unit_test(a_constant_row_has_no_deviation),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
