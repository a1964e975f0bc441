/* test_progress.c - facts about progress.h. */
#include "noodle/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "noodle/clock.h"

typedef struct told {
    int calls;
    uint64_t done, all;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    told *t = arg;
    *t = (told){ t->calls + 1, done, all };
    return done > 100000 ? NDL_EINT : NDL_OK;
}

static void the_first_and_the_last_are_told(void **state)
{
    (void)state;
    told t = { 0, 0, 0 };
    ndl_progress p = { .fn = tell, .arg = &t, .all = 10 };
    ndl_progress_add(&p, 1);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.done, 1);
    ndl_progress_add(&p, 9);
    assert_int_equal(t.calls, 2);
    assert_int_equal(t.done, 10);
    assert_int_equal(t.all, 10);
}

static void no_more_than_ten_calls_a_second(void **state)
{
    (void)state;
    enum { STEPS = 100000 };
    told t = { 0, 0, 0 };
    ndl_progress p = { .fn = tell, .arg = &t, .all = STEPS + 1 };
    const double start = ndl_clock_sec();
    for (int i = 0; i < STEPS; i++) ndl_progress_add(&p, 1);
    const double sec = ndl_clock_sec() - start;
    assert_true(t.calls <= 1 + (int)(sec * 10));
    ndl_clock_sleep(0.11);
    const int before = t.calls;
    ndl_progress_add(&p, 0);
    assert_int_equal(t.calls, before + 1);
    assert_int_equal(t.done, STEPS);
}

static void a_listener_can_end_the_work(void **state)
{
    (void)state;
    told t = { 0, 0, 0 };
    ndl_progress p = { .fn = tell, .arg = &t, .all = 100001 };
    assert_int_equal(ndl_progress_add(&p, 1), NDL_OK);
    assert_int_equal(ndl_progress_add(&p, 100000), NDL_EINT);
}

static void nobody_need_listen(void **state)
{
    (void)state;
    ndl_progress p = { .all = 3 };
    ndl_progress_add(&p, 3);
    assert_int_equal(p.done, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_the_last_are_told),
        cmocka_unit_test(no_more_than_ten_calls_a_second),
        cmocka_unit_test(a_listener_can_end_the_work),
        cmocka_unit_test(nobody_need_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
