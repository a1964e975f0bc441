/* test_request_line.c - facts about request_line.h. */
#include "../../src/cli/request_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const ndl_options options = { .predict = 128,
                                     .temperature = 0.8,
                                     .top_k = 40,
                                     .top_p = 0.95,
                                     .min_p = 0.05,
                                     .seed = 5 };

static ndl_request_line parse_with(const char *text, const ndl_options *o)
{
    ndl_request_line x = { 0 };
    assert_int_equal(ndl_request_line_parse(&x, text, strlen(text), 17, o),
                     NDL_OK);
    assert_string_equal(ndl_status_message(), "");
    assert_int_equal(x.number, 17);
    assert_non_null(x.custom_id);
    assert_true((x.error != NULL) != (x.text != NULL || x.ids != NULL));
    return x;
}

static ndl_request_line parse(const char *text)
{
    return parse_with(text, &options);
}

/* A good line. */
static ndl_request_line take(const char *text)
{
    ndl_request_line x = parse(text);
    if (x.error) fail_msg("%s", x.error);
    return x;
}

static void refused(const char *text, const char *why)
{
    ndl_request_line x = parse(text);
    assert_non_null(x.error);
    assert_int_equal(strncmp(x.error, "line 17: ", 9), 0);
    if (!strstr(x.error, why)) fail_msg("%s: %s", text, x.error);
    ndl_request_line_fini(&x);
}

static void what_a_line_leaves_out_is_as_in_the_options(void **state)
{
    (void)state;
    ndl_request_line x = take("\"Once\\n\"");
    assert_string_equal(x.text, "Once\n");
    assert_string_equal(x.custom_id, "line-17");
    assert_int_equal(x.max_new, 128);
    assert_true(x.sampling.temperature == 0.8f && x.sampling.top_p == 0.95f &&
                x.sampling.min_p == 0.05f);
    assert_int_equal(x.sampling.top_k, 40);
    assert_int_equal(x.sampling.seed, 5);
    assert_false(x.ignore_eos || x.want_log_p || x.is_answered);
    assert_int_equal(x.n_stops, 0);
    ndl_request_line_fini(&x);
}

static void a_line_says_what_it_wants(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"custom_id\":\"a\",%s}",
        "{\"id\":\"a\",%s}",
        "{\"custom_id\":\"a\",\"url\":\"/v1/completions\",\"body\":{%s}}",
        "{\"id\":3,\"custom_id\":\"a\",\"method\":\"POST\",\"body\":{%s}}",
        "{\"custom_id\":\"a\",\"method\":null,\"body\":{%s}}",
    };
    static const char fields[] =
        "\"prompt\":\"x\",\"max_tokens\":0,\"temperature\":2,\"top_p\":0.5,"
        "\"top_k\":-1,\"min_p\":1,\"seed\":-1,\"stop\":[\"a\",\"\\n\"],"
        "\"logprobs\":20,\"ignore_eos\":true,\"n\":1,\"stream\":true,"
        "\"model\":3,\"echo\":false,\"best_of\":1,\"suffix\":\"\","
        "\"presence_penalty\":0.0,\"logit_bias\":{},\"what\":[1]";
    for (int i = 0; i < 5; i++) {
        char text[1024];
        snprintf(text, sizeof text, forms[i], fields);
        ndl_request_line x = take(text);
        assert_string_equal(x.custom_id, "a");
        assert_string_equal(x.text, "x");
        assert_int_equal(x.max_new, 0);
        assert_true(x.sampling.temperature == 2.0f &&
                    x.sampling.top_p == 0.5f && x.sampling.min_p == 1.0f);
        assert_int_equal(x.sampling.top_k, 0);
        assert_true(x.sampling.seed == UINT64_MAX);
        assert_true(x.ignore_eos && x.want_log_p);
        assert_int_equal(x.n_top, 20);
        assert_int_equal(x.n_stops, 2);
        assert_string_equal(x.stops[0], "a");
        assert_string_equal(x.stops[1], "\n");
        ndl_request_line_fini(&x);
    }
}

static void null_is_as_if_it_were_not_there(void **state)
{
    (void)state;
    ndl_request_line x =
        take("{\"id\":null,\"prompt\":\"x\",\"max_tokens\":null,\"stop\":null,"
             "\"seed\":null,\"logprobs\":null,\"echo\":null,\"n\":null,"
             "\"ignore_eos\":null,\"body\":null,\"temperature\":null}");
    assert_string_equal(x.custom_id, "line-17");
    assert_int_equal(x.max_new, 128);
    assert_false(x.want_log_p);
    ndl_request_line_fini(&x);
}

static void prompts_are_text_or_ids(void **state)
{
    (void)state;
    ndl_request_line x = take("{\"id\":-4,\"prompt\":[0,7,2147483647]}");
    assert_string_equal(x.custom_id, "-4");
    assert_null(x.text);
    assert_int_equal(x.n_ids, 3);
    assert_int_equal(x.ids[2], INT32_MAX);
    ndl_request_line_fini(&x);
    x = take("{\"prompt\":[\"one\"],\"max_completion_tokens\":5,"
             "\"logprobs\":0,\"stop\":\"s\"}");
    assert_string_equal(x.text, "one");
    assert_int_equal(x.max_new, 5);
    assert_true(x.want_log_p);
    assert_int_equal(x.n_top, 0);
    assert_string_equal(x.stops[0], "s");
    ndl_request_line_fini(&x);
    x = take("{\"prompt\":\"\"}"); /* the model may have a BOS */
    ndl_request_line_fini(&x);
    refused("{\"prompt\":[]}", "prompt: give");
    refused("{\"prompt\":7}", "prompt: give");
    refused("{\"prompt\":[-1]}", "element 1");
    refused("{\"prompt\":[1,2147483648]}", "element 2");
    refused("{\"prompt\":[1,1.0]}", "element 2");
    refused("{\"prompt\":[[1]]}", "element 1");
    refused("{\"prompt\":[\"a\",\"b\",\"c\"]}", "a list of 3 strings");
    refused("{}", "prompt: is missing");
}

static void a_bad_line_keeps_its_name_if_it_can_be_read(void **state)
{
    (void)state;
    ndl_request_line x = parse("{\"custom_id\":\"a\",\"prompt\":3}");
    assert_string_equal(x.custom_id, "a");
    ndl_request_line_fini(&x);
    x = parse("{\"custom_id\":\"a\",\"prompt\":");
    assert_string_equal(x.custom_id, "line-17");
    ndl_request_line_fini(&x);
    x = parse("{\"custom_id\":[],\"prompt\":\"x\"}");
    assert_string_equal(x.custom_id, "line-17");
    assert_non_null(strstr(x.error, "custom_id: give"));
    assert_null(x.text);
    ndl_request_line_fini(&x);
    char text[700] = "{\"prompt\":\"x\",\"id\":\"";
    memset(text + strlen(text), 'i', NDL_REQUEST_ID_BYTES + 1);
    strcat(text, "\"}");
    refused(text, "custom_id: give");
}

static void what_is_no_json_is_told_with_its_column(void **state)
{
    (void)state;
    refused("", "not valid JSON");
    refused("{\"prompt\":\"x\"} x", "column 16: not valid JSON");
    refused("{\"prompt\":\"\xff\"}", "not valid JSON");
    refused("{\"prompt\":\"a\\u0000b\"}", "not valid JSON");
    refused("{\"prompt\":\"a\",\"prompt\":\"b\"}", "duplicate");
    refused("3", "give an object");
    refused("[\"x\"]", "give an object");
    refused("null", "give an object");
}

static void values_out_of_range_are_told_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *field, *word;
    } bad[] = {
        { "\"max_tokens\":-1", "max_tokens" },
        { "\"max_tokens\":16777217", "max_tokens" },
        { "\"max_tokens\":1.0", "max_tokens" },
        { "\"max_completion_tokens\":\"1\"", "max_completion_tokens" },
        { "\"temperature\":-0.1", "temperature" },
        { "\"temperature\":101", "temperature" },
        { "\"temperature\":true", "temperature" },
        { "\"top_p\":1.1", "top_p" },
        { "\"min_p\":\"0\"", "min_p" },
        { "\"top_k\":-2", "top_k" },
        { "\"seed\":1.5", "seed" },
        { "\"seed\":9223372036854775808", "not valid JSON" },
        { "\"n\":0", "n: give" },
        { "\"n\":3", "n: 3 answers" },
        { "\"stop\":\"\"", "stop" },
        { "\"stop\":[1]", "stop" },
        { "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop: has 5" },
        { "\"logprobs\":21", "logprobs" },
        { "\"logprobs\":true", "logprobs" },
        { "\"ignore_eos\":1", "ignore_eos" },
        { "\"echo\":true", "echo" },
        { "\"best_of\":2", "best_of" },
        { "\"best_of\":0", "best_of" },
        { "\"frequency_penalty\":1", "frequency_penalty" },
        { "\"repetition_penalty\":1.1", "repetition_penalty" },
        { "\"logit_bias\":{\"1\":2}", "logit_bias" },
        { "\"suffix\":\"x\"", "suffix" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"prompt\":\"x\",%s}", bad[i].field);
        refused(text, bad[i].word);
    }
    char text[1200] = "{\"prompt\":\"x\",\"stop\":\"";
    memset(text + strlen(text), 's', NDL_REQUEST_STOP_BYTES + 1);
    strcat(text, "\"}");
    refused(text, "stop");
}

static void calls_of_others_are_told(void **state)
{
    (void)state;
    refused("{\"method\":\"GET\",\"body\":{\"prompt\":\"x\"}}", "method");
    refused("{\"method\":1,\"body\":{\"prompt\":\"x\"}}", "method");
    refused("{\"url\":\"/v1/embeddings\",\"body\":{}}",
            "url: give \"/v1/completions\"");
    refused("{\"url\":\"/v1/chat/completions\",\"body\":{\"messages\":[]}}",
            "to /v1/completions");
    refused("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
            "to /v1/completions");
    refused("{\"url\":\"/v1/completions\"}", "body: is missing");
    refused("{\"body\":\"x\"}", "body: give");
}

static uint64_t hash_of(const char *text, const ndl_options *o)
{
    ndl_request_line x = parse_with(text, o);
    const uint64_t hash = x.hash;
    ndl_request_line_fini(&x);
    return hash;
}

static void the_hash_is_that_of_the_line_its_name_and_the_options(void **state)
{
    (void)state;
    static const char line[] = "{\"prompt\":\"x\"}";
    const uint64_t hash = hash_of(line, &options);
    ndl_options o[13];
    for (int i = 0; i < 13; i++) o[i] = options;
    assert_true(hash_of(line, &o[0]) == hash);
    assert_true(hash_of("{\"prompt\":\"y\"}", &options) != hash);
    o[0].model = "/a/x.h5";
    o[1].predict = 1;
    o[2].temperature = 0;
    o[3].top_k = 1;
    o[4].top_p = 1;
    o[5].min_p = 1;
    o[6].seed = 6;
    o[7].ignore_eos = true;
    o[8].model = "x.h5"; /* wherever it lies */
    for (int i = 0; i < 8; i++) assert_true(hash_of(line, &o[i]) != hash);
    assert_true(hash_of(line, &o[8]) == hash_of(line, &o[0]));
    o[10].context = 99; /* a text may end there, or not fit */
    o[11].type_k = "int8";
    o[12].type_v = "int8";
    for (int i = 10; i < 13; i++) assert_true(hash_of(line, &o[i]) != hash);
    o[9].threads = 3; /* changes no answer */
    assert_true(hash_of(line, &o[9]) == hash);
    ndl_request_line x = { 0 };
    assert_int_equal(
        ndl_request_line_parse(&x, line, strlen(line), 18, &options), NDL_OK);
    assert_true(x.hash != hash); /* "line-18" */
    ndl_request_line_fini(&x);
}

/* Names that are alike for longer than anybody reads. */
static void a_long_name_of_a_model_is_hashed_to_its_end(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const char line[] = "{\"prompt\":\"x\"}";
    ndl_options a = options, b = options;
    char *names[2];
    for (int i = 0; i < 2; i++) {
        names[i] = calloc(1, N + 1);
        assert_non_null(names[i]);
        memset(names[i], 'm', N);
    }
    a.model = names[0];
    b.model = names[1];
    assert_true(hash_of(line, &a) == hash_of(line, &b));
    names[1][N - 1] = 'n';
    assert_true(hash_of(line, &a) != hash_of(line, &b));
    for (int i = 0; i < 2; i++) free(names[i]);
}

static void a_text_that_goes_over_to_the_next_option_is_another(void **state)
{
    (void)state;
    static const char line[] = "{\"prompt\":\"x\"}";
    ndl_options a = options, b = options;
    a.type_v = "bf16";
    a.model = "int8 m.h5";
    b.type_v = "bf16 int8";
    b.model = "m.h5";
    assert_true(hash_of(line, &a) != hash_of(line, &b));
}

static void who_is_refused_later_loses_the_prompt(void **state)
{
    (void)state;
    ndl_request_line x = take("{\"prompt\":\"x\",\"stop\":[\"a\",\"b\"]}");
    assert_int_equal(ndl_request_line_refuse(&x, "too long: shorten it"),
                     NDL_OK);
    assert_string_equal(x.error, "line 17: too long: shorten it");
    assert_null(x.text);
    assert_int_equal(x.n_stops, 0);
    assert_string_equal(x.custom_id, "line-17");
    ndl_request_line_fini(&x);
    ndl_request_line_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_line_leaves_out_is_as_in_the_options),
        cmocka_unit_test(a_line_says_what_it_wants),
        cmocka_unit_test(null_is_as_if_it_were_not_there),
        cmocka_unit_test(prompts_are_text_or_ids),
        cmocka_unit_test(a_bad_line_keeps_its_name_if_it_can_be_read),
        cmocka_unit_test(what_is_no_json_is_told_with_its_column),
        cmocka_unit_test(values_out_of_range_are_told_by_name),
        cmocka_unit_test(calls_of_others_are_told),
        cmocka_unit_test(the_hash_is_that_of_the_line_its_name_and_the_options),
        cmocka_unit_test(a_long_name_of_a_model_is_hashed_to_its_end),
        cmocka_unit_test(a_text_that_goes_over_to_the_next_option_is_another),
        cmocka_unit_test(who_is_refused_later_loses_the_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
