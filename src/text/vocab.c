/*
 * vocab.c - checks a vocabulary and derives the tables that encoding needs.
 *
 * Everything that can be derived in a millisecond is, and is not stored: what
 * is not in the file cannot contradict it.
 */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/hash.h"
#include "utf8.h"

const uint8_t *ndl_vocab_token(const ndl_tokenizer *t, uint32_t id, size_t *n)
{
    *n = t->offsets[id + 1] - t->offsets[id];
    return t->bytes + t->offsets[id];
}

/* Bytes that print stand for themselves in a byte-level vocabulary. */
static bool prints(uint32_t c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) ||
           (c >= 0xae && c <= 0xff);
}

/* The others are U+0100 and up, in order: how many lie below `byte`. */
static uint32_t others_below(uint32_t byte)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < byte; c++) n += !prints(c);
    return n;
}

uint32_t ndl_vocab_char_of(uint8_t byte)
{
    return prints(byte) ? byte : 0x100 + others_below(byte);
}

int ndl_vocab_byte_of(uint32_t cp)
{
    if (prints(cp)) return (int)cp;
    if (cp < 0x100) return -1;
    if (cp <= 0x120) return (int)(cp - 0x100);        /* 0x00 to 0x20 */
    if (cp <= 0x142) return (int)(cp - 0x121 + 0x7f); /* 0x7f to 0xa0 */
    return cp == 0x143 ? 0xad : -1;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int ndl_vocab_fallback_byte(const uint8_t *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>') return -1;
    const int high = hex_digit(s[3]), low = hex_digit(s[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The text of these may be used by the merges: no markup comes from there. */
static bool is_plain(const ndl_tokenizer *t, uint32_t id)
{
    return (t->flags[id] & (NDL_TOKEN_MODEL | NDL_TOKEN_SPECIAL)) ==
           NDL_TOKEN_MODEL;
}

static ndl_status check_token(const ndl_tokenizer *t, uint32_t id)
{
    size_t n;
    const uint8_t *s = ndl_vocab_token(t, id, &n);
    const uint8_t flags = t->flags[id];
    const bool any_bytes = t->byte_level && (flags & NDL_TOKEN_MODEL);
    if (!(flags & NDL_TOKEN_PRESENT) && (flags || n))
        return NDL_FAIL(NDL_EDATA,
                        "%s: token %u: has text or flags, but does "
                        "not exist: import the model again",
                        t->what, id);
    if (n > NDL_VOCAB_MAX_TOKEN ||
        ((flags & NDL_TOKEN_ADDED) && (n == 0 || n > NDL_VOCAB_MAX_ADDED)) ||
        ((flags & NDL_TOKEN_MODEL) && n == 0))
        return NDL_FAIL(NDL_EDATA, "%s: token %u: %zu bytes: not supported",
                        t->what, id, n);
    if (!any_bytes && ndl_utf8_check(s, n) != n)
        return NDL_FAIL(NDL_EDATA, "%s: token %u: not valid UTF-8", t->what,
                        id);
    return NDL_OK;
}

static ndl_status check_tokens(ndl_tokenizer *t)
{
    if (t->n_ids == 0 || t->n_ids > NDL_VOCAB_MAX_IDS)
        return NDL_FAIL(NDL_EDATA, "%s: vocabulary of %u ids: must be 1 to %d",
                        t->what, t->n_ids, NDL_VOCAB_MAX_IDS);
    if (t->offsets[0] != 0 || t->offsets[t->n_ids] != t->n_bytes)
        return NDL_FAIL(NDL_EDATA, "%s: token offsets do not cover the text",
                        t->what);
    for (uint32_t id = 0; id < t->n_ids; id++)
        if (t->offsets[id] > t->offsets[id + 1])
            return NDL_FAIL(NDL_EDATA, "%s: token %u: offsets fall", t->what,
                            id);
    for (uint32_t id = 0; id < t->n_ids; id++) NDL_TRY(check_token(t, id));
    return NDL_OK;
}

static void index_bytes(ndl_tokenizer *t)
{
    for (int b = 0; b < 256; b++) t->byte_ids[b] = -1;
    for (uint32_t id = 0; id < t->n_ids; id++) {
        size_t n;
        const uint8_t *s = ndl_vocab_token(t, id, &n);
        if (!is_plain(t, id)) continue;
        const int b = !t->byte_level ? ndl_vocab_fallback_byte(s, n)
                      : n == 1       ? s[0]
                                     : -1;
        if (b >= 0) t->byte_ids[b] = (int32_t)id;
    }
}

static ndl_status find_unknown(ndl_tokenizer *t)
{
    bool needed = !t->byte_level;
    t->unknown = -1;
    if (!t->unknown_text) return NDL_OK;
    const size_t want = strlen(t->unknown_text);
    for (uint32_t id = 0; id < t->n_ids; id++) {
        size_t n;
        const uint8_t *s = ndl_vocab_token(t, id, &n);
        if (n != want || memcmp(s, t->unknown_text, n) != 0) continue;
        t->unknown = (int32_t)id;
        return NDL_OK;
    }
    for (int b = 0; b < 256; b++) needed |= t->byte_ids[b] < 0;
    if (!needed) return NDL_OK;
    return NDL_FAIL(NDL_EDATA, "%s: unk_token \"%s\" is not in the vocabulary",
                    t->what, t->unknown_text);
}

static ndl_status check_prefix(const ndl_tokenizer *t)
{
    for (int i = 0; i < t->n_prefix; i++)
        if ((uint32_t)t->prefix[i] >= t->n_ids ||
            !(t->flags[t->prefix[i]] & NDL_TOKEN_PRESENT))
            return NDL_FAIL(NDL_EDATA,
                            "%s: post_processor: id %d is not in the "
                            "vocabulary",
                            t->what, t->prefix[i]);
    return NDL_OK;
}

/* A power of two of which `n` entries fill at most half. */
static uint32_t table_size(uint32_t n)
{
    uint32_t size = 16;
    while (size < 2 * n) size *= 2;
    return size;
}

/* Looked up are whole pieces if merges are ignored, else only the characters
 * that a piece starts from (bytes have their own table). */
static bool is_word(const ndl_tokenizer *t, uint32_t id)
{
    size_t n;
    const uint8_t *s = ndl_vocab_token(t, id, &n);
    if (!is_plain(t, id)) return false;
    if (t->ignore_merges) return true;
    return !t->byte_level && ndl_utf8_decode(s, n, NULL) == (int)n;
}

static uint32_t word_slot(const ndl_tokenizer *t, const uint8_t *s, size_t n)
{
    uint32_t i = (uint32_t)ndl_hash_bytes(s, n, 0) & t->word_mask;
    for (; t->words[i] != 0; i = (i + 1) & t->word_mask) {
        size_t len;
        const uint8_t *word = ndl_vocab_token(t, t->words[i] - 1, &len);
        if (len == n && memcmp(word, s, n) == 0) break;
    }
    return i;
}

int32_t ndl_vocab_find(const ndl_tokenizer *t, const uint8_t *s, size_t n)
{
    return (int32_t)t->words[word_slot(t, s, n)] - 1;
}

static ndl_status index_words(ndl_tokenizer *t)
{
    uint32_t n_words = 0;
    for (uint32_t id = 0; id < t->n_ids; id++) n_words += is_word(t, id);
    t->word_mask = table_size(n_words) - 1;
    t->words = calloc((size_t)t->word_mask + 1, sizeof *t->words);
    if (!t->words)
        return NDL_FAIL(NDL_EOS, "%s: out of memory for %u words", t->what,
                        n_words);
    for (uint32_t id = 0; id < t->n_ids; id++) {
        size_t n;
        const uint8_t *s = ndl_vocab_token(t, id, &n);
        if (!is_word(t, id)) continue;
        uint32_t *slot = &t->words[word_slot(t, s, n)];
        if (*slot == 0) *slot = id + 1;
    }
    return NDL_OK;
}

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return ((uint64_t)left << 24 | right) + 1;
}

static ndl_pair *pair_slot(const ndl_tokenizer *t, uint64_t key)
{
    uint32_t i = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & t->pair_mask;
    while (t->pairs[i].key != 0 && t->pairs[i].key != key)
        i = (i + 1) & t->pair_mask;
    return &t->pairs[i];
}

const ndl_pair *ndl_vocab_pair(const ndl_tokenizer *t, uint32_t left,
                               uint32_t right)
{
    const ndl_pair *p = pair_slot(t, pair_key(left, right));
    return p->key ? p : NULL;
}

/* A merge's text is that of its parts: so merges cannot go in circles. */
static ndl_status check_merge(const ndl_tokenizer *t, uint32_t rank)
{
    const uint32_t *m = t->merges[rank];
    size_t n[3];
    const uint8_t *s[3];
    for (int i = 0; i < 3; i++) {
        if (m[i] >= t->n_ids || !(t->flags[m[i]] & NDL_TOKEN_MODEL))
            return NDL_FAIL(NDL_EDATA,
                            "%s: merge %u: id %u is not in the "
                            "vocabulary",
                            t->what, rank, m[i]);
        s[i] = ndl_vocab_token(t, m[i], &n[i]);
    }
    if (n[0] + n[1] != n[2] || memcmp(s[2], s[0], n[0]) != 0 ||
        memcmp(s[2] + n[0], s[1], n[1]) != 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: merge %u: token %u is not %u and %u in "
                        "a row",
                        t->what, rank, m[2], m[0], m[1]);
    return NDL_OK;
}

static ndl_status index_pairs(ndl_tokenizer *t)
{
    t->pair_mask = table_size(t->n_merges) - 1;
    t->pairs = calloc((size_t)t->pair_mask + 1, sizeof *t->pairs);
    if (!t->pairs)
        return NDL_FAIL(NDL_EOS, "%s: out of memory for %u merges", t->what,
                        t->n_merges);
    for (uint32_t rank = 0; rank < t->n_merges; rank++) {
        const uint32_t *m = t->merges[rank];
        NDL_TRY(check_merge(t, rank));
        if (t->flags[m[2]] & NDL_TOKEN_SPECIAL) continue;
        const uint64_t key = pair_key(m[0], m[1]);
        /* Of a merge listed twice the later counts, as in other readers. */
        *pair_slot(t, key) = (ndl_pair){ key, rank, m[2] };
    }
    return NDL_OK;
}

const uint8_t *ndl_vocab_shown(const ndl_tokenizer *t, uint32_t id, size_t *n)
{
    const ndl_matcher *m = &t->normalized;
    if (!t->shown || t->shown[id] == 0) return ndl_vocab_token(t, id, n);
    const ndl_added *item = &m->items[t->shown[id] - 1];
    *n = item->n;
    return (const uint8_t *)m->texts.data + item->offset;
}

/* What is found in normalized text stands for that text.  A byte-level
 * model's own tokens do not: their bytes are what they stand for. */
static ndl_status index_shown(ndl_tokenizer *t)
{
    const ndl_matcher *m = &t->normalized;
    if (m->n == 0) return NDL_OK;
    t->shown = calloc(t->n_ids, sizeof *t->shown);
    if (!t->shown)
        return NDL_FAIL(NDL_EOS, "%s: out of memory for added tokens", t->what);
    for (uint32_t i = 0; i < m->n; i++) {
        const uint32_t id = m->items[i].id;
        if (!t->byte_level || !(t->flags[id] & NDL_TOKEN_MODEL))
            t->shown[id] = i + 1;
    }
    return NDL_OK;
}

/* A character may become three bytes when it turns out to be no UTF-8. */
static size_t longest_output(const uint8_t *s, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += s[i] < 0x80 ? 1 : 3;
    return sum;
}

static void find_max_piece(ndl_tokenizer *t)
{
    for (uint32_t id = 0; id < t->n_ids; id++) {
        size_t n;
        const uint8_t *s = ndl_vocab_shown(t, id, &n);
        const size_t most = longest_output(s, n);
        if (most > t->max_piece) t->max_piece = most;
    }
}

ndl_status ndl_vocab_finish(ndl_tokenizer *t)
{
    NDL_TRY(check_tokens(t));
    index_bytes(t);
    NDL_TRY(find_unknown(t));
    NDL_TRY(check_prefix(t));
    NDL_TRY(index_words(t));
    NDL_TRY(index_pairs(t));
    NDL_TRY(ndl_matcher_init(&t->raw, t, false));
    NDL_TRY(ndl_matcher_init(&t->normalized, t, true));
    NDL_TRY(index_shown(t));
    find_max_piece(t);
    return NDL_OK;
}
