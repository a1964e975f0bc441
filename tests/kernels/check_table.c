/* check_table.c - the choice of versions, and the floating-point mode. */
#include "kernel_check.h"

typedef void (*any_fn)(void);

/* The table after its name is function pointers only; those for bf16
 * activations come and go together. */
static void assert_complete(const ndl_kernels *k)
{
    enum {
        FIRST = offsetof(ndl_kernels, matmul_f32),
        N = (sizeof *k - FIRST) / sizeof(any_fn),
        ROWS16 = (offsetof(ndl_kernels, rows16) - FIRST) / sizeof(any_fn),
        DP16 = (offsetof(ndl_kernels, matmul_dp16) - FIRST) / sizeof(any_fn)
    };
    any_fn entries[N];
    memcpy(entries, &k->matmul_f32, sizeof entries);
    for (int i = 0; i < N; i++)
        assert_true(entries[i] != NULL || i == ROWS16 || i == DP16);
    assert_true((k->rows16 != NULL) == (k->matmul_dp16 != NULL));
}

static void every_table_is_complete(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int v = 0; v < n; v++) assert_complete(&k[v]);
}

static void a_table_is_named_as_its_level(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    unsigned flags = 0;
    for (int v = 0; v < n; v++, flags = flags << 1 | 1)
        assert_int_equal(ndl_cpu_parse(k[v].name), flags);
    assert_int_equal(flags >> 1, ndl_cpu_flags());
}

static void only_the_last_level_has_bf16_activations(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    for (int v = 0; v < n; v++)
        assert_true((k[v].matmul_dp16 != NULL) == (v == LEVELS - 1));
}

static void a_level_needs_all_below_it(void **state)
{
    (void)state;
    ndl_kernels k;
    ndl_kernels_init(&k, NDL_CPU_AVX512 | NDL_CPU_VNNI | NDL_CPU_BF16);
    assert_string_equal(k.name, "ref");
#if defined(__x86_64__)
    ndl_kernels_init(&k, NDL_CPU_AVX2 | NDL_CPU_AVX512 | NDL_CPU_BF16);
    assert_string_equal(k.name, "avx512");
#endif
}

static void no_flags_give_the_reference(void **state)
{
    (void)state;
    ndl_kernels k;
    ndl_kernels_init(&k, 0);
    assert_string_equal(k.name, "ref");
}

static void avx2_replaces_the_products(void **state)
{
    (void)state;
    ndl_kernels ref, fast = fast_version();
    ndl_kernels_init(&ref, 0);
    assert_string_equal(fast.name, "avx2");
    assert_true(fast.matmul_f32 != ref.matmul_f32);
    assert_true(fast.matmul_bf16 != ref.matmul_bf16);
    assert_true(fast.attend_f32 != ref.attend_f32);
}

static void names_of_levels_are_known(void **state)
{
    (void)state;
    assert_int_equal(ndl_cpu_parse("ref"), 0);
    assert_int_equal(ndl_cpu_parse("avx2"), NDL_CPU_AVX2);
    assert_int_equal(ndl_cpu_parse("avx512"), NDL_CPU_AVX2 | NDL_CPU_AVX512);
    assert_int_equal(ndl_cpu_parse("vnni"),
                     NDL_CPU_AVX2 | NDL_CPU_AVX512 | NDL_CPU_VNNI);
    assert_int_equal(ndl_cpu_parse("bf16"), NDL_CPU_AVX2 | NDL_CPU_AVX512 |
                                                NDL_CPU_VNNI | NDL_CPU_BF16);
    assert_int_equal(ndl_cpu_parse("AVX2"), -1);
    assert_int_equal(ndl_cpu_parse(""), -1);
}

#if defined(__x86_64__)
static void denormals_are_zero_after_set_up(void **state)
{
    (void)state;
    volatile float small = 2e-38f, half = 0.25f, denormal = 1e-40f;
    volatile float out = small * half, in = denormal * 1e10f;
    assert_true(out == 0);
    assert_true(in == 0);
}
#endif

/* A lower level would give the same bits, only later. */
static void each_level_brings_its_own(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n = levels(k);
    if (n > 2) {
        assert_true(k[2].matmul_f32 != k[1].matmul_f32);
        assert_true(k[2].rows8 != k[1].rows8);
        assert_true(k[2].attend_bf16 != k[1].attend_bf16);
    }
    if (n > 3) {
        assert_true(k[3].matmul_int8 != k[2].matmul_int8);
        assert_true(k[3].matmul_int4 != k[2].matmul_int4);
    }
    if (n > 4) assert_true(k[4].attend_bf16 != k[3].attend_bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_complete),
        cmocka_unit_test(a_table_is_named_as_its_level),
        cmocka_unit_test(only_the_last_level_has_bf16_activations),
        cmocka_unit_test(a_level_needs_all_below_it),
        cmocka_unit_test(no_flags_give_the_reference),
        cmocka_unit_test(avx2_replaces_the_products),
        cmocka_unit_test(names_of_levels_are_known),
#if defined(__x86_64__)
        cmocka_unit_test(denormals_are_zero_after_set_up),
        cmocka_unit_test(each_level_brings_its_own),
#endif
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
