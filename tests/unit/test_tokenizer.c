/* test_tokenizer.c - facts about the whole way of a text, both forms. */
#include "noodle/tokenizer.h"

#include <unistd.h>

#include "noodle/file.h"
#include "tokenizer_asserts.h"

#define T(i) (FIRST_TOKEN + (i))

static ndl_tokenizer *load_shakespeare(void)
{
    char *json = NULL;
    size_t n = 0;
    static const char path[] =
        NDL_SOURCE_DIR "/models/shakespeare/tokenizer.json";
    if (ndl_file_read(&json, &n, path, 1 << 24) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    ndl_tokenizer *t = must_parse(json, n);
    free(json);
    return t;
}

#define TEMPLATE                                                               \
    "{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL(                      \
        true, true) ",{\"type\":\"TemplateProcessing\",\"single\":"            \
                    "[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"      \
                    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"            \
                    "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1]," \
                    "\"tokens\":[\"<s>\"]}}}]}"
#define ADDED(id, content, special, normalized)                                \
    "{\"id\":" #id ",\"content\":\"" content "\",\"single_word\":false,"       \
    "\"lstrip\":false,\"rstrip\":false,\"normalized\":" #normalized            \
    ",\"special\":" #special "}"

static const fixture spm = {
    .spm = true,
    .post_processor = TEMPLATE,
    .tokens = { "\u2581", "a", "b", "\u2581a", "ab" },
    .merges = { "\u2581 a", "a b" },
    .added = "[" ADDED(1, "<s>", true, false) "," ADDED(
        2, "</s>", true, false) "," ADDED(290, "<tool>", false, false) "]",
};

static void tokenizer_empty_text_has_no_ids(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    const encoded e = must_encode(t, NULL, 0, false);
    assert_null(e.ids);
    assert_int_equal(e.n, 0);
    assert_ids(t, "", true, 1);
    assert_decodes(t, NULL, 0, false, "");
    ndl_tokenizer_destroy(&t);
    assert_null(t);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_prefix_is_put_only_with_special(void **state)
{
    (void)state;
    int32_t ids[8];
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    assert_int_equal(ndl_tokenizer_prefix(t, ids), 1);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ndl_tokenizer_size(t), 291);
    assert_ids(t, "ab", true, 1, T(3), T(2));
    assert_ids(t, "ab", false, T(3), T(2));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_markup_in_text_is_only_text(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    const int32_t plain[] = { T(3), 3 + '<', 3 + '/', 3 + 's', 3 + '>' };
    assert_ids(t, "a</s>", true, 1, T(3), 2);
    assert_encodes(t, "a</s>", false, plain, 5);
    /* Tokens that are not special are split out in both cases. */
    assert_ids(t, "a<tool>", false, T(3), 290);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_no_merge_and_no_lookup_makes_a_special_token(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "<x", "<x>" },
                        .merges = { "< x", "<x >" },
                        .model = "{\"ignore_merges\":true}",
                        .added = "[" ADDED(260, "<x>", true, false) "]",
                        .pre_tokenizer = BYTE_LEVEL(false, false) };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "<x>", false, T(0), '>');
    assert_ids(t, "<x>", true, T(1));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_each_section_gets_its_mark(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    /* Prepend is a normalizer: it works on the text between markup. */
    assert_ids(t, "a</s>a", true, 1, T(3), 2, T(3));
    ndl_tokenizer_destroy(&t);
    fixture f = spm;
    f.pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
                      "\"prepend_scheme\":\"first\",\"split\":false}";
    t = fixture_tokenizer(&f);
    assert_ids(t, "a</s>a", true, 1, T(3), 2, T(1));
    assert_ids(t, "</s>a", true, 1, 2, T(1));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_added_tokens_are_leftmost_then_longest(void **state)
{
    (void)state;
    const fixture f = { .added = "[" ADDED(300, "<a>", false, false) "," ADDED(
                            301, "<a><b>", false,
                            false) "," ADDED(302, "><b>c", false, false) "]" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "<a><b>c", false, 301, 'c');
    assert_ids(t, "<a><b", false, 300, '<', 'b');
    assert_ids(t, "x><b>c", false, 'x', 302);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_added_tokens_take_the_space_they_say(void **state)
{
    (void)state;
    const fixture f = {
        .added = "[{\"id\":300,\"content\":\"<l>\",\"lstrip\":true},"
                 "{\"id\":301,\"content\":\"<r>\",\"rstrip\":true},"
                 "{\"id\":302,\"content\":\"word\",\"single_word\":true}]"
    };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "a \u2003<l> b", false, 'a', 300, ' ', 'b');
    assert_ids(t, "a <r>\n b", false, 'a', ' ', 301, 'b');
    assert_ids(t, "<r> <l>", false, 301, 300);
    assert_ids(t, "word.word", false, 302, '.', 302);
    assert_ids(t, "sword", false, 's', 'w', 'o', 'r', 'd');
    assert_ids(t, "word\u00e9", false, 'w', 'o', 'r', 'd', 0xc3, 0xa9);
    ndl_tokenizer_destroy(&t);
}

static void
tokenizer_normalized_tokens_are_found_after_the_normalizer(void **state)
{
    (void)state;
    fixture f = spm;
    f.added = "[" ADDED(290, "qq", false, true) "]";
    ndl_tokenizer *t = fixture_tokenizer(&f);
    /* The token stands for U+2581 qq, so that the space comes back. */
    assert_ids(t, "a qqb", false, T(3), 290, T(2));
    assert_text(t, "a qqb", false, T(3), 290, T(2));
    assert_ids(t, "aqq", false, T(3), 3 + 'q', 3 + 'q');
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_only_the_start_of_the_input_is_first(void **state)
{
    (void)state;
    fixture f = spm;
    f.added = "[" ADDED(290, "qq", false, true) "]";
    f.pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
                      "\"prepend_scheme\":\"first\",\"split\":false}";
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "aqqaqqa", false, T(3), 290, T(1), 290, T(1));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_nothing_is_prepended_to_nothing(void **state)
{
    (void)state;
    fixture f = spm;
    f.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
                   "\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":"
                   "\"\"},{\"type\":\"Prepend\",\"prepend\":\"\u2581\"}]}";
    ndl_tokenizer *t = fixture_tokenizer(&f);
    const encoded e = must_encode(t, "xx", 2, false);
    assert_int_equal(e.n, 0);
    assert_ids(t, "xa", false, T(3));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_nfc_composes(void **state)
{
    (void)state;
    const fixture f = { .normalizer = "{\"type\":\"NFC\"}" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "e\u0301", false, 0xc3, 0xa9);
    assert_ids(t, "\u1100\u1161", false, 0xea, 0xb0, 0x80);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_endless_combining_marks_are_refused(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    const fixture f = { .normalizer = "{\"type\":\"NFC\"}" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    char *text = malloc(2 * N);
    int32_t *ids = NULL;
    size_t n = 0;
    assert_non_null(text);
    /* Above and below in turn: sorting them would be quadratic. */
    for (size_t i = 0; i < N; i++)
        memcpy(text + 2 * i, i % 2 ? "\u0323" : "\u0301", 2);
    ndl_status_clear();
    assert_int_equal(ndl_tokenizer_encode(t, text, 2 * N, false, &ids, &n),
                     NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "combining"));
    free(text);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_a_normalizer_cannot_blow_up_a_text(void **state)
{
    (void)state;
#define GROW                                                                   \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":"        \
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"
    const fixture f = { .normalizer =
                            "{\"type\":\"Sequence\",\"normalizers\":[" GROW
                            "," GROW "," GROW "," GROW "," GROW "]}" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    int32_t *ids = NULL;
    size_t n = 0;
    ndl_status_clear();
    assert_int_equal(ndl_tokenizer_encode(t, "aaaaaaaa", 8, false, &ids, &n),
                     NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "normalizer"));
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_broken_utf8_is_refused_with_its_offset(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *where;
    } cases[] = { { "\xff", "offset 0" },
                  { "ab\xc3", "offset 2" },
                  { "\u00e9\xed\xa0\x80", "offset 2" } };
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t *ids = NULL;
        size_t n = 77;
        ndl_status_clear();
        assert_int_equal(ndl_tokenizer_encode(t, cases[i].text,
                                              strlen(cases[i].text), true, &ids,
                                              &n),
                         NDL_EDATA);
        assert_non_null(strstr(ndl_status_message(), cases[i].where));
        assert_null(ids);
        assert_int_equal(n, 77);
    }
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_zero_bytes_are_text(void **state)
{
    (void)state;
    const fixture f = { 0 };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    const encoded e = must_encode(t, "a\0b", 3, false);
    assert_int_equal(e.n, 3);
    assert_int_equal(e.ids[1], 0);
    free(e.ids);
    assert_round_trip(t, "a\0b", 3);
    ndl_tokenizer_destroy(&t);
}

/* --- decoding --- */

static void detokenizer_shows_markup_only_if_asked(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    assert_text(t, "ab", false, 1, T(3), 2, T(2));
    assert_text(t, "<s> a</s>b", true, 1, T(3), 2, T(2));
    assert_text(t, "a<tool>", false, T(3), 290);
    ndl_tokenizer_destroy(&t);
}

static void detokenizer_strips_one_space_of_the_text(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    assert_text(t, " a", false, T(0), T(3));
    assert_text(t, "b a", false, T(2), T(3));
    assert_text(t, "", false, T(0));
    assert_text(t, "", false, 3 + ' ');
    ndl_tokenizer_destroy(&t);
}

static void detokenizer_metaspace_drops_those_of_the_first_token(void **state)
{
    (void)state;
    fixture f = spm;
    f.tokens[5] = "\u2581\u2581b";
    f.decoder = "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\"}";
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_text(t, "b  b a", false, 1, T(5), T(5), T(3));
    assert_text(t, " a", false, T(0), T(3));
    ndl_tokenizer_destroy(&t);
    f.decoder = "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
                "\"prepend_scheme\":\"never\"}";
    t = fixture_tokenizer(&f);
    assert_text(t, "  b a", false, T(5), T(3));
    ndl_tokenizer_destroy(&t);
}

static void detokenizer_broken_bytes_become_replacement_signs(void **state)
{
    (void)state;
    ndl_tokenizer *t = fixture_tokenizer(&spm);
    /* Byte fallback: a sign for each byte. */
    assert_text(t, "\ufffd\ufffdb", false, 3 + 0xe2, 3 + 0x82, T(2));
    assert_text(t, "\u20ac\ufffd", false, 3 + 0xe2, 3 + 0x82, 3 + 0xac,
                3 + 0xff);
    assert_text(t, "b\ufffd\ufffd\ufffd", false, T(2), 3 + 0xf0, 3 + 0x9f,
                3 + 0xa6);
    ndl_tokenizer_destroy(&t);
    const fixture f = { 0 };
    t = fixture_tokenizer(&f);
    /* Byte level: one for each broken character. */
    assert_text(t, "\ufffdb", false, 0xe2, 0x82, 'b');
    assert_text(t, "\ufffd\ufffd", false, 0xff, 0xf0, 0x9f);
    ndl_tokenizer_destroy(&t);
}

static void detokenizer_streams_what_decode_gives_at_once(void **state)
{
    (void)state;
    fixture f = spm;
    f.decoder = "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\"}";
    ndl_tokenizer *all[] = { fixture_tokenizer(&spm), fixture_tokenizer(&f),
                             load_shakespeare() };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        for (int i = 0; i < 2000; i++) {
            int32_t ids[24];
            const size_t n = fixture_below(24);
            for (size_t j = 0; j < n; j++)
                ids[j] = (int32_t)fixture_below(
                             (size_t)ndl_tokenizer_size(all[k]) + 4) -
                         2;
            assert_streams(all[k], ids, n, i % 2);
        }
        ndl_tokenizer_destroy(&all[k]);
    }
}

/* --- properties --- */

static void tokenizer_random_text_comes_back(void **state)
{
    (void)state;
    ndl_tokenizer *all[] = { fixture_tokenizer(&spm), load_shakespeare() };
    static char text[4 * 200 + 1];
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        for (int i = 0; i < 1000; i++) {
            const size_t n = fixture_text(text, fixture_below(200));
            /* U+2581 is the one character that this form gives up. */
            if (k == 0 && strstr(text, "\u2581")) continue;
            assert_round_trip(all[k], text, n);
            const encoded e = must_encode(all[k], text, n, true);
            assert_streams(all[k], e.ids, e.n, true);
            free(e.ids);
        }
        ndl_tokenizer_destroy(&all[k]);
    }
}

static void tokenizer_shakespeare_speaks(void **state)
{
    (void)state;
    ndl_tokenizer *t = load_shakespeare();
    static const char text[] = "ROMEO:\nWhat lady's that, 123 \u00e9\n\n";
    assert_int_equal(ndl_tokenizer_size(t), 1024);
    assert_int_equal(ndl_tokenizer_prefix(t, (int32_t[8]){ 0 }), 0);
    assert_ids(t, "<|endoftext|>", true, 0);
    assert_round_trip(t, text, sizeof text - 1);
    assert_round_trip(t, "<|endoftext|>", 13);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_a_megabyte_takes_less_than_two_seconds(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char *const fills[] = { "a", " ", "thou", "\u00e9\n", "\t x" };
    ndl_tokenizer *all[] = { fixture_tokenizer(&spm), load_shakespeare() };
    char *text = malloc(N);
    assert_non_null(text);
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        for (size_t f = 0; f < sizeof fills / sizeof *fills; f++) {
            const size_t len = strlen(fills[f]), n = N - N % len;
            for (size_t i = 0; i < n; i++) text[i] = fills[f][i % len];
            const clock_t start = clock();
            assert_round_trip(all[k], text, n);
            const double sec = (double)(clock() - start) / CLOCKS_PER_SEC;
            /* Sanitizers and busy machines: five times what it should be. */
            assert_true(sec < 10);
        }
        ndl_tokenizer_destroy(&all[k]);
    }
    free(text);
}

/* --- the weights file --- */

static char *temporary_path(void)
{
    static char path[64];
    strcpy(path, "/tmp/test_tokenizer_XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

static void assert_same(const ndl_tokenizer *a, const ndl_tokenizer *b)
{
    static char text[4 * 100 + 1];
    int32_t prefix[2][8];
    assert_int_equal(ndl_tokenizer_size(a), ndl_tokenizer_size(b));
    assert_int_equal(ndl_tokenizer_max_piece(a), ndl_tokenizer_max_piece(b));
    const int n_prefix = ndl_tokenizer_prefix(a, prefix[0]);
    assert_int_equal(ndl_tokenizer_prefix(b, prefix[1]), n_prefix);
    assert_memory_equal(prefix[0], prefix[1], (size_t)n_prefix * 4);
    for (int i = 0; i < 200; i++) {
        fixture_text(text, fixture_below(90));
        strcat(text, i % 2 ? "</s>qq" : " qq<|endoftext|>");
        const encoded e = must_encode(a, text, strlen(text), i % 3);
        assert_encodes(b, text, i % 3, e.ids, e.n);
        assert_streams(b, e.ids, e.n, true);
        free(e.ids);
    }
}

static void tokenizer_comes_back_from_a_weights_file(void **state)
{
    (void)state;
    fixture f = spm;
    f.added = "[" ADDED(1, "<s>", true, false) "," ADDED(
        2, "</s>", true, false) "," ADDED(290, "qq", false, true) "]";
    const fixture bytes = { .model = "{\"ignore_merges\":true}" };
    ndl_tokenizer *all[] = { fixture_tokenizer(&f), fixture_tokenizer(&bytes),
                             load_shakespeare() };
    const char *path = temporary_path();
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        ndl_store *s = NULL;
        ndl_tokenizer *back = NULL;
        assert_int_equal(ndl_store_create(&s, path), NDL_OK);
        assert_int_equal(ndl_tokenizer_save(all[k], s), NDL_OK);
        assert_int_equal(ndl_store_commit(&s), NDL_OK);
        assert_int_equal(ndl_store_open(&s, path), NDL_OK);
        if (ndl_tokenizer_load(&back, s) != NDL_OK)
            fail_msg("%s", ndl_status_message());
        ndl_store_close(&s);
        assert_same(all[k], back);
        ndl_tokenizer_destroy(&back);
        ndl_tokenizer_destroy(&all[k]);
    }
    unlink(path);
}

static void tokenizer_json_comes_back_byte_for_byte(void **state)
{
    (void)state;
    char *json = fixture_json(&spm), *back = NULL;
    const char *path = temporary_path();
    size_t n = 0;
    ndl_store *s = NULL;
    ndl_tokenizer *t = must_parse(json, strlen(json)), *loaded = NULL;
    assert_int_equal(ndl_store_create(&s, path), NDL_OK);
    assert_int_equal(ndl_tokenizer_save(t, s), NDL_OK);
    assert_int_equal(ndl_store_commit(&s), NDL_OK);
    assert_int_equal(ndl_store_open(&s, path), NDL_OK);
    assert_int_equal(ndl_tokenizer_json(s, &back, &n), NDL_OK);
    assert_int_equal(n, strlen(json));
    assert_memory_equal(back, json, n);
    assert_int_equal(ndl_tokenizer_load(&loaded, s), NDL_OK);
    assert_int_equal(ndl_tokenizer_save(loaded, s), NDL_ESOFTWARE);
    ndl_store_close(&s);
    ndl_tokenizer_destroy(&t);
    ndl_tokenizer_destroy(&loaded);
    unlink(path);
    free(json);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizer_empty_text_has_no_ids),
        cmocka_unit_test(tokenizer_prefix_is_put_only_with_special),
        cmocka_unit_test(tokenizer_markup_in_text_is_only_text),
        cmocka_unit_test(
            tokenizer_no_merge_and_no_lookup_makes_a_special_token),
        cmocka_unit_test(tokenizer_each_section_gets_its_mark),
        cmocka_unit_test(tokenizer_added_tokens_are_leftmost_then_longest),
        cmocka_unit_test(tokenizer_added_tokens_take_the_space_they_say),
        cmocka_unit_test(
            tokenizer_normalized_tokens_are_found_after_the_normalizer),
        cmocka_unit_test(tokenizer_only_the_start_of_the_input_is_first),
        cmocka_unit_test(tokenizer_nothing_is_prepended_to_nothing),
        cmocka_unit_test(tokenizer_nfc_composes),
        cmocka_unit_test(tokenizer_endless_combining_marks_are_refused),
        cmocka_unit_test(tokenizer_a_normalizer_cannot_blow_up_a_text),
        cmocka_unit_test(tokenizer_broken_utf8_is_refused_with_its_offset),
        cmocka_unit_test(tokenizer_zero_bytes_are_text),
        cmocka_unit_test(detokenizer_shows_markup_only_if_asked),
        cmocka_unit_test(detokenizer_strips_one_space_of_the_text),
        cmocka_unit_test(detokenizer_metaspace_drops_those_of_the_first_token),
        cmocka_unit_test(detokenizer_broken_bytes_become_replacement_signs),
        cmocka_unit_test(detokenizer_streams_what_decode_gives_at_once),
        cmocka_unit_test(tokenizer_random_text_comes_back),
        cmocka_unit_test(tokenizer_shakespeare_speaks),
        cmocka_unit_test(tokenizer_a_megabyte_takes_less_than_two_seconds),
        cmocka_unit_test(tokenizer_comes_back_from_a_weights_file),
        cmocka_unit_test(tokenizer_json_comes_back_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
