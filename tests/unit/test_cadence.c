/* test_cadence.c - cadence.h case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <math.h>

#include "cadence_world.h"

static ndl_cadence *make(int n_stages, int max_rows)
{
    ndl_cadence *c = NULL;
    assert_int_equal(ndl_cadence_create(&c, n_stages, max_rows), NDL_OK);
    return c;
}

static double keys_of(int pos, int n)
{
    return (double)n * pos + 0.5 * n * (n + 1.0);
}

static ndl_cadence_load decode(int rows)
{
    return (ndl_cadence_load){ .decode_rows = rows };
}

static void learn(ndl_cadence *c, ndl_cadence_load load, double sec)
{
    const ndl_cadence_times t = { sec, sec, sec };
    ndl_cadence_learn(c, &load, &t);
}

static void learn_often(ndl_cadence *c, ndl_cadence_load load, double sec)
{
    for (int i = 0; i < 10; i++) learn(c, load, sec);
}

static double step_sec(const ndl_cadence *c, ndl_cadence_load load)
{
    return ndl_cadence_step_sec(c, &load);
}

static bool is_near(double x, double y, double by)
{
    return fabs(x - y) <= by * fabs(y);
}

static void who_knows_nothing_limits_nothing(void **state)
{
    (void)state;
    ndl_cadence *c = make(4, 64);
    const ndl_cadence_load load = decode(8);
    assert_true(ndl_cadence_step_sec(c, &load) == 0.0);
    assert_true(ndl_cadence_decode_sec(c) == 0.0);
    assert_int_equal(ndl_cadence_rows(c, &load, 0, 56, 0.001), 56);
    assert_int_equal(ndl_cadence_groups(c, 16), 4);
    assert_int_equal(ndl_cadence_groups(c, 3), 3);
    assert_int_equal(ndl_cadence_groups(c, 1), 1);
    assert_int_equal(ndl_cadence_groups(c, 0), 1);
    ndl_cadence_destroy(&c);
    assert_null(c);
    ndl_cadence_destroy(&c);
}

static void between_and_beside_what_was_seen_is_sensible(void **state)
{
    (void)state;
    ndl_cadence *c = make(1, 512);
    learn_often(c, decode(8), 0.010);
    learn_often(c, decode(16), 0.014);
    assert_true(is_near(step_sec(c, decode(8)), 0.010, 1e-9));
    assert_true(is_near(step_sec(c, decode(12)), 0.012, 1e-9));
    assert_true(is_near(step_sec(c, decode(4)), 0.005, 1e-9));
    assert_true(is_near(step_sec(c, decode(300)), 0.014, 1e-9));
    assert_true(is_near(ndl_cadence_decode_sec(c), 0.014, 1e-9));
    ndl_cadence_destroy(&c);
}

static void more_rows_never_take_less(void **state)
{
    (void)state;
    ndl_cadence *c = make(1, 512);
    random_state = chance_seed(1);
    for (int i = 0; i < 2000; i++)
        learn(c, decode(between(1, 600)), 0.001 * between(1, 1000));
    for (int rows = 1; rows < 700; rows++)
        assert_true(step_sec(c, decode(rows)) <=
                    step_sec(c, decode(rows + 1)) * (1.0 + 1e-12));
    for (int n = 0; n < 500; n++) {
        const ndl_cadence_load a = { 3, n, keys_of(10, n) };
        const ndl_cadence_load b = { 3, n + 1, keys_of(10, n + 1) };
        assert_true(step_sec(c, a) <= step_sec(c, b));
    }
    ndl_cadence_destroy(&c);
}

static void equal_steps_do_not_lift_each_other(void **state)
{
    (void)state;
    ndl_cadence *c = make(1, 64);
    random_state = chance_seed(2);
    for (int i = 0; i < 6400; i++)
        learn(c, decode(1 + i % 64), 0.010 * (1.0 + 0.1 * world_normal()));
    double sum = 0.0;
    for (int rows = 1; rows <= 64; rows++) sum += step_sec(c, decode(rows));
    assert_true(is_near(sum, 64 * 0.010, 0.015));
    ndl_cadence_destroy(&c);
}

static void a_wild_step_changes_little(void **state)
{
    (void)state;
    ndl_cadence *c = make(1, 64);
    learn_often(c, decode(8), 0.010);
    learn(c, decode(8), 0.100);
    learn(c, decode(8), 0.030);
    assert_true(is_near(step_sec(c, decode(8)), 0.010, 1e-9));
    assert_true(is_near(ndl_cadence_decode_sec(c), 0.010, 1e-9));
    /* But a lasting change is believed. */
    for (int i = 0; i < 40; i++) learn(c, decode(8), 0.030);
    assert_true(is_near(step_sec(c, decode(8)), 0.030, 1e-9));
    ndl_cadence_destroy(&c);
}

static void what_is_fresh_bends_what_is_old(void **state)
{
    (void)state;
    ndl_cadence *c = make(1, 64);
    for (int i = 0; i < 40; i++) learn(c, decode(8), 0.010);
    for (int i = 0; i < 3000; i++) learn(c, decode(4), 0.012);
    assert_true(is_near(step_sec(c, decode(4)), 0.012, 0.02));
    assert_true(is_near(step_sec(c, decode(8)), 0.012, 0.02));
    ndl_cadence_destroy(&c);
}

/* Prompt rows at 0.2 ms and 10 ns a key, beside decode rows at 20 ms. */
static double true_sec(ndl_cadence_load load)
{
    return 0.020 + 2e-4 * load.prompt_rows + 1e-8 * load.prompt_keys;
}

static void learn_prompts(ndl_cadence *c, double noise, double wild)
{
    learn_often(c, decode(1), 0.020);
    learn_often(c, decode(8), 0.020);
    for (int i = 0; i < 300; i++) {
        const int n = between(8, 256), pos = between(0, 30000);
        const ndl_cadence_load load = { between(0, 8), n, keys_of(pos, n) };
        const double by = world_uniform() < wild ? 4.0 : 1.0;
        learn(c, load, by * true_sec(load) * (1.0 + noise * world_normal()));
    }
}

static void prompts_cost_by_rows_and_keys(void **state)
{
    (void)state;
    random_state = chance_seed(3);
    ndl_cadence *c = make(2, 264);
    learn_prompts(c, 0.0, 0.0);
    const ndl_cadence_load load = { 8, 64, keys_of(16000, 64) };
    assert_true(is_near(step_sec(c, load), true_sec(load), 0.02));
    ndl_cadence_destroy(&c);
    c = make(2, 264);
    learn_prompts(c, 0.05, 0.05);
    for (int pos = 0; pos < 32000; pos += 1000) {
        const ndl_cadence_load at = { 4, 128, keys_of(pos, 128) };
        assert_true(is_near(step_sec(c, at), true_sec(at), 0.15));
    }
    ndl_cadence_destroy(&c);
}

static void more_keys_never_take_less(void **state)
{
    (void)state;
    random_state = chance_seed(13);
    ndl_cadence *c = make(2, 128);
    /* As if attention gave time back. */
    for (int i = 0; i < 50; i++) {
        const int pos = between(0, 4000);
        const ndl_cadence_load load = { 0, 64, keys_of(pos, 64) };
        learn(c, load, 0.100 - 1e-7 * load.prompt_keys);
    }
    const ndl_cadence_load early = { 0, 64, keys_of(0, 64) };
    const ndl_cadence_load late = { 0, 64, keys_of(100000, 64) };
    assert_true(step_sec(c, late) >= step_sec(c, early));
    assert_true(step_sec(c, early) > 0.0);
    ndl_cadence_destroy(&c);
}

static void the_first_prompt_tells_a_price_for_rows(void **state)
{
    (void)state;
    ndl_cadence *c = make(2, 128);
    const ndl_cadence_load first = { 0, 64, keys_of(0, 64) };
    learn(c, first, 0.064);
    const ndl_cadence_load half = { 0, 32, keys_of(4000, 32) };
    assert_true(is_near(step_sec(c, half), 0.032, 1e-9));
    /* Prompts of one shape cannot tell keys from rows. */
    for (int i = 0; i < 50; i++) learn(c, first, 0.064);
    assert_true(is_near(step_sec(c, half), 0.032, 1e-9));
    /* And where every step has prompt rows the others count like them. */
    const ndl_cadence_load mixed = { 32, 32, keys_of(0, 32) };
    learn(c, mixed, 0.064);
    assert_true(is_near(step_sec(c, mixed), 0.064, 1e-9));
    ndl_cadence_destroy(&c);
}

/* Up to 12 rows the weights are what the step waits for: 45 ms.  That tells
 * nothing about 36 rows, but that no row costs less than one of the twelve. */
static void rows_beyond_those_seen_are_not_taken_for_free(void **state)
{
    (void)state;
    ndl_cadence *c = make(2, 128);
    learn_often(c, decode(4), 0.040);
    const ndl_cadence_load few = { 4, 8, keys_of(1000, 8) };
    for (int i = 0; i < 50; i++) learn(c, few, 0.045);
    assert_true(is_near(step_sec(c, few), 0.045, 0.01));
    const ndl_cadence_load many = { 4, 32, keys_of(1000, 32) };
    assert_true(step_sec(c, many) >= 0.99 * 3 * 0.045);
    /* Once such a step was seen, it is known. */
    for (int i = 0; i < 50; i++) learn(c, many, 0.110);
    assert_true(is_near(step_sec(c, many), 0.110, 0.1));
    ndl_cadence_destroy(&c);
}

/* A row beside texts hides in the time that the weights take to be read, so
 * that a prompt row at the 600th position seems to cost 7 ms.  Then the texts
 * end, and rows cost 12.5 ms each, as they did at the first position.  (The
 * least of 200 seeds: 0.66 on the way, 0.74 at its end.) */
static void steps_of_a_row_do_not_tell_what_many_cost(void **state)
{
    (void)state;
    random_state = chance_seed(5);
    ndl_cadence *c = make(2, 128);
    const ndl_cadence_load first = { 0, 128, keys_of(0, 128) };
    const double first_sec = 0.05 + 0.0125 * 128;
    learn(c, first, first_sec);
    learn_often(c, decode(2), 0.064);
    for (int pos = 128; pos < 628; pos++) {
        const ndl_cadence_load beside = { 2, 1, keys_of(pos, 1) };
        learn(c, beside, 0.071 * (1.0 + 0.1 * world_normal()));
    }
    for (int pos = 628; pos < 1396; pos += 128) {
        const ndl_cadence_load alone = { 0, 128, keys_of(pos, 128) };
        learn(c, alone, first_sec * (1.0 + 0.05 * world_normal()));
        assert_true(step_sec(c, first) > 0.6 * first_sec);
    }
    assert_true(step_sec(c, first) > 0.7 * first_sec);
    ndl_cadence_destroy(&c);
}

/* What was expected of a step of a kind that was not seen says nothing about
 * it: such a step is not late, and counts as long as it was. */
static void a_strange_step_is_not_late(void **state)
{
    (void)state;
    ndl_cadence *c = make(2, 128);
    learn_often(c, decode(2), 0.064);
    const ndl_cadence_load few = { 2, 1, keys_of(100, 1) };
    for (int i = 0; i < 50; i++) learn(c, few, 0.065);
    const double worst = ndl_cadence_worst(c);
    const ndl_cadence_load many = { 2, 126, keys_of(100, 126) };
    learn(c, many, 20.0);
    assert_true(ndl_cadence_worst(c) == worst);
    assert_true(is_near(step_sec(c, many), 20.0, 0.01));
    ndl_cadence_destroy(&c);
}

static void rows_are_the_most_that_fit(void **state)
{
    (void)state;
    random_state = chance_seed(4);
    ndl_cadence *c = make(2, 264);
    learn_prompts(c, 0.0, 0.0);
    for (int i = 0; i < 2000; i++) {
        ndl_cadence_load load = { between(0, 8), between(0, 64), 0.0 };
        load.prompt_keys = keys_of(100, load.prompt_rows);
        const int pos = between(0, 30000), most = between(0, 256);
        const double sec = 0.001 * between(0, 120);
        const int n = ndl_cadence_rows(c, &load, pos, most, sec);
        assert_in_range(n, 0, most);
        ndl_cadence_load with = load;
        with.prompt_rows += n;
        with.prompt_keys += keys_of(pos, n);
        if (n > 0) assert_true(step_sec(c, with) <= sec);
        with = load;
        with.prompt_rows += n + 1;
        with.prompt_keys += keys_of(pos, n + 1);
        if (n < most) assert_true(step_sec(c, with) > sec);
    }
    const ndl_cadence_load none = decode(8);
    assert_int_equal(ndl_cadence_rows(c, &none, 0, 256, INFINITY), 256);
    assert_int_equal(ndl_cadence_rows(c, &none, 0, 256, NAN), 0);
    assert_int_equal(ndl_cadence_rows(c, &none, 0, 256, -1.0), 0);
    assert_int_equal(ndl_cadence_rows(c, &none, 0, -1, 1.0), 0);
    ndl_cadence_destroy(&c);
}

static void nonsense_is_not_learnt(void **state)
{
    (void)state;
    static const double bad[] = { NAN, -1.0, INFINITY, -INFINITY, 0.0, 1e300 };
    ndl_cadence *c = make(2, 64);
    learn_often(c, decode(8), 0.010);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ndl_cadence_load prompt = { 0, 8, 36.0 };
        for (int k = 0; k < 40; k++) learn(c, decode(8), bad[i]);
        learn(c, prompt, bad[i]);
        /* A stage that is known does not need the others. */
        const ndl_cadence_load load = decode(8);
        const ndl_cadence_times t = { 0.010, bad[i], bad[i] };
        ndl_cadence_learn(c, &load, &t);
        if (bad[i] == 0.0) continue;
        const ndl_cadence_load many_keys = { 0, 8, fabs(bad[i]) * -1.0 };
        learn(c, many_keys, 0.010);
    }
    const ndl_cadence_load absurd[] = {
        { 0, 0, 0.0 }, { -1, 0, 0.0 }, { 8, -1, 0.0 }, { INT_MIN, INT_MIN, 0.0 }
    };
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++)
        learn(c, absurd[i], 7.0);
    assert_true(is_near(step_sec(c, decode(8)), 0.010, 1e-9));
    const ndl_cadence_load prompt = { 8, 8, 36.0 };
    assert_true(is_near(step_sec(c, prompt), 0.010, 1e-9));
    assert_in_range(ndl_cadence_groups(c, 16), 1, 3);
    learn(c, decode(INT_MAX), 0.020);
    assert_true(step_sec(c, decode(INT_MAX)) >= 0.010);
    assert_in_range(ndl_cadence_groups(c, INT_MAX), 1, 3);
    ndl_cadence_destroy(&c);
}

static void waiting_for_prompts_is_no_trip(void **state)
{
    (void)state;
    ndl_cadence *c = make(2, 64);
    const ndl_cadence_load prompt = { 0, 64, keys_of(0, 64) };
    for (int rows = 1; rows <= 16; rows++) {
        const ndl_cadence_load load = decode(rows);
        const ndl_cadence_times t = { 0.010, 0.020, 0.020 };
        for (int i = 0; i < 8; i++) ndl_cadence_learn(c, &load, &t);
    }
    for (int i = 0; i < 100; i++) {
        const ndl_cadence_load load = decode(8);
        const ndl_cadence_times behind = { 0.010, 0.020, 0.200 };
        assert_in_range(ndl_cadence_groups(c, 16), 1, 2);
        learn(c, prompt, 0.080);
        ndl_cadence_learn(c, &load, &behind);
    }
    assert_in_range(ndl_cadence_groups(c, 16), 1, 2);
    ndl_cadence_destroy(&c);
}

static void other_loads_do_not_stop_a_try(void **state)
{
    (void)state;
    ndl_cadence *c = make(4, 64);
    const ndl_cadence_times all = { 0.010, 0.040, 0.040 };
    const ndl_cadence_load eight = decode(8);
    for (int i = 0; i < 3; i++) ndl_cadence_learn(c, &eight, &all);
    const int before = ndl_cadence_groups(c, 32);
    /* Nothing but steps with prompt rows comes back. */
    for (int i = 0; i < 1000; i++) {
        const ndl_cadence_load load = { 8, 16, keys_of(50, 16) };
        learn(c, load, 0.012);
        assert_in_range(ndl_cadence_groups(c, 32), 1, 5);
    }
    assert_int_equal(before, 5); /* 7 rows may take half of their share */
    assert_int_equal(ndl_cadence_groups(c, 32), 4);
    ndl_cadence_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_knows_nothing_limits_nothing),
        cmocka_unit_test(between_and_beside_what_was_seen_is_sensible),
        cmocka_unit_test(more_rows_never_take_less),
        cmocka_unit_test(equal_steps_do_not_lift_each_other),
        cmocka_unit_test(a_wild_step_changes_little),
        cmocka_unit_test(what_is_fresh_bends_what_is_old),
        cmocka_unit_test(prompts_cost_by_rows_and_keys),
        cmocka_unit_test(more_keys_never_take_less),
        cmocka_unit_test(the_first_prompt_tells_a_price_for_rows),
        cmocka_unit_test(rows_beyond_those_seen_are_not_taken_for_free),
        cmocka_unit_test(steps_of_a_row_do_not_tell_what_many_cost),
        cmocka_unit_test(a_strange_step_is_not_late),
        cmocka_unit_test(rows_are_the_most_that_fit),
        cmocka_unit_test(nonsense_is_not_learnt),
        cmocka_unit_test(waiting_for_prompts_is_no_trip),
        cmocka_unit_test(other_loads_do_not_stop_a_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
