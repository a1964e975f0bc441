/* test_strategy.c - what the strategies decide and refuse; that they are
 * optimal is test_strategy_brute.c's. */
#include "strategy_asserts.h"

/* ---- names ---- */

static void every_strategy_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < NDL_N_STRATEGIES; i++) {
        ndl_strategy s = NDL_N_STRATEGIES;
        assert_true(ndl_strategy_parse(ndl_strategy_name((ndl_strategy)i), &s));
        assert_int_equal(s, i);
    }
    ndl_strategy s = NDL_STRATEGY_LATENCY;
    assert_false(ndl_strategy_parse("fastest", &s));
    assert_int_equal(s, NDL_STRATEGY_LATENCY);
}

/* ---- decisions ---- */

static void throughput_gives_equal_nodes_equal_shares(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 1, 4);
    w.work.sequences = 4;
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 4);
    assert_int_equal(p.n_idle, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p.stages[i].n_layers, 2);
        assert_int_equal(p.stages[i].first_layer, 2 * i);
        assert_near(p.stages[i].busy_sec, 8.0); /* 4 rows, 2 blocks */
        assert_int_equal(p.stages[i].rank, -1);
        assert_string_equal(p.stages[i].host, "kind0");
        assert_why(&p, i, "25.0 % of the work");
    }
    assert_true(p.stages[0].embed && p.stages[3].head);
    assert_near(p.period_sec, 8.0);
    assert_near(p.tokens_per_sec, 0.5);
    assert_near(p.balance, 1.0);
    assert_near(p.latency_sec, 32.0);
    assert_true(p.gap == 0.0);
    assert_string_equal(p.strategy, "throughput");
    assert_string_equal(p.source, "estimated");
    assert_memory_equal(&p.workload, &w.work, sizeof w.work);
    ndl_plan_fini(&p);
}

/* The third node takes 20 s a row for a block: nine stages' worth. */
static void balanced_uses_the_slow_node_that_throughput_leaves_out(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 3, 1);
    set_speed(&w, 2, 20.0);
    world_time(&w.nodes[2], NDL_LAYER_HEAD, 20.0);
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 2);
    assert_int_equal(p.n_idle, 1);
    assert_near(p.period_sec, 16.0);
    assert_note(&p, "left out: 1 of kind2: no plan that uses it is better");
    ndl_plan_fini(&p);
    w.setup.strategy = NDL_STRATEGY_BALANCED;
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 3);
    assert_int_equal(p.stages[2].n_layers, 0);
    assert_true(p.stages[2].head);
    assert_int_equal(p.stages[2].first_layer, 8);
    assert_near(p.period_sec, 20.0);
    assert_int_equal(p.bottleneck, 2);
    assert_why(&p, 2, "bottleneck");
    ndl_plan_fini(&p);
}

/* 9 items of work on 4 nodes: period 3 leaves 3 + 3 + 3 + 0 possible, the
 * least squares are 3 + 2 + 2 + 2. */
static void balanced_evens_out_what_the_slowest_stage_leaves_open(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 4, 1);
    w.setup.strategy = NDL_STRATEGY_BALANCED;
    w.costs.n_blocks = 9;
    plan_it(&p, &w);
    int n[4] = { 0 };
    for (int i = 0; i < 4; i++) n[p.stages[i].n_layers]++;
    assert_int_equal(n[3], 1);
    assert_int_equal(n[2], 3);
    ndl_plan_fini(&p);
}

static void balanced_leaves_out_a_node_that_can_hold_nothing(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 3, 1);
    w.setup.strategy = NDL_STRATEGY_BALANCED;
    w.nodes[1].memory_bytes = 49;
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 2);
    assert_note(&p, "left out: 1 of kind1: too little memory for any layer");
    ndl_plan_fini(&p);
}

/* The head takes 4 s a row, 1 s on the last node, which is slow otherwise. */
static void bottleneck_first_puts_the_head_where_it_is_fastest(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 3, 1);
    w.setup.strategy = NDL_STRATEGY_BOTTLENECK;
    w.setup.free_order = true;
    for (int k = 0; k < 3; k++)
        world_time(&w.nodes[k], NDL_LAYER_HEAD, k == 1 ? 4.0 : 5.0);
    set_speed(&w, 1, 3.0);
    plan_it(&p, &w);
    const ndl_plan_stage *last = &p.stages[p.n_stages - 1];
    assert_string_equal(last->host, "kind1");
    assert_why(&p, p.n_stages - 1, "head: slowest layer, on the fastest node");
    ndl_plan_fini(&p);
}

/* 900 bytes over nodes of 1000 and 2000: 300 and 600 would be even, blocks
 * have 100. */
static void memory_aware_empties_the_fullest_node(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    w.setup.strategy = NDL_STRATEGY_MEMORY;
    w.nodes[0].memory_bytes = 1000;
    w.nodes[1].memory_bytes = 2000;
    set_speed(&w, 0, 0.001); /* speed is no reason */
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 2);
    assert_int_equal(p.stages[0].n_layers, 2); /* 250 / 1000 */
    assert_int_equal(p.stages[1].n_layers, 6); /* 650 / 2000 */
    assert_note(&p, "bound by the memory of stage 2 on kind1: 32.5 %");
    ndl_plan_fini(&p);
}

static void latency_stays_on_one_node_if_links_cost(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 2);
    w.work = (ndl_workload){ 4, 8, 1, 4 };
    w.setup.strategy = NDL_STRATEGY_LATENCY;
    w.setup.free_order = true;
    set_speed(&w, 1, 0.5);
    set_links(&w, 0.01);
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 1);
    assert_string_equal(p.stages[0].host, "kind1");
    assert_near(p.latency_sec, (4 + 7) * 8 * 0.5);
    assert_int_equal(p.n_idle, 3);
    ndl_plan_fini(&p);
}

/* Of 8 chunks each stage works on another one. */
static void latency_spreads_a_long_prompt_over_nodes(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 1, 4);
    w.work = (ndl_workload){ 32, 0, 1, 4 };
    w.setup.strategy = NDL_STRATEGY_LATENCY;
    set_links(&w, 0.01);
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 4);
    assert_near(p.latency_sec, 4 * 8.0 + 3 * 0.01 + 7 * 8.0);
    ndl_plan_fini(&p);
}

/* 12 sequences: a step of one stage has 12 rows, one of three stages has 4. */
static void decode_step_shares_the_sequences_among_the_stages(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 3, 1);
    w.work = (ndl_workload){ 0, 10, 12, 4 };
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 3);
    assert_near(p.stages[0].decode_sec, 4.0 * p.stages[0].n_layers);
    assert_near(p.stages[0].busy_sec, 10.0 * p.stages[0].n_layers);
    assert_true(p.stages[0].prompt_sec == 0.0);
    ndl_plan_fini(&p);
}

static void stages_carry_their_memory_and_times(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    world_measure(&w);
    w.work = (ndl_workload){ 10, 6, 2, 4 };
    w.costs.kv_bytes = 7;
    w.costs.buffer_bytes = 3;
    w.costs.logits_bytes = 2;
    w.nodes[1].n_threads = 5;
    w.links[1].bytes_per_sec = 512.0; /* 4 rows of 16 floats: half a second */
    plan_it(&p, &w);
    const ndl_plan_stage *s = &p.stages[1];
    assert_string_equal(p.source, "measured");
    assert_int_equal(s->rank, 11);
    assert_string_equal(s->host, "host1");
    assert_int_equal(s->n_threads, 5);
    assert_int_equal(s->n_layers, 4);
    assert_int_equal(s->params, 450);
    assert_int_equal(s->weight_bytes, 450);
    assert_int_equal(s->kv_bytes, 28);
    assert_int_equal(s->buffer_bytes, 5);
    assert_int_equal(s->free_bytes, 1 << 20);
    assert_near(s->prompt_sec, 16.0);
    assert_near(s->decode_sec, 4.0); /* 2 sequences, 2 stages: 1 row */
    assert_near(s->busy_sec, 40.0 + 20.0);
    assert_near(p.stages[0].link_sec, 0.5);
    ndl_plan_fini(&p);
}

static void stage_counts_stay_within_their_limits(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 4, 1);
    w.setup.max_stages = 2;
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 2);
    assert_note(&p, "no more stages are allowed");
    ndl_plan_fini(&p);
    w.setup.strategy = NDL_STRATEGY_LATENCY;
    w.setup.min_stages = w.setup.max_stages = 3;
    plan_it(&p, &w);
    assert_int_equal(p.n_stages, 3);
    ndl_plan_fini(&p);
    w.setup.min_stages = 5;
    w.setup.max_stages = 0;
    assert_refused(&w, NDL_EUNAVAIL, "no plan has at least 5 stages: 4 nodes");
    w.setup.min_stages = 3;
    w.setup.max_stages = 2;
    assert_refused(&w, NDL_EUSAGE, "3 to 2 stages");
    w.setup.min_stages = 0;
    for (int k = 0; k < 4; k++) w.nodes[k].memory_bytes = 300;
    assert_refused(&w, NDL_EUNAVAIL, "no plan has at most 2 stages");
}

static void pinned_layers_are_where_they_are_pinned(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 3, 1);
    set_speed(&w, 1, 100.0);
    w.setup.n_pins = 1;
    w.pins[0] = (ndl_pin){ 4, 1 };
    plan_it(&p, &w);
    bool found = false;
    for (int i = 0; i < p.n_stages; i++)
        if (strcmp(p.stages[i].host, "kind1") == 0) {
            found = true;
            assert_in_range(3, p.stages[i].first_layer,
                            p.stages[i].first_layer + p.stages[i].n_layers - 1);
            assert_why(&p, i, "pinned: block 3");
        }
    assert_true(found);
    ndl_plan_fini(&p);
}

/* ---- refusals ---- */

static void impossible_pins_are_eusage(void **state)
{
    (void)state;
    world w;
    world_init(&w, 2, 1);
    w.setup.n_pins = 1;
    w.pins[0] = (ndl_pin){ 10, 0 };
    assert_refused(&w, NDL_EUSAGE, "layer 10 does not exist");
    w.pins[0] = (ndl_pin){ -1, 0 };
    assert_refused(&w, NDL_EUSAGE, "layer -1 does not exist");
    w.pins[0] = (ndl_pin){ 1, 2 };
    assert_refused(&w, NDL_EUSAGE, "node 2 does not exist");
    w.setup.n_pins = 2;
    w.pins[0] = (ndl_pin){ 1, 0 };
    w.pins[1] = (ndl_pin){ 1, 1 };
    assert_refused(&w, NDL_EUSAGE, "pinned to both kind0 and kind1");
    w.pins[0] = (ndl_pin){ 1, 1 }; /* against the order of the nodes */
    w.pins[1] = (ndl_pin){ 5, 0 };
    assert_refused(&w, NDL_EUSAGE, "2 pinned layers cannot be placed so");
    w.setup.free_order = true;
    ndl_plan p = { 0 };
    plan_it(&p, &w);
    ndl_plan_fini(&p);
}

static void absurd_workloads_are_eusage(void **state)
{
    (void)state;
    static const ndl_workload bad[] = {
        { 0, 0, 1, 1 }, { -1, 4, 1, 1 }, { 4, -1, 1, 1 },
        { 4, 4, 0, 1 }, { 4, 4, 1, 0 },  { 4, 2000000000, 1, 1 },
    };
    world w;
    world_init(&w, 2, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w.work = bad[i];
        assert_refused(&w, NDL_EUSAGE, "workload: ");
    }
    world_init(&w, 2, 1);
    w.setup.stage_sec = NAN;
    assert_refused(&w, NDL_EUSAGE, "a limit of");
    world_init(&w, 2, 1);
    w.cluster.n = 0;
    assert_refused(&w, NDL_EUNAVAIL, "no node may host a stage");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_strategy_is_found_by_its_name),
        cmocka_unit_test(throughput_gives_equal_nodes_equal_shares),
        cmocka_unit_test(
            balanced_uses_the_slow_node_that_throughput_leaves_out),
        cmocka_unit_test(balanced_evens_out_what_the_slowest_stage_leaves_open),
        cmocka_unit_test(balanced_leaves_out_a_node_that_can_hold_nothing),
        cmocka_unit_test(bottleneck_first_puts_the_head_where_it_is_fastest),
        cmocka_unit_test(memory_aware_empties_the_fullest_node),
        cmocka_unit_test(latency_stays_on_one_node_if_links_cost),
        cmocka_unit_test(latency_spreads_a_long_prompt_over_nodes),
        cmocka_unit_test(decode_step_shares_the_sequences_among_the_stages),
        cmocka_unit_test(stages_carry_their_memory_and_times),
        cmocka_unit_test(stage_counts_stay_within_their_limits),
        cmocka_unit_test(pinned_layers_are_where_they_are_pinned),
        cmocka_unit_test(impossible_pins_are_eusage),
        cmocka_unit_test(absurd_workloads_are_eusage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
