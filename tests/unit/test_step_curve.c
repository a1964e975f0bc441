/* test_step_curve.c - what is hoped of numbers of rows, by what was seen. */
#include "../../src/sched/step_curve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static ndl_step_curve *make(void)
{
    ndl_step_curve *c = NULL;
    assert_int_equal(ndl_step_curve_create(&c, 64, 1e6), NDL_OK);
    return c;
}

/* n steps of so many rows, by turns a tenth too short and too long. */
static void learn(ndl_step_curve *c, int rows, int n, double sec)
{
    for (int i = 0; i < n; i++) {
        const double t = sec * (i % 2 ? 0.9 : 1.1);
        ndl_step_curve_learn(c, rows, (ndl_step_time){ t, 4.0 * t });
    }
}

static double hoped_share(const ndl_step_curve *c, int rows)
{
    return ndl_step_curve_hoped(c, rows).slowest_sec /
           ndl_step_curve_likely(c, rows).slowest_sec;
}

static void the_less_was_seen_the_more_is_hoped(void **state)
{
    (void)state;
    ndl_step_curve *c = make();
    learn(c, 16, 400, 0.020);
    learn(c, 8, 8, 0.010);
    learn(c, 4, 4, 0.010);
    assert_true(hoped_share(c, 4) < hoped_share(c, 8) - 0.01);
    assert_true(hoped_share(c, 8) < hoped_share(c, 16) - 0.01);
    ndl_step_curve_destroy(&c);
}

/* Else two equal numbers of groups would be tried in turn for ever: noise of a
 * tenth must not hide behind what is hardly better. */
static void of_what_is_well_known_little_is_hoped(void **state)
{
    (void)state;
    ndl_step_curve *c = make();
    learn(c, 4, 400, 0.010);
    learn(c, 3, 400, 0.010);
    assert_true(hoped_share(c, 3) < 1.0 && hoped_share(c, 3) > 0.975);
    assert_true(hoped_share(c, 4) < 1.0 && hoped_share(c, 4) > 0.975);
    ndl_step_curve_destroy(&c);
}

static void what_was_never_seen_may_cost_what_fewer_rows_do(void **state)
{
    (void)state;
    ndl_step_curve *c = make();
    learn(c, 4, 40, 0.010);
    learn(c, 16, 40, 0.020);
    const double four = ndl_step_curve_likely(c, 4).slowest_sec;
    assert_true(ndl_step_curve_hoped(c, 8).slowest_sec == four);
    assert_true(ndl_step_curve_likely(c, 8).slowest_sec > 1.2 * four);
    ndl_step_curve_tried(c, 8);
    assert_true(ndl_step_curve_hoped(c, 8).slowest_sec > 1.2 * four);
    ndl_step_curve_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_less_was_seen_the_more_is_hoped),
        cmocka_unit_test(of_what_is_well_known_little_is_hoped),
        cmocka_unit_test(what_was_never_seen_may_cost_what_fewer_rows_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
