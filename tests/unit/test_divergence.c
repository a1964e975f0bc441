/* test_divergence.c - against numbers that NumPy gives in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "noodle/divergence.h"

enum { V = 1000 };

static float p[V], q[V];

/* Multiples of 1/16, so that NumPy starts from the same numbers. */
static int make_rows(void **state)
{
    (void)state;
    for (int i = 0; i < V; i++) {
        p[i] = (float)(i * 37 % 101 - 50) / 8.0f;
        q[i] = p[i] + (float)(i * 53 % 97 - 48) / 16.0f;
    }
    q[717] += 20.0f;
    return 0;
}

static void assert_near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-9 * fmax(1.0, fabs(want))))
        fail_msg("%.17g, not %.17g", have, want);
}

static void log_sum_is_numpys(void **state)
{
    (void)state;
    assert_near(ndl_divergence_log_sum(p, V), 10.688453394723);
    assert_near(ndl_divergence_log_sum(q, V), 23.750007177754362);
    const float one = -3.5f;
    assert_true(ndl_divergence_log_sum(&one, 1) == -3.5);
}

static void log_sum_of_huge_logits_does_not_overflow(void **state)
{
    (void)state;
    float up[V], down[V];
    for (int i = 0; i < V; i++) {
        up[i] = p[i] + 65536.0f;
        down[i] = p[i] - 65536.0f;
    }
    assert_near(ndl_divergence_log_sum(up, V), 65546.688453394716);
    assert_near(ndl_divergence_log_sum(down, V), 10.688453394723 - 65536.0);
}

static void divergence_is_numpys_and_has_a_direction(void **state)
{
    (void)state;
    const ndl_divergence d = ndl_divergence_of(p, q, V);
    assert_near(d.kl, 13.022847930750991);
    assert_near(ndl_divergence_of(q, p, V).kl, 8.5633053098735434);
    assert_true(d.max_diff == 21.625);
    assert_false(d.same_top);
}

static void divergence_from_oneself_is_zero(void **state)
{
    (void)state;
    const ndl_divergence d = ndl_divergence_of(q, q, V);
    assert_true(d.kl == 0.0 && d.max_diff == 0.0 && d.same_top);
}

static void
divergence_does_not_see_an_offset_and_is_never_below_zero(void **state)
{
    (void)state;
    float moved[V];
    for (int i = 0; i < V; i++) moved[i] = p[i] + 3.0f;
    const ndl_divergence d = ndl_divergence_of(p, moved, V);
    assert_true(d.kl >= 0.0 && d.kl < 1e-12);
    assert_true(d.max_diff == 3.0 && d.same_top);
}

static void of_equal_tops_the_smallest_id_counts(void **state)
{
    (void)state;
    const float a[3] = { 1.0f, 2.0f, 2.0f }, b[3] = { 1.0f, 2.0f, 1.0f };
    const float c[3] = { 1.0f, 1.0f, 2.0f };
    assert_true(ndl_divergence_of(a, b, 3).same_top);
    assert_false(ndl_divergence_of(a, c, 3).same_top);
}

static void logits_that_are_no_numbers_give_none(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY };
    for (int k = 0; k < 2; k++)
        for (int at = 0; at < V; at += V - 1) {
            float x[V];
            for (int i = 0; i < V; i++) x[i] = p[i];
            x[at] = bad[k];
            assert_false(isfinite(ndl_divergence_log_sum(x, V)));
            assert_false(isfinite(ndl_divergence_of(x, p, V).kl));
            assert_false(isfinite(ndl_divergence_of(p, x, V).kl));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_sum_is_numpys),
        cmocka_unit_test(log_sum_of_huge_logits_does_not_overflow),
        cmocka_unit_test(divergence_is_numpys_and_has_a_direction),
        cmocka_unit_test(divergence_from_oneself_is_zero),
        cmocka_unit_test(
            divergence_does_not_see_an_offset_and_is_never_below_zero),
        cmocka_unit_test(of_equal_tops_the_smallest_id_counts),
        cmocka_unit_test(logits_that_are_no_numbers_give_none),
    };
    return cmocka_run_group_tests(tests, make_rows, NULL);
}
