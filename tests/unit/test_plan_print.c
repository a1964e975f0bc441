/* test_plan_print.c - a plan as a table with its figures; its JSON's facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/plan.h"

static ndl_plan_stage stages[3] = {
    { .rank = 1,
      .n_layers = 12,
      .embed = true,
      .n_threads = 8,
      .params = 1234567890,
      .weight_bytes = 1u << 30,
      .kv_bytes = 1u << 29,
      .buffer_bytes = 1u << 29,
      .free_bytes = UINT64_C(5) << 30,
      .host = "one",
      .why = "first" },
    { .rank = 2,
      .first_layer = 12,
      .n_layers = 1,
      .n_threads = 16,
      .params = 4500000,
      .weight_bytes = 100,
      .free_bytes = 2048,
      .host = "a-host-with-a-very-long-name-indeed",
      .why = "second" },
    { .rank = 5,
      .first_layer = 13,
      .head = true,
      .n_threads = 1,
      .params = 12,
      .weight_bytes = 1,
      .host = "three",
      .why = "third" },
};
static const ndl_plan plan = { .n_stages = 3, .n_idle = 2, .stages = stages };

static char *printed(const ndl_plan *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    ndl_plan_print(p, f);
    fclose(f);
    return text;
}

static void table_has_a_line_for_each_stage(void **state)
{
    (void)state;
    char *text = printed(&plan);
    assert_string_equal(
        text,
        "stage  rank  host              layers             params      memory  "
        "      free  threads  why\n"
        "1         1  one               0-11               1.23 G     2.0 GiB  "
        "   5.0 GiB        8  first\n"
        "2         2  a-host-with-a-ve  12                 4.50 M       100 B  "
        "   2.0 KiB       16  second\n"
        "3         5  three             head                0.0 k         1 B  "
        "       0 B        1  third\n"
        "2 ranks idle: the split needs no more\n");
    free(text);
}

static void one_idle_rank_is_singular_and_none_is_silent(void **state)
{
    (void)state;
    ndl_plan p = { .n_stages = 1, .n_idle = 1, .stages = &stages[2] };
    char *text = printed(&p);
    assert_non_null(strstr(text, "\n1 rank idle:"));
    free(text);
    p.n_idle = 0;
    text = printed(&p);
    assert_null(strstr(text, "idle"));
    free(text);
}

static ndl_plan_stage timed_stages[2];

static ndl_plan plan_with_times(void)
{
    timed_stages[0] = (ndl_plan_stage){ .rank = -1,
                                        .n_layers = 12,
                                        .embed = true,
                                        .host = "big",
                                        .prompt_sec = 0.0124,
                                        .decode_sec = 1.5e-3,
                                        .busy_sec = 2.0,
                                        .link_sec = 12.5e-6,
                                        .why = "bottleneck" };
    timed_stages[1] = (ndl_plan_stage){ .rank = -1,
                                        .first_layer = 12,
                                        .head = true,
                                        .host = "old",
                                        .busy_sec = 1.0 };
    return (ndl_plan){ .n_stages = 2,
                       .stages = timed_stages,
                       .strategy = "throughput",
                       .source = "estimated",
                       .workload = { 512, 128, 16, 64 },
                       .period_sec = 2.0,
                       .latency_sec = 3.25,
                       .tokens_per_sec = 320.0,
                       .balance = 0.75,
                       .bottleneck = 0,
                       .n_notes = 1,
                       .notes = { "one more node big: 12 % faster" } };
}

static void times_and_figures_follow_where_there_are_any(void **state)
{
    (void)state;
    const ndl_plan p = plan_with_times();
    char *text = printed(&p);
    const char *times = strstr(text, "\n\n");
    assert_non_null(times);
    assert_string_equal(
        times + 2,
        "stage  prompt chunk  decode step  per request     hand on  at work\n"
        "1           12.4 ms       1.5 ms        2.0 s     12.5 us   100 %  "
        "##########\n"
        "2                 -            -        1.0 s           -    50 %  "
        "#####\n\n"
        "strategy    throughput, from estimated times\n"
        "workload    16 sequences of 512 + 128 tokens, prompts in chunks of "
        "64\n"
        "slowest     stage 1 on big, 2.0 s per request\n"
        "throughput  320.0 tokens/s, prompts included\n"
        "latency     3.2 s for one request alone\n"
        "balance     0.750 (1: all stages equally busy)\n"
        "gap         0 (proven: nothing is better)\n"
        "note: one more node big: 12 % faster\n");
    free(text);
}

static void a_gap_and_a_slow_link_are_said(void **state)
{
    (void)state;
    ndl_plan p = plan_with_times();
    p.gap = 0.02;
    p.bottleneck = -1;
    char *text = printed(&p);
    assert_non_null(strstr(text, "\nslowest     a link, 2.0 s per request\n"));
    assert_non_null(strstr(text, "\ngap         at most 2 % better is "));
    free(text);
}

static void a_virtual_node_has_no_rank_and_no_threads(void **state)
{
    (void)state;
    const ndl_plan p = plan_with_times();
    char *text = printed(&p);
    assert_non_null(strstr(text, "\n1         -  big "));
    assert_non_null(strstr(text, " 0 B        -  bottleneck\n"));
    free(text);
}

static void embedding_alone_is_named(void **state)
{
    (void)state;
    ndl_plan p = plan_with_times();
    timed_stages[0].n_layers = 0;
    char *text = printed(&p);
    assert_non_null(strstr(text, "  big               embed  "));
    free(text);
}

static void long_reasons_wrap_within_120_columns(void **state)
{
    (void)state;
    const ndl_plan p = plan_with_times();
    strcpy(timed_stages[0].why, "22.9 % of the work, bottleneck, blocks: "
                                "slowest layer, on the fastest node");
    char *text = printed(&p);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 120) fail_msg("too long: %s", line);
    char wanted[512];
    snprintf(wanted, sizeof wanted,
             " 22.9 %% of the work,\n%91sbottleneck, blocks: slowest\n"
             "%91slayer, on the fastest node\n",
             "", "");
    assert_non_null(strstr(text, wanted));
    free(text);
}

static void idle_virtual_nodes_are_no_ranks(void **state)
{
    (void)state;
    ndl_plan p = plan_with_times();
    p.n_idle = 3;
    char *text = printed(&p);
    assert_non_null(strstr(text, "\n3 nodes idle: "));
    free(text);
}

static void layers_of_a_last_stage_end_with_the_head(void **state)
{
    (void)state;
    ndl_plan_stage s = stages[0];
    const ndl_plan p = { .n_stages = 1, .stages = &s };
    s.head = true;
    char *text = printed(&p);
    assert_non_null(strstr(text, " 0-11 + head "));
    free(text);
    s.n_layers = 1;
    text = printed(&p);
    assert_non_null(strstr(text, " 0 + head "));
    free(text);
}

static void bytes_have_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.0 KiB" },
        { 1536, "1.5 KiB" },
        { UINT64_C(1) << 20, "1.0 MiB" },
        { UINT64_C(3) << 30, "3.0 GiB" },
        { UINT64_C(1) << 40, "1.0 TiB" },
        { UINT64_MAX, "16777216.0 TiB" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[32];
        assert_string_equal(
            ndl_plan_bytes_text(cases[i].bytes, buf, sizeof buf),
            cases[i].text);
    }
}

static void json_has_all_facts(void **state)
{
    (void)state;
    json_t *j = ndl_plan_json(&plan);
    int rank = 0, first = 0, n = 0, embed = 0, head = 1, threads = 0;
    json_int_t params, weights, kv, buffers, have;
    const char *host, *why;
    assert_non_null(j);
    assert_int_equal(json_integer_value(json_object_get(j, "n_stages")), 3);
    assert_int_equal(json_integer_value(json_object_get(j, "idle_ranks")), 2);
    json_t *list = json_object_get(j, "stages");
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(
        json_unpack(
            json_array_get(list, 0), "{si ss si si sb sb si sI sI sI sI sI ss}",
            "rank", &rank, "host", &host, "first_layer", &first, "n_layers", &n,
            "embed", &embed, "head", &head, "threads", &threads, "parameters",
            &params, "weight_bytes", &weights, "kv_bytes", &kv, "buffer_bytes",
            &buffers, "free_bytes", &have, "why", &why),
        0);
    assert_int_equal(rank, 1);
    assert_string_equal(host, "one");
    assert_int_equal(n, 12);
    assert_true(embed && !head);
    assert_int_equal(threads, 8);
    assert_int_equal(params, 1234567890);
    assert_int_equal(weights + kv + buffers, UINT64_C(2) << 30);
    assert_int_equal(have, UINT64_C(5) << 30);
    assert_string_equal(why, "first");
    json_decref(j);
}

/* A host's name may be any bytes; a plan that lost a stage would be a lie. */
static void name_that_is_no_utf8_loses_no_stage(void **state)
{
    (void)state;
    ndl_plan_stage s = stages[0];
    const ndl_plan p = { .n_stages = 1, .stages = &s };
    strcpy(s.host, "\xff\xfe");
    json_t *j = ndl_plan_json(&p);
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "stages")), 1);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_a_line_for_each_stage),
        cmocka_unit_test(one_idle_rank_is_singular_and_none_is_silent),
        cmocka_unit_test(times_and_figures_follow_where_there_are_any),
        cmocka_unit_test(a_gap_and_a_slow_link_are_said),
        cmocka_unit_test(a_virtual_node_has_no_rank_and_no_threads),
        cmocka_unit_test(embedding_alone_is_named),
        cmocka_unit_test(long_reasons_wrap_within_120_columns),
        cmocka_unit_test(idle_virtual_nodes_are_no_ranks),
        cmocka_unit_test(layers_of_a_last_stage_end_with_the_head),
        cmocka_unit_test(bytes_have_the_unit_that_fits),
        cmocka_unit_test(json_has_all_facts),
        cmocka_unit_test(name_that_is_no_utf8_loses_no_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
