/* test_answers.c - facts about answers.h and the lines it writes, with events
 * as a coordinator tells them. */
#include "../../src/cli/answers.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/cli/answer_line.h"
#include "../support/folder.h"
#include "noodle/file.h"
#include "noodle/json.h"

#include <cmocka.h>

#include "tokenizer_fixture.h"

static const ndl_model model = { .vocab = 300, .eos = { 258 }, .n_eos = 1 };
static const volatile sig_atomic_t no_signal = 0;

typedef struct world {
    test_folder folder;
    char in[320], out[320];
    ndl_options options;
    ndl_tokenizer *tokenizer; /* the id of a byte is the byte */
    ndl_answers a;
    ndl_client client;
    int context;
    double now;
} world;

static int begin_world(void **state)
{
    static const fixture bytes = { .spm = false };
    world *w = calloc(1, sizeof *w);
    if (!w || test_folder_make(&w->folder) != 0) return -1;
    snprintf(w->in, sizeof w->in, "%s", test_folder_at(&w->folder, "in"));
    snprintf(w->out, sizeof w->out, "%s", test_folder_at(&w->folder, "out"));
    w->options = (ndl_options){ .model = "/models/toy.h5",
                                .requests = w->in,
                                .results = w->out,
                                .predict = 8,
                                .top_p = 1.0,
                                .seed = 5 };
    w->tokenizer = fixture_tokenizer(&bytes);
    w->now = 100.0;
    ndl_status_clear();
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    world *w = *state;
    ndl_answers_fini(&w->a);
    ndl_tokenizer_destroy(&w->tokenizer);
    const int failed = test_folder_remove(&w->folder);
    free(w);
    return failed;
}

static void put_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put(const char *path, const char *text)
{
    put_bytes(path, text, strlen(text));
}

/* A start with these requests, ready for events. */
static void start(world *w, const char *lines, int limit)
{
    const ndl_scheduler_counts counts = { .n_running = 1 };
    put(w->in, lines);
    assert_int_equal(ndl_answers_begin(&w->a, &w->options, &no_signal), NDL_OK);
    assert_int_equal(
        ndl_answers_prepare(&w->a, w->tokenizer, &model, limit, &w->context),
        NDL_OK);
    w->client = ndl_answers_client(&w->a);
    w->client.on_progress(w->client.arg, &counts, w->now);
}

static bool token(world *w, int r, int32_t id)
{
    const ndl_token t = { .id = id, .log_p = -0.5f };
    w->now += 0.25;
    return w->client.on_token(w->client.arg, r, &t, w->now);
}

/* The bytes as tokens; how many were taken before it was enough. */
static int tokens(world *w, int r, const char *text)
{
    int n = 0;
    while (text[n] && token(w, r, (uint8_t)text[n])) n++;
    return n;
}

static void finish(world *w, int r, ndl_finish why)
{
    w->client.on_finish(w->client.arg, r, why, w->now);
}

/* Line `i` of the results. */
static json_t *result(const world *w, int i)
{
    char *text = NULL;
    size_t n = 0;
    json_t *j = NULL;
    assert_int_equal(ndl_file_read(&text, &n, w->out, 1 << 20), NDL_OK);
    const char *at = text;
    for (; i > 0; i--) {
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    const char *end = strchr(at, '\n');
    assert_non_null(end);
    assert_int_equal(ndl_json_parse_line(&j, at, (size_t)(end - at)), NDL_OK);
    free(text);
    return j;
}

static json_t *at(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    if (!v) fail_msg("no %s", key);
    return v;
}

static json_t *choice_of(json_t *line)
{
    return json_array_get(at(at(at(line, "response"), "body"), "choices"), 0);
}

static void expect_text(const world *w, int i, const char *text,
                        const char *reason)
{
    json_t *line = result(w, i), *choice = choice_of(line);
    assert_string_equal(json_string_value(at(choice, "text")), text);
    assert_string_equal(json_string_value(at(choice, "finish_reason")), reason);
    json_decref(line);
}

static double number(json_t *j, const char *key)
{
    assert_true(json_is_number(at(j, key)));
    return json_number_value(at(j, key));
}

static void an_answer_is_a_line_as_soon_as_it_is_over(void **state)
{
    world *w = *state;
    start(w, "\"ab\"\n{\"id\":\"x\",\"prompt\":\"c\"}\n", 100);
    assert_int_equal(w->a.n, 2);
    assert_int_equal(tokens(w, 1, "Hi"), 2);
    finish(w, 1, NDL_FINISH_EOS);
    json_t *line = result(w, 0), *body = at(at(line, "response"), "body");
    assert_string_equal(json_string_value(at(line, "custom_id")), "x");
    assert_true(json_is_null(at(line, "error")));
    assert_string_equal(json_string_value(at(body, "object")),
                        "text_completion");
    assert_string_equal(json_string_value(at(body, "model")), "toy");
    assert_true(json_is_null(at(choice_of(line), "logprobs")));
    assert_true(number(at(body, "usage"), "prompt_tokens") == 1.0);
    assert_true(number(at(body, "usage"), "completion_tokens") == 2.0);
    assert_true(number(at(body, "usage"), "total_tokens") == 3.0);
    assert_true(number(at(body, "timings"), "ttft_ms") == 250.0);
    assert_true(number(at(body, "timings"), "total_ms") == 500.0);
    assert_true(number(at(body, "timings"), "predicted_per_second") == 4.0);
    json_decref(line);
    expect_text(w, 0, "Hi", "stop");
    assert_int_equal(tokens(w, 0, "there"), 5);
    finish(w, 0, NDL_FINISH_LENGTH);
    expect_text(w, 1, "there", "length");
    assert_int_equal(ndl_answers_end(&w->a), NDL_OK);
    assert_int_equal(ndl_answers_left(&w->a), 0);
}

static void an_answer_may_be_empty(void **state)
{
    world *w = *state;
    start(w, "\"a\"\n\"b\"\n", 100);
    finish(w, 0, NDL_FINISH_EOS);
    finish(w, 1, NDL_FINISH_CONTEXT);
    expect_text(w, 0, "", "stop");
    expect_text(w, 1, "", "length");
}

static void a_stop_string_over_several_tokens_is_cut_off(void **state)
{
    world *w = *state;
    start(w,
          "{\"prompt\":\"a\",\"stop\":[\"END\",\"\\n\\n\"],\"logprobs\":0}\n",
          100);
    assert_int_equal(tokens(w, 0, "one\ntENEND"), 9); /* not the last one */
    finish(w, 0, NDL_FINISH_STOPPED);
    expect_text(w, 0, "one\ntEN", "stop");
    json_t *line = result(w, 0), *log_ps = at(choice_of(line), "logprobs");
    assert_int_equal(json_array_size(at(log_ps, "tokens")), 7);
    assert_true(json_is_null(at(log_ps, "top_logprobs")));
    json_t *usage = at(at(at(line, "response"), "body"), "usage");
    assert_true(number(usage, "completion_tokens") == 10.0);
    json_decref(line);
}

static void a_stop_string_that_the_last_token_completes_counts(void **state)
{
    world *w = *state;
    start(w, "{\"prompt\":\"a\",\"stop\":\"bc\"}\n", 100);
    assert_int_equal(tokens(w, 0, "abc"), 2);
    finish(w, 0, NDL_FINISH_LENGTH);
    expect_text(w, 0, "a", "stop");
}

static void characters_over_several_tokens_become_whole(void **state)
{
    world *w = *state;
    start(w, "{\"prompt\":\"a\",\"logprobs\":1}\n", 100);
    assert_int_equal(tokens(w, 0, "\xc3\xa9x\xe2\x82"), 5); /* e acute, torn */
    finish(w, 0, NDL_FINISH_LENGTH);
    expect_text(w, 0, "\xc3\xa9x\xef\xbf\xbd", "length");
    static const int offsets[] = { 0, 0, 1, 2, 2 };
    json_t *line = result(w, 0), *log_ps = at(choice_of(line), "logprobs");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            json_integer_value(json_array_get(at(log_ps, "text_offset"), i)),
            offsets[i]);
    json_decref(line);
}

static void the_likeliest_tokens_are_told_and_the_drawn_one(void **state)
{
    world *w = *state;
    static const ndl_wire_candidate top[] = { { 'a', -0.25f },
                                              { 0x80, -1.0f },
                                              { 0x81, -2.0f } };
    const ndl_token drawn = { .id = 'z', .log_p = -9.0f, 3, top };
    const ndl_token odd = { .id = 'a', .log_p = -INFINITY, 0, NULL };
    start(w, "{\"prompt\":\"a\",\"logprobs\":3}\n", 100);
    assert_true(w->client.on_token(w->client.arg, 0, &drawn, 101.0));
    assert_true(w->client.on_token(w->client.arg, 0, &odd, 102.0));
    finish(w, 0, NDL_FINISH_LENGTH);
    json_t *line = result(w, 0), *log_ps = at(choice_of(line), "logprobs");
    json_t *first = json_array_get(at(log_ps, "top_logprobs"), 0);
    assert_int_equal(json_object_size(first), 3);
    assert_true(number(first, "a") == -0.25);
    assert_true(number(first, "z") == -9.0);
    assert_true(number(first, "\xef\xbf\xbd") == -1.0); /* the likelier */
    json_t *log_p = at(log_ps, "token_logprobs");
    assert_true(json_real_value(json_array_get(log_p, 0)) == -9.0);
    assert_true(json_is_null(json_array_get(log_p, 1)));
    json_decref(line);
}

static void lines_that_cannot_be_run_are_answered_at_once(void **state)
{
    world *w = *state;
    start(w,
          "bad\n{\"prompt\":[300]}\n\"0123456789\"\n\"\"\n"
          "{\"prompt\":\"ab\",\"max_tokens\":100,\"seed\":7}\n\"c\"\n",
          9);
    static const char *const words[] = { "line 1: ", "id 300 is none",
                                         "has 10 tokens", "is empty" };
    for (int i = 0; i < 4; i++) {
        json_t *line = result(w, i);
        const char *why = json_string_value(at(at(line, "error"), "message"));
        assert_non_null(strstr(why, words[i]));
        assert_true(json_is_null(at(line, "response")));
        json_decref(line);
    }
    assert_int_equal(w->a.n_refused, 4);
    assert_int_equal(w->a.n, 2);
    const ndl_request *r = w->a.requests;
    const int32_t ids[] = { 'a', 'b' };
    assert_int_equal(r[0].max_new, 9); /* 8 fit: the context ends it */
    assert_int_equal(r[1].max_new, 8);
    assert_int_equal(w->context, 9);
    assert_true(r[0].sampling.seed == ndl_request_seed(7, ids, 2));
    assert_true(r[1].sampling.seed == ndl_request_seed(5, r[1].prompt, 1));
    assert_int_equal(r[0].n_eos, 1);
}

static void the_next_start_runs_what_is_left(void **state)
{
    world *w = *state;
    static const char lines[] = "\"a\"\n\"b\"\n\"c\"\nbad\n";
    start(w, lines, 100);
    tokens(w, 1, "xyz");
    finish(w, 1, NDL_FINISH_LENGTH);
    tokens(w, 2, "half");
    assert_int_equal(ndl_answers_end(&w->a), NDL_OK);
    ndl_answers_fini(&w->a);
    start(w, lines, 100);
    assert_int_equal(w->a.n_before, 2);
    assert_int_equal(w->a.n, 2);
    assert_int_equal(w->a.requests[0].prompt[0], 'a');
    assert_int_equal(w->a.requests[1].prompt[0], 'c');
    finish(w, 0, NDL_FINISH_EOS);
    finish(w, 1, NDL_FINISH_EOS);
    ndl_answers_fini(&w->a);
    assert_int_equal(ndl_answers_begin(&w->a, &w->options, &no_signal), NDL_OK);
    assert_int_equal(ndl_answers_left(&w->a), 0);
}

static void what_the_end_of_a_run_cuts_short_is_no_answer(void **state)
{
    world *w = *state;
    start(w, "\"a\"\n\"b\"\n", 100);
    tokens(w, 0, "half");
    finish(w, 0, NDL_FINISH_STOPPED);
    finish(w, 1, NDL_FINISH_EOS);
    expect_text(w, 0, "", "stop");
    assert_int_equal(ndl_answers_left(&w->a), 1);
    ndl_answers_fini(&w->a);
    start(w, "\"a\"\n\"b\"\n", 100);
    assert_int_equal(w->a.n, 1);
    assert_int_equal(w->a.requests[0].prompt[0], 'a');
}

static int fill_up(world *w)
{
    signal(SIGXFSZ, SIG_IGN);
    start(w, "\"a\"\n\"b\"\n\"c\"\n", 100);
    tokens(w, 0, "x");
    finish(w, 0, NDL_FINISH_LENGTH);
    char *text = NULL;
    size_t n = 0;
    if (ndl_file_read(&text, &n, w->out, 1 << 20) != NDL_OK) return 1;
    const struct rlimit limit = { n + 50, n + 50 };
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    finish(w, 1, NDL_FINISH_LENGTH);
    if (!w->a.stop.requested || w->a.stop.status != NDL_EIO) return 3;
    if (token(w, 2, 'x')) return 4;
    finish(w, 2, NDL_FINISH_STOPPED);
    if (ndl_answers_end(&w->a) != NDL_EIO) return 5;
    if (ndl_answers_left(&w->a) != 2) return 6; /* it is not in the file */
    free(text);
    return 0;
}

static void a_full_disk_asks_the_run_to_end(void **state)
{
    world *w = *state;
    int status = 0;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) _exit(fill_up(w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_text(w, 0, "x", "length");
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(ndl_file_read(&text, &n, w->out, 1 << 20), NDL_OK);
    assert_ptr_equal(strchr(text, '\n'), text + n - 1);
    free(text);
}

/* The first token of its own has a text of 32 Ki control characters: 192 KiB of
 * JSON. */
static void make_long_token(world *w)
{
    enum { N = 1 << 15 };
    char *text = calloc(2, N + 1);
    assert_non_null(text);
    for (int i = 0; i < N; i++) memcpy(text + 2 * i, "\xc4\x81", 2); /* 1 */
    const fixture one = { .spm = false, .tokens = { text } };
    ndl_tokenizer_destroy(&w->tokenizer);
    w->tokenizer = fixture_tokenizer(&one);
    free(text);
}

static void
a_result_too_long_for_a_line_is_an_error_and_the_others_go_on(void **state)
{
    world *w = *state;
    make_long_token(w);
    start(w, "{\"prompt\":\"a\",\"logprobs\":1}\n{\"prompt\":\"b\"}\n\"c\"\n",
          100);
    /* Each is told three times: in the text, as a token, as a candidate. */
    for (int i = 0; i < 120; i++) assert_true(token(w, 0, FIRST_TOKEN));
    finish(w, 0, NDL_FINISH_LENGTH);
    for (int i = 0; i < 350; i++) assert_true(token(w, 1, FIRST_TOKEN));
    finish(w, 1, NDL_FINISH_LENGTH);
    assert_false(w->a.stop.requested);
    assert_int_equal(tokens(w, 2, "yes"), 3);
    finish(w, 2, NDL_FINISH_EOS);
    assert_int_equal(ndl_answers_end(&w->a), NDL_OK);
    assert_int_equal(ndl_answers_left(&w->a), 0);
    assert_int_equal(w->a.n_refused, 2);
    static const char *const words[] = {
        "line 1: the result is 67.5 MiB long, a "
        "line holds 64: give fewer logprobs",
        "line 2: the result is 65.6 MiB long, a "
        "line holds 64: give a smaller max_t"
    };
    for (int i = 0; i < 2; i++) {
        json_t *line = result(w, i), *error = at(line, "error");
        const char *why = json_string_value(at(error, "message"));
        if (!strstr(why, words[i])) fail_msg("%s", why);
        assert_string_equal(json_string_value(at(error, "code")),
                            "result_too_long");
        assert_true(json_is_null(at(line, "response")));
        json_decref(line);
    }
    expect_text(w, 2, "yes", "stop");
    ndl_answers_fini(&w->a);
    assert_int_equal(ndl_answers_begin(&w->a, &w->options, &no_signal), NDL_OK);
    assert_int_equal(w->a.n_before, 3);
}

static void a_signal_ends_the_reading(void **state)
{
    world *w = *state;
    static const struct {
        int signal;
        ndl_status status;
    } cases[] = { { SIGINT, NDL_EINT },
                  { SIGTERM, NDL_ETERM },
                  { SIGUSR1, NDL_ETEMP } };
    put(w->in, "\"a\"\n\"b\"\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const volatile sig_atomic_t signal = cases[i].signal;
        assert_int_equal(ndl_answers_begin(&w->a, &w->options, &signal),
                         cases[i].status);
        assert_non_null(strstr(ndl_status_message(), w->in));
        assert_int_not_equal(access(w->out, F_OK), 0); /* not made */
        ndl_answers_fini(&w->a);
        ndl_status_clear();
    }
}

static void expect_refused_file(world *w, const char *text, const char *word)
{
    put(w->in, text);
    assert_int_equal(ndl_answers_begin(&w->a, &w->options, &no_signal),
                     NDL_EDATA);
    if (!strstr(ndl_status_message(), word))
        fail_msg("%s", ndl_status_message());
    assert_int_not_equal(access(w->out, F_OK), 0);
    ndl_answers_fini(&w->a);
    ndl_status_clear();
}

static void a_file_of_another_form_is_refused_as_a_whole(void **state)
{
    world *w = *state;
    expect_refused_file(w, "[{\"prompt\":\"a\"},{\"prompt\":\"b\"}]\n",
                        "line 1: begins JSON that is a list: write one");
    expect_refused_file(w, "\n [\n  {\"prompt\":\"a\"}\n]", "line 2: begins");
    expect_refused_file(w, "\xef\xbb\xbf[", "jq -c '.[]' ");
    expect_refused_file(w, "{ \r\n \"prompt\": \"a\"\r\n}\r\n",
                        "is spread over lines");
    expect_refused_file(w, "\xff\xfe{", "is UTF-16 text: save it as UTF-8");
    expect_refused_file(w, "\xfe\xff\n", "is UTF-16 text");
    static const char unmarked[] = "\"\0a\0\"\0\n\0";
    put_bytes(w->in, unmarked, sizeof unmarked - 1);
    assert_int_equal(ndl_answers_begin(&w->a, &w->options, &no_signal),
                     NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "is UTF-16 text"));
}

static void a_byte_order_mark_is_none_of_the_first_request(void **state)
{
    world *w = *state;
    start(w, "\xef\xbb\xbf\"a\"\n\"b\"\n", 100);
    assert_int_equal(w->a.n, 2);
    finish(w, 0, NDL_FINISH_EOS);
    assert_int_equal(ndl_answers_end(&w->a), NDL_OK);
    ndl_answers_fini(&w->a);
    start(w, "\"a\"\n\"b\"\n", 100); /* the same requests */
    assert_int_equal(w->a.n_before, 1);
    ndl_answers_fini(&w->a);
}

static void hostile_results_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "3",
        "[]",
        "{\"custom_id\":\"a\"}",
        "{\"custom_id\":3,\"request_hash\":\"0123456789abcdef\"}",
        "{\"custom_id\":\"a\",\"request_hash\":\"0123456789abcde\"}",
        "{\"custom_id\":\"a\",\"request_hash\":\"0123456789abcdef0\"}",
        "{\"custom_id\":\"a\",\"request_hash\":\"0123456789abcdeg\"}",
        "{\"custom_id\":\"a\",\"request_hash\":\" 123456789abcdef\"}",
        "{\"custom_id\":\"a\",\"request_hash\":null}",
    };
    char *id = NULL;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ndl_line line = { .text = bad[i],
                                .n = strlen(bad[i]),
                                .number = 7 };
        ndl_status_clear();
        assert_int_equal(ndl_answer_line_read(&line, "r.out", &id, &hash),
                         NDL_EDATA);
        assert_null(id);
        assert_non_null(strstr(ndl_status_message(), "r.out: line 7: "));
    }
    /* A model may have written a zero byte. */
    static const char good[] = "{\"custom_id\":\"a\",\"request_hash\":"
                               "\"fedcba9876543210\",\"more\":[\"x\\u0000y\"]}";
    const ndl_line line = { .text = good, .n = sizeof good - 1 };
    assert_int_equal(ndl_answer_line_read(&line, "r.out", &id, &hash), NDL_OK);
    assert_string_equal(id, "a");
    assert_true(hash == 0xfedcba9876543210u);
    free(id);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, begin_world, end_world)
    const struct CMUnitTest tests[] = {
        FACT(an_answer_is_a_line_as_soon_as_it_is_over),
        FACT(an_answer_may_be_empty),
        FACT(a_stop_string_over_several_tokens_is_cut_off),
        FACT(a_stop_string_that_the_last_token_completes_counts),
        FACT(characters_over_several_tokens_become_whole),
        FACT(the_likeliest_tokens_are_told_and_the_drawn_one),
        FACT(lines_that_cannot_be_run_are_answered_at_once),
        FACT(the_next_start_runs_what_is_left),
        FACT(what_the_end_of_a_run_cuts_short_is_no_answer),
        FACT(a_full_disk_asks_the_run_to_end),
        FACT(a_result_too_long_for_a_line_is_an_error_and_the_others_go_on),
        FACT(a_signal_ends_the_reading),
        FACT(a_file_of_another_form_is_refused_as_a_whole),
        FACT(a_byte_order_mark_is_none_of_the_first_request),
        cmocka_unit_test(hostile_results_are_refused),
    };
#undef FACT
    return cmocka_run_group_tests(tests, NULL, NULL);
}
