/* test_grow.c - facts about grow.h. */
#include "noodle/grow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void there_is_room_and_what_was_there_stays(void **state)
{
    (void)state;
    int *v = NULL;
    size_t cap = 0;
    for (int i = 0; i < 10000; i++) {
        v = ndl_grow(v, &cap, (size_t)i + 1, sizeof *v);
        assert_non_null(v);
        assert_true(cap > (size_t)i);
        v[i] = i;
    }
    for (int i = 0; i < 10000; i++) assert_int_equal(v[i], i);
    free(v);
}

static void small_steps_move_little(void **state)
{
    (void)state;
    char *v = NULL;
    size_t cap = 0;
    int n_changes = 0;
    for (size_t n = 1; n <= 1 << 20; n++) {
        const size_t before = cap;
        v = ndl_grow(v, &cap, n, 1);
        assert_non_null(v);
        n_changes += cap != before;
    }
    assert_in_range(n_changes, 1, 40);
    assert_true(cap <= 2 << 20);
    free(v);
}

static void one_large_step_takes_no_more_than_it_needs(void **state)
{
    (void)state;
    size_t cap = 0;
    char *v = ndl_grow(NULL, &cap, 1000000, 3);
    assert_non_null(v);
    assert_int_equal(cap, 1000000);
    memset(v, 1, 3000000);
    assert_ptr_equal(ndl_grow(v, &cap, 1000000, 3), v);
    free(v);
}

static void what_cannot_be_had_changes_nothing(void **state)
{
    (void)state;
    size_t cap = 0;
    char *v = ndl_grow(NULL, &cap, 10, 8);
    const size_t before = cap;
    assert_non_null(v);
    static const size_t sizes[] = { 1, 3, 8, 4096 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_null(ndl_grow(v, &cap, SIZE_MAX, sizes[i]));
        /* The product alone may fit, or wrap around to something small. */
        assert_null(ndl_grow(v, &cap, SIZE_MAX / sizes[i] / 2 + 1, sizes[i]));
        assert_int_equal(cap, before);
    }
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_room_and_what_was_there_stays),
        cmocka_unit_test(small_steps_move_little),
        cmocka_unit_test(one_large_step_takes_no_more_than_it_needs),
        cmocka_unit_test(what_cannot_be_had_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
