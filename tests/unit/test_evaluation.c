/* test_evaluation.c - against numbers that NumPy gives in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "noodle/evaluation.h"

enum { N = 501 };

static ndl_token_score scores[N];

/* Fractions of powers of two, so that NumPy starts from the same numbers. */
static int make_scores(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        const double log_p = -(i * 29 % 83 + 1) / 16.0;
        scores[i] = (ndl_token_score){
            .log_p = log_p,
            .base_log_p = log_p + (i * 31 % 41 - 20) / 256.0,
            .kl = i * 17 % 59 / 512.0,
            .max_diff = i * 13 % 71 / 32.0,
            .same_top = i % 7 != 3,
        };
    }
    return 0;
}

static void assert_near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-9 * fmax(1.0, fabs(want))))
        fail_msg("%.17g, not %.17g", have, want);
}

static void assert_mean(ndl_mean have, double value, double error)
{
    assert_near(have.value, value);
    assert_near(have.error, error);
}

static void perplexity_and_its_error_are_numpys(void **state)
{
    (void)state;
    const ndl_perplexity p = ndl_evaluation_perplexity(scores, N);
    assert_mean(p.nll, 2.6205089820359282, 0.067010800890351926);
    assert_mean(p.ppl, 13.742716601142012, 0.92091044585166149);
}

static void comparison_is_numpys(void **state)
{
    (void)state;
    ndl_comparison c;
    assert_int_equal(ndl_evaluation_compare(&c, scores, N), NDL_OK);
    assert_mean(c.base.nll, 2.620883233532934, 0.067049734090935759);
    assert_near(c.base.ppl.value, 13.747860795954177);
    assert_mean(c.log_ratio, -0.00037425149700598805, 0.0020704588883230148);
    assert_mean(c.ratio, 0.99962581852634991, 0.0020696841609650503);
    assert_mean(c.kl, 0.056348241017964075, 0.0014896131394441993);
    assert_near(c.kl_median, 0.056640625);
    assert_near(c.kl_99, 0.11328125);
    assert_near(c.kl_max, 0.11328125);
    assert_mean(c.same_top, 0.85628742514970058, 0.015688165646766769);
    assert_near(c.max_diff, 2.1875);
    assert_mean(c.p_change, -4.7184283149280377e-05, 0.0006125199255198326);
    assert_near(c.p_change_rms, 0.013696443185586066);
}

static void error_of_a_ratio_knows_that_the_tokens_are_the_same(void **state)
{
    (void)state;
    ndl_comparison c;
    assert_int_equal(ndl_evaluation_compare(&c, scores, N), NDL_OK);
    /* Two texts would give the root of both squares. */
    assert_true(c.log_ratio.error < 0.1 * c.base.nll.error);
}

static void quantiles_lie_between_the_values(void **state)
{
    (void)state;
    const double x[] = { 1.0, 2.0, 4.0, 8.0 };
    assert_near(ndl_evaluation_quantile(x, 4, 0.0), 1.0);
    assert_near(ndl_evaluation_quantile(x, 4, 0.5), 3.0);
    assert_near(ndl_evaluation_quantile(x, 4, 0.99), 7.88);
    assert_near(ndl_evaluation_quantile(x, 4, 1.0), 8.0);
    assert_near(ndl_evaluation_quantile(x, 1, 0.7), 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexity_and_its_error_are_numpys),
        cmocka_unit_test(comparison_is_numpys),
        cmocka_unit_test(error_of_a_ratio_knows_that_the_tokens_are_the_same),
        cmocka_unit_test(quantiles_lie_between_the_values),
    };
    return cmocka_run_group_tests(tests, make_scores, NULL);
}
