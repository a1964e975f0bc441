/* test_bpe.c - facts about the merges of src/text/bpe.c. */
#include "tokenizer_asserts.h"

#define T(i) (FIRST_TOKEN + (i))

static void bpe_merges_lowest_rank_first(void **state)
{
    (void)state;
    /* Of "abc" rank 0 takes bc, although ab lies further left. */
    const fixture f = { .tokens = { "bc", "ab", "abc" },
                        .merges = { "b c", "a b", "ab c" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "abc", false, 'a', T(0));
    assert_ids(t, "abd", false, T(1), 'd');
    ndl_tokenizer_destroy(&t);
}

static void bpe_equal_ranks_go_from_the_left(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "aa", "aaaa" },
                        .merges = { "a a", "aa aa" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "aaa", false, T(0), 'a');
    assert_ids(t, "aaaaa", false, T(1), 'a');
    assert_ids(t, "aaaaaaa", false, T(1), T(0), 'a');
    ndl_tokenizer_destroy(&t);
}

static void bpe_stale_candidates_are_skipped(void **state)
{
    (void)state;
    /* bc is a candidate until ab takes the b; then abc must not appear. */
    const fixture f = { .tokens = { "ab", "bc", "cd" },
                        .merges = { "a b", "b c", "c d" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "abcd", false, T(0), T(2));
    assert_ids(t, "bcd", false, T(1), 'd');
    ndl_tokenizer_destroy(&t);
}

static void bpe_of_a_merge_said_twice_the_later_counts(void **state)
{
    (void)state;
    const fixture f = { .tokens = { "ab", "bc" },
                        .merges = { "a b", "b c", "a b" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "abc", false, 'a', T(1));
    ndl_tokenizer_destroy(&t);
}

static void bpe_ignore_merges_takes_whole_pieces_of_the_vocabulary(void **state)
{
    (void)state;
    fixture f = { .tokens = { "ab", "word" }, .merges = { "a b" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "word", false, 'w', 'o', 'r', 'd');
    ndl_tokenizer_destroy(&t);
    f.model = "{\"ignore_merges\": true}";
    t = fixture_tokenizer(&f);
    assert_ids(t, "word", false, T(1));
    assert_ids(t, "words", false, 'w', 'o', 'r', 'd', 's');
    assert_ids(t, "ab", false, T(0));
    ndl_tokenizer_destroy(&t);
}

static void bpe_unknown_characters_fall_back_to_bytes(void **state)
{
    (void)state;
    const fixture f = { .spm = true, .tokens = { "\u2581", "a" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "a\u20aca", false, T(0), T(1), 3 + 0xe2, 3 + 0x82, 3 + 0xac,
               T(1));
    ndl_tokenizer_destroy(&t);
}

static void bpe_without_fallback_the_unknown_token_stands_in(void **state)
{
    (void)state;
    fixture f = { .spm = true,
                  .tokens = { "\u2581", "a" },
                  .model = "{\"byte_fallback\": false}" };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    assert_ids(t, "axya\u20ac", false, T(0), T(1), 0, 0, T(1), 0);
    ndl_tokenizer_destroy(&t);
    f.model = "{\"byte_fallback\": false, \"fuse_unk\": true}";
    t = fixture_tokenizer(&f);
    assert_ids(t, "axya\u20ac", false, T(0), T(1), 0, T(1), 0);
    ndl_tokenizer_destroy(&t);
    f.model = "{\"byte_fallback\": false, \"unk_token\": null}";
    t = fixture_tokenizer(&f);
    assert_ids(t, "axya", false, T(0), T(1), T(1));
    ndl_tokenizer_destroy(&t);
}

/* --- against the simplest algorithm, on random merges --- */

enum { N_RANDOM = 200, MAX_LEN = 12 };

typedef struct random_merges {
    char tokens[N_RANDOM + 3][MAX_LEN + 1]; /* a b c, then the results */
    int left[N_RANDOM], right[N_RANDOM];    /* indices of tokens       */
    int n;
} random_merges;

static int index_of(const random_merges *r, const char *token)
{
    for (int i = 0; i < r->n + 3; i++)
        if (strcmp(r->tokens[i], token) == 0) return i;
    return -1;
}

static void make_random(random_merges *r)
{
    memset(r, 0, sizeof *r);
    for (int i = 0; i < 3; i++) r->tokens[i][0] = (char)('a' + i);
    for (int tries = 0; tries < N_RANDOM; tries++) {
        const int a = (int)fixture_below((size_t)r->n + 3);
        const int b = (int)fixture_below((size_t)r->n + 3);
        char both[2 * MAX_LEN + 1];
        snprintf(both, sizeof both, "%s%s", r->tokens[a], r->tokens[b]);
        if (strlen(both) > MAX_LEN || index_of(r, both) >= 0) continue;
        memcpy(r->tokens[r->n + 3], both, strlen(both) + 1);
        r->left[r->n] = a;
        r->right[r->n] = b;
        r->n++;
    }
}

static ndl_tokenizer *random_tokenizer(const random_merges *r)
{
    const fixture f = { 0 };
    char *text = fixture_json(&f);
    json_t *root = fixture_part(text, NULL);
    json_t *model = json_object_get(root, "model");
    for (int i = 0; i < r->n; i++) {
        json_object_set_new(json_object_get(model, "vocab"), r->tokens[i + 3],
                            json_integer(FIRST_TOKEN + i));
        json_array_append_new(
            json_object_get(model, "merges"),
            json_pack("[ss]", r->tokens[r->left[i]], r->tokens[r->right[i]]));
    }
    free(text);
    text = json_dumps(root, 0);
    json_decref(root);
    ndl_tokenizer *t = must_parse(text, strlen(text));
    free(text);
    return t;
}

/* Again and again the leftmost pair of the lowest rank: O(n^2), no heap. */
static size_t merge_simply(const random_merges *r, const char *text, int *out)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) out[i] = text[i] - 'a';
    for (;;) {
        int best = r->n;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int k = 0; k < best; k++)
                if (r->left[k] == out[i] && r->right[k] == out[i + 1]) {
                    best = k;
                    at = i;
                }
        if (best == r->n) break;
        out[at] = best + 3;
        memmove(out + at + 1, out + at + 2, (n - at - 2) * sizeof *out);
        n--;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] < 3 ? 'a' + out[i] : FIRST_TOKEN + out[i] - 3;
    return n;
}

static void bpe_is_the_simplest_algorithm_only_faster(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        static random_merges r;
        make_random(&r);
        ndl_tokenizer *t = random_tokenizer(&r);
        for (int i = 0; i < 50; i++) {
            char text[65];
            int want[64];
            const size_t n = 1 + fixture_below(64);
            for (size_t k = 0; k < n; k++)
                text[k] = (char)('a' + fixture_below(3));
            text[n] = '\0';
            const size_t n_want = merge_simply(&r, text, want);
            assert_encodes(t, text, false, want, n_want);
        }
        ndl_tokenizer_destroy(&t);
    }
}

static void bpe_a_megabyte_without_a_cut_takes_no_longer(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    const fixture f = { .tokens = { "aa", "aaaa", "aaaaaaaa" },
                        .merges = { "a a", "aa aa", "aaaa aaaa" } };
    ndl_tokenizer *t = fixture_tokenizer(&f);
    char *text = malloc(N);
    assert_non_null(text);
    memset(text, 'a', N);
    const clock_t start = clock();
    const encoded e = must_encode(t, text, N, false);
    const double sec = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(e.n, N / 8);
    for (size_t i = 0; i < e.n; i++) assert_int_equal(e.ids[i], T(2));
    /* Quadratic would be hours; sanitizers take ten times as long. */
    print_message("1 MB of a: %.3f s of CPU\n", sec);
    assert_true(sec < 10);
    free(e.ids);
    free(text);
    ndl_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_merges_lowest_rank_first),
        cmocka_unit_test(bpe_equal_ranks_go_from_the_left),
        cmocka_unit_test(bpe_stale_candidates_are_skipped),
        cmocka_unit_test(bpe_of_a_merge_said_twice_the_later_counts),
        cmocka_unit_test(
            bpe_ignore_merges_takes_whole_pieces_of_the_vocabulary),
        cmocka_unit_test(bpe_unknown_characters_fall_back_to_bytes),
        cmocka_unit_test(bpe_without_fallback_the_unknown_token_stands_in),
        cmocka_unit_test(bpe_is_the_simplest_algorithm_only_faster),
        cmocka_unit_test(bpe_a_megabyte_without_a_cut_takes_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
