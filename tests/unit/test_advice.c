/* test_advice.c - what is said about a plan, or why there is none; ranks that
 * are planned as one kind. */
#include "strategy_asserts.h"

#include "noodle/clock.h"

/* ---- notes ---- */

static void note_tells_compute_from_memory_from_link(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    plan_it(&p, &w);
    assert_note(&p, "bound by stage 1 on kind0: its compute, more memory "
                    "would not help");
    ndl_plan_fini(&p);
    w.nodes[0].memory_bytes = 250; /* 2 blocks: the other has 6 */
    plan_it(&p, &w);
    assert_why(&p, 0, "all that fits its memory");
    assert_note(&p, "bound by stage 2 on kind1 and by memory: if every node "
                    "had enough, 50.0 % more tokens/s");
    ndl_plan_fini(&p);
    w.nodes[1].memory_bytes = 700;
    set_links(&w, 40.0);
    plan_it(&p, &w);
    assert_int_equal(p.bottleneck, -1);
    assert_near(p.period_sec, 40.0);
    assert_note(&p,
                "bound by the link from stage 1 on kind0 to stage 2 on kind1");
    ndl_plan_fini(&p);
}

/* 8 blocks: 4 + 4, then with three nodes 3 + 3 + 2. */
static void note_tells_what_one_more_node_brings(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    set_speed(&w, 0, 1.5);
    w.setup.free_order = true;
    plan_it(&p, &w);
    const double before = p.period_sec;
    assert_note(&p, "one more node like kind1: ");
    char note[200] = "";
    for (int i = 0; i < p.n_notes; i++)
        if (strstr(p.notes[i], "one more node"))
            memcpy(note, p.notes[i], sizeof note);
    ndl_plan_fini(&p);
    w.nodes[1].count = 2;
    plan_it(&p, &w);
    char want[64];
    snprintf(want, sizeof want, "%.1f %% more tokens/s",
             100.0 * (before / p.period_sec - 1.0));
    assert_non_null(strstr(note, want));
    ndl_plan_fini(&p);
    w.nodes[0].count = w.nodes[1].count = 12; /* a node for every layer */
    plan_it(&p, &w);
    assert_note(&p, "one more node would not help");
    assert_note(&p, "left out: ");
    ndl_plan_fini(&p);
}

static void note_tells_what_a_smaller_dtype_brings(void **state)
{
    (void)state;
    world w, half;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    world_init(&half, 2, 1);
    set_speed(&half, 0, 0.5);
    set_speed(&half, 1, 0.5);
    const ndl_strategy_next next = { &half.costs, &half.cluster, "bf16", NULL };
    assert_int_equal(
        ndl_strategy_plan(&p, &w.setup, &w.costs, &w.cluster, &w.work, &next),
        NDL_OK);
    assert_note(&p, "weights in bf16: 100.0 % more tokens/s");
    ndl_plan_fini(&p);
}

static void note_tells_of_too_few_sequences(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 4, 1);
    w.work = (ndl_workload){ 4, 4, 2, 4 };
    plan_it(&p, &w);
    assert_note(&p, "2 sequences at a time keep at most 2 of the 4 stages");
    ndl_plan_fini(&p);
}

/* ---- ranks that measured the same ---- */

static void make_many(world *w, ndl_node *nodes, ndl_link *links,
                      ndl_link *entry, int n)
{
    world_init(w, 1, 1);
    w->costs.n_blocks = 78;
    w->setup.free_order = true;
    w->cluster = (ndl_cluster){ .n = n,
                                .nodes = nodes,
                                .links = links,
                                .entry = entry,
                                .source = "measured" };
    for (int i = 0; i < n; i++) {
        nodes[i] = w->nodes[0];
        snprintf(nodes[i].name, sizeof nodes[i].name, "host%d", i);
        nodes[i].rank = 100 + i;
        nodes[i].memory_bytes = (uint64_t)(100000 + 50 * (i % 32));
        world_time(&nodes[i], NDL_LAYER_BLOCK, 1.0 + 0.0005 * (i % 32));
        entry[i] = (ndl_link){ .latency_sec = 1e-6 };
        for (int k = 0; k < n; k++)
            links[i * n + k] = (ndl_link){ .latency_sec = 1e-6 };
    }
}

static void many_equal_ranks_in_free_order_are_planned_at_once(void **state)
{
    (void)state;
    enum { N = 64 };
    world w;
    static ndl_node nodes[N];
    static ndl_link links[N * N], entry[N];
    bool used[N] = { false };
    ndl_plan p = { 0 };
    make_many(&w, nodes, links, entry, N);
    const double begin = ndl_clock_sec();
    plan_it(&p, &w);
    assert_true(ndl_clock_sec() - begin < 9.0); /* the limit is 10 */
    assert_true(p.gap == 0.0);
    assert_note(&p, "64 ranks were planned as 1 kind");
    assert_true(p.n_stages >= 39); /* 78 blocks, 2 a stage at most */
    for (int i = 0; i < p.n_stages; i++) {
        const int at = p.stages[i].rank - 100;
        assert_in_range(at, 0, N - 1);
        assert_false(used[at]);
        used[at] = true;
        assert_int_equal(p.stages[i].free_bytes, nodes[at].memory_bytes);
        assert_near(p.stages[i].busy_sec,
                    4.0 * p.stages[i].n_layers * (1.0 + 0.0005 * (at % 32)));
    }
    ndl_plan_fini(&p);
}

static void ranks_that_differ_or_are_pinned_or_in_order_stay_apart(void **state)
{
    (void)state;
    enum { N = 4 };
    world w;
    ndl_node nodes[N];
    ndl_link links[N * N], entry[N];
    ndl_plan p = { 0 };
    for (int i = 0; i < 6; i++) {
        make_many(&w, nodes, links, entry, N);
        const char *says = "4 ranks were planned as 2 kinds";
        if (i == 0) world_time(&nodes[1], NDL_LAYER_BLOCK, 1.04);
        if (i == 1) nodes[1].memory_bytes = 94000;
        if (i == 2)
            for (int k = 0; k < N; k++) links[1 * N + k].latency_sec = 2e-6;
        if (i == 3) world_time(&nodes[1], NDL_LAYER_HEAD, 0.1);
        if (i == 4) {
            w.setup.n_pins = 1;
            w.pins[0] = (ndl_pin){ 5, 1 };
        }
        if (i == 5) {
            w.setup.free_order = false;
            says = NULL;
        }
        w.setup.pins = w.pins;
        plan_it(&p, &w);
        if (says)
            assert_note(&p, says);
        else
            assert_false(has_note(&p, "were planned as"));
        ndl_plan_fini(&p);
    }
}

/* ---- no plan ---- */

static void
model_that_does_not_fit_says_how_many_nodes_would_hold_it(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    w.nodes[0].memory_bytes = 260; /* 2 blocks */
    w.nodes[1].memory_bytes = 360; /* 3 blocks, also with the head */
    assert_refused(&w, NDL_EUNAVAIL,
                   "it needs 900 B (of that 0 B for the KV cache), at least "
                   "100 B in one place, and 2 nodes have 620 B free, at most "
                   "360 B each: 2 more nodes like kind0 (3 in all) or 1 more "
                   "node like kind1 (2 in all) would hold it");
    w.nodes[1].count = 2;
    plan_it(&p, &w);
    ndl_plan_fini(&p);
    w.nodes[1].count = 1;
    w.nodes[0].count = 3;
    plan_it(&p, &w);
    ndl_plan_fini(&p);
    w.nodes[0].count = 2;
    assert_refused(&w, NDL_EUNAVAIL, "1 more node like kind0 (3 in all)");
}

static void
model_that_does_not_fit_says_that_a_smaller_dtype_would(void **state)
{
    (void)state;
    world w, half;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    for (int k = 0; k < 2; k++) w.nodes[k].memory_bytes = 300;
    half = w;
    half.cluster.nodes = half.nodes;
    half.cluster.links = half.links;
    half.cluster.entry = half.entry;
    half.costs.block_bytes = 50;
    const ndl_strategy_next next = { &half.costs, &half.cluster, "bf16", NULL };
    assert_int_equal(
        ndl_strategy_plan(&p, &w.setup, &w.costs, &w.cluster, &w.work, &next),
        NDL_EUNAVAIL);
    assert_non_null(strstr(ndl_status_message(), "weights in bf16 would fit"));
    ndl_status_clear();
}

/* Those that do not fit either are passed over; the smallest is not named
 * where a larger one is enough. */
static void the_largest_of_the_dtypes_that_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        int block_bytes[3];
        const char *named;
    } cases[] = { { { 95, 50, 25 }, "weights in int8 would fit; use less" },
                  { { 95, 90, 25 }, "weights in int4 would fit; use less" },
                  { { 50, 25, 12 }, "weights in bf16 would fit; use less" },
                  { { 97, 96, 95 }, NULL } };
    static const char *const names[] = { "bf16", "int8", "int4" };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        world w;
        ndl_plan p = { 0 };
        ndl_plan_costs costs[3];
        ndl_strategy_next next[3];
        world_init(&w, 2, 1);
        for (int k = 0; k < 2; k++) w.nodes[k].memory_bytes = 300;
        for (int i = 2; i >= 0; i--) {
            costs[i] = w.costs;
            costs[i].block_bytes = (uint64_t)cases[c].block_bytes[i];
            next[i] = (ndl_strategy_next){ &costs[i], &w.cluster, names[i],
                                           i < 2 ? &next[i + 1] : NULL };
        }
        assert_int_equal(ndl_strategy_plan(&p, &w.setup, &w.costs, &w.cluster,
                                           &w.work, next),
                         NDL_EUNAVAIL);
        const char *text = ndl_status_message();
        if (cases[c].named)
            assert_non_null(strstr(text, cases[c].named));
        else
            assert_null(strstr(text, "would fit"));
        ndl_status_clear();
    }
}

static void limit_of_a_step_that_cannot_be_met_says_what_can(void **state)
{
    (void)state;
    world w;
    ndl_plan p = { 0 };
    world_init(&w, 2, 1);
    w.work = (ndl_workload){ 4, 4, 2, 4 };
    w.setup.stage_sec = 3.9; /* 4 blocks, 1 row */
    assert_refused(&w, NDL_EUNAVAIL,
                   "within 3900 ms: the best that these nodes can do is 4000 "
                   "ms");
    w.setup.stage_sec = 4.0;
    plan_it(&p, &w);
    ndl_plan_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(note_tells_compute_from_memory_from_link),
        cmocka_unit_test(note_tells_what_one_more_node_brings),
        cmocka_unit_test(note_tells_what_a_smaller_dtype_brings),
        cmocka_unit_test(note_tells_of_too_few_sequences),
        cmocka_unit_test(many_equal_ranks_in_free_order_are_planned_at_once),
        cmocka_unit_test(
            ranks_that_differ_or_are_pinned_or_in_order_stay_apart),
        cmocka_unit_test(
            model_that_does_not_fit_says_how_many_nodes_would_hold_it),
        cmocka_unit_test(
            model_that_does_not_fit_says_that_a_smaller_dtype_would),
        cmocka_unit_test(the_largest_of_the_dtypes_that_fit_is_named),
        cmocka_unit_test(limit_of_a_step_that_cannot_be_met_says_what_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
