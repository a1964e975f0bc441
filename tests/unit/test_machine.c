/* test_machine.c - facts about what the cores are said to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels.h"
#include "noodle/clock.h"
#include "noodle/machine.h"
#include "peak.h"

enum { MEMORY = 96 << 20 };

static ndl_machine measure(int n_threads, ndl_machine_meet_fn meet, void *arg)
{
    const ndl_pool_config config = { .n_threads = n_threads,
                                     .thread_init = ndl_fp_setup };
    ndl_machine_setup setup = { .cache_bytes = 1 << 20,
                                .n_caches = 2,
                                .memory_bytes = MEMORY,
                                .meet = meet,
                                .meet_arg = arg };
    ndl_machine m;
    memset(&m, 0, sizeof m);
    assert_int_equal(ndl_pool_create(&setup.pool, &config), NDL_OK);
    const double start = ndl_clock_sec();
    assert_int_equal(ndl_machine_measure(&m, &setup), NDL_OK);
    print_message("%d threads: f32 %.1f, bf16 %.1f, int8 %.1f GOP/s, read "
                  "%.1f GB/s; one: %.1f GFLOP/s, %.1f GB/s; %s; %.2f s\n",
                  n_threads, 1e-9 * m.f32_flop, 1e-9 * m.bf16_flop,
                  1e-9 * m.int8_op, 1e-9 * m.read_bytes, 1e-9 * m.core_f32_flop,
                  1e-9 * m.core_read_bytes, m.isa, ndl_clock_sec() - start);
    ndl_pool_destroy(&setup.pool);
    return m;
}

static void assert_sane(double v, double least, double most)
{
    assert_true(isfinite(v) && v >= least && v <= most);
}

/* Other things run on the machine of a test, so the bounds are wide: a core
 * that does 10 MFLOP/s or 10 TFLOP/s would be a defect. */
static void figures_are_sane(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        const ndl_machine m = measure(n, NULL, NULL);
        assert_sane(m.core_f32_flop, 1e8, 1e13);
        assert_sane(m.f32_flop, 1e8, 1e13);
        assert_sane(m.bf16_flop, 1e8, 1e14);
        assert_sane(m.int8_op, 1e8, 1e14);
        assert_sane(m.read_bytes, 1e8, 1e13);
        assert_sane(m.core_read_bytes, 1e8, 1e12);
    }
}

static void narrower_numbers_are_never_slower(void **state)
{
    (void)state;
    /* Noise of a shared machine, not of the measurement, is why it may try
     * again. */
    for (int i = 0; i < 5; i++) {
        const ndl_machine m = measure(1, NULL, NULL);
        if (m.bf16_flop >= 0.9 * m.f32_flop && m.int8_op >= m.f32_flop) return;
    }
    fail_msg("bf16 or int8 was slower than f32 five times");
}

static void instructions_are_named(void **state)
{
    (void)state;
    const ndl_machine m = measure(1, NULL, NULL);
    const unsigned features = ndl_cpu_features();
    assert_int_equal(strstr(m.isa, "avx2") != NULL,
                     (features & NDL_HAS_AVX2) != 0);
    assert_int_equal(strstr(m.isa, "avx512_vnni") != NULL,
                     (features & NDL_HAS_AVX512_VNNI) != 0);
    assert_true(strlen(m.isa) < sizeof m.isa);
    assert_true(m.isa[0] != ' ');
    /* Without BF16 instructions bf16 goes by way of f32. */
    if (!(features & NDL_HAS_AVX512_BF16))
        assert_true(m.bf16_flop == m.f32_flop);
}

typedef struct meeting {
    int n, fail_at;
} meeting;

static ndl_status count_meeting(void *arg, ndl_status mine)
{
    meeting *m = arg;
    assert_int_equal(mine, NDL_OK);
    if (m->n++ == m->fail_at) return NDL_FAIL(NDL_ETEMP, "another rank fell");
    return NDL_OK;
}

static void every_thing_begins_with_a_meeting(void **state)
{
    (void)state;
    meeting m = { .fail_at = -1 };
    (void)measure(1, count_meeting, &m);
    assert_int_equal(m.n, 7); /* memory, four with all threads, two with one */
}

static void an_error_of_another_ends_it_and_leaves_the_result(void **state)
{
    (void)state;
    const ndl_pool_config config = { .n_threads = 2 };
    for (int at = 0; at < 7; at++) {
        meeting met = { .fail_at = at };
        ndl_machine m;
        ndl_machine_setup setup = { .cache_bytes = 1 << 20,
                                    .n_caches = 1,
                                    .memory_bytes = 1 << 20,
                                    .meet = count_meeting,
                                    .meet_arg = &met };
        memset(&m, 0x5a, sizeof m);
        assert_int_equal(ndl_pool_create(&setup.pool, &config), NDL_OK);
        assert_int_equal(ndl_machine_measure(&m, &setup), NDL_ETEMP);
        assert_int_equal(met.n, at + 1);
        for (size_t i = 0; i < sizeof m; i++)
            assert_int_equal(((unsigned char *)&m)[i], 0x5a);
        ndl_pool_destroy(&setup.pool);
        ndl_status_clear();
    }
}

static ndl_status hear_no_memory(void *arg, ndl_status mine)
{
    *(ndl_status *)arg = mine;
    return mine;
}

static void no_memory_is_an_error_that_all_hear_of(void **state)
{
    (void)state;
    const ndl_pool_config config = { .n_threads = 2 };
    ndl_status heard = NDL_OK;
    ndl_machine m;
    ndl_machine_setup setup = { .cache_bytes = 1 << 20,
                                .n_caches = 1,
                                .memory_bytes = 100,
                                .meet = hear_no_memory,
                                .meet_arg = &heard };
    assert_int_equal(ndl_pool_create(&setup.pool, &config), NDL_OK);
    assert_int_equal(ndl_machine_measure(&m, &setup), NDL_EOS);
    assert_int_equal(heard, NDL_EOS);
    assert_non_null(strstr(ndl_status_message(), "memory"));
    ndl_pool_destroy(&setup.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_sane),
        cmocka_unit_test(narrower_numbers_are_never_slower),
        cmocka_unit_test(instructions_are_named),
        cmocka_unit_test(every_thing_begins_with_a_meeting),
        cmocka_unit_test(an_error_of_another_ends_it_and_leaves_the_result),
        cmocka_unit_test(no_memory_is_an_error_that_all_hear_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
