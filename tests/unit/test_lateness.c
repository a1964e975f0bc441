/* test_lateness.c - how late steps were, at worst, and for how long it counts.
 */
#include "../../src/sched/lateness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void learn(ndl_lateness *l, int n, double times)
{
    for (int i = 0; i < n; i++) ndl_lateness_learn(l, times);
}

static ndl_lateness punctual(int n_steps)
{
    ndl_lateness l;
    ndl_lateness_begin(&l, n_steps);
    assert_true(l.worst > 1.1);
    learn(&l, 5000, 1.0);
    assert_true(l.worst >= 1.0 && l.worst < 1.001);
    return l;
}

/* Three steps are late by a half, of four that a token waits for. */
static void late_steps_are_remembered_for_a_while(void **state)
{
    (void)state;
    ndl_lateness l = punctual(4);
    learn(&l, 3, 1.5);
    const double worst = l.worst;
    assert_true(worst > 1.25 && worst < 1.3);
    learn(&l, 100, 1.0);
    assert_true(l.worst > 1.0 + 0.75 * (worst - 1.0));
    learn(&l, 1000, 1.0);
    assert_true(l.worst < 1.0 + 0.25 * (worst - 1.0));
}

static void one_step_counts_in_full_where_one_is_waited_for(void **state)
{
    (void)state;
    ndl_lateness l = punctual(1);
    learn(&l, 1, 1.5);
    assert_true(l.worst == 1.5);
}

static void an_accident_is_not_what_is_to_be_expected(void **state)
{
    (void)state;
    ndl_lateness l = punctual(1);
    learn(&l, 1, 100.0);
    assert_true(l.worst == 2.5);
}

/* What comes early makes up for nothing that was late. */
static void early_steps_make_no_promise_tighter(void **state)
{
    (void)state;
    ndl_lateness l = punctual(2);
    learn(&l, 100, 0.1);
    assert_true(l.worst >= 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_steps_are_remembered_for_a_while),
        cmocka_unit_test(one_step_counts_in_full_where_one_is_waited_for),
        cmocka_unit_test(an_accident_is_not_what_is_to_be_expected),
        cmocka_unit_test(early_steps_make_no_promise_tighter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
