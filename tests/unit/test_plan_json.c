/* test_plan_json.c - a plan written and read back; every field attacked. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/folder.h"
#include "noodle/plan.h"

static ndl_plan_stage stages[3];

/* Stages of all kinds: with the embedding, of blocks, of the head alone. */
static ndl_plan plan_of_three(void)
{
    const ndl_plan_stage first = { .rank = 1,
                                   .n_layers = 12,
                                   .embed = true,
                                   .n_threads = 8,
                                   .params = 1234567890123,
                                   .weight_bytes = UINT64_C(1) << 40,
                                   .kv_bytes = 77,
                                   .buffer_bytes = 88,
                                   .free_bytes = UINT64_C(5) << 40,
                                   .prompt_sec = 0.25,
                                   .decode_sec = 1.0 / 3.0,
                                   .busy_sec = 43.5,
                                   .link_sec = 1e-5,
                                   .host = "one",
                                   .why = "23.1 % of the work" };
    const ndl_plan p = { .n_stages = 3,
                         .n_idle = 2,
                         .stages = stages,
                         .strategy = "bottleneck-first",
                         .source = "measured",
                         .workload = { 512, 128, 16, 64 },
                         .period_sec = 43.5,
                         .latency_sec = 0.1,
                         .tokens_per_sec = 1e4 / 7.0,
                         .balance = 0.9375,
                         .gap = 0.02,
                         .bottleneck = 1,
                         .n_notes = 2,
                         .notes = { "first note", "second note" } };
    stages[0] = first;
    stages[1] = (ndl_plan_stage){
        .rank = 0, .first_layer = 12, .n_layers = 1, .host = "two"
    };
    stages[2] = (ndl_plan_stage){ .rank = 7, .first_layer = 13, .head = true };
    return p;
}

static ndl_status parse(ndl_plan *out, const json_t *j)
{
    char *text = json_dumps(j, 0);
    assert_non_null(text);
    ndl_status_clear();
    const ndl_status st = ndl_plan_parse(out, text, strlen(text), "p.json");
    free(text);
    return st;
}

static void expect_same(const ndl_plan *a, const ndl_plan *b)
{
    assert_int_equal(a->n_stages, b->n_stages);
    assert_int_equal(a->n_idle, b->n_idle);
    assert_string_equal(a->strategy, b->strategy);
    assert_string_equal(a->source, b->source);
    assert_memory_equal(&a->workload, &b->workload, sizeof a->workload);
    assert_true(a->period_sec == b->period_sec);
    assert_true(a->latency_sec == b->latency_sec);
    assert_true(a->tokens_per_sec == b->tokens_per_sec);
    assert_true(a->balance == b->balance && a->gap == b->gap);
    assert_int_equal(a->bottleneck, b->bottleneck);
    assert_int_equal(a->n_notes, b->n_notes);
    for (int i = 0; i < a->n_notes; i++)
        assert_string_equal(a->notes[i], b->notes[i]);
    for (int i = 0; i < a->n_stages; i++) {
        const ndl_plan_stage *s = &a->stages[i], *t = &b->stages[i];
        assert_int_equal(s->rank, t->rank);
        assert_int_equal(s->first_layer, t->first_layer);
        assert_int_equal(s->n_layers, t->n_layers);
        assert_true(s->embed == t->embed && s->head == t->head);
        assert_int_equal(s->n_threads, t->n_threads);
        assert_true(s->params == t->params);
        assert_true(s->weight_bytes == t->weight_bytes);
        assert_true(s->kv_bytes == t->kv_bytes);
        assert_true(s->buffer_bytes == t->buffer_bytes);
        assert_true(s->free_bytes == t->free_bytes);
        assert_true(s->prompt_sec == t->prompt_sec);
        assert_true(s->decode_sec == t->decode_sec);
        assert_true(s->busy_sec == t->busy_sec);
        assert_true(s->link_sec == t->link_sec);
        assert_string_equal(s->host, t->host);
        assert_string_equal(s->why, t->why);
    }
}

static void a_plan_comes_back_as_it_was(void **state)
{
    (void)state;
    const ndl_plan p = plan_of_three();
    ndl_plan back;
    json_t *j = ndl_plan_json(&p);
    assert_non_null(j);
    assert_int_equal(parse(&back, j), NDL_OK);
    expect_same(&p, &back);
    json_decref(j);
    ndl_plan_fini(&back);
    assert_null(back.stages);
}

static void a_saved_plan_is_loaded(void **state)
{
    (void)state;
    const ndl_plan p = plan_of_three();
    test_folder folder;
    ndl_plan back;
    assert_int_equal(test_folder_make(&folder), 0);
    ndl_status_clear();
    assert_int_equal(ndl_plan_save(&p, test_folder_at(&folder, "p.json")),
                     NDL_OK);
    assert_int_equal(test_folder_count(&folder), 1);
    assert_int_equal(ndl_plan_load(&back, folder.file), NDL_OK);
    expect_same(&p, &back);
    ndl_plan_fini(&back);
    assert_int_equal(ndl_plan_load(&back, test_folder_at(&folder, "none")),
                     NDL_ENOINPUT);
    ndl_status_clear();
    assert_int_equal(ndl_plan_save(&p, test_folder_at(&folder, "no/p.json")),
                     NDL_ECREATE);
    assert_int_equal(test_folder_remove(&folder), 0);
}

/* Whatever solvers and hosts produce: a file that cannot be read again would
 * be found too late. */
static void
odd_figures_and_names_are_written_so_that_they_can_be_read(void **state)
{
    (void)state;
    ndl_plan p = plan_of_three();
    ndl_plan back;
    p.gap = INFINITY;
    p.tokens_per_sec = NAN;
    p.latency_sec = -1.0;
    p.balance = 1.0 + 1e-12;
    p.bottleneck = -1;
    stages[0].free_bytes = UINT64_MAX;
    memset(stages[0].host, 0xff, sizeof stages[0].host);
    memset(stages[0].why, 'x', sizeof stages[0].why);
    strcpy(p.notes[1], "a\nb\xc3");
    json_t *j = ndl_plan_json(&p);
    if (parse(&back, j) != NDL_OK) fail_msg("%s", ndl_status_message());
    assert_true(back.gap == 1e9);
    assert_true(back.tokens_per_sec == 0.0 && back.latency_sec == 0.0);
    assert_true(back.balance == 1.0);
    assert_int_equal(back.bottleneck, -1);
    assert_true(back.stages[0].free_bytes == UINT64_C(1) << 60);
    assert_int_equal(strlen(back.stages[0].host), 63);
    assert_int_equal(back.stages[0].host[0], '?');
    assert_int_equal(strlen(back.stages[0].why), 159);
    assert_string_equal(back.notes[1], "a?b?");
    json_decref(j);
    ndl_plan_fini(&back);
}

/* Refuse the plan after a change; takes the reference. */
static void refuse(json_t *j, const char *says)
{
    ndl_plan p = { .n_stages = -5 };
    char *text = json_dumps(j, 0);
    if (parse(&p, j) != NDL_EDATA) fail_msg("taken (%s): %s", says, text);
    assert_int_equal(p.n_stages, -5);
    const char *m = ndl_status_message();
    if (!strstr(m, says)) fail_msg("\"%s\" is not in: %s", says, m);
    assert_non_null(strstr(m, "p.json: "));
    free(text);
    json_decref(j);
}

static json_t *fresh(void)
{
    const ndl_plan p = plan_of_three();
    json_t *j = ndl_plan_json(&p);
    assert_non_null(j);
    return j;
}

/* The object of the fresh plan that the test is about. */
typedef json_t *find_fn(json_t *plan);

static json_t *whole(json_t *plan)
{
    return plan;
}

static json_t *workload(json_t *plan)
{
    return json_object_get(plan, "workload");
}

static json_t *second_stage(json_t *plan)
{
    return json_array_get(json_object_get(plan, "stages"), 1);
}

static void refuse_value(find_fn *find, const char *name, json_t *v)
{
    json_t *j = fresh();
    json_object_set_new(find(j), name, v);
    refuse(j, name);
}

/* What no field may be: each is of another type, or no sane figure. */
static void attack(find_fn *find, const char *name, const json_t *is)
{
    json_t *j = fresh();
    json_object_del(find(j), name);
    refuse(j, name);
    refuse_value(find, name, json_null());
    refuse_value(find, name, json_pack("{ss}", "a", "b"));
    if (!json_is_array(is)) refuse_value(find, name, json_pack("[i]", 1));
    if (!json_is_boolean(is)) refuse_value(find, name, json_true());
    if (!json_is_string(is)) refuse_value(find, name, json_string("1"));
    if (!json_is_number(is)) refuse_value(find, name, json_integer(1));
    if (json_is_string(is)) {
        refuse_value(find, name, json_string("a\nb"));
        refuse_value(find, name, json_string("\xc3\xa4"));
        char text[300];
        memset(text, 'x', sizeof text - 1);
        text[299] = '\0';
        refuse_value(find, name, json_string(text));
    }
    if (json_is_number(is)) {
        refuse_value(find, name, json_integer(-2));
        refuse_value(find, name, json_integer(INT64_MAX));
        refuse_value(find, name, json_integer(INT64_MIN));
        refuse_value(find, name, json_real(-1e-9));
        refuse_value(find, name, json_real(1e300));
    }
    if (json_is_integer(is)) refuse_value(find, name, json_real(1.5));
}

static void attack_all(find_fn *find)
{
    json_t *plan = fresh(), *v;
    const char *name;
    json_object_foreach(find(plan), name, v)
    {
        attack(find, name, v);
    }
    json_decref(plan);
    refuse_value(find, "colour", json_integer(1));
}

static void every_field_is_checked(void **state)
{
    (void)state;
    attack_all(whole);
    attack_all(workload);
    attack_all(second_stage);
}

static void what_is_no_number_is_no_json(void **state)
{
    (void)state;
    static const char *const bad[] = { "{\"gap\": NaN}", "{\"gap\": 1e999}", "",
                                       "[", "{\"gap\":1,\"gap\":2}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ndl_plan p;
        ndl_status_clear();
        assert_int_equal(ndl_plan_parse(&p, bad[i], strlen(bad[i]), "p.json"),
                         NDL_EDATA);
        assert_non_null(strstr(ndl_status_message(), "not valid JSON"));
    }
}

static void set_stage(json_t *plan, size_t i, const char *name, json_t *v)
{
    json_object_set_new(json_array_get(json_object_get(plan, "stages"), i),
                        name, v);
}

static void stages_must_cover_the_blocks_in_order(void **state)
{
    (void)state;
    json_t *j = fresh();
    set_stage(j, 1, "first_layer", json_integer(13)); /* a gap */
    refuse(j, "stage 2: first_layer: not allowed: blocks go in order without "
              "a gap: give 12");
    j = fresh();
    set_stage(j, 1, "first_layer", json_integer(11)); /* an overlap */
    refuse(j, "stage 2: first_layer");
    j = fresh();
    set_stage(j, 0, "first_layer", json_integer(1));
    refuse(j, "stage 1: first_layer");
    j = fresh();
    set_stage(j, 1, "n_layers", json_integer(0));
    set_stage(j, 2, "first_layer", json_integer(12));
    refuse(j, "stage 2: n_layers: a stage of nothing");
    j = fresh();
    set_stage(j, 1, "n_layers", json_integer(4096));
    refuse(j, "stage 2: n_layers: more blocks than a model can have");
}

static void ends_of_the_model_are_at_the_ends(void **state)
{
    (void)state;
    json_t *j = fresh();
    set_stage(j, 0, "embed", json_false());
    refuse(j, "stage 1: embed: ");
    j = fresh();
    set_stage(j, 1, "embed", json_true());
    refuse(j, "stage 2: embed: ");
    j = fresh();
    set_stage(j, 1, "head", json_true());
    refuse(j, "stage 2: head: ");
    j = fresh();
    set_stage(j, 2, "head", json_false());
    set_stage(j, 2, "n_layers", json_integer(1));
    refuse(j, "stage 3: head: ");
    j = fresh();
    json_array_remove(json_object_get(j, "stages"), 2);
    json_object_set_new(j, "n_stages", json_integer(2));
    refuse(j, "stage 2: head: ");
}

static void stages_are_numbered_and_counted(void **state)
{
    (void)state;
    json_t *j = fresh();
    set_stage(j, 1, "stage", json_integer(3));
    refuse(j, "stage 2: stage: not allowed: give a whole number from 2 to 2");
    j = fresh();
    json_object_set_new(j, "n_stages", json_integer(4));
    refuse(j, "n_stages");
    j = fresh();
    json_object_set_new(j, "stages", json_array());
    refuse(j, "stages: is missing or not a list of 1 to 4098 stages");
    j = fresh();
    json_object_set_new(j, "bottleneck", json_integer(4));
    refuse(j, "bottleneck: not allowed: give a whole number from 0 to 3");
}

static void a_rank_has_one_stage(void **state)
{
    (void)state;
    json_t *j = fresh();
    set_stage(j, 2, "rank", json_integer(1));
    refuse(j, "rank: 1 has two stages");
    j = fresh();
    set_stage(j, 2, "rank", json_integer(-1));
    refuse(j, "rank: -1 beside ranks");
    ndl_plan p;
    j = fresh();
    for (size_t i = 0; i < 3; i++) set_stage(j, i, "rank", json_integer(-1));
    assert_int_equal(parse(&p, j), NDL_OK);
    assert_int_equal(p.stages[2].rank, -1);
    ndl_plan_fini(&p);
    json_decref(j);
}

static void embedding_may_have_a_stage_of_its_own(void **state)
{
    (void)state;
    ndl_plan p;
    json_t *j = fresh();
    set_stage(j, 0, "n_layers", json_integer(0));
    set_stage(j, 1, "first_layer", json_integer(0));
    set_stage(j, 2, "first_layer", json_integer(1));
    assert_int_equal(parse(&p, j), NDL_OK);
    ndl_plan_fini(&p);
    json_array_remove(json_object_get(j, "stages"), 1);
    json_object_set_new(j, "n_stages", json_integer(2));
    set_stage(j, 1, "first_layer", json_integer(0));
    set_stage(j, 1, "stage", json_integer(2));
    refuse(j, "stages: no blocks");
}

static void notes_are_few_texts(void **state)
{
    (void)state;
    json_t *j = fresh();
    json_array_append_new(json_object_get(j, "notes"), json_integer(3));
    refuse(j, "notes: note: not a text");
    j = fresh();
    for (int i = 0; i < NDL_PLAN_NOTES; i++)
        json_array_append_new(json_object_get(j, "notes"), json_string("x"));
    refuse(j, "notes: is missing or not a list of at most 8");
}

static void other_formats_are_refused(void **state)
{
    (void)state;
    json_t *j = fresh();
    json_object_set_new(j, "format", json_string("noodle-profile"));
    refuse(j, "format: not noodle-plan");
    j = fresh();
    json_object_set_new(j, "format_version", json_integer(2));
    refuse(j, "format_version: not allowed: give a whole number from 1 to 1");
    refuse(json_pack("[i]", 1), "not an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_comes_back_as_it_was),
        cmocka_unit_test(a_saved_plan_is_loaded),
        cmocka_unit_test(
            odd_figures_and_names_are_written_so_that_they_can_be_read),
        cmocka_unit_test(every_field_is_checked),
        cmocka_unit_test(what_is_no_number_is_no_json),
        cmocka_unit_test(stages_must_cover_the_blocks_in_order),
        cmocka_unit_test(ends_of_the_model_are_at_the_ends),
        cmocka_unit_test(stages_are_numbered_and_counted),
        cmocka_unit_test(a_rank_has_one_stage),
        cmocka_unit_test(embedding_may_have_a_stage_of_its_own),
        cmocka_unit_test(notes_are_few_texts),
        cmocka_unit_test(other_formats_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
