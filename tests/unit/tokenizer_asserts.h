/* tokenizer_asserts.h - what the tests of src/text say again and again. */
#ifndef NOODLE_TOKENIZER_ASSERTS_H
#define NOODLE_TOKENIZER_ASSERTS_H

#include <time.h>

#include "tokenizer_fixture.h"

typedef struct encoded {
    int32_t *ids;
    size_t n;
} encoded;

static inline encoded must_encode(const ndl_tokenizer *t, const char *text,
                                  size_t n, bool special)
{
    encoded e = { NULL, 0 };
    ndl_status_clear();
    if (ndl_tokenizer_encode(t, text, n, special, &e.ids, &e.n) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return e;
}

static inline void assert_encodes(const ndl_tokenizer *t, const char *text,
                                  bool special, const int32_t *want, size_t n)
{
    const encoded e = must_encode(t, text, strlen(text), special);
    bool same = e.n == n;
    for (size_t i = 0; same && i < n; i++) same = e.ids[i] == want[i];
    if (!same) {
        print_error("\"%s\" is", text);
        for (size_t i = 0; i < e.n; i++) print_error(" %d", e.ids[i]);
        fail_msg(", not the %zu ids expected", n);
    }
    free(e.ids);
}

/* assert_ids(t, "text", special, 1, 2, 3) */
#define assert_ids(t, text, special, ...)                                      \
    assert_encodes(t, text, special, (const int32_t[]){ __VA_ARGS__ },         \
                   sizeof((const int32_t[]){ __VA_ARGS__ }) / 4)

static inline void assert_decodes(const ndl_tokenizer *t, const int32_t *ids,
                                  size_t n, bool special, const char *want)
{
    char *text = NULL;
    size_t n_text = 0;
    assert_int_equal(ndl_tokenizer_decode(t, ids, n, special, &text, &n_text),
                     NDL_OK);
    assert_string_equal(text, want);
    assert_int_equal(n_text, strlen(want));
    free(text);
}

#define assert_text(t, want, special, ...)                                     \
    assert_decodes(t, (const int32_t[]){ __VA_ARGS__ },                        \
                   sizeof((const int32_t[]){ __VA_ARGS__ }) / 4, special,      \
                   want)

/* Text that comes back as it went in. */
static inline void assert_round_trip(const ndl_tokenizer *t, const char *text,
                                     size_t n)
{
    const encoded e = must_encode(t, text, n, false);
    char *back = NULL;
    size_t n_back = 0;
    assert_int_equal(ndl_tokenizer_decode(t, e.ids, e.n, false, &back, &n_back),
                     NDL_OK);
    assert_int_equal(n_back, n);
    assert_memory_equal(back, text, n);
    free(back);
    free(e.ids);
}

static inline bool is_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)s[i];
        const size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (c >= 0x80 && c < 0xc2) return false;
        if (i + len > n) return false;
        for (size_t k = 1; k < len; k++)
            if (((unsigned char)s[i + k] & 0xc0) != 0x80) return false;
        i += len;
    }
    return true;
}

/* Id by id, whole characters only, and in the end the same text. */
static inline void assert_streams(const ndl_tokenizer *t, const int32_t *ids,
                                  size_t n, bool special)
{
    const size_t cap = ndl_tokenizer_max_piece(t) + 64;
    char *piece = malloc(cap), *whole = NULL;
    size_t n_whole = 0, at = 0;
    ndl_detokenizer d;
    assert_non_null(piece);
    assert_int_equal(ndl_tokenizer_decode(t, ids, n, special, &whole, &n_whole),
                     NDL_OK);
    ndl_detokenizer_init(&d, t, special);
    for (size_t i = 0; i <= n; i++) {
        const size_t len = i < n ? ndl_detokenizer_next(&d, ids[i], piece, cap)
                                 : ndl_detokenizer_end(&d, piece, 48);
        assert_true(len <= cap && len <= n_whole - at);
        assert_true(is_utf8(piece, len));
        if (len) assert_memory_equal(piece, whole + at, len);
        at += len;
    }
    assert_int_equal(at, n_whole);
    free(piece);
    free(whole);
}

/* splitmix64 from NDL_TEST_SEED or the clock; the seed is printed. */
static inline uint64_t fixture_random(void)
{
    static uint64_t state;
    if (state == 0) {
        const char *fixed = getenv("NDL_TEST_SEED");
        state = fixed ? strtoull(fixed, NULL, 0) : (uint64_t)time(NULL);
        print_message("NDL_TEST_SEED=%llu\n", (unsigned long long)state);
    }
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline size_t fixture_below(size_t n)
{
    return (size_t)(fixture_random() % n);
}

/* `n` random characters of all lengths; returns bytes, out has 4 * n + 1. */
static inline size_t fixture_text(char *out, size_t n)
{
    static const uint32_t most[] = { 0x80, 0x80, 0x800, 0x10000, 0x110000 };
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint32_t)fixture_below(most[fixture_below(5)]);
        if ((c >= 0xd800 && c < 0xe000) || c == 0) c = ' ';
        const int extra = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const unsigned char marks[] = { 0, 0xc0, 0xe0, 0xf0 };
        out[len++] = (char)(marks[extra] | c >> (6 * extra));
        for (int k = extra - 1; k >= 0; k--)
            out[len++] = (char)(0x80 | (c >> (6 * k) & 0x3f));
    }
    out[len] = '\0';
    return len;
}

#endif /* NOODLE_TOKENIZER_ASSERTS_H */
