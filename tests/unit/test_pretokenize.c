/* test_pretokenize.c - facts about the cuts of src/text/pretokenize.c. */
#include "../../src/text/vocab.h"
#include "tokenizer_asserts.h"

/* The pieces of a text, with | between them. */
static void assert_cuts(const fixture *f, const char *text, bool first,
                        const char *want)
{
    ndl_tokenizer *t = fixture_tokenizer(f);
    ndl_pieces p;
    char got[512] = "";
    size_t start = 0, len = 0;
    assert_int_equal(ndl_pieces_init(&p, strlen(text)), NDL_OK);
    assert_int_equal(
        ndl_pretokenize(t, &p, (const uint8_t *)text, strlen(text), first),
        NDL_OK);
    for (size_t i = 0; i < p.ends.n / sizeof start; i++) {
        const size_t end = ((const size_t *)p.ends.data)[i];
        assert_true(end > start);
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%.*s",
                                i ? "|" : "", (int)(end - start),
                                (const char *)p.text.data + start);
        start = end;
    }
    assert_int_equal(start, p.text.n);
    assert_string_equal(got, want);
    ndl_pieces_fini(&p);
    ndl_tokenizer_destroy(&t);
}

static void assert_byte_cuts(const char *pre_tokenizer, const char *text,
                             const char *want)
{
    const fixture f = { .pre_tokenizer = pre_tokenizer };
    assert_cuts(&f, text, true, want);
}

static void pretokenize_gpt2_cuts_words_numbers_and_the_rest(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "Hello world", "Hello| world" },
        { "I'll don't 'RE", "I|'ll| don|'t| '|RE" },
        { "a  b", "a| | b" },
        { "a   ", "a|   " },
        { "x1234 56", "x|1234| 56" },
        { "Gr\u00fc\u00dfe!!\n\n  x", "Gr\u00fc\u00dfe|!!|\n\n | x" },
        { "\u65e5\u672c \u2167\u00bd", "\u65e5\u672c| \u2167\u00bd" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_byte_cuts(BYTE_LEVEL(false, true), cases[i][0], cases[i][1]);
}

static void pretokenize_byte_level_without_regex_cuts_nothing(void **state)
{
    (void)state;
    assert_byte_cuts(BYTE_LEVEL(false, false), "a b 1!", "a b 1!");
}

static void pretokenize_prefix_space_is_put_once(void **state)
{
    (void)state;
    assert_byte_cuts(BYTE_LEVEL(true, true), "a b", " a| b");
    assert_byte_cuts(BYTE_LEVEL(true, true), " a b", " a| b");
    assert_byte_cuts(BYTE_LEVEL(true, true), "\na", " |\n|a");
}

#define SEQUENCE(first)                                                        \
    "{\"type\":\"Sequence\",\"pretokenizers\":[" first                         \
    "," BYTE_LEVEL(false, false) "]}"
#define SPLIT(kind, pattern, behavior)                                         \
    "{\"type\":\"Split\",\"pattern\":{\"" kind "\":\"" pattern                 \
    "\"},\"behavior\":\"" behavior "\",\"invert\":false}"

static void pretokenize_llama3_keeps_three_digits_and_line_ends(void **state)
{
    (void)state;
    static const char sequence[] = SEQUENCE(
        SPLIT("Regex",
              "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
              "\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"
              "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+",
              "Isolated"));
    assert_byte_cuts(sequence, "I'LL pay 12345.\n\n  ok",
                     "I|'LL| pay| |123|45|.\n\n| | ok");
}

static void pretokenize_split_behaviors(void **state)
{
    (void)state;
    assert_byte_cuts(SEQUENCE(SPLIT("String", ".", "Isolated")), "a..b.",
                     "a|.|.|b|.");
    assert_byte_cuts(SEQUENCE(SPLIT("String", ".", "MergedWithPrevious")),
                     "a..b.c", "a.|.|b.|c");
    assert_byte_cuts(SEQUENCE(SPLIT("String", ".", "MergedWithNext")), "a..b.c",
                     "a|.|.b|.c");
    assert_byte_cuts(SEQUENCE(SPLIT("Regex", "\\\\s+", "Isolated")), "a  b c ",
                     "a|  |b| |c| ");
}

static void pretokenize_empty_matches_cut_nothing(void **state)
{
    (void)state;
    assert_byte_cuts(SEQUENCE(SPLIT("Regex", "x*", "Isolated")),
                     "\u00e9xx\u20ac", "\u00e9|xx|\u20ac");
    assert_byte_cuts(SEQUENCE(SPLIT("Regex", "(?=b)", "Isolated")), "abc",
                     "abc");
}

static void pretokenize_digits(void **state)
{
    (void)state;
    assert_byte_cuts(
        SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}"), "a12 3",
        "a|1|2| |3");
    assert_byte_cuts(
        SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}"), "a12 3",
        "a|12| |3");
}

#define METASPACE(scheme, split)                                               \
    "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":"   \
    "\"" scheme "\",\"split\":" split "}"

static void pretokenize_metaspace_marks_words(void **state)
{
    (void)state;
    static const struct {
        const char *pre_tokenizer;
        bool first;
        const char *text, *want;
    } cases[] = {
        { METASPACE("always", "true"), false, "a b", "\u2581a|\u2581b" },
        { METASPACE("always", "true"), true, " a", "\u2581a" },
        { METASPACE("always", "true"), true, "a  b", "\u2581a|\u2581|\u2581b" },
        { METASPACE("always", "false"), true, "a b", "\u2581a\u2581b" },
        { METASPACE("first", "false"), true, "a b", "\u2581a\u2581b" },
        { METASPACE("first", "false"), false, "a b", "a\u2581b" },
        { METASPACE("never", "true"), true, "a b", "a|\u2581b" },
        { "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\","
          "\"add_prefix_space\":false}",
          true, "a b", "a|\u2581b" },
        { "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
              "String", ".", "MergedWithPrevious") "," METASPACE("first",
                                                                 "false") "]}",
          true, "a.b", "\u2581a.|b" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const fixture f = { .spm = true,
                            .pre_tokenizer = cases[i].pre_tokenizer };
        assert_cuts(&f, cases[i].text, cases[i].first, cases[i].want);
    }
}

/* Patterns that would backtrack for ever must give up, and soon. */
static void pretokenize_hostile_patterns_give_up(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        SEQUENCE(SPLIT("Regex", "(a+)+$", "Isolated")),
        SEQUENCE(SPLIT("Regex", "(a|aa)+$", "Isolated")),
        SEQUENCE(SPLIT("Regex", "(?:a?){40}a{40}[bd]", "Isolated")),
        /* Never too much at one place, but at every place. */
        SEQUENCE(SPLIT("Regex", "(a|aa){1,14}[bd]", "Isolated")),
    };
    enum { N = 20000 };
    static char text[N + 1];
    memset(text, 'a', N);
    text[N - 1] = 'c';
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const fixture f = { .pre_tokenizer = patterns[i] };
        ndl_tokenizer *t = fixture_tokenizer(&f);
        int32_t *ids = NULL;
        size_t n = 0;
        ndl_status_clear();
        const clock_t start = clock();
        assert_int_equal(ndl_tokenizer_encode(t, text, N, false, &ids, &n),
                         NDL_EDATA);
        const double sec = (double)(clock() - start) / CLOCKS_PER_SEC;
        print_message("%s: %.3f s\n", ndl_status_message(), sec);
        assert_true(sec < 10);
        assert_non_null(strstr(ndl_status_message(), "pattern"));
        assert_null(ids);
        ndl_tokenizer_destroy(&t);
    }
}

static void pretokenize_deep_recursion_is_an_error(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    const fixture f = { .pre_tokenizer = SEQUENCE(
                            SPLIT("Regex", "(a(?1)?b|a)", "Isolated")) };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    char *text = malloc(N);
    int32_t *ids = NULL;
    size_t n = 0;
    assert_non_null(text);
    memset(text, 'a', N);
    /* Any answer but a crash is good. */
    if (ndl_tokenizer_encode(t, text, N, false, &ids, &n) == NDL_OK)
        assert_int_equal(n, N);
    free(ids);
    free(text);
    ndl_tokenizer_destroy(&t);
}

static void pretokenize_spaces_in_long_runs_are_no_attack(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    const fixture f = { 0 };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    char *text = malloc(N);
    assert_non_null(text);
    memset(text, ' ', N);
    for (size_t i = 1500; i < N; i += 1501) text[i] = 'x';
    assert_round_trip(t, text, N);
    free(text);
    ndl_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pretokenize_gpt2_cuts_words_numbers_and_the_rest),
        cmocka_unit_test(pretokenize_byte_level_without_regex_cuts_nothing),
        cmocka_unit_test(pretokenize_prefix_space_is_put_once),
        cmocka_unit_test(pretokenize_llama3_keeps_three_digits_and_line_ends),
        cmocka_unit_test(pretokenize_split_behaviors),
        cmocka_unit_test(pretokenize_empty_matches_cut_nothing),
        cmocka_unit_test(pretokenize_digits),
        cmocka_unit_test(pretokenize_metaspace_marks_words),
        cmocka_unit_test(pretokenize_hostile_patterns_give_up),
        cmocka_unit_test(pretokenize_deep_recursion_is_an_error),
        cmocka_unit_test(pretokenize_spaces_in_long_runs_are_no_attack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
