/* test_load.c - facts about load.h: names, the choice, the two kinds of
 * memory. */
#include "noodle/load.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const ndl_load kinds[] = { NDL_LOAD_MAP, NDL_LOAD_COPY };

static void names_can_be_read_back(void **state)
{
    (void)state;
    for (ndl_load l = NDL_LOAD_AUTO; l <= NDL_LOAD_COPY; l++) {
        ndl_load found = NDL_LOAD_AUTO;
        assert_true(ndl_load_parse(ndl_load_name(l), &found));
        assert_int_equal(found, l);
    }
    static const char *const wrong[] = { "", "Map", "copy ", "mmap", "aut" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ndl_load left = NDL_LOAD_COPY;
        assert_false(ndl_load_parse(wrong[i], &left));
        assert_int_equal(left, NDL_LOAD_COPY);
    }
}

static void copy_is_chosen_from_five_percent_on(void **state)
{
    (void)state;
    static const struct {
        double map, copy;
        ndl_load best;
    } cases[] = {
        { 100e9, 100e9, NDL_LOAD_MAP },  { 100e9, 104e9, NDL_LOAD_MAP },
        { 100e9, 106e9, NDL_LOAD_COPY }, { 100e9, 300e9, NDL_LOAD_COPY },
        { 100e9, 50e9, NDL_LOAD_MAP },   { 0.0, 0.0, NDL_LOAD_MAP },
        { NAN, 1e9, NDL_LOAD_MAP },      { 1e9, NAN, NDL_LOAD_MAP },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ndl_load_facts f = { cases[i].map, cases[i].copy };
        assert_int_equal(ndl_load_choose(&f), cases[i].best);
    }
}

static void memory_is_aligned_zero_and_as_long_as_asked(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 4095, 4096, 4097, (2 << 20) + 5 };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            ndl_load_memory m;
            assert_int_equal(ndl_load_memory_take(&m, sizes[i], kinds[k]),
                             NDL_OK);
            uint8_t *at = m.at;
            assert_int_equal((uintptr_t)at % (2 << 20), 0);
            assert_int_equal(m.bytes, sizes[i]);
            for (size_t b = 0; b < sizes[i]; b++) assert_int_equal(at[b], 0);
            memset(at, 0xff, sizes[i]);
            assert_int_equal(at[sizes[i] - 1], 0xff);
            ndl_load_memory_free(&m);
            assert_null(m.at);
            ndl_load_memory_free(&m);
        }
}

static void no_bytes_are_no_memory(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        ndl_load_memory m;
        assert_int_equal(ndl_load_memory_take(&m, 0, kinds[k]), NDL_OK);
        assert_null(m.room);
        ndl_load_memory_free(&m);
    }
}

static void memory_that_cannot_be_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8 };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            ndl_load_memory m = { .bytes = 7 };
            assert_int_equal(ndl_load_memory_take(&m, sizes[i], kinds[k]),
                             NDL_EOS);
            assert_int_equal(m.bytes, 7);
            assert_non_null(strstr(ndl_status_message(), "weights: "));
            ndl_status_clear();
        }
}

/* Does the mapping of `at` have this flag in smaps? */
static bool has_flag(const void *at, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[1024];
    bool inside = false, found = false;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        unsigned long long from = 0, to = 0;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            inside = (uintptr_t)at >= from && (uintptr_t)at < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(f);
    return found;
}

static void map_memory_is_shared_pages_copy_memory_wants_huge_ones(void **state)
{
    (void)state;
    ndl_load_memory map, copy;
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    assert_int_equal(ndl_load_memory_take(&map, 4 << 20, NDL_LOAD_MAP), NDL_OK);
    assert_int_equal(ndl_load_memory_take(&copy, 4 << 20, NDL_LOAD_COPY),
                     NDL_OK);
    assert_true(has_flag(map.at, " sh "));
    assert_false(has_flag(copy.at, " sh "));
    if (f) { /* a kernel that has huge pages */
        fclose(f);
        assert_true(has_flag(map.at, " nh "));
        assert_true(has_flag(copy.at, " hg "));
    }
    ndl_load_memory_free(&copy);
    ndl_load_memory_free(&map);
}

static void measuring_finds_rates_with_and_without_threads(void **state)
{
    (void)state;
    const ndl_pool_config config = { .n_threads = 2 };
    ndl_pool *pool = NULL;
    assert_int_equal(ndl_pool_create(&pool, &config), NDL_OK);
    for (int i = 0; i < 2; i++) {
        ndl_load_facts f = { 0 };
        assert_int_equal(ndl_load_measure(&f, i ? pool : NULL), NDL_OK);
        assert_true(f.map_bytes_per_sec > 1e6 && f.map_bytes_per_sec < 1e14);
        assert_true(f.copy_bytes_per_sec > 1e6 && f.copy_bytes_per_sec < 1e14);
    }
    ndl_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_can_be_read_back),
        cmocka_unit_test(copy_is_chosen_from_five_percent_on),
        cmocka_unit_test(memory_is_aligned_zero_and_as_long_as_asked),
        cmocka_unit_test(no_bytes_are_no_memory),
        cmocka_unit_test(memory_that_cannot_be_is_refused),
        cmocka_unit_test(
            map_memory_is_shared_pages_copy_memory_wants_huge_ones),
        cmocka_unit_test(measuring_finds_rates_with_and_without_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
