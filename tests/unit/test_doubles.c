/* test_doubles.c - values in order, and the middle one. */
#include "noodle/doubles.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/chance.h"

static void sorted_values_rise_and_are_the_same(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++) {
        double v[70];
        int64_t before = 0, after = 0; /* sums of whole numbers are exact */
        for (size_t i = 0; i < n; i++) {
            v[i] = (double)(int32_t)random_bits();
            before += (int64_t)v[i];
        }
        ndl_doubles_sort(v, n);
        for (size_t i = 0; i < n; i++) {
            after += (int64_t)v[i];
            if (i > 0) assert_true(v[i - 1] <= v[i]);
        }
        assert_int_equal(before, after);
    }
}

static void infinities_and_denormals_have_their_place(void **state)
{
    (void)state;
    double v[] = { INFINITY, 5e-324, 1.0, -INFINITY, -5e-324, -1e300 };
    const double wanted[] = {
        -INFINITY, -1e300, -5e-324, 5e-324, 1.0, INFINITY
    };
    ndl_doubles_sort(v, 6);
    assert_memory_equal(v, wanted, sizeof v);
}

static void nothing_is_sorted_without_a_pointer(void **state)
{
    (void)state;
    ndl_doubles_sort(NULL, 0);
}

static void median_of_an_odd_number_is_the_middle_one(void **state)
{
    (void)state;
    const double v[] = { -4.0, 1.0, 2.0, 8.0, 100.0 };
    assert_true(ndl_doubles_median(v, 1) == -4.0);
    assert_true(ndl_doubles_median(v, 3) == 1.0);
    assert_true(ndl_doubles_median(v, 5) == 2.0);
}

static void median_of_an_even_number_lies_between_two(void **state)
{
    (void)state;
    const double v[] = { -4.0, 1.0, 2.0, 8.0 };
    assert_true(ndl_doubles_median(v, 2) == -1.5);
    assert_true(ndl_doubles_median(v, 4) == 1.5);
}

static int seed(void **state)
{
    (void)state;
    random_state = chance_seed(1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_values_rise_and_are_the_same),
        cmocka_unit_test(infinities_and_denormals_have_their_place),
        cmocka_unit_test(nothing_is_sorted_without_a_pointer),
        cmocka_unit_test(median_of_an_odd_number_is_the_middle_one),
        cmocka_unit_test(median_of_an_even_number_lies_between_two),
    };
    return cmocka_run_group_tests(tests, seed, NULL);
}
