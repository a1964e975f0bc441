/* test_pace.c - the shortest time of each kind of work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/model/pace.h"

static ndl_pace *fresh(void)
{
    ndl_pace *p = calloc(1, sizeof *p);
    assert_non_null(p);
    return p;
}

static void the_shortest_so_far_counts(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    assert_true(ndl_pace_note(p, 1, 8, 100, 3.0) == 3.0);
    assert_true(ndl_pace_note(p, 1, 8, 100, 5.0) == 3.0);
    assert_true(ndl_pace_note(p, 1, 8, 100, 2.0) == 2.0);
    assert_true(ndl_pace_note(p, 1, 8, 100, 3.0) == 2.0);
    free(p);
}

static void other_work_has_its_own_time(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    ndl_pace_note(p, 1, 8, 1000, 1.0);
    assert_true(ndl_pace_note(p, 2, 8, 1000, 9.0) == 9.0);
    assert_true(ndl_pace_note(p, 1, 9, 1000, 9.0) == 9.0);
    assert_true(ndl_pace_note(p, 1, 8, 1200, 9.0) == 9.0);
    assert_true(ndl_pace_note(p, 1, 8, 0, 9.0) == 9.0);
    /* But a few keys more are the same: decoding adds one a step. */
    assert_true(ndl_pace_note(p, 1, 8, 1002, 9.0) == 1.0);
    free(p);
}

static void a_full_table_only_forgets(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    for (int rows = 1; rows <= 4 * NDL_PACE_WORKS; rows++)
        assert_true(ndl_pace_note(p, 1, rows, 0, 2.0) == 2.0);
    int n_known = 0;
    for (int rows = 1; rows <= 4 * NDL_PACE_WORKS; rows++)
        n_known += ndl_pace_note(p, 1, rows, 0, 4.0) == 2.0;
    assert_in_range(n_known, NDL_PACE_WORKS / 2, NDL_PACE_WORKS);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_so_far_counts),
        cmocka_unit_test(other_work_has_its_own_time),
        cmocka_unit_test(a_full_table_only_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
