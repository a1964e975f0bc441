/* check_matmul16.c - products of bf16 weights and activations rounded to
 * bf16, where the processor has the instruction. */
#include <stdbool.h>

#include "kernel_check.h"

enum { X, A, Y, Y2, W };

typedef struct shape {
    int rows, panels, k;
    size_t lda, ldy;
} shape;

/* The table that has the kernels; skips the test where there is none. */
static ndl_kernels bf16_version(void)
{
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    if (n < LEVELS) {
        print_message("skipped: this machine has no avx512_bf16\n");
        skip();
    }
    return k[LEVELS - 1];
}

static size_t even(int k)
{
    return ((size_t)k + 1) / 2 * 2;
}

static size_t extent(int rows, size_t ld, size_t columns)
{
    return rows ? (size_t)(rows - 1) * ld + columns : 0;
}

static shape random_shape(int max_k)
{
    shape s = { random_int(0, 19), random_int(0, 8), random_int(0, max_k), 0,
                0 };
    s.lda = even(s.k) + (size_t)random_int(0, 5);
    s.ldy = 16 * (size_t)s.panels + (size_t)random_int(0, 5);
    return s;
}

static const uint16_t *random_weights(const shape *s)
{
    return random_cells(W, (size_t)s->panels * 16 * even(s->k));
}

static uint16_t *random_rows(const shape *s)
{
    uint16_t *a = random_cells(A, extent(s->rows, s->lda, even(s->k)));
    for (int t = 0; s->k % 2 && t < s->rows; t++)
        a[(size_t)t * s->lda + (size_t)s->k] = 0;
    return a;
}

static void multiply(const ndl_kernels *k, const shape *s, float *y,
                     const uint16_t *a, const uint16_t *w)
{
    k->matmul_dp16(y, s->ldy, a, s->lda, w, s->rows, s->panels, s->k);
}

/* Where the cell of output n and k = i lies. */
static size_t cell_of(const shape *s, int n, int i)
{
    size_t line = (size_t)(n / 16) * (even(s->k) / 2) + (size_t)i / 2;
    return (line * 16 + (size_t)n % 16) * 2 + (size_t)i % 2;
}

/* ---- rows16 ---- */

/* Nearest, ties to even, by the distance to both neighbours. */
static uint16_t rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t below = (uint16_t)(bits >> 16);
    const uint32_t rest = bits & 0xffffu, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return below | 0x40u;
    if (magnitude < 0x00800000u) return below & 0x8000u;
    const bool up = rest > 0x8000u || (rest == 0x8000u && below % 2);
    return (uint16_t)(below + up);
}

/* Any bits at all, often a tie, sometimes the edges of the range. */
static float random_bits_f32(void)
{
    static const uint32_t edges[] = { 0x7f7fffff, 0xff7fffff, 0x7f800000,
                                      0xff800000, 0x7f800001, 0xffffffff,
                                      0x007fffff, 0x80000001, 0x00800000,
                                      0x80000000, 0x7f7f8000, 0x7f7f7fff };
    const uint64_t dice = random_bits() % 40;
    uint32_t bits = (uint32_t)random_bits();
    if (dice < 12)
        bits = edges[dice];
    else if (dice < 25)
        bits = (bits & 0xffff0000u) | 0x8000u;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void rows_are_rounded_to_nearest_even(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    for (int i = 0; i < 400; i++) {
        shape s = random_shape(100);
        size_t ldx = (size_t)s.k + (size_t)random_int(0, 3);
        size_t n = extent(s.rows, ldx, (size_t)s.k);
        float *x = guard_floats(X, n);
        for (size_t j = 0; j < n; j++) x[j] = random_bits_f32();
        uint16_t *a = guard_bytes(A, 2 * extent(s.rows, s.lda, even(s.k)));
        k.rows16(a, s.lda, x, ldx, s.rows, s.k);
        for (int t = 0; t < s.rows; t++) {
            const uint16_t *row = a + (size_t)t * s.lda;
            for (int j = 0; j < s.k; j++)
                assert_int_equal(row[j], rounded(x[(size_t)t * ldx + j]));
            if (s.k % 2) assert_int_equal(row[s.k], 0);
            for (size_t j = even(s.k); t + 1 < s.rows && j < s.lda; j++)
                assert_int_equal(row[j], PAINT << 8 | PAINT);
        }
        assert_guards_intact();
    }
}

/* ---- matmul_dp16 ---- */

/* Products of two bf16 are exact in f32; a chain rounds twice a pair. */
static void compare_with_fp64(const shape *s, const float *y, const uint16_t *a,
                              const uint16_t *w, worst *bad)
{
    for (int t = 0; t < s->rows; t++)
        for (int n = 0; n < 16 * s->panels; n++) {
            double sum = 0, size = 0;
            for (int i = 0; i < s->k; i++) {
                double term = (double)f32_of_bf16(a[t * s->lda + i]) *
                              f32_of_bf16(w[cell_of(s, n, i)]);
                sum += term;
                size += fabs(term);
            }
            double bound = s->k * (0x1p-24 * size + 0x1p-120);
            worst_add(bad, y[t * s->ldy + n], sum, bound);
        }
}

static void products_are_close_to_fp64(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    worst bad = { 0, 0 };
    for (int i = 0; i < 200; i++) {
        shape s = random_shape(150);
        const uint16_t *w = random_weights(&s), *a = random_rows(&s);
        float *y = guard_floats(Y, (size_t)s.rows * s.ldy);
        multiply(&k, &s, y, a, w);
        compare_with_fp64(&s, y, a, w, &bad);
        assert_painted(y, s.rows, s.ldy, 16 * (size_t)s.panels);
        assert_guards_intact();
    }
    assert_within(&bad, "matmul_dp16");
}

/* All at once against one row and one panel at a time. */
static void check_alone(const ndl_kernels *k, const shape *s)
{
    const uint16_t *w = random_weights(s), *a = random_rows(s);
    float *y = guard_floats(Y, extent(s->rows, s->ldy, 16 * (size_t)s->panels));
    multiply(k, s, y, a, w);
    const shape one = { 1, 1, s->k, s->lda, 16 };
    for (int t = 0; t < s->rows; t++)
        for (int p = 0; p < s->panels; p++) {
            float *y2 = guard_floats(Y2, 16);
            multiply(k, &one, y2, a + (size_t)t * s->lda,
                     w + (size_t)p * 16 * even(s->k));
            assert_same_bits(y2, y + (size_t)t * s->ldy + 16 * p, 16);
        }
    assert_guards_intact();
}

static void bits_do_not_depend_on_rows_and_panels(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    for (int i = 0; i < 200; i++) {
        shape s = random_shape(i % 4 ? 90 : 700);
        check_alone(&k, &s);
    }
}

/* Past the sizes of every block: rows 192, k 1024, activations 512 KB. */
static void blocks_of_rows_and_of_k_do_not_change_bits(void **state)
{
    (void)state;
    static const shape large[] = {
        { 200, 4, 700, 700, 64 },    { 9, 7, 2051, 2052, 113 },
        { 193, 1, 1501, 1503, 16 },  { 40, 4, 7001, 7002, 64 },
        { 24, 3, 12345, 12350, 50 }, { 8, 5, 3000, 3001, 81 }
    };
    const ndl_kernels k = bf16_version();
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        check_alone(&k, &large[i]);
}

/* 2^24 + 1 rounds to 2^24 (a tie), so that ones which come one by one are
 * lost, but not those that another chain or block has added up before. */
static void a_sum_is_one_chain_over_the_pairs(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    enum { ROWS = 17, K = 3000 };
    const shape s = { ROWS, 2, K, K, 32 };
    uint16_t *a = guard_bytes(A, sizeof(uint16_t) * ROWS * K);
    uint16_t *w = guard_bytes(W, sizeof(uint16_t) * 32 * K);
    for (int i = 0; i < ROWS * K; i++) a[i] = i % 2 ? 0 : 0x3f80;
    for (int i = 0; i < 32 * K; i++) w[i] = 0x3f80;
    for (int n = 0; n < 32; n++) w[cell_of(&s, n, 0)] = 0x4b80;
    float *y = guard_floats(Y, ROWS * 32);
    multiply(&k, &s, y, a, w);
    for (int i = 0; i < ROWS * 32; i++) assert_true(y[i] == 0x1p24f);
}

static void no_k_gives_plus_zero(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    const float zero[80] = { 0 };
    for (int rows = 1; rows <= 19; rows++) {
        const shape s = { rows, 5, 0, 0, 80 };
        float *y = guard_floats(Y, (size_t)rows * 80);
        multiply(&k, &s, y, guard_bytes(A, 0), guard_bytes(W, 0));
        for (int t = 0; t < rows; t++) assert_same_bits(y + 80 * t, zero, 80);
    }
}

/* An odd k ends in half a pair; the other half must not take part. */
static void the_last_half_pair_takes_no_part(void **state)
{
    (void)state;
    const ndl_kernels k = bf16_version();
    for (int rows = 1; rows <= 9; rows++)
        for (int panels = 1; panels <= 4; panels++) {
            const shape s = { rows, panels, 9, 10, 64 };
            uint16_t *a = random_rows(&s);
            for (int t = 0; t < rows; t++) a[10 * t + 9] = 0x7fc0;
            uint16_t *w = random_cells(W, (size_t)panels * 160);
            for (int n = 0; n < 16 * panels; n++) w[cell_of(&s, n, 9)] = 0x7fc0;
            float *y = guard_floats(Y, (size_t)rows * 64);
            multiply(&k, &s, y, a, w);
            for (int i = 0; i < rows; i++)
                for (int n = 0; n < 16 * panels; n++)
                    assert_true(y[i * 64 + n] == y[i * 64 + n]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_rounded_to_nearest_even),
        cmocka_unit_test(products_are_close_to_fp64),
        cmocka_unit_test(bits_do_not_depend_on_rows_and_panels),
        cmocka_unit_test(blocks_of_rows_and_of_k_do_not_change_bits),
        cmocka_unit_test(a_sum_is_one_chain_over_the_pairs),
        cmocka_unit_test(no_k_gives_plus_zero),
        cmocka_unit_test(the_last_half_pair_takes_no_part),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
