/*
 * kernel_check.h - what the kernel checks share: random data, the versions
 * of this machine, the worst error; the arrays are those of guarded.h.
 */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include "guarded.h"

#include <math.h>
#include <time.h>

#include "kernels.h"

static uint64_t random_state;

/* splitmix64 */
static inline uint64_t random_bits(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline int random_int(int low, int high)
{
    return low + (int)(random_bits() % (uint64_t)(high - low + 1));
}

static inline float random_unit(void)
{
    return (float)(random_bits() >> 40) * 0x1p-23f - 1.0f;
}

/* Mostly values of a model, now and then a zero of either sign, a denormal
 * or something large. */
static inline float random_value(void)
{
    static const float rare[] = { 0.0f,   -0.0f,   1e-40f, -3e-39f,
                                  1e-38f, -2e-38f, 300.0f, -70.0f };
    uint64_t dice = random_bits() % 100;
    if (dice < 8) return rare[dice];
    return random_unit() * (dice < 20 ? 0x1p-12f : 1.0f);
}

static inline float *random_floats(int slot, size_t n)
{
    float *x = guard_floats(slot, n);
    for (size_t i = 0; i < n; i++) x[i] = random_value();
    return x;
}

static inline float f32_of_bf16(uint16_t cell)
{
    uint32_t bits = (uint32_t)cell << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* bf16 cells of model-like values, by truncation. */
static inline uint16_t *random_cells(int slot, size_t n)
{
    uint16_t *x = guard_bytes(slot, n * sizeof(uint16_t));
    for (size_t i = 0; i < n; i++) {
        float value = random_value();
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        x[i] = (uint16_t)(bits >> 16);
    }
    return x;
}

/* The versions that this machine can run; the reference is the first. */
static inline int versions(ndl_kernels k[2])
{
    ndl_kernels_init(k, 0);
    if (!(ndl_cpu_flags() & NDL_CPU_AVX2)) return 1;
    ndl_kernels_init(k + 1, NDL_CPU_AVX2);
    return 2;
}

enum { LEVELS = 5 };

/* The table of each level of this machine; the reference is the first. */
static inline int levels(ndl_kernels k[LEVELS])
{
    const unsigned have = ndl_cpu_flags();
    int n = 0;
    for (unsigned flags = 0; n < LEVELS && !(flags & ~have);
         flags = flags << 1 | 1)
        ndl_kernels_init(&k[n++], flags);
    return n;
}

/* Those beyond the reference; skips the test, and says so, without any. */
static inline int fast_levels(ndl_kernels k[LEVELS])
{
    const int n = levels(k);
    if (n < 2) {
        print_message("skipped: this machine has no avx2\n");
        skip();
    }
    return n;
}

/* The fast table; skips the test, and says so, where there is none. */
static inline ndl_kernels fast_version(void)
{
    ndl_kernels k[2];
    if (versions(k) < 2) {
        print_message("skipped: this machine has no avx2\n");
        skip();
    }
    return k[1];
}

/* The worst share of a bound, printed at the end of a test. */
typedef struct worst {
    double share, error;
} worst;

static inline void worst_add(worst *w, double got, double want, double bound)
{
    double error = fabs(got - want);
    double share = bound > 0 ? error / bound : error > 0 ? HUGE_VAL : 0;
    if (!(share <= w->share)) {
        w->share = share;
        w->error = error;
    }
}

static inline void assert_within(const worst *w, const char *what)
{
    print_message("%s: worst error %.3g, %.3f of its bound\n", what, w->error,
                  w->share);
    assert_true(w->share <= 1.0);
}

static inline void assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(a + i, b + i, sizeof *a) == 0) continue;
        print_message("element %zu: %a is not %a\n", i, a[i], b[i]);
        fail();
    }
}

/* Group set-up and tear-down. */
static inline int guards_create(void **state)
{
    (void)state;
    const char *seed = getenv("NDL_TEST_SEED");
    random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("NDL_TEST_SEED=%llu\n", (unsigned long long)random_state);
    ndl_fp_setup();
    return guards_map();
}

static inline int guards_destroy(void **state)
{
    (void)state;
    guards_unmap();
    return 0;
}

#endif /* KERNEL_CHECK_H */
