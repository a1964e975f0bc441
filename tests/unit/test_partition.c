/*
 * test_partition.c - facts of the exact partition: what it refuses, what it
 * finds in chains whose optimum is plain, and what past its limits it proves.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/partition.h"

enum { ITEMS = 512, KINDS = 64 };

/* A chain of equal layers of time 1 on single nodes without limits; tests
 * change what they are about. */
typedef struct chain {
    ndl_partition_problem p;
    int count[KINDS], order[KINDS], pin[ITEMS];
    double time[KINDS * ITEMS], link[KINDS * KINDS];
    double enter[KINDS], leave[KINDS];
    uint64_t bytes[ITEMS], memory[KINDS];
} chain;

static chain c;
static ndl_partition x;

static void make(int items, int kinds)
{
    memset(&c, 0, sizeof c);
    c.p = (ndl_partition_problem){ .n_items = items,
                                   .n_types = kinds,
                                   .count = c.count,
                                   .time = c.time,
                                   .link = c.link,
                                   .enter = c.enter,
                                   .leave = c.leave,
                                   .bytes = c.bytes,
                                   .memory = c.memory,
                                   .pin = c.pin,
                                   .n_order = kinds };
    for (int v = 0; v < kinds; v++) {
        c.count[v] = 1;
        c.order[v] = v;
        c.memory[v] = 1u << 20;
        for (int i = 0; i < items; i++) c.time[v * items + i] = 1;
    }
    for (int i = 0; i < items; i++) {
        c.bytes[i] = 1;
        c.pin[i] = -1;
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&x, 0, sizeof x);
    ndl_status_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ndl_partition_fini(&x);
    return 0;
}

/* Solve again; all that every answer must keep is checked here. */
static void look(double value)
{
    double period, sum;
    assert_true(ndl_partition_judge(&c.p, x.stages, x.n_stages, &period, &sum));
    assert_true(period == x.period && sum == x.sum);
    assert_true(x.bound <= value);
}

static double least_period(void)
{
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_period(&x, &c.p, 0), NDL_OK);
    look(x.period);
    return x.period;
}

static double least_sum(double bound)
{
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_sum(&x, &c.p, bound, 0), NDL_OK);
    look(x.sum);
    return x.sum;
}

static double least_mixed(double weight)
{
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, weight, 0), NDL_OK);
    look(x.sum + weight * x.period);
    return x.sum + weight * x.period;
}

static void assert_none(void)
{
    ndl_partition before = { .n_stages = 77 }, y = before;
    assert_int_equal(ndl_partition_period(&y, &c.p, 0), NDL_EUNAVAIL);
    assert_int_equal(ndl_partition_sum(&y, &c.p, INFINITY, 0), NDL_EUNAVAIL);
    assert_int_equal(ndl_partition_mixed(&y, &c.p, 1, 0), NDL_EUNAVAIL);
    assert_int_equal(y.n_stages, 77);
    assert_string_equal(ndl_status_message(), "");
}

static void assert_refused(const char *why)
{
    ndl_status_clear();
    assert_int_equal(ndl_partition_period(&x, &c.p, 0), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), why));
    assert_int_equal(ndl_partition_sum(&x, &c.p, 1, 0), NDL_EDATA);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, 1, 0), NDL_EDATA);
}

static void one_layer_goes_to_the_fastest_node(void **state)
{
    (void)state;
    make(1, 3);
    c.time[1] = 0.25;
    assert_true(least_period() == 0.25);
    assert_int_equal(x.stages[0].type, 1);
    assert_int_equal(x.stages[0].place, -1);
    assert_true(least_sum(INFINITY) == 0.25);
    assert_true(least_mixed(3) == 1);
}

static void more_nodes_than_layers_leave_some_idle(void **state)
{
    (void)state;
    make(3, 8);
    assert_true(least_period() == 1);
    assert_int_equal(x.n_stages, 3);
}

static void layers_without_time_cost_nothing(void **state)
{
    (void)state;
    make(9, 3);
    memset(c.time, 0, sizeof c.time);
    assert_true(least_period() == 0 && x.bound == 0);
    assert_true(least_sum(0) == 0);
    assert_true(least_mixed(5) == 0);
}

static void twice_as_fast_a_node_takes_twice_the_layers(void **state)
{
    (void)state;
    make(12, 2);
    for (int i = 0; i < 12; i++) c.time[i] = 0.5;
    assert_true(least_period() == 4);
    for (int s = 0; s < 2; s++)
        assert_int_equal(x.stages[s].n, x.stages[s].type == 0 ? 8 : 4);
}

static void the_sum_wants_the_fastest_node_alone(void **state)
{
    (void)state;
    make(10, 4);
    for (int i = 0; i < 10; i++) c.time[20 + i] = 0.5;
    assert_true(least_sum(INFINITY) == 5);
    assert_int_equal(x.n_stages, 1);
    assert_int_equal(x.stages[0].type, 2);
}

static void a_bound_of_the_period_splits_the_sum(void **state)
{
    (void)state;
    make(10, 2);
    for (int i = 0; i < 10; i++) c.time[i] = 0.5;
    assert_true(least_sum(4) == 4 + 2);
    assert_true(x.period == 4);
    assert_true(least_sum(4.5) == 4.5 + 1);
    assert_true(least_sum(5) == 5);
}

static void the_mix_lies_between_sum_and_period(void **state)
{
    (void)state;
    make(12, 3);
    for (int i = 12; i < 36; i++) c.time[i] = 1.5;
    for (int i = 0; i < 9; i++) c.link[i] = 0.25;
    assert_true(least_mixed(0) == least_sum(INFINITY));
    const double sum = x.sum;
    const double period = least_period();
    for (double w = 0.125; w < 4096; w *= 2) {
        const double value = least_mixed(w);
        assert_true(value >= sum + w * period);
        assert_true(x.bound == value);
    }
    assert_true(x.period == period);
}

/* A single stage that is no better than what is known once passed for the
 * least sum, and the bound missed the value by its last bit. */
static void the_mix_is_proven_to_the_bit(void **state)
{
    (void)state;
    static const double sum[2] = { 8.5998379374806184, 7.2153405557705081 };
    make(1, 2);
    c.time[0] = 0.92200685216093359;
    c.time[1] = 0.94717602803303014;
    c.p.sum = sum;
    c.enter[0] = 0.5540365765778168;
    c.enter[1] = 0.95313468114854416;
    const double value = least_mixed(5.7026178458263148);
    assert_true(x.bound == value);
}

static void the_mix_sees_single_stages_that_save(void **state)
{
    (void)state;
    static const double sum[3] = { 5, 14, 6 };
    make(1, 3);
    c.time[0] = 20;
    c.time[1] = 8;
    c.time[2] = 15;
    c.p.sum = sum;
    c.memory[0] = c.memory[1] = c.memory[2] = 0;
    c.p.shared_bytes = 1;
    assert_true(least_mixed(1) == 6 + 15);
    assert_true(least_sum(INFINITY) == 5);
    assert_true(least_period() == 8);
}

static void a_slow_node_is_a_bridge_over_slow_links(void **state)
{
    (void)state;
    make(4, 3);
    /* 0 and 1 share the work best, but only 2 has good links to both. */
    for (int i = 0; i < 9; i++) c.link[i] = 50;
    c.link[0 * 3 + 2] = c.link[2 * 3 + 1] = 0.5;
    const double time[3][4] = { { 4, 4, 90, 90 },
                                { 90, 90, 90, 4 },
                                { 90, 90, 5, 90 } };
    memcpy(c.time, time, sizeof time);
    assert_true(least_period() == 8);
    assert_int_equal(x.n_stages, 3);
    assert_int_equal(x.stages[1].type, 2);
}

static void the_furthest_end_is_not_always_the_best(void **state)
{
    (void)state;
    make(4, 3);
    /* Node 0 could take all but the last layer, but cannot send it to node
     * 2; so it has to leave something for node 1. */
    c.p.order = c.order;
    for (int i = 0; i < 9; i++) c.link[i] = 50;
    c.link[0 * 3 + 1] = c.link[1 * 3 + 2] = 0;
    for (int i = 0; i < 4; i++) c.time[i] = 0.5;
    c.pin[0] = 0;
    c.pin[3] = 2;
    c.time[8 + 3] = 2;
    assert_true(least_period() == 2);
    assert_int_equal(x.n_stages, 3);
    assert_int_equal(x.stages[2].place, 2);
}

static void a_given_order_is_kept_and_nodes_are_left_out(void **state)
{
    (void)state;
    make(8, 3);
    c.p.order = c.order;
    for (int i = 0; i < 8; i++) c.time[8 + i] = 100;
    assert_true(least_period() == 4);
    assert_int_equal(x.n_stages, 2);
    assert_int_equal(x.stages[0].place, 0);
    assert_int_equal(x.stages[1].place, 2);
}

static void links_from_and_to_rank_0_count(void **state)
{
    (void)state;
    make(2, 2);
    c.enter[0] = 7;
    c.leave[1] = 9;
    c.link[2] = 1;
    c.link[1] = 5;
    assert_true(least_sum(INFINITY) == 1 + 1 + 1);
    assert_int_equal(x.stages[0].type, 1);
    assert_int_equal(x.stages[1].type, 0);
    assert_true(x.period == 1);
}

static void sum_has_its_own_times_and_links(void **state)
{
    (void)state;
    static const double sum[8] = { 2, 2, 2, 2, 1, 1, 1, 1 };
    static const double sum_link[4] = { 3, 3, 3, 3 };
    make(4, 2);
    c.p.sum = sum;
    c.p.sum_link = sum_link;
    assert_true(least_period() == 2 && x.sum == 4 + 3 + 2);
    assert_true(least_sum(INFINITY) == 4);
    assert_true(least_sum(3) == 2 + 3 + 3);
}

static void memory_moves_layers(void **state)
{
    (void)state;
    make(10, 2);
    c.memory[0] = 5;
    c.p.stage_bytes = 2;
    assert_true(least_period() == 7);
    c.memory[1] = 8;
    assert_none();
    c.memory[1] = 9;
    assert_true(least_period() == 7);
}

static void one_stage_saves_what_first_and_last_share(void **state)
{
    (void)state;
    make(6, 2);
    c.memory[0] = 4;
    c.memory[1] = 1;
    assert_none();
    c.p.shared_bytes = 2;
    assert_true(least_period() == 6);
    assert_int_equal(x.n_stages, 1);
    assert_true(least_sum(6) == 6);
    c.p.min_stages = 2;
    assert_none();
}

static void sharing_more_than_there_is_does_not_wrap_around(void **state)
{
    (void)state;
    make(1, 1);
    c.memory[0] = 0;
    c.p.shared_bytes = UINT64_MAX;
    assert_true(least_period() == 1 && x.bound == 1);
}

static void no_memory_no_split(void **state)
{
    (void)state;
    make(4, 2);
    c.memory[0] = c.memory[1] = 0;
    assert_none();
}

static void pins_decide_who_hosts(void **state)
{
    (void)state;
    make(6, 3);
    c.pin[0] = c.pin[5] = 2;
    assert_true(least_period() == 6);
    c.pin[3] = 1;
    assert_none();
}

static void numbers_of_stages_are_kept(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++)
        for (int n = 1; n <= 6; n++) {
            make(6, 8);
            c.p.order = given ? c.order : NULL;
            c.p.max_stages = n;
            assert_true(least_period() == (6 + n - 1) / n);
            assert_true(x.n_stages <= n);
            c.p.max_stages = 0;
            c.p.min_stages = n;
            for (int i = 0; i < 64; i++) c.link[i] = 3;
            assert_true(least_sum(INFINITY) == 6 + 3 * (n - 1));
            assert_int_equal(x.n_stages, n);
        }
    c.p.min_stages = 7;
    assert_none();
    c.p.min_stages = 3;
    c.p.max_stages = 2;
    assert_none();
}

static void stage_limit_is_a_limit_of_its_own(void **state)
{
    (void)state;
    make(6, 6);
    c.p.stage_limit = 2;
    assert_true(least_sum(INFINITY) == 6);
    assert_int_equal(x.n_stages, 3);
    static const double limited[36] = { 3 };
    c.p.limited = limited;
    assert_true(least_sum(INFINITY) == 6);
    assert_int_equal(x.n_stages, 1);
    assert_int_not_equal(x.stages[0].type, 0);
}

static void a_bound_below_all_is_unavailable(void **state)
{
    (void)state;
    make(5, 5);
    assert_int_equal(ndl_partition_sum(&x, &c.p, 0.5, 0), NDL_EUNAVAIL);
    assert_int_equal(ndl_partition_sum(&x, &c.p, -1, 0), NDL_EUNAVAIL);
    assert_true(least_sum(1) == 5);
}

static void absurd_numbers_are_refused(void **state)
{
    (void)state;
    static const double bad[] = { NAN, INFINITY, -1, -INFINITY, 1e200 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make(3, 2);
        c.time[4] = bad[i];
        assert_refused("time [1][1]");
        make(3, 2);
        c.link[2] = bad[i];
        assert_refused("link [1][0]");
        make(3, 2);
        c.leave[1] = bad[i];
        assert_refused("leave [0][1]");
        make(3, 2);
        c.p.stage_limit = bad[i];
        assert_refused("stage_limit");
    }
    make(3, 2);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, NAN, 0), NDL_EDATA);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, -1, 0), NDL_EDATA);
    assert_int_equal(ndl_partition_sum(&x, &c.p, NAN, 0), NDL_EDATA);
    assert_int_equal(ndl_partition_period(&x, &c.p, NAN), NDL_EDATA);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    static const struct {
        int items, kinds, count, min;
    } bad[] = { { 0, 1, 1, 0 },  { -1, 1, 1, 0 },   { 4099, 1, 1, 0 },
                { 1, 0, 1, 0 },  { 1, -5, 1, 0 },   { 1, 1, 0, 0 },
                { 1, 1, -1, 0 }, { 1, 1, 4097, 0 }, { 1, 1, 1, -1 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make(1, 1);
        c.p.n_items = bad[i].items;
        c.p.n_types = bad[i].kinds;
        c.count[0] = bad[i].count;
        c.p.min_stages = bad[i].min;
        assert_refused("partition:");
    }
    make(2, 2);
    c.bytes[0] = UINT64_MAX;
    assert_refused("2^64");
    make(2, 2);
    c.p.stage_bytes = UINT64_MAX;
    assert_refused("2^64");
}

static void a_wrong_order_or_pin_is_refused(void **state)
{
    (void)state;
    make(2, 2);
    c.p.order = c.order;
    c.p.n_order = 1;
    assert_refused("names 1 nodes");
    c.p.n_order = 2;
    c.order[1] = 0;
    assert_refused("place 1");
    c.order[1] = 2;
    assert_refused("place 1");
    make(2, 2);
    c.pin[1] = 2;
    assert_refused("layer 1");
}

static void the_judge_refuses_what_breaks_a_limit(void **state)
{
    (void)state;
    double period = 0, sum = 0;
    make(4, 2);
    const ndl_partition_stage good[] = { { 0, -1, 0, 2 }, { 1, -1, 2, 2 } };
    assert_true(ndl_partition_judge(&c.p, good, 2, &period, &sum));
    assert_true(period == 2 && sum == 4);
    static const ndl_partition_stage bad[][2] = {
        { { 0, -1, 0, 2 }, { 0, -1, 2, 2 } }, /* one node twice   */
        { { 0, -1, 0, 2 }, { 1, -1, 3, 1 } }, /* a gap            */
        { { 0, -1, 0, 2 }, { 1, -1, 2, 1 } }, /* too short        */
        { { 0, -1, 0, 2 }, { 1, -1, 2, 3 } }, /* too long         */
        { { 0, -1, 0, 0 }, { 1, -1, 0, 4 } }, /* nothing to do    */
        { { 2, -1, 0, 2 }, { 1, -1, 2, 2 } }, /* an unknown kind  */
        { { -1, -1, 0, 2 }, { 1, -1, 2, 2 } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ndl_partition_judge(&c.p, bad[i], 2, &period, &sum));
    assert_false(ndl_partition_judge(&c.p, good, 0, &period, &sum));
    c.p.order = c.order;
    assert_false(ndl_partition_judge(&c.p, good, 2, &period, &sum));
}

static void past_the_states_the_bound_stays_true(void **state)
{
    (void)state;
    random_state = chance_seed(7);
    make(60, 26);
    for (int i = 0; i < 60 * 26; i++) c.time[i] = between(10, 30);
    for (int i = 0; i < 26 * 26; i++) c.link[i] = between(1, 90);
    assert_int_equal(ndl_partition_period(&x, &c.p, 0.05), NDL_OK);
    look(x.period);
    assert_true(x.bound >= 20 && x.bound >= 0.6 * x.period);
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_sum(&x, &c.p, 400, 0.05), NDL_OK);
    look(x.sum);
    assert_true(x.bound >= 600 && x.bound >= 0.6 * x.sum);
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, 2, 0.05), NDL_OK);
    look(x.sum + 2 * x.period);
    assert_true(x.bound >= 640);
}

static void past_the_states_a_plain_optimum_is_proven(void **state)
{
    (void)state;
    make(60, 30);
    assert_true(least_period() == 2 && x.bound == 2);
    assert_true(least_sum(60) == 60 && x.bound == 60);
}

static void time_that_is_up_still_gives_a_split(void **state)
{
    (void)state;
    make(40, 14);
    random_state = 3;
    for (int i = 0; i < 40 * 14; i++) c.time[i] = between(10, 30);
    for (int i = 0; i < 14 * 14; i++) c.link[i] = between(1, 90);
    for (int i = 0; i < 14; i++) c.memory[i] = 5;
    assert_int_equal(ndl_partition_period(&x, &c.p, 1e-9), NDL_OK);
    look(x.period);
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_sum(&x, &c.p, 100, 1e-9), NDL_OK);
    look(x.sum);
    ndl_partition_fini(&x);
    assert_int_equal(ndl_partition_mixed(&x, &c.p, 9, 1e-9), NDL_OK);
    look(x.sum + 9 * x.period);
}

static void many_alike_nodes_are_one_kind(void **state)
{
    (void)state;
    make(512, 1);
    c.count[0] = 64;
    assert_true(least_period() == 8 && x.bound == 8);
    assert_int_equal(x.n_stages, 64);
    assert_true(least_sum(16) == 512);
    assert_true(x.period <= 16);
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(one_layer_goes_to_the_fastest_node),
        FACT(more_nodes_than_layers_leave_some_idle),
        FACT(layers_without_time_cost_nothing),
        FACT(twice_as_fast_a_node_takes_twice_the_layers),
        FACT(the_sum_wants_the_fastest_node_alone),
        FACT(a_bound_of_the_period_splits_the_sum),
        FACT(the_mix_lies_between_sum_and_period),
        FACT(the_mix_is_proven_to_the_bit),
        FACT(the_mix_sees_single_stages_that_save),
        FACT(a_slow_node_is_a_bridge_over_slow_links),
        FACT(the_furthest_end_is_not_always_the_best),
        FACT(a_given_order_is_kept_and_nodes_are_left_out),
        FACT(links_from_and_to_rank_0_count),
        FACT(sum_has_its_own_times_and_links),
        FACT(memory_moves_layers),
        FACT(one_stage_saves_what_first_and_last_share),
        FACT(sharing_more_than_there_is_does_not_wrap_around),
        FACT(no_memory_no_split),
        FACT(pins_decide_who_hosts),
        FACT(numbers_of_stages_are_kept),
        FACT(stage_limit_is_a_limit_of_its_own),
        FACT(a_bound_below_all_is_unavailable),
        FACT(absurd_numbers_are_refused),
        FACT(absurd_sizes_are_refused),
        FACT(a_wrong_order_or_pin_is_refused),
        FACT(the_judge_refuses_what_breaks_a_limit),
        FACT(past_the_states_the_bound_stays_true),
        FACT(past_the_states_a_plain_optimum_is_proven),
        FACT(time_that_is_up_still_gives_a_split),
        FACT(many_alike_nodes_are_one_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
