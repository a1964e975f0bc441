/* test_rhythm.c - regular waits are foreseen, others are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/comm/rhythm.h"
#include "../support/chance.h"

static void feed(ndl_rhythm *r, double sec, int n)
{
    for (int i = 0; i < n; i++) {
        ndl_rhythm_begin(r);
        ndl_rhythm_end(r, sec);
    }
}

static bool is_foreseen(ndl_rhythm *r, double sec)
{
    ndl_rhythm_begin(r);
    return r->from_sec <= sec && sec <= r->to_sec;
}

static void regular_waits_are_foreseen_after_four(void **state)
{
    (void)state;
    ndl_rhythm r;
    ndl_rhythm_init(&r);
    feed(&r, 20e-3, NDL_RHYTHM_WAITS - 1);
    assert_false(is_foreseen(&r, 20e-3));
    ndl_rhythm_end(&r, 20.2e-3);
    assert_true(is_foreseen(&r, 20e-3));
    /* Awake before the earliest by more than a waking takes. */
    assert_true(r.from_sec < 20e-3 - 50e-6);
    assert_true(r.to_sec > 20.2e-3 + 50e-6);
    assert_true(r.to_sec - r.from_sec <= 20e-3 / 8.0);
}

static void irregular_or_short_waits_are_not(void **state)
{
    (void)state;
    ndl_rhythm r;
    ndl_rhythm_init(&r);
    for (int i = 0; i < 40; i++) {
        ndl_rhythm_begin(&r);
        assert_true(r.from_sec == 0.0 && r.to_sec == 0.0);
        ndl_rhythm_end(&r, i % 4 ? 10e-3 : 12e-3);
    }
    ndl_rhythm_init(&r);
    feed(&r, 0.9e-3, 40);
    ndl_rhythm_begin(&r);
    assert_true(r.to_sec == 0.0);
}

static void short_waits_in_between_do_not_disturb(void **state)
{
    (void)state;
    ndl_rhythm r;
    ndl_rhythm_init(&r);
    for (int i = 0; i < NDL_RHYTHM_WAITS; i++) {
        feed(&r, 5e-3, 1);
        feed(&r, 20e-6, 3);
    }
    assert_true(is_foreseen(&r, 5e-3));
}

static void what_was_wrong_again_and_again_is_rarely_tried(void **state)
{
    (void)state;
    ndl_rhythm r;
    int n_tried = 0;
    ndl_rhythm_init(&r);
    /* Four alike, then a surprise: always foreseen, never right. */
    for (int i = 0; i < 500; i++) {
        ndl_rhythm_begin(&r);
        n_tried += r.to_sec > 0.0;
        ndl_rhythm_end(&r, i % 5 < 4 ? 10e-3 : 30e-3);
    }
    assert_true(n_tried < 60);
    feed(&r, 10e-3, 200);
    n_tried = 0;
    for (int i = 0; i < 16; i++) {
        n_tried += is_foreseen(&r, 10e-3);
        ndl_rhythm_end(&r, 10e-3);
    }
    assert_int_equal(n_tried, 16);
}

/* Whatever comes: a window is a window, and short. */
static void windows_are_sane_at_random(void **state)
{
    (void)state;
    ndl_rhythm r;
    ndl_rhythm_init(&r);
    random_state = chance_seed(5);
    for (int i = 0; i < CHANCE_CASES(20000); i++) {
        ndl_rhythm_begin(&r);
        assert_true(r.from_sec >= 0.0 && r.to_sec >= r.from_sec);
        assert_true(r.to_sec - r.from_sec <= r.to_sec / 8.0);
        const double base = 1e-6 * between(1, 1 << between(0, 24));
        for (int k = between(0, 8); k > 0; k--)
            ndl_rhythm_end(&r, base * (1.0 + 1e-4 * between(0, 500)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regular_waits_are_foreseen_after_four),
        cmocka_unit_test(irregular_or_short_waits_are_not),
        cmocka_unit_test(short_waits_in_between_do_not_disturb),
        cmocka_unit_test(what_was_wrong_again_and_again_is_rarely_tried),
        cmocka_unit_test(windows_are_sane_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
