/*
 * test_quantise.c - blocks of small integers: how far they are from the
 * weights, and what hostile blocks become.
 *
 * The errors that it prints are those that the steps of the search were chosen
 * by: of the plain way (nearest integers with the scale that reaches the
 * largest value), and of the search.
 */
#include "../../src/formats/quantise.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/formats/widen.h"
#include "../support/chance.h"

enum { VALUES = 64 * 1000 };

/* int8 in blocks of 64 and of 32, int4. */
typedef struct kind {
    const char *name;
    void (*quantise)(uint8_t *q, uint16_t *scale, const float *w, int n,
                     int block);
    int block, zero, low, high;
} kind;

static const kind kinds[] = {
    { "int8", ndl_quantise_int8, 64, 128, -127, 127 },
    { "int8:32", ndl_quantise_int8, 32, 128, -127, 127 },
    { "int4", ndl_quantise_int4, 32, 8, -8, 7 },
};

static float w[VALUES];
static uint8_t q[VALUES];
static uint16_t scales[VALUES];

static float f32_of(uint16_t x)
{
    float y;
    ndl_widen(&y, &x, NDL_FLOAT_F16, 1);
    return y;
}

static bool is_finite_f16(uint16_t x)
{
    return (x & 0x7c00) != 0x7c00;
}

static float unit(void)
{
    return (float)(random_bits() >> 40) * 0x1p-24f;
}

/* The sum of twelve is near enough to a Gaussian of deviation 1. */
static float gaussian(void)
{
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) sum += unit();
    return sum;
}

static void fill_gaussian(float deviation)
{
    for (int i = 0; i < VALUES; i++) w[i] = deviation * gaussian();
}

static double error_of(const float *x, int n, const kind *k, float scale)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double v = scale == 0 ? 0 : rint((double)x[i] / scale);
        v = v < k->low ? k->low : v > k->high ? k->high : v;
        sum += (x[i] - scale * v) * (x[i] - scale * v);
    }
    return sum;
}

/* Of one block, in the two plain ways: the largest size over 127 or 8, and of
 * int4 also the largest value over -8, which wastes no end of the range. */
static void plain_errors(const float *x, const kind *k, double errors[2])
{
    float largest = 0;
    for (int i = 0; i < k->block; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    const float size = fabsf(largest) / (float)-k->low;
    errors[0] += error_of(x, k->block, k, size);
    errors[1] += error_of(x, k->block, k, largest / (float)k->low);
}

/* What the quantised block differs from the weights. */
static double found_error(int first, const kind *k)
{
    double sum = 0;
    const double scale = f32_of(scales[first / k->block]);
    for (int i = first; i < first + k->block; i++) {
        const double e = (double)w[i] - scale * (q[i] - k->zero);
        sum += e * e;
    }
    return sum;
}

static void the_search_beats_plain_rounding(void **state)
{
    (void)state;
    /* Least gains of the root mean square against the plain ways. */
    static const double gains[][2] = { { 0.04, 0.04 },
                                       { 0.07, 0.07 },
                                       { 0.12, 0.05 } };
    random_state = chance_seed(1);
    fill_gaussian(0.02f);
    double all = 0;
    for (int i = 0; i < VALUES; i++) all += (double)w[i] * w[i];
    for (int j = 0; j < 3; j++) {
        const kind *k = &kinds[j];
        double plain[2] = { 0 }, found = 0;
        k->quantise(q, scales, w, VALUES, k->block);
        for (int i = 0; i < VALUES; i += k->block) {
            plain_errors(w + i, k, plain);
            found += found_error(i, k);
        }
        printf("%-7s error/deviation %.5f, largest size %.5f, signed %.5f\n",
               k->name, sqrt(found / all), sqrt(plain[0] / all),
               sqrt(plain[1] / all));
        for (int way = 0; way < 2; way++)
            assert_true(sqrt(found / plain[way]) < 1 - gains[j][way]);
    }
}

/* What Q8_0 and Q4_0 of GGUF files differ from a block: blocks of 32, the value
 * of largest size at 127, or with its sign at -8. */
static double gguf_error(const float *x, bool wide)
{
    float largest = 0;
    double sum = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    const float d = wide ? fabsf(largest) / 127.0f : largest / -8.0f;
    const double scale = f32_of(ndl_quantise_f16(d));
    for (int i = 0; i < 32; i++) {
        const float v = d != 0.0f ? x[i] / d : 0.0f;
        const double q4 = fmin(15.0, trunc((double)v + 8.5)) - 8.0;
        const double e = x[i] - scale * (wide ? round((double)v) : q4);
        sum += e * e;
    }
    return sum;
}

/* One value of every 40 or so is 30 times as large as the others. */
static void add_outliers(void)
{
    for (int i = between(0, 40); i < VALUES; i += between(1, 80)) w[i] *= 30.0f;
}

static void the_search_is_nearer_than_blocks_of_gguf(void **state)
{
    (void)state;
    /* Largest share of their error, without outliers and with.  Of int8 in
     * blocks of 64 it may be more: it has fewer scales. */
    static const double most[][2] = { { 1.12, 1.90 },
                                      { 0.86, 0.99 },
                                      { 0.91, 0.99 } };
    random_state = chance_seed(6);
    for (int outliers = 0; outliers < 2; outliers++) {
        fill_gaussian(0.02f);
        if (outliers) add_outliers();
        for (int j = 0; j < 3; j++) {
            const kind *k = &kinds[j];
            double found = 0, theirs = 0;
            k->quantise(q, scales, w, VALUES, k->block);
            for (int i = 0; i < VALUES; i += k->block)
                found += found_error(i, k);
            for (int i = 0; i < VALUES; i += 32)
                theirs += gguf_error(w + i, j < 2);
            printf("%-7s %s: %.3f of %s's squared error\n", k->name,
                   outliers ? "with outliers" : "Gaussian", found / theirs,
                   j < 2 ? "Q8_0" : "Q4_0");
            assert_true(found <= most[j][outliers] * theirs);
        }
    }
}

/* Not only on the average: no block is more than a tenth worse. */
static void no_block_is_much_worse_than_plain(void **state)
{
    (void)state;
    random_state = chance_seed(2);
    fill_gaussian(1.0f);
    for (int j = 0; j < 3; j++) {
        const kind *k = &kinds[j];
        k->quantise(q, scales, w, VALUES, k->block);
        for (int i = 0; i < VALUES; i += k->block) {
            double plain[2] = { 0 };
            plain_errors(w + i, k, plain);
            assert_true(found_error(i, k) < 1.1 * plain[1]);
        }
    }
}

static void check_row(const kind *k, int n)
{
    const int blocks = (n + k->block - 1) / k->block;
    memset(q, 0xa5, sizeof q);
    memset(scales, 0xff, sizeof scales);
    k->quantise(q, scales, w, n, k->block);
    for (int b = 0; b < blocks; b++) assert_true(is_finite_f16(scales[b]));
    for (int i = 0; i < blocks * k->block; i++) {
        assert_in_range(q[i], k->zero + k->low, k->zero + k->high);
        if (i >= n) assert_int_equal(q[i], k->zero);
    }
    assert_int_equal(q[blocks * k->block], 0xa5);
    assert_int_equal(scales[blocks], 0xffff);
}

static void any_bits_give_finite_scales_and_padded_blocks(void **state)
{
    (void)state;
    random_state = chance_seed(3);
    for (int turn = 0; turn < 3000; turn++) {
        const int n = between(0, 200);
        for (int i = 0; i < n; i++) {
            const uint32_t bits = (uint32_t)random_bits();
            memcpy(&w[i], &bits, sizeof bits);
        }
        for (int j = 0; j < 3; j++) check_row(&kinds[j], n);
    }
}

static float value(const kind *k, int i)
{
    return f32_of(scales[i / k->block]) * (float)(q[i] - k->zero);
}

static void constant_blocks_are_kept_to_a_scale(void **state)
{
    (void)state;
    static const float constants[] = { 1.0f,   -1.0f,    0.3f,
                                       -0.02f, 1234.56f, -5e5f };
    for (int j = 0; j < 3; j++)
        for (int c = 0; c < 6; c++) {
            const kind *k = &kinds[j];
            for (int i = 0; i < 64; i++) w[i] = constants[c];
            k->quantise(q, scales, w, 64, k->block);
            for (int i = 0; i < 64; i++)
                assert_true(fabsf(value(k, i) - w[i]) <= 0.0006f * fabsf(w[i]));
        }
}

static void values_of_a_scale_come_back_exactly(void **state)
{
    (void)state;
    random_state = chance_seed(4);
    for (int j = 0; j < 3; j++)
        for (int turn = 0; turn < 200; turn++) {
            const kind *k = &kinds[j];
            const float scale = f32_of((uint16_t)between(0x0400, 0x6fff));
            for (int i = 0; i < k->block; i++)
                w[i] = scale * (float)between(k->low, k->high);
            w[0] = scale * (float)k->low;
            w[1] = scale * (float)k->high;
            k->quantise(q, scales, w, k->block, k->block);
            for (int i = 0; i < k->block; i++) assert_true(value(k, i) == w[i]);
        }
}

static void zeros_and_nans_and_dust_become_zeros(void **state)
{
    (void)state;
    static const float nothing[] = { 0.0f,  -0.0f,   NAN,   -NAN,
                                     1e-9f, FLT_MIN, 1e-42f };
    for (int j = 0; j < 3; j++) {
        const kind *k = &kinds[j];
        for (int i = 0; i < 128; i++) w[i] = nothing[i % 7];
        k->quantise(q, scales, w, 128, k->block);
        for (int i = 0; i < 128; i++) assert_int_equal(q[i], k->zero);
        for (int b = 0; b < 128 / k->block; b++) assert_int_equal(scales[b], 0);
        for (int i = 0; i < 64; i++) w[i] = i == 9 ? NAN : 1.0f;
        k->quantise(q, scales, w, 64, k->block);
        assert_int_equal(q[9], k->zero);
        assert_true(fabsf(value(k, 8) - 1.0f) < 0.001f);
    }
}

static void huge_values_become_the_largest_there_is(void **state)
{
    (void)state;
    static const float huge[] = { INFINITY, FLT_MAX, 1e9f, 65504.0f * 127 };
    for (int j = 0; j < 3; j++)
        for (int h = 0; h < 4; h++)
            for (int turn = -1; turn <= 1; turn += 2) {
                const kind *k = &kinds[j];
                const float most = 65504.0f * (float)-k->low;
                memset(w, 0, 64 * sizeof *w);
                w[5] = (float)turn * huge[h];
                k->quantise(q, scales, w, 64, k->block);
                assert_true(value(k, 5) == (float)turn * most);
                assert_true(value(k, 6) == 0.0f);
            }
}

/* Scales of a few units of 2^-24 are far from what was meant, and the nearest
 * one may clip much: never worse than the first that reaches all. */
static void coarse_scales_do_not_clip_for_nothing(void **state)
{
    (void)state;
    random_state = chance_seed(5);
    for (int j = 0; j < 3; j++)
        for (int turn = 0; turn < 300; turn++) {
            const kind *k = &kinds[j];
            const float most = 0x1p-24f * (float)between(k->high, 20 * k->high);
            float largest = 0;
            for (int i = 0; i < k->block; i++) {
                w[i] = most * (2.0f * unit() - 1.0f);
                if (fabsf(w[i]) > fabsf(largest)) largest = w[i];
            }
            const float units =
                ceilf(fabsf(largest) / (float)-k->low * 0x1p24f);
            const float scale = copysignf(units * 0x1p-24f, -largest);
            k->quantise(q, scales, w, k->block, k->block);
            assert_true(found_error(0, k) <=
                        1.0001 * error_of(w, k->block, k, scale));
            assert_true(j == 2 || scales[0] < 0x8000);
        }
}

static void f16_is_the_nearest_and_even_of_ties(void **state)
{
    (void)state;
    for (uint16_t x = 0; x < 0x7bff; x++) {
        const float low = f32_of(x), high = f32_of(x + 1);
        const float middle = low + (high - low) / 2; /* exact */
        assert_int_equal(ndl_quantise_f16(low), x);
        assert_int_equal(ndl_quantise_f16(middle), x + x % 2);
        assert_int_equal(ndl_quantise_f16(nextafterf(middle, 0)), x);
        assert_int_equal(ndl_quantise_f16(nextafterf(middle, 1e6f)), x + 1);
        if (x) assert_int_equal(ndl_quantise_f16(-low), x | 0x8000);
    }
    assert_int_equal(ndl_quantise_f16(65519.0f), 0x7bff);
    assert_int_equal(ndl_quantise_f16(INFINITY), 0x7bff);
    assert_int_equal(ndl_quantise_f16(-INFINITY), 0xfbff);
    assert_int_equal(ndl_quantise_f16(NAN), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_beats_plain_rounding),
        cmocka_unit_test(the_search_is_nearer_than_blocks_of_gguf),
        cmocka_unit_test(no_block_is_much_worse_than_plain),
        cmocka_unit_test(any_bits_give_finite_scales_and_padded_blocks),
        cmocka_unit_test(constant_blocks_are_kept_to_a_scale),
        cmocka_unit_test(values_of_a_scale_come_back_exactly),
        cmocka_unit_test(zeros_and_nans_and_dust_become_zeros),
        cmocka_unit_test(huge_values_become_the_largest_there_is),
        cmocka_unit_test(coarse_scales_do_not_clip_for_nothing),
        cmocka_unit_test(f16_is_the_nearest_and_even_of_ties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
