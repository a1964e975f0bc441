/*
 * test_cadence_world.c - the number of groups that cadence.h chooses, in a
 * pipeline of numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "cadence_world.h"

static void world_learns(world *w)
{
    w->cadence = NULL;
    assert_int_equal(ndl_cadence_create(&w->cadence, w->n_stages, WORLD_ROWS),
                     NDL_OK);
}

/* A pipeline of n equal stages whose step takes first + each * rows. */
static world world_of(int n_stages, int n_decoding, double first, double each)
{
    world w = { .n_stages = n_stages,
                .n_decoding = n_decoding,
                .n_ready = n_decoding,
                .noise = 0.01 };
    for (int rows = 0; rows <= WORLD_ROWS; rows++)
        w.curve[rows] = first + each * rows;
    for (int i = 0; i < n_stages; i++) w.share[i] = 1.0;
    world_learns(&w);
    return w;
}

static void run(world *w, int n_steps)
{
    for (int i = 0; i < n_steps; i++) world_step(w);
}

static void flat_times_do_not_pay_for_many_groups(void **state)
{
    (void)state;
    random_state = chance_seed(5);
    /* Reading the weights is all: every number of groups up to that of the
     * stages is as good as one, and one more costs. */
    for (int n_stages = 1; n_stages <= 16; n_stages *= 2) {
        world w = world_of(n_stages, 32, 0.010, 0.0);
        run(&w, 1000);
        assert_in_range(world_groups(&w), 1, n_stages);
        ndl_cadence_destroy(&w.cadence);
    }
}

static void times_by_rows_fill_every_stage(void **state)
{
    (void)state;
    random_state = chance_seed(6);
    for (int n_stages = 2; n_stages <= 8; n_stages *= 2) {
        world w = world_of(n_stages, 32, 0.0, 0.001);
        run(&w, 1000);
        assert_in_range(world_groups(&w), n_stages, n_stages + 1);
        ndl_cadence_destroy(&w.cadence);
    }
}

static void waiting_for_a_slow_stage_is_no_trip(void **state)
{
    (void)state;
    random_state = chance_seed(12);
    /* Of 8 stages one takes 10 ms and the others 3: from 4 groups on they only
     * wait for it. */
    world w = world_of(8, 32, 0.010, 0.0);
    for (int i = 1; i < 8; i++) w.share[i] = 0.3;
    run(&w, 400);
    assert_in_range(world_groups(&w), 1, 3);
    ndl_cadence_destroy(&w.cadence);
}

static void long_trips_are_hidden_behind_one_more_group(void **state)
{
    (void)state;
    random_state = chance_seed(7);
    world w = world_of(2, 24, 0.0, 0.001);
    w.trip_sec = 0.010; /* 3 groups of 8: 24 ms, 2 of 12: 34 ms */
    run(&w, 600);
    assert_int_equal(world_groups(&w), 3);
    /* They were only as long for a while: two are as good again. */
    w.trip_sec = 0.0;
    w.curve[12] = 0.0105;
    run(&w, 30000);
    assert_int_equal(world_groups(&w), 2);
    ndl_cadence_destroy(&w.cadence);
}

static void a_better_number_never_seen_is_tried(void **state)
{
    (void)state;
    random_state = chance_seed(8);
    /* Panels of eight rows: 32 = 4 x 8, but 5 groups are of 7 rows and 3 of 11,
     * which takes two panels. */
    for (int n_groups = 1; n_groups <= 4; n_groups++) {
        world w = world_of(4, 8 * n_groups, 0.0, 0.0);
        for (int rows = 1; rows <= WORLD_ROWS; rows++)
            w.curve[rows] = 0.010 * ((rows + 7) / 8) + 0.0001 * rows;
        run(&w, 1000);
        assert_true(world_rate(&w, world_groups(&w)) >=
                    0.98 * world_best_rate(&w));
        ndl_cadence_destroy(&w.cadence);
    }
}

static void a_drift_is_followed(void **state)
{
    (void)state;
    random_state = chance_seed(9);
    world w = world_of(4, 32, 0.010, 0.00001);
    run(&w, 2000);
    /* The contexts have grown: rows cost now, not weights. */
    for (int rows = 1; rows <= WORLD_ROWS; rows++)
        w.curve[rows] = 0.001 + 0.002 * rows;
    run(&w, 2000);
    assert_int_equal(world_groups(&w), 4);
    /* Eight rows are one too many, but not for ever: what was seen of them is
     * forgotten in the end, or they would not be tried again. */
    for (int rows = 1; rows <= WORLD_ROWS; rows++)
        w.curve[rows] = 0.010 * ((rows + 6) / 7);
    run(&w, 4000);
    assert_int_equal(world_groups(&w), 5);
    for (int rows = 1; rows <= WORLD_ROWS; rows++)
        w.curve[rows] = 0.010 * ((rows + 7) / 8);
    run(&w, 16000);
    assert_int_equal(world_groups(&w), 4);
    ndl_cadence_destroy(&w.cadence);
}

static void random_curve(world *w)
{
    const double first = 0.1 + world_uniform();
    const double each = world_uniform() * (between(0, 1) ? 1.0 : 0.05);
    const int kind = between(0, 3);
    double walk = first;
    for (int rows = 1; rows <= WORLD_ROWS; rows++) {
        walk += each * world_uniform() * (between(0, 9) == 0 ? 10.0 : 0.3);
        const double kinds[] = { first, first + each * rows,
                                 first * ((rows + 7) / 8) + 0.01 * rows, walk };
        w->curve[rows] = kinds[kind];
    }
}

static world random_world(double noise, double wild)
{
    world w = { .n_stages = between(1, WORLD_STAGES),
                .n_decoding = between(1, WORLD_ROWS),
                .noise = noise,
                .wild = wild };
    random_curve(&w);
    for (int i = 0; i < w.n_stages; i++)
        w.share[i] = 0.5 + 0.5 * world_uniform();
    w.share[between(0, w.n_stages - 1)] = 1.0;
    w.trip_sec = between(0, 1) ? 0.0 : 3.0 * w.curve[1] * world_uniform();
    w.n_ready = w.n_decoding;
    world_learns(&w);
    return w;
}

/* The mean, over the steps after the warm-up, of the choice's rate by that of
 * the best number of groups: what trying costs is in it. */
static double quality(world *w)
{
    enum { STEPS = 1000 };
    double sum = 0.0;
    run(w, 600 + 100 * w->n_stages);
    for (int i = 0; i < STEPS; i++) {
        world_step(w);
        sum += world_rate(w, world_groups(w));
    }
    return sum / STEPS / world_best_rate(w);
}

static void check_choices(double noise, double wild, double in_mean,
                          double at_worst)
{
    const int n = CHANCE_CASES(200);
    double sum = 0.0;
    int n_far = 0;
    for (int i = 0; i < n; i++) {
        world w = random_world(noise, wild);
        const double q = quality(&w);
        sum += q;
        n_far += q < 0.98;
        assert_true(q >= at_worst);
        ndl_cadence_destroy(&w.cadence);
    }
    printf("noise %g, wild %g: mean %.4f, %d of %d below 0.98\n", noise, wild,
           sum / n, n_far, n);
    assert_true(sum / n >= in_mean);
    assert_true(n_far <= n / 10);
}

static void the_choice_is_near_the_best_of_all(void **state)
{
    (void)state;
    random_state = chance_seed(10);
    check_choices(0.0, 0.0, 0.995, 0.9);
    check_choices(0.05, 0.0, 0.99, 0.8);
    /* Wild steps make groups wait, which the formula does not know. */
    check_choices(0.05, 0.001, 0.99, 0.8);
}

/* Tokens a second, as the clock of the pipeline says. */
static double real_rate(world w, int n_groups)
{
    w.fixed_groups = n_groups;
    world_learns(&w);
    w.n_ready = w.n_decoding;
    run(&w, 1500);
    const double tokens = w.tokens, sec = w.now;
    run(&w, 4000);
    ndl_cadence_destroy(&w.cadence);
    return (w.tokens - tokens) / (w.now - sec);
}

static int best_by_formula(const world *w)
{
    int best = 1;
    for (int g = 2; g <= world_most_groups(w); g++)
        if (world_rate(w, g) > world_rate(w, best)) best = g;
    return best;
}

static void groups_that_wait_for_each_other_are_left(void **state)
{
    (void)state;
    random_state = chance_seed(11);
    /* Where steps are often wild the choice does better than the formula, which
     * does not know that all groups wait then. */
    const int n = CHANCE_CASES(80);
    double gain = 0.0;
    for (int i = 0; i < n; i++) {
        world w = random_world(0.05, 0.03);
        ndl_cadence_destroy(&w.cadence);
        const double own = real_rate(w, 0);
        gain += own / real_rate(w, best_by_formula(&w)) / n;
    }
    printf("the choice / the formula: %.4f\n", gain);
    assert_true(gain >= 0.996);
}

/* Wherever reading the weights is nearly all, many numbers of groups are as
 * good as each other, and noise makes each of them look better now and then. */
static void numbers_as_good_are_not_tried_in_turn(void **state)
{
    (void)state;
    random_state = chance_seed(14);
    for (int n = 2; n <= WORLD_STAGES; n *= 2) {
        world w = world_of(n, 2 * n, 0.010, 0.0002);
        ndl_cadence_destroy(&w.cadence);
        w.noise = 0.1;
        double best = 0.0;
        for (int g = 1; g <= world_most_groups(&w); g++) {
            const double fixed = real_rate(w, g);
            if (fixed > best) best = fixed;
        }
        const double own = real_rate(w, 0) / best;
        printf("%d stages: %.4f of the best fixed number\n", n, own);
        assert_true(own >= 0.98);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_times_do_not_pay_for_many_groups),
        cmocka_unit_test(times_by_rows_fill_every_stage),
        cmocka_unit_test(waiting_for_a_slow_stage_is_no_trip),
        cmocka_unit_test(long_trips_are_hidden_behind_one_more_group),
        cmocka_unit_test(a_better_number_never_seen_is_tried),
        cmocka_unit_test(a_drift_is_followed),
        cmocka_unit_test(the_choice_is_near_the_best_of_all),
        cmocka_unit_test(groups_that_wait_for_each_other_are_left),
        cmocka_unit_test(numbers_as_good_are_not_tried_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
