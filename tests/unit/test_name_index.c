/* test_name_index.c - facts about name_index.h. */
#include "../../src/cli/name_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void names_keep_their_first_number(void **state)
{
    (void)state;
    ndl_name_index ix = { 0 };
    int has = -1;
    assert_int_equal(ndl_name_index_find(&ix, "a"), -1);
    assert_int_equal(ndl_name_index_add(&ix, "a", 7, &has), NDL_OK);
    assert_int_equal(has, 7);
    assert_int_equal(ndl_name_index_add(&ix, "", 8, &has), NDL_OK);
    assert_int_equal(has, 8);
    const char other[] = "a"; /* the text counts, not where it is */
    assert_int_equal(ndl_name_index_add(&ix, other, 9, &has), NDL_OK);
    assert_int_equal(has, 7);
    assert_int_equal(ndl_name_index_find(&ix, other), 7);
    assert_int_equal(ndl_name_index_find(&ix, ""), 8);
    assert_int_equal(ndl_name_index_find(&ix, "b"), -1);
    ndl_name_index_fini(&ix);
    assert_int_equal(ndl_name_index_find(&ix, "a"), -1);
}

static void many_names_are_all_found(void **state)
{
    (void)state;
    enum { N = 100000 };
    ndl_name_index ix = { 0 };
    char(*names)[16] = malloc(N * sizeof *names);
    assert_non_null(names);
    for (int i = 0; i < N; i++) {
        int has = -1;
        snprintf(names[i], sizeof names[i], "line-%d", i);
        assert_int_equal(ndl_name_index_add(&ix, names[i], i, &has), NDL_OK);
        assert_int_equal(has, i);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(ndl_name_index_find(&ix, names[i]), i);
    assert_int_equal(ndl_name_index_find(&ix, "line-100000"), -1);
    ndl_name_index_fini(&ix);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_keep_their_first_number),
        cmocka_unit_test(many_names_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
