/*
 * test_tokenizer_qwen.c - a tokenizer.json in the style of Qwen 2.5: NFC, one
 * pattern of its own, byte-level BPE, markup tokens past the vocabulary.
 */
#include "tokenizer_asserts.h"

#define PATTERN                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"    \
    "\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"   \
    "\\\\s+(?!\\\\S)|\\\\s+"
#define BYTES                                                                  \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"                      \
    "\"trim_offsets\":false,\"use_regex\":false}"
#define ADDED(id, text, special)                                               \
    "{\"id\":" #id ",\"content\":\"" text                                      \
    "\",\"single_word\":false,\"lstrip\":"                                     \
    "false,\"rstrip\":false,\"normalized\":false,\"special\":" special "}"

enum { THE = FIRST_TOKEN, HE, DIGITS, RE, E_ACUTE, BREAKS, END, START, TOOL };

static const fixture qwen = {
    .normalizer = "{\"type\":\"NFC\"}",
    .pre_tokenizer =
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
        "\"pattern\":{\"Regex\":\"" PATTERN "\"},\"behavior\":\"Isolated\","
        "\"invert\":false}," BYTES "]}",
    .post_processor = BYTES,
    .decoder = BYTES,
    .model = "{\"dropout\":null,\"unk_token\":null,"
             "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\","
             "\"fuse_unk\":false,\"byte_fallback\":false,"
             "\"ignore_merges\":false}",
    .tokens = { "Ġhe", "he", "12", "'r", "Ã©", "ĊĊ" },
    .merges = { "h e", "Ġ he", "1 2", "' r", "Ã ©", "Ċ Ċ" },
    .added = "[" ADDED(265, "<|endoftext|>", "true") "," ADDED(
        266, "<|im_start|>", "true") "," ADDED(267, "<tool_call>", "false") "]",
};

static ndl_tokenizer *make(void)
{
    return fixture_tokenizer(&qwen);
}

static void qwen_words_take_one_character_in_front(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    assert_int_equal(ndl_tokenizer_size(t), 268);
    assert_ids(t, "he he", false, HE, THE);
    assert_ids(t, "(he", false, '(', HE);
    assert_ids(t, "x's", false, 'x', '\'', 's');
    /* A contraction is cut off first, also in front of other letters. */
    assert_ids(t, "'rex", false, RE, 'e', 'x');
    ndl_tokenizer_destroy(&t);
}

static void qwen_digits_stand_alone(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    assert_ids(t, "12", false, '1', '2');
    assert_ids(t, " 12", false, ' ', '1', '2');
    ndl_tokenizer_destroy(&t);
}

static void qwen_breaks_stay_together_and_with_signs(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    assert_ids(t, "\n\nhe", false, BREAKS, HE);
    assert_ids(t, ".\n\nhe", false, '.', BREAKS, HE);
    assert_ids(t, "  he", false, ' ', THE);
    ndl_tokenizer_destroy(&t);
}

static void qwen_text_is_composed_first(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    assert_ids(t, "e\u0301", false, E_ACUTE);
    assert_ids(t, "\u00e9", false, E_ACUTE);
    assert_text(t, "\u00e9", false, E_ACUTE);
    ndl_tokenizer_destroy(&t);
}

static void qwen_markup_is_markup_only_where_it_is_asked_for(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    int32_t prefix[8];
    assert_ids(t, "<|im_start|>he<tool_call>", true, START, HE, TOOL);
    assert_text(t, "he<tool_call>", false, START, HE, TOOL, END);
    assert_text(t, "<|im_start|>he", true, START, HE);
    const encoded e = must_encode(t, "<|im_start|>", 12, false);
    for (size_t i = 0; i < e.n; i++) assert_int_not_equal(e.ids[i], START);
    free(e.ids);
    assert_int_equal(ndl_tokenizer_prefix(t, prefix), 0);
    ndl_tokenizer_destroy(&t);
}

static void qwen_random_texts_come_back_composed(void **state)
{
    (void)state;
    ndl_tokenizer *t = make();
    for (int i = 0; i < 200; i++) {
        char text[4 * 64 + 1];
        const size_t n = fixture_text(text, fixture_below(64));
        const encoded e = must_encode(t, text, n, false);
        char *back = NULL;
        size_t n_back = 0;
        assert_streams(t, e.ids, e.n, false);
        assert_int_equal(
            ndl_tokenizer_decode(t, e.ids, e.n, false, &back, &n_back), NDL_OK);
        /* What is composed already stays as it is. */
        assert_round_trip(t, back, n_back);
        free(back);
        free(e.ids);
    }
    ndl_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen_words_take_one_character_in_front),
        cmocka_unit_test(qwen_digits_stand_alone),
        cmocka_unit_test(qwen_breaks_stay_together_and_with_signs),
        cmocka_unit_test(qwen_text_is_composed_first),
        cmocka_unit_test(qwen_markup_is_markup_only_where_it_is_asked_for),
        cmocka_unit_test(qwen_random_texts_come_back_composed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
