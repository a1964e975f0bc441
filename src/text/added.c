/* added.c - finds added tokens in a text, leftmost and then longest. */
#include "added.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

/* What an added token looks like in text: a byte-level vocabulary spells its
 * own tokens in its alphabet, so those go back to it. */
static ndl_status content_of(const ndl_tokenizer *t, uint32_t id,
                             ndl_buffer *out)
{
    size_t n;
    const uint8_t *s = ndl_vocab_token(t, id, &n);
    if (!t->byte_level || !(t->flags[id] & NDL_TOKEN_MODEL))
        return ndl_buffer_add(out, s, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t c[4];
        const int len = ndl_utf8_encode(ndl_vocab_char_of(s[i]), c);
        NDL_TRY(ndl_buffer_add(out, c, (size_t)len));
    }
    return NDL_OK;
}

static ndl_status add_item(ndl_matcher *m, const ndl_tokenizer *t, uint32_t id,
                           bool normalized)
{
    ndl_buffer content = { 0 };
    ndl_status st;
    const size_t start = m->texts.n;
    NDL_TRY_GOTO(done, st, content_of(t, id, &content));
    NDL_TRY_GOTO(done, st,
                 normalized
                     ? ndl_normalize(t, content.data, content.n, &m->texts)
                     : ndl_buffer_add(&m->texts, content.data, content.n));
    if (m->texts.n > start) {
        ndl_added *item = &m->items[m->n++];
        item->offset = start;
        item->n = (uint32_t)(m->texts.n - start);
        item->id = id;
        item->flags = t->flags[id];
    }
done:
    ndl_buffer_fini(&content);
    return st;
}

static const uint8_t *text_of(const ndl_matcher *m, uint32_t i)
{
    return (const uint8_t *)m->texts.data + m->items[i].offset;
}

/* qsort has no argument for the texts, so the order is made by merging. */
static bool is_before(const ndl_matcher *m, const ndl_added *a,
                      const ndl_added *b)
{
    const uint8_t *texts = m->texts.data;
    const uint32_t n = a->n < b->n ? a->n : b->n;
    const int c = memcmp(texts + a->offset, texts + b->offset, n);
    return c != 0 ? c < 0 : a->n <= b->n;
}

static void merge_sort(const ndl_matcher *m, ndl_added *a, ndl_added *scratch,
                       uint32_t n)
{
    if (n < 2) return;
    const uint32_t half = n / 2;
    merge_sort(m, a, scratch, half);
    merge_sort(m, a + half, scratch, n - half);
    memcpy(scratch, a, half * sizeof *a);
    for (uint32_t i = 0, j = half, k = 0; i < half; k++)
        a[k] =
            j == n || is_before(m, &scratch[i], &a[j]) ? scratch[i++] : a[j++];
}

ndl_status ndl_matcher_init(ndl_matcher *m, const ndl_tokenizer *t,
                            bool normalized)
{
    const uint8_t mask = NDL_TOKEN_ADDED | NDL_TOKEN_NORMALIZED;
    const uint8_t want = normalized ? mask : (uint8_t)NDL_TOKEN_ADDED;
    uint32_t n = 0;
    for (uint32_t id = 0; id < t->n_ids; id++)
        n += (t->flags[id] & mask) == want;
    if (n == 0) return NDL_OK;
    m->items = malloc(n * sizeof *m->items);
    ndl_added *scratch = malloc(n * sizeof *scratch);
    ndl_status st = NDL_OK;
    if (!m->items || !scratch)
        st = NDL_FAIL(NDL_EOS, "%s: out of memory for %u added tokens", t->what,
                      n);
    for (uint32_t id = 0; st == NDL_OK && id < t->n_ids; id++)
        if ((t->flags[id] & mask) == want) st = add_item(m, t, id, normalized);
    if (st == NDL_OK) merge_sort(m, m->items, scratch, m->n);
    for (uint32_t i = 0; st == NDL_OK && i < m->n; i++)
        m->first[text_of(m, i)[0] + 1]++;
    for (int c = 0; c < 256; c++) m->first[c + 1] += m->first[c];
    free(scratch);
    return st;
}

void ndl_matcher_fini(ndl_matcher *m)
{
    free(m->items);
    ndl_buffer_fini(&m->texts);
    memset(m, 0, sizeof *m);
}

/* First item in [lo, hi) whose byte at `depth` is at least c; all are longer
 * than depth and alike before it. */
static uint32_t lower_bound(const ndl_matcher *m, uint32_t lo, uint32_t hi,
                            uint32_t depth, int c)
{
    while (lo < hi) {
        const uint32_t middle = lo + (hi - lo) / 2;
        if (text_of(m, middle)[depth] < c)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* The longest added token at the start of s; -1 if none. */
static int64_t longest(const ndl_matcher *m, const uint8_t *s, size_t n)
{
    int64_t best = -1;
    uint32_t lo = m->first[s[0]], hi = m->first[s[0] + 1];
    for (uint32_t depth = 1; lo < hi; depth++) {
        for (; lo < hi && m->items[lo].n == depth; lo++) best = lo;
        if (depth >= n) break;
        lo = lower_bound(m, lo, hi, depth, s[depth]);
        hi = lower_bound(m, lo, hi, depth, s[depth] + 1);
    }
    return best;
}

static bool touches_word(const uint8_t *s, size_t n, const ndl_match *found)
{
    uint32_t cp = 0;
    if (found->start > 0 && ndl_utf8_last(s, found->start, &cp) > 0 &&
        ndl_utf8_is_word(cp))
        return true;
    return ndl_utf8_decode(s + found->end, n - found->end, &cp) > 0 &&
           ndl_utf8_is_word(cp);
}

/* Take the white space at the sides that the token wants. */
static void widen(const uint8_t *s, size_t n, size_t from, uint8_t flags,
                  ndl_match *found)
{
    uint32_t cp = 0;
    int len;
    while ((flags & NDL_TOKEN_LSTRIP) && found->start > from &&
           (len = ndl_utf8_last(s, found->start, &cp)) > 0 &&
           ndl_utf8_is_space(cp))
        found->start -= (size_t)len;
    while ((flags & NDL_TOKEN_RSTRIP) &&
           (len = ndl_utf8_decode(s + found->end, n - found->end, &cp)) > 0 &&
           ndl_utf8_is_space(cp))
        found->end += (size_t)len;
}

bool ndl_matcher_find(const ndl_matcher *m, const ndl_buffer *text, size_t from,
                      bool special, ndl_match *out)
{
    const uint8_t *s = text->data;
    if (m->n == 0) return false;
    for (size_t at = from; at < text->n; at++) {
        if (m->first[s[at]] == m->first[s[at] + 1]) continue;
        const int64_t i = longest(m, s + at, text->n - at);
        if (i < 0) continue;
        const uint8_t flags = m->items[i].flags;
        ndl_match found = { at, at + m->items[i].n, m->items[i].id };
        if (((flags & NDL_TOKEN_SPECIAL) && !special) ||
            ((flags & NDL_TOKEN_WORD) && touches_word(s, text->n, &found))) {
            at = found.end - 1;
            continue;
        }
        widen(s, text->n, from, flags, &found);
        *out = found;
        return true;
    }
    return false;
}
