/* check_int8.c - matrix products with int8 weights. */
#include "quantised.h"

enum { X, A, W, S, Y, Y2 };

typedef struct inputs {
    const void *a;
    uint8_t *w;
    const uint16_t *scales;
} inputs;

static uint8_t *random_weights(const shape *s)
{
    const size_t n = (size_t)s->panels * 16 * padded_k(s);
    uint8_t *w = guard_bytes(W, n);
    for (size_t i = 0; i < n; i++) w[i] = (uint8_t)random_int(1, 255);
    return w;
}

static inputs random_inputs(const shape *s)
{
    ndl_kernels ref;
    inputs in;
    const float *x = random_floats(X, extent(s->rows, s->ldx, s->k));
    void *a = guard_bytes(A, rows8_extent(s));
    ndl_kernels_init(&ref, 0);
    ref.rows8(a, s->lda, x, s->ldx, s->rows, s->k, s->block, s->zero);
    in.a = a;
    in.w = random_weights(s);
    in.scales = random_scales(S, (size_t)s->panels * (size_t)blocks_of(s) * 16);
    return in;
}

static size_t y_extent(const shape *s)
{
    return extent(s->rows, s->ldy, 16 * (size_t)s->panels);
}

static float *multiply(const ndl_kernels *k, const shape *s, int slot,
                       const inputs *in)
{
    float *y = guard_floats(slot, y_extent(s));
    k->matmul_int8(y, s->ldy, in->a, s->lda, in->w, in->scales, s->rows,
                   s->panels, s->k, s->block);
    return y;
}

static void check_same(const ndl_kernels *k, int n, const shape *s,
                       const inputs *in)
{
    const float *want = multiply(&k[0], s, Y, in);
    for (int v = 1; v < n; v++) {
        assert_same_bits(multiply(&k[v], s, Y2, in), want, y_extent(s));
        assert_guards_intact();
    }
}

static void every_version_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 150; i++) {
        const shape s = random_shape();
        const inputs in = random_inputs(&s);
        check_same(k, n, &s, &in);
    }
}

/* Every tile of every version, and two of them after one another. */
static void every_tile_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int rows = 1; rows <= 25; rows++)
        for (int panels = 1; panels <= 6; panels++) {
            const shape s = shape_of(rows, panels, random_int(1, 200),
                                     panels % 2 ? 64 : 32);
            const inputs in = random_inputs(&s);
            check_same(k, n, &s, &in);
        }
}

/* Past the sizes of every block of every version: rows 32 and 192, k 512, 2048
 * and 4096, activations 400 KB, weights 256 KB. */
static void blocks_of_rows_and_of_k_do_not_change_bits(void **state)
{
    (void)state;
    static const int large[][4] = {
        { 200, 3, 1100, 64 }, { 100, 1, 5632, 64 }, { 98, 2, 5600, 32 },
        { 3, 5, 4500, 64 },   { 1, 6, 9001, 32 },   { 33, 3, 1025, 32 },
        { 11, 19, 2050, 64 }, { 27, 19, 2050, 64 }, { 73, 3, 5632, 64 },
        { 25, 2, 17100, 64 }
    };
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        const int *l = large[i];
        const shape s = shape_of(l[0], l[1], l[2], l[3]);
        const inputs in = random_inputs(&s);
        check_same(k, n, &s, &in);
    }
}

/* The largest sums of either sign; 16 bits do not hold two such products. */
static void extreme_weights_and_rows_do_not_saturate(void **state)
{
    (void)state;
    static const uint8_t u[] = { 0, 1, 255 };
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 48; i++) {
        const shape s = shape_of(random_int(1, 9), random_int(1, 4),
                                 random_int(1, 300), i % 2 ? 64 : 32);
        const inputs in = random_inputs(&s);
        float *x = guard_floats(X, extent(s.rows, s.ldx, s.k));
        for (size_t j = 0; j < extent(s.rows, s.ldx, s.k); j++)
            x[j] = i % 3 ? (i % 3 == 1 ? 1.0f : -1.0f) : (j % 2 ? 1.0f : -1.0f);
        k[0].rows8((void *)in.a, s.lda, x, s.ldx, s.rows, s.k, s.block, 128);
        memset(in.w, u[i / 3 % 3], (size_t)s.panels * 16 * padded_k(&s));
        check_same(k, n, &s, &in);
    }
}

static int cell(const shape *s, const inputs *in, int n, int i)
{
    const size_t panel = (size_t)(n / 16) * 16 * padded_k(s);
    return in->w[panel + (size_t)(i / 4 * 64 + n % 16 * 4 + i % 4)] - 128;
}

/* One value, its terms, and what rounding may do to it: a step for each block,
 * another for the product of scales, and what flushing takes from that times a
 * whole block of sums. */
static void compare_one(const shape *s, const inputs *in, int t, int n,
                        float got, worst *bad)
{
    const int nb = blocks_of(s);
    double sum = 0, size = 0;
    for (int b = 0; b < nb; b++) {
        const size_t at = ((size_t)(n / 16) * (size_t)nb + (size_t)b) * 16;
        double whole = 0;
        for (int i = b * s->block; i < s->k && i < (b + 1) * s->block; i++)
            whole += cell(s, in, n, i) * row_q(s, in->a, t)[i];
        const double term = whole * f64_of_half(in->scales[at + n % 16]) *
                            row_scale(s, in->a, t)[b];
        sum += term;
        size += fabs(term);
    }
    worst_add(bad, got, sum, (nb + 1) * (0x1p-24 * size + 0x1p-105));
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    worst bad = { 0, 0 };
    const int versions_here = levels(k);
    for (int i = 0; i < 40; i++) {
        const shape s = random_shape();
        const inputs in = random_inputs(&s);
        const float *y = multiply(&k[i % versions_here], &s, Y, &in);
        for (int t = 0; t < s.rows; t++)
            for (int n = 0; n < 16 * s.panels; n++)
                compare_one(&s, &in, t, n, y[(size_t)t * s.ldy + (size_t)n],
                            &bad);
    }
    assert_within(&bad, "matmul_int8");
}

static void what_pads_y_is_left_alone(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 40; i++) {
        const shape s = random_shape();
        const inputs in = random_inputs(&s);
        float *y = guard_floats(Y, (size_t)s.rows * s.ldy);
        k[i % n].matmul_int8(y, s.ldy, in.a, s.lda, in.w, in.scales, s.rows,
                             s.panels, s.k, s.block);
        assert_painted(y, s.rows, s.ldy, 16 * (size_t)s.panels);
    }
}

static void no_k_gives_plus_zero(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    float zero[48] = { 0 };
    for (int v = 0; v < n; v++)
        for (int rows = 1; rows <= 13; rows++) {
            shape s = shape_of(rows, 3, 0, rows % 2 ? 64 : 32);
            const inputs in = random_inputs(&s);
            const float *y = multiply(&k[v], &s, Y, &in);
            for (int t = 0; t < rows; t++)
                assert_same_bits(y + (size_t)t * s.ldy, zero, 48);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_gives_the_bits_of_ref),
        cmocka_unit_test(every_tile_gives_the_bits_of_ref),
        cmocka_unit_test(blocks_of_rows_and_of_k_do_not_change_bits),
        cmocka_unit_test(extreme_weights_and_rows_do_not_saturate),
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(what_pads_y_is_left_alone),
        cmocka_unit_test(no_k_gives_plus_zero),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
