/* test_tokenizer_json.c - what tokenizer.json may say, and what not. */
#include "tokenizer_asserts.h"

static ndl_status parse_text(const char *json, size_t n)
{
    ndl_tokenizer *t = NULL;
    ndl_status_clear();
    const ndl_status st = ndl_tokenizer_parse(&t, json, n, "t.json");
    if (st == NDL_OK)
        ndl_tokenizer_destroy(&t);
    else
        assert_null(t);
    return st;
}

/* Refused, with a message that names the file and says why. */
static void assert_refused(const char *json, const char *why)
{
    if (parse_text(json, strlen(json)) != NDL_EDATA)
        fail_msg("accepted, expected %s: %.300s", why, json);
    const char *message = ndl_status_message();
    if (strncmp(message, "t.json: ", 8) != 0 || !strstr(message, why))
        fail_msg("\"%s\" does not say \"%s\"", message, why);
}

static void assert_fixture_refused(const fixture *f, const char *why)
{
    char *json = fixture_json(f);
    assert_refused(json, why);
    free(json);
}

static const struct {
    fixture f;
    const char *why;
} unsupported[] = {
    { { .model = "{\"type\":\"WordPiece\"}" }, "WordPiece" },
    { { .model = "{\"type\":\"Unigram\"}" }, "Unigram" },
    { { .model = "{\"type\":7}" }, "model type" },
    { { .model = "{\"dropout\":0.1}" }, "dropout" },
    { { .model = "{\"dropout\":\"x\"}" }, "dropout" },
    { { .model = "{\"continuing_subword_prefix\":\"##\"}" },
      "continuing_subword_prefix" },
    { { .model = "{\"end_of_word_suffix\":\"</w>\"}" }, "end_of_word_suffix" },
    { { .model = "{\"byte_fallback\":1}" }, "byte_fallback" },
    { { .model = "{\"byte_fallback\":true}" }, "byte_fallback" },
    { { .model = "{\"unk_token\":3}" }, "unk_token" },
    { { .spm = true, .model = "{\"unk_token\":\"<no>\"}" }, "<no>" },
    { { .normalizer = "{\"type\":\"Lowercase\"}" }, "Lowercase" },
    { { .normalizer = "{}" }, "without a type" },
    { { .normalizer = "[1]" }, "without a type" },
    { { .normalizer = "{\"type\":\"Sequence\",\"normalizers\":3}" },
      "normalizers" },
    { { .normalizer = "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x\"},"
                      "\"content\":\"y\"}" },
      "pattern String" },
    { { .normalizer = "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},"
                      "\"content\":\"y\"}" },
      "empty" },
    { { .pre_tokenizer = "{\"type\":\"Whitespace\"}" }, "Whitespace" },
    { { .pre_tokenizer = BYTE_LEVEL(7, true) }, "add_prefix_space" },
    { { .pre_tokenizer =
            "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL(
                true, true) ",{\"type\":\"Digits\"}]}" },
      "after ByteLevel" },
    { { .pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}"
                         ",\"behavior\":\"Isolated\"}" },
      "offset 1" },
    { { .pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\"}"
                         ",\"behavior\":\"Isolated\"}" },
      "pattern" },
    { { .pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"}"
                         ",\"behavior\":\"Removed\"}" },
      "Removed" },
    { { .pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"}"
                         ",\"behavior\":\"Isolated\",\"invert\":true}" },
      "invert" },
    { { .pre_tokenizer = "{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                         "\"\\\\C\"},\"behavior\":\"Isolated\"}" },
      "pattern" },
    { { .spm = true,
        .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"_\"}" },
      "replacement" },
    { { .decoder = "null" }, "decoder" },
    { { .decoder = "{\"type\":\"WordPiece\"}" }, "WordPiece" },
    { { .decoder = SPM_DECODER }, "does not undo" },
    { { .spm = true, .decoder = BYTE_LEVEL(true, true) }, "does not undo" },
    { { .spm = true,
        .decoder = "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
                   "\"stop\":0}" },
      "Strip" },
    { { .spm = true,
        .decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
                   "\"Fuse\"},{\"type\":\"ByteFallback\"}]}" },
      "after Fuse" },
    { { .tokens = { "b c", "ab c" }, .merges = { "a b c" } }, "must be" },
    { { .post_processor = "{\"type\":\"BertProcessing\"}" }, "BertProcessing" },
    { { .post_processor =
            "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{"
            "\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}],"
            "\"special_tokens\":{\"</s>\":{\"ids\":[2]}}}" },
      "after the text" },
    { { .post_processor =
            "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\""
            ":{\"id\":\"<s>\"}}],\"special_tokens\":{}}" },
      "without ids" },
    { { .post_processor =
            "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\""
            ":{\"id\":\"<s>\"}}],\"special_tokens\":{\"<s>\":{\"ids\":"
            "[4000]}}}" },
      "4000" },
    { { .post_processor =
            "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\""
            ":{\"id\":\"<s>\"}}],\"special_tokens\":{\"<s>\":{\"ids\":"
            "[1,1,1,1,1,1,1,1,1]}}}" },
      "more than 8" },
};

static void tokenizer_json_unsupported_components_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        assert_fixture_refused(&unsupported[i].f, unsupported[i].why);
}

static void tokenizer_json_hostile_vocabularies_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *why;
    } cases[] = {
        { "{\"vocab\":{}}", "vocab" },
        { "{\"vocab\":null}", "vocab" },
        { "{\"vocab\":[\"a\"]}", "vocab" },
        { "{\"vocab\":{\"a\":-1}}", "\"a\"" },
        { "{\"vocab\":{\"a\":16777216}}", "16777215" },
        { "{\"vocab\":{\"a\":9223372036854775807}}", "\"a\"" },
        { "{\"vocab\":{\"a\":1.5}}", "\"a\"" },
        { "{\"vocab\":{\"a\":\"1\"}}", "\"a\"" },
        { "{\"vocab\":{\"a\":null}}", "\"a\"" },
        { "{\"vocab\":{\"a\":1,\"b\":1}}", "id 1 belongs" },
        { "{\"merges\":null}", "merges" },
        { "{\"merges\":{}}", "merges" },
        { "{\"merges\":[7]}", "merge 0" },
        { "{\"merges\":[\"ab\"]}", "merge 0" },
        { "{\"merges\":[\"a b c\"]}", "merge 0" },
        { "{\"merges\":[\" b\"]}", "merge 0" },
        { "{\"merges\":[\"a \"]}", "merge 0" },
        { "{\"merges\":[\"\"]}", "merge 0" },
        { "{\"merges\":[[\"a\"]]}", "merge 0" },
        { "{\"merges\":[[\"a\",\"\"]]}", "merge 0" },
        { "{\"merges\":[[\"a\",1]]}", "merge 0" },
        { "{\"merges\":[[\"a\",\"b\",\"c\"]]}", "merge 0" },
        { "{\"merges\":[\"a b\"]}", "\"a\" and \"b\"" },
        { "{\"merges\":[\"no a\"]}", "\"no\" and \"a\"" },
        { "{\"merges\":[\"t t\"]}", "not in the vocabulary" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fixture f = { .model = cases[i].model };
        assert_fixture_refused(&f, cases[i].why);
    }
}

static void tokenizer_json_hostile_added_tokens_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *added, *why;
    } cases[] = {
        { "7", "added_tokens" },
        { "[7]", "entry 0" },
        { "[{\"id\":300}]", "entry 0" },
        { "[{\"id\":300,\"content\":\"\"}]", "entry 0" },
        { "[{\"content\":\"x\"}]", "\"x\"" },
        { "[{\"id\":-2,\"content\":\"x\"}]", "\"x\"" },
        { "[{\"id\":5,\"content\":\"<x>\"}]", "contradicts" },
        { "[{\"id\":300,\"content\":\"a\"}]", "contradicts" },
        { "[{\"id\":300,\"content\":\"<x>\"},{\"id\":300,\"content\":\"<x>\"}]",
          "contradicts" },
        { "[{\"id\":300,\"content\":\"<x>\",\"special\":1}]", "special" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fixture f = { .added = cases[i].added };
        assert_fixture_refused(&f, cases[i].why);
    }
}

static void tokenizer_json_broken_files_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "", "JSON" },
        { "[]", "model" },
        { "{}", "model" },
        { "{\"model\":[]}", "model" },
        { "{\"model\":{\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "JSON" },
        { "{\"model\":{\"vocab\":{\"\xff\":0},\"merges\":[]}}", "JSON" },
        { "{\"model\":{\"vocab\":{\"a\\u0000\":0},\"merges\":[]}}", "JSON" },
        { "{\"model\":{\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}",
          "duplicate" },
        { "{\"model\":{\"vocab\":{\"a\":99999999999999999999}}}", "JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i][0], cases[i][1]);
}

static void tokenizer_json_truncated_anywhere_is_refused(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "ab" }, .merges = { "a b" } };
    char *json = fixture_json(&f);
    const size_t n = strlen(json);
    assert_int_equal(parse_text(json, n), NDL_OK);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(parse_text(json, cut), NDL_EDATA);
    free(json);
}

/* A file whose merges would go in circles cannot be written in JSON: the
 * result of a merge is its text.  Parts that no text leads to do no harm. */
static void
tokenizer_json_merges_of_unreachable_tokens_are_left_out(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "\u65e5", "a\u65e5", "aa" },
                        .merges = { "a \u65e5", "a a" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "aa", false, FIRST_TOKEN + 2);
    assert_ids(t, "a\u65e5", false, 'a', 0xe6, 0x97, 0xa5);
    assert_text(t, "\u65e5", false, FIRST_TOKEN);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_json_both_forms_of_merges_are_read(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "ab", "abc" },
                        .model = "{\"merges\":[\"a b\",[\"ab\",\"c\"]]}" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "abcab", false, FIRST_TOKEN + 1, FIRST_TOKEN);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_json_the_oldest_files_do_not_name_the_model(void **state)
{
    (void)state;
    static const char json[] = "{\"pre_tokenizer\":" BYTE_LEVEL(
        false,
        true) ",\"decoder\":" BYTE_LEVEL(false,
                                         true) ",\"model\":{\"vocab\":{\"a\":0}"
                                               ",\"merges\":[]}}";
    ndl_tokenizer *t = must_parse(json, strlen(json));
    assert_ids(t, "aa", false, 0, 0);
    assert_int_equal(ndl_tokenizer_size(t), 1);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_json_ids_may_have_holes(void **state)
{
    (void)state;
    const fixture f = { .added = "[{\"id\":70000,\"content\":\"<far>\"}]" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_int_equal(ndl_tokenizer_size(t), 70001);
    assert_ids(t, "a<far>", false, 'a', 70000);
    assert_text(t, "a<far>", false, 'a', 69999, 70000, 70001, -1, INT32_MIN);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_json_mutated_files_never_crash(void **state)
{
    (void)state;
    const fixture f = {
        .spm = true,
        .tokens = { "\u2581", "a", "b", "ab" },
        .merges = { "a b" },
        .added = "[{\"id\":300,\"content\":\"<x>\",\"special\":true}]"
    };
    char *json = fixture_json(&f);
    const size_t n = strlen(json);
    int accepted = 0;
    for (int i = 0; i < 2000; i++) {
        char *bad = malloc(n);
        assert_non_null(bad);
        memcpy(bad, json, n);
        for (size_t k = 1 + fixture_below(3); k-- > 0;)
            bad[fixture_below(n)] =
                "0123456789{}[],:\"ab\\ \xff"[fixture_below(23)];
        ndl_tokenizer *t = NULL;
        ndl_status_clear();
        if (ndl_tokenizer_parse(&t, bad, n, "t.json") == NDL_OK) {
            const encoded e = must_encode(t, "ab a<x>\u20ac", 10, true);
            free(e.ids);
            accepted++;
        } else {
            assert_string_not_equal(ndl_status_message(), "");
        }
        ndl_tokenizer_destroy(&t);
        free(bad);
    }
    print_message("%d of 2000 mutated files are still tokenizers\n", accepted);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizer_json_unsupported_components_are_named),
        cmocka_unit_test(tokenizer_json_hostile_vocabularies_are_refused),
        cmocka_unit_test(tokenizer_json_hostile_added_tokens_are_refused),
        cmocka_unit_test(tokenizer_json_broken_files_are_refused),
        cmocka_unit_test(tokenizer_json_truncated_anywhere_is_refused),
        cmocka_unit_test(
            tokenizer_json_merges_of_unreachable_tokens_are_left_out),
        cmocka_unit_test(tokenizer_json_both_forms_of_merges_are_read),
        cmocka_unit_test(tokenizer_json_the_oldest_files_do_not_name_the_model),
        cmocka_unit_test(tokenizer_json_ids_may_have_holes),
        cmocka_unit_test(tokenizer_json_mutated_files_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
