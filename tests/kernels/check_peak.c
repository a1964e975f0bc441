/*
 * check_peak.c - the micro-kernels of peak.h compute what they say, so they are
 * not dead code; and processors' features are told consistently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../support/chance.h"
#include "kernels.h"
#include "peak.h"

enum { N_LEVELS = 5 };

/* What to ask for: the reference, then one thing more each time. */
static const unsigned levels[N_LEVELS] = {
    0,
    NDL_HAS_AVX2 | NDL_HAS_FMA,
    NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_AVX512F,
    NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_AVX512F | NDL_HAS_AVX512_BF16,
    NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_AVX512F | NDL_HAS_AVX512_VNNI,
};

static bool has(unsigned features)
{
    return (ndl_cpu_features() & features) == features;
}

/* Cells of both factors: small whole numbers, so that every sum is exact. */
typedef struct factors {
    float a[NDL_PEAK_WIDTH], b[NDL_PEAK_WIDTH];
    uint16_t a2[2 * NDL_PEAK_WIDTH], b2[2 * NDL_PEAK_WIDTH];
    uint8_t a4[4 * NDL_PEAK_WIDTH];
    int8_t b4[4 * NDL_PEAK_WIDTH];
    int x[4 * NDL_PEAK_WIDTH], y[4 * NDL_PEAK_WIDTH];
} factors;

static uint16_t bf16(int v)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void draw(factors *f)
{
    for (int i = 0; i < 4 * NDL_PEAK_WIDTH; i++) {
        f->x[i] = between(0, 9);
        f->y[i] = between(-9, 9);
        f->a4[i] = (uint8_t)f->x[i];
        f->b4[i] = (int8_t)f->y[i];
        if (i < 2 * NDL_PEAK_WIDTH) {
            f->a2[i] = bf16(f->x[i]);
            f->b2[i] = bf16(f->y[i]);
        }
        if (i < NDL_PEAK_WIDTH) {
            f->a[i] = (float)f->x[i];
            f->b[i] = (float)f->y[i];
        }
    }
}

static int64_t sum_of(const ndl_peak_kernel *k, const factors *f, int lane)
{
    int64_t sum = 0;
    for (int p = 0; p < k->products; p++) {
        const int cell = lane % k->width * k->products + p;
        sum += f->x[cell] * f->y[cell];
    }
    return sum;
}

/* Lanes start at different numbers, and past the last nothing is written. */
static void check_floats(const ndl_peak_kernel *k, const factors *f,
                         const void *a, const void *b)
{
    float acc[NDL_PEAK_LANES + 16];
    const int rounds = between(1, 500);
    for (int i = 0; i < NDL_PEAK_LANES + 16; i++) acc[i] = (float)(i - 50);
    k->run(acc, a, b, 0);
    for (int i = 0; i < k->n_lanes; i++) assert_true(acc[i] == (float)(i - 50));
    k->run(acc, a, b, rounds);
    for (int i = 0; i < NDL_PEAK_LANES + 16; i++) {
        const int64_t added = i < k->n_lanes ? rounds * sum_of(k, f, i) : 0;
        assert_true(acc[i] == (float)(i - 50 + added));
    }
}

static void check_ints(const ndl_peak_kernel *k, const factors *f)
{
    int32_t acc[NDL_PEAK_LANES + 16];
    const int rounds = between(1, 500);
    for (int i = 0; i < NDL_PEAK_LANES + 16; i++) acc[i] = i - 50;
    k->run(acc, f->a4, f->b4, rounds);
    for (int i = 0; i < NDL_PEAK_LANES + 16; i++) {
        const int64_t added = i < k->n_lanes ? rounds * sum_of(k, f, i) : 0;
        assert_int_equal(acc[i], i - 50 + added);
    }
}

static void sums_are_those_of_the_definition(void **state)
{
    (void)state;
    for (int l = 0; l < N_LEVELS; l++) {
        ndl_peaks p;
        factors f;
        if (!has(levels[l])) continue;
        ndl_peaks_init(&p, levels[l]);
        assert_true(p.f32.n_lanes <= NDL_PEAK_LANES);
        assert_int_equal(p.f32.products, 1);
        assert_int_equal(p.int8.products, 4);
        for (int i = 0; i < 20; i++) {
            draw(&f);
            check_floats(&p.f32, &f, f.a, f.b);
            check_ints(&p.int8, &f);
            if (p.bf16.run) check_floats(&p.bf16, &f, f.a2, f.b2);
        }
    }
}

static void each_feature_brings_its_version(void **state)
{
    (void)state;
    ndl_peaks p[N_LEVELS];
    for (int l = 0; l < N_LEVELS; l++) ndl_peaks_init(&p[l], levels[l]);
    for (int l = 0; l < N_LEVELS; l++) assert_true(p[l].f32.run != NULL);
    assert_null(p[0].bf16.run);
#if defined(__x86_64__)
    assert_true(p[1].f32.run != p[0].f32.run);
    assert_true(p[1].read != p[0].read);
    assert_true(p[2].f32.run != p[1].f32.run);
    assert_true(p[2].int8.run == p[1].int8.run);
    assert_true(p[3].bf16.run && !p[2].bf16.run);
    assert_true(p[4].int8.run != p[2].int8.run);
#endif
}

static void reading_adds_every_word(void **state)
{
    (void)state;
    for (int l = 0; l < 2; l++) {
        ndl_peaks p;
        if (!has(levels[l])) continue;
        ndl_peaks_init(&p, levels[l]);
        assert_int_equal(p.read(NULL, 0), 0);
        for (int i = 0; i < 20; i++) {
            const size_t n = 64 * (size_t)between(1, 50);
            uint64_t *x = malloc(n * sizeof *x), sum = 0;
            assert_non_null(x);
            for (size_t k = 0; k < n; k++) sum += x[k] = random_bits();
            assert_true(p.read(x, n) == sum);
            free(x);
        }
    }
}

static void features_are_told_consistently(void **state)
{
    (void)state;
    const unsigned f = ndl_cpu_features();
    const unsigned base = NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_F16C;
    unsigned named = 0;
    for (int i = 0; i < 32; i++) {
        if (!ndl_cpu_feature_name(1u << i)) continue;
        named |= 1u << i;
        if (f & 1u << i) print_message("%s\n", ndl_cpu_feature_name(1u << i));
    }
    assert_int_equal(f & ~named, 0);
    assert_int_equal(ndl_cpu_flags() & NDL_CPU_AVX2 ? base : 0,
                     (f & base) == base ? base : 0);
    if (f & (NDL_HAS_AVX512_BF16 | NDL_HAS_AVX512_VNNI))
        assert_true(f & NDL_HAS_AVX512F);
    if (f & NDL_HAS_AVX512F)
        assert_int_equal(f & (NDL_HAS_AVX2 | NDL_HAS_FMA),
                         NDL_HAS_AVX2 | NDL_HAS_FMA);
}

/* The levels of the table of kernels, each with all below it. */
static void levels_follow_from_features(void **state)
{
    (void)state;
    static const unsigned needs[] = { NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_F16C,
                                      NDL_HAS_AVX512F, NDL_HAS_AVX512_VNNI,
                                      NDL_HAS_AVX512_BF16 };
    const unsigned f = ndl_cpu_features();
    bool all = true;
    for (int i = 0; i < 4; i++) {
        all = all && (f & needs[i]) == needs[i];
        assert_int_equal(ndl_cpu_flags() >> i & 1, all);
    }
    assert_int_equal(ndl_cpu_flags() >> 4, 0);
}

/* The compiler has its own way to ask the processor and the system. */
static void features_are_those_that_the_compiler_finds(void **state)
{
    (void)state;
#if defined(__x86_64__)
    const unsigned f = ndl_cpu_features();
    __builtin_cpu_init();
    assert_int_equal(!!(f & NDL_HAS_AVX2), !!__builtin_cpu_supports("avx2"));
    assert_int_equal(!!(f & NDL_HAS_FMA), !!__builtin_cpu_supports("fma"));
    assert_int_equal(!!(f & NDL_HAS_AVX512F),
                     __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl"));
    assert_int_equal(!!(f & NDL_HAS_AVX512_VNNI),
                     !!__builtin_cpu_supports("avx512vnni"));
    assert_int_equal(!!(f & NDL_HAS_AVX512_BF16),
                     !!__builtin_cpu_supports("avx512bf16"));
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_definition),
        cmocka_unit_test(each_feature_brings_its_version),
        cmocka_unit_test(reading_adds_every_word),
        cmocka_unit_test(features_are_told_consistently),
        cmocka_unit_test(levels_follow_from_features),
        cmocka_unit_test(features_are_those_that_the_compiler_finds),
    };
    random_state = chance_seed(20261121);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
