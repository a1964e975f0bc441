/* check_int4.c - products with int4 weights, and rows of int4 and int8 ones. */
#include "kernel_check.h"

#include "lanes.h"
#include "peak.h"

enum { X, A, W, SCALES, Y, Y2, CELLS };

/* W (16 panels, k) in blocks; block 32 is int4 here, 64 is int8. */
typedef struct shape {
    int rows, panels, k, block;
    size_t lda, ldy;
} shape;

typedef struct operands {
    const float *x;  /* (rows, k), what the rows8 came from */
    const int8_t *q; /* (16 panels, k), what w holds        */
    const uint8_t *w;
    const uint16_t *scales;
    const void *a;
} operands;

static int blocks_of(const shape *s)
{
    return (s->k + s->block - 1) / s->block;
}

/* Where cell i of output n has its byte, as products.h says. */
static size_t byte_of(const shape *s, int n, int i)
{
    const size_t p = (size_t)n / 16, lane = (size_t)n % 16;
    const size_t nb = (size_t)blocks_of(s);
    if (s->block != 32)
        return ((p * nb * (size_t)s->block + (size_t)i) / 4 * 16 + lane) * 4 +
               (size_t)i % 4;
    const size_t line = (p * nb + (size_t)i / 32) * 4 + (size_t)(i % 16) / 4;
    return (line * 16 + lane) * 4 + (size_t)i % 4;
}

/* Every byte is written, cells past k as 0. */
static const uint8_t *pack(const shape *s, const int8_t *q)
{
    const int padded = blocks_of(s) * s->block, wide = s->block != 32;
    const size_t cells = (size_t)s->panels * 16 * (size_t)padded;
    uint8_t *w = guard_bytes(W, wide ? cells : cells / 2);
    memset(w, 0, wide ? cells : cells / 2);
    for (int n = 0; n < 16 * s->panels; n++)
        for (int i = 0; i < padded; i++) {
            const int cell = i < s->k ? q[(size_t)n * s->k + i] : 0;
            uint8_t *at = w + byte_of(s, n, i);
            if (wide)
                *at = (uint8_t)(cell + 128);
            else
                *at |= (uint8_t)((cell + 8) << (i % 32 < 16 ? 0 : 4));
        }
    return w;
}

/* f16 of either sign, from denormals to 2. */
static const uint16_t *random_scales(const shape *s)
{
    const size_t n = (size_t)s->panels * 16 * (size_t)blocks_of(s);
    uint16_t *scales = guard_bytes(SCALES, n * sizeof *scales);
    for (size_t i = 0; i < n; i++)
        scales[i] = (uint16_t)(random_int(0, 0x4000) | random_int(0, 1) << 15);
    return scales;
}

static const void *rows8_of(const shape *s, const float *x)
{
    ndl_kernels ref;
    ndl_kernels_init(&ref, 0);
    void *a = guard_bytes(A, (size_t)s->rows * s->lda);
    ref.rows8(a, s->lda, x, (size_t)s->k, s->rows, s->k, s->block,
              s->block == 32 ? 8 : 128);
    return a;
}

static operands random_operands(const shape *s)
{
    const size_t cells = (size_t)s->panels * 16 * (size_t)s->k;
    const int most = s->block == 32 ? 7 : 127;
    operands o = { .x = random_floats(X, (size_t)s->rows * (size_t)s->k) };
    int8_t *q = guard_bytes(CELLS, cells);
    for (size_t i = 0; i < cells; i++)
        q[i] = (int8_t)random_int(s->block == 32 ? -8 : -127, most);
    o.q = q;
    o.w = pack(s, q);
    o.scales = random_scales(s);
    o.a = rows8_of(s, o.x);
    return o;
}

static shape shape_of(int rows, int panels, int k)
{
    shape s = { rows, panels, k, 32, 0, 0 };
    s.lda = ndl_rows8_bytes(k, 32) + 64 * (size_t)random_int(0, 2);
    s.ldy = 16 * (size_t)panels + (size_t)random_int(0, 5);
    return s;
}

static shape random_shape(int max_k)
{
    return shape_of(random_int(0, 40), random_int(0, 7), random_int(1, max_k));
}

static void multiply(const ndl_kernels *k, const shape *s, float *y,
                     const operands *o)
{
    k->matmul_int4(y, s->ldy, o->a, s->lda, o->w, o->scales, s->rows, s->panels,
                   s->k, s->block);
}

/* The sum and the sum of magnitudes of one output, from the cells that were
 * packed and the bytes of rows8. */
static void product(const shape *s, const operands *o, int t, int n,
                    double out[2])
{
    const int nb = blocks_of(s), kp = nb * s->block;
    const int8_t *q = (const int8_t *)o->a + (size_t)t * s->lda;
    const float *scale = (const float *)(const void *)(q + kp);
    out[0] = out[1] = 0;
    for (int b = 0; b < nb; b++) {
        const size_t at = ((size_t)(n / 16) * (size_t)nb + (size_t)b) * 16;
        const double factor =
            (double)ndl_f16_f32(o->scales[at + (size_t)(n % 16)]) * scale[b];
        double sum = 0;
        for (int i = b * s->block; i < (b + 1) * s->block && i < s->k; i++)
            sum += o->q[(size_t)n * s->k + i] * q[i];
        out[0] += sum * factor;
        out[1] += fabs(sum * factor);
    }
}

/* A rounding of the scale and one of each fused step; 2^-120 a step for what
 * flushing takes away. */
static void compare_with_fp64(const shape *s, const operands *o, const float *y,
                              worst *bad)
{
    const int nb = blocks_of(s);
    for (int t = 0; t < s->rows; t++)
        for (int n = 0; n < 16 * s->panels; n++) {
            double want[2];
            product(s, o, t, n, want);
            worst_add(bad, y[(size_t)t * s->ldy + (size_t)n], want[0],
                      (nb + 2) * (0x1p-24 * want[1] + 0x1p-110));
        }
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    worst bad = { 0, 0 };
    for (int v = 0, n = levels(k); v < n; v++)
        for (int i = 0; i < 20; i++) {
            const shape s = random_shape(i % 4 ? 100 : 700);
            const operands o = random_operands(&s);
            float *y = guard_floats(Y, (size_t)s.rows * s.ldy);
            multiply(&k[v], &s, y, &o);
            compare_with_fp64(&s, &o, y, &bad);
            assert_painted(y, s.rows, s.ldy, 16 * (size_t)s.panels);
            assert_guards_intact();
        }
    assert_within(&bad, "matmul_int4");
}

/* All versions against the reference; y ends where memory does. */
static void check_same(const ndl_kernels *k, int n, const shape *s,
                       const operands *o)
{
    const size_t columns = 16 * (size_t)s->panels;
    const size_t size = s->rows ? (size_t)(s->rows - 1) * s->ldy + columns : 0;
    float *y = guard_floats(Y, size), *y2;
    multiply(&k[0], s, y, o);
    for (int v = 1; v < n; v++) {
        y2 = guard_floats(Y2, size);
        multiply(&k[v], s, y2, o);
        assert_same_bits(y2, y, size);
        assert_guards_intact();
    }
}

static void every_version_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 120; i++) {
        const shape s = random_shape(i % 4 ? 90 : 700);
        const operands o = random_operands(&s);
        check_same(k, n, &s, &o);
    }
}

static void every_number_of_rows_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int rows = 0; rows <= 40; rows++) {
        const shape s = shape_of(rows, 3, random_int(1, 100));
        const operands o = random_operands(&s);
        check_same(k, n, &s, &o);
    }
}

/* Past every block of rows: 512 KB of activations, and 24 at least. */
static void blocks_of_rows_and_of_k_do_not_change_bits(void **state)
{
    (void)state;
    static const int large[][3] = {
        { 200, 3, 61 },  { 100, 2, 8200 }, { 27, 2, 17000 }, { 16, 2, 513 },
        { 17, 4, 1025 }, { 8, 1, 512 },    { 40, 3, 1600 },
    };
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        const shape s = shape_of(large[i][0], large[i][1], large[i][2]);
        const operands o = random_operands(&s);
        check_same(k, n, &s, &o);
    }
}

static void a_row_does_not_depend_on_the_other_rows(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    for (int v = 0, n = levels(k); v < n; v++)
        for (int i = 0; i < 6; i++) {
            const shape s = random_shape(600);
            const operands o = random_operands(&s);
            float *y = guard_floats(Y, (size_t)s.rows * s.ldy);
            multiply(&k[v], &s, y, &o);
            shape one = s;
            one.rows = 1;
            for (int t = 0; t < s.rows; t++) {
                operands row = o;
                row.a = (const char *)o.a + (size_t)t * s.lda;
                float *y2 = guard_floats(Y2, s.ldy);
                multiply(&k[v], &one, y2, &row);
                assert_same_bits(y2, y + (size_t)t * s.ldy,
                                 16 * (size_t)s.panels);
            }
        }
}

/* Sums of a block as large as they get: 16 bits must hold them. */
static void check_extreme(const ndl_kernels *k, int n, float sign, int cell)
{
    const shape s = shape_of(20, 3, 96);
    operands o = random_operands(&s);
    int8_t *q = guard_bytes(CELLS, 48 * 96);
    memset(q, cell, 48 * 96);
    float *x = guard_floats(X, 20 * 96);
    for (int i = 0; i < 20 * 96; i++) x[i] = sign;
    o.q = q;
    o.w = pack(&s, q);
    o.a = rows8_of(&s, x);
    assert_int_equal(*(const int8_t *)o.a, (int)sign * 127);
    check_same(k, n, &s, &o);
    worst bad = { 0, 0 };
    float *y = guard_floats(Y, s.rows * s.ldy);
    for (int v = 0; v < n; v++) {
        multiply(&k[v], &s, y, &o);
        compare_with_fp64(&s, &o, y, &bad);
    }
    assert_within(&bad, "extremes");
}

static void the_largest_cells_and_activations_fit(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int i = 0; i < 4; i++)
        check_extreme(k, n, i % 2 ? -1.0f : 1.0f, i / 2 ? -8 : 7);
}

static void no_k_gives_plus_zero(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    float zero[48] = { 0 };
    for (int v = 0, n = levels(k); v < n; v++)
        for (int rows = 1; rows <= 20; rows++) {
            shape s = shape_of(rows, 3, 0);
            s.ldy = 48;
            const operands o = random_operands(&s);
            float *y = guard_floats(Y, (size_t)rows * 48);
            multiply(&k[v], &s, y, &o);
            for (int t = 0; t < rows; t++)
                assert_same_bits(y + 48 * t, zero, 48);
        }
}

static void gather_of(const ndl_kernels *k, const shape *s, float *y,
                      const operands *o, int row)
{
    const ndl_gather8_fn gather =
        s->block == 32 ? k->gather_int4 : k->gather_int8;
    gather(y, o->w, o->scales, row, s->k, s->block);
}

/* The product of two floats of 11 and 8 bits is exact. */
static void a_gathered_row_is_scale_times_cell(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    for (int v = 0, n = levels(k); v < n; v++)
        for (int i = 0; i < 40; i++) {
            shape s = shape_of(0, random_int(1, 4), random_int(1, 300));
            s.block = i % 2 ? 32 : 64;
            const operands o = random_operands(&s);
            const int row = random_int(0, 16 * s.panels - 1);
            float *y = guard_floats(Y, (size_t)s.k);
            gather_of(&k[v], &s, y, &o, row);
            for (int j = 0; j < s.k; j++) {
                const size_t at = (size_t)(row / 16) * (size_t)blocks_of(&s) +
                                  (size_t)(j / s.block);
                const float scale =
                    ndl_f16_f32(o.scales[at * 16 + (size_t)(row % 16)]);
                assert_true(y[j] == scale * o.q[(size_t)row * s.k + j]);
            }
            assert_guards_intact();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(every_version_gives_the_bits_of_ref),
        cmocka_unit_test(every_number_of_rows_gives_the_bits_of_ref),
        cmocka_unit_test(blocks_of_rows_and_of_k_do_not_change_bits),
        cmocka_unit_test(a_row_does_not_depend_on_the_other_rows),
        cmocka_unit_test(the_largest_cells_and_activations_fit),
        cmocka_unit_test(no_k_gives_plus_zero),
        cmocka_unit_test(a_gathered_row_is_scale_times_cell),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
