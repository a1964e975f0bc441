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

/* Of one sequence. */
static double note(ndl_pace *p, int kind, int rows, int64_t keys, double sec)
{
    return ndl_pace_note(p, &(ndl_pace_load){ kind, rows, 1, keys }, sec);
}

static void the_shortest_so_far_counts(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    assert_true(note(p, 1, 8, 100, 3.0) == 3.0);
    assert_true(note(p, 1, 8, 100, 5.0) == 3.0);
    assert_true(note(p, 1, 8, 100, 2.0) == 2.0);
    assert_true(note(p, 1, 8, 100, 3.0) == 2.0);
    free(p);
}

static void other_work_has_its_own_time(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    note(p, 1, 8, 1000, 1.0);
    assert_true(note(p, 2, 8, 1000, 9.0) == 9.0);
    assert_true(note(p, 1, 8, 1200, 1.1) == 1.1);
    assert_true(note(p, 1, 9, 1000, 2.2) == 2.2);
    /* But a few keys more are nearly the same: decoding adds one a step. */
    assert_true(note(p, 1, 8, 1002, 9.0) == 1.002);
    free(p);
}

static void more_work_of_both_takes_no_less(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    note(p, 1, 8, 1000, 1.0);
    assert_true(note(p, 1, 7, 1000, 9.0) == 1.0);
    assert_true(note(p, 1, 8, 900, 9.0) == 1.0);
    free(p);
}

static void more_work_takes_its_share_at_most(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    note(p, 1, 8, 1000, 1.0);
    assert_true(note(p, 1, 8, 1500, 9.0) == 1.5);
    /* Nine rows may be a tile of eight and one of twelve. */
    assert_true(note(p, 1, 9, 1000, 9.0) == 2.5);
    assert_true(note(p, 1, 21, 1500, 9.0) == 4.0);
    /* What had no keys tells nothing about some. */
    note(p, 0, 8, 0, 1.0);
    assert_true(note(p, 0, 8, 10, 9.0) == 9.0);
    free(p);
}

/* A chunk reads the keys of its sequence once, texts read each their own. */
static void one_sequence_tells_nothing_about_many(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    const ndl_pace_load texts = { 1, 8, 8, 1000 };
    note(p, 1, 8, 1000, 1.0);
    assert_true(ndl_pace_note(p, &texts, 1.5) == 1.5);
    assert_true(ndl_pace_note(p, &texts, 9.0) == 1.5);
    free(p);
}

/* A clock that did not move. */
static void no_time_is_no_pace(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    note(p, 1, 8, 1000, 0.0);
    assert_true(note(p, 1, 8, 1000, 1.0) == 1.0);
    free(p);
}

/* Chunks of a prompt, each later and a little smaller than the one before: no
 * two are alike, and two of three are disturbed. */
static void disturbed_work_is_known_by_its_neighbours(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    int pos = 0;
    for (int i = 0; i < 100; i++) {
        const int rows = 64 - i / 8;
        const int64_t keys = (int64_t)rows * pos + rows * (rows + 1) / 2;
        const double sec = 1e-3 * rows + 1e-7 * (double)keys;
        const double seen = i % 3 > 0 ? 1.5 * sec : sec;
        const double told = note(p, 1, rows, keys, seen);
        assert_true(told > 0.99 * sec);
        if (i > 20) assert_true(told < 1.1 * sec);
        pos += rows;
    }
    free(p);
}

static void a_full_table_only_forgets(void **state)
{
    (void)state;
    ndl_pace *p = fresh();
    for (int i = 1; i <= 4 * NDL_PACE_WORKS; i++)
        assert_true(note(p, i, 8, 0, 2.0) == 2.0);
    int n_known = 0;
    for (int i = 1; i <= 4 * NDL_PACE_WORKS; i++)
        n_known += note(p, i, 8, 0, 4.0) == 2.0;
    assert_in_range(n_known, NDL_PACE_WORKS / 2, NDL_PACE_WORKS);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_so_far_counts),
        cmocka_unit_test(other_work_has_its_own_time),
        cmocka_unit_test(more_work_of_both_takes_no_less),
        cmocka_unit_test(more_work_takes_its_share_at_most),
        cmocka_unit_test(one_sequence_tells_nothing_about_many),
        cmocka_unit_test(no_time_is_no_pace),
        cmocka_unit_test(disturbed_work_is_known_by_its_neighbours),
        cmocka_unit_test(a_full_table_only_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
