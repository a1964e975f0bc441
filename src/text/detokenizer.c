/*
 * detokenizer.c - ids to text, one by one; decoding at once is the same loop.
 *
 * Tokens are bytes; characters may be spread over several.  The bytes of an
 * unfinished character wait in `held`, at most three.  `started` is true after
 * the first token or the first character, whatever the form strips by.
 */
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

static const char replacement[3] = "\xef\xbf\xbd";
static const uint8_t metaspace[3] = { 0xe2, 0x96, 0x81 };

typedef struct writer {
    char *out;
    size_t n, cap;
} writer;

static void put(writer *w, const void *bytes, size_t n)
{
    NDL_ASSERT(n <= w->cap - w->n);
    memcpy(w->out + w->n, bytes, n);
    w->n += n;
}

static void put_char(ndl_detokenizer *d, writer *w, size_t n)
{
    const bool strip = d->tokenizer->decoder.strip == NDL_STRIP_ONE_SPACE;
    if (!(strip && !d->started && d->held[0] == ' ')) put(w, d->held, n);
    if (strip) d->started = true;
}

/* Bytes that are no character: byte-fallback vocabularies show each, others
 * one sign for a broken character. */
static void put_broken(ndl_detokenizer *d, writer *w, int n)
{
    const int signs = d->tokenizer->byte_level ? 1 : n;
    for (int i = 0; i < signs; i++) put(w, replacement, sizeof replacement);
    d->started = true;
}

static void drop(ndl_detokenizer *d, int n)
{
    d->n_held -= n;
    memmove(d->held, d->held + n, (size_t)d->n_held);
}

static void feed(ndl_detokenizer *d, writer *w, uint8_t byte)
{
    d->held[d->n_held++] = byte;
    for (;;) {
        const int n = ndl_utf8_decode(d->held, (size_t)d->n_held, NULL);
        if (n == 0) return;
        if (n > 0)
            put_char(d, w, (size_t)n);
        else
            put_broken(d, w, -n);
        drop(d, abs(n));
    }
}

void ndl_detokenizer_init(ndl_detokenizer *d, const ndl_tokenizer *t,
                          bool special)
{
    memset(d, 0, sizeof *d);
    d->tokenizer = t;
    d->special = special;
}

static bool is_shown(const ndl_detokenizer *d, int32_t id)
{
    const ndl_tokenizer *t = d->tokenizer;
    if (id < 0 || (uint32_t)id >= t->n_ids) return false;
    return d->special || !(t->flags[id] & NDL_TOKEN_SPECIAL);
}

size_t ndl_detokenizer_next(ndl_detokenizer *d, int32_t id, char *out,
                            size_t cap)
{
    const ndl_tokenizer *t = d->tokenizer;
    writer w = { out, 0, cap };
    size_t n;
    if (!is_shown(d, id)) return 0;
    const uint8_t *s = ndl_vocab_shown(t, (uint32_t)id, &n);
    const int byte =
        t->decoder.byte_fallback ? ndl_vocab_fallback_byte(s, n) : -1;
    const bool by_token = t->decoder.strip == NDL_STRIP_FIRST_TOKEN;
    const bool drop_spaces = by_token && !d->started;
    if (byte >= 0) feed(d, &w, (uint8_t)byte);
    for (size_t i = 0; byte < 0 && i < n; i++) {
        if (!t->decoder.spaces || n - i < sizeof metaspace ||
            memcmp(s + i, metaspace, sizeof metaspace) != 0) {
            feed(d, &w, s[i]);
            continue;
        }
        if (!drop_spaces) feed(d, &w, ' ');
        i += sizeof metaspace - 1;
    }
    if (by_token) d->started = true;
    return w.n;
}

size_t ndl_detokenizer_end(ndl_detokenizer *d, char *out, size_t cap)
{
    writer w = { out, 0, cap };
    if (d->n_held > 0) put_broken(d, &w, d->n_held);
    d->n_held = 0;
    return w.n;
}

size_t ndl_tokenizer_max_piece(const ndl_tokenizer *t)
{
    return t->max_piece;
}

ndl_status ndl_tokenizer_decode(const ndl_tokenizer *t, const int32_t *ids,
                                size_t n, bool special, char **text,
                                size_t *n_text)
{
    const size_t room = t->max_piece + 64;
    ndl_detokenizer d;
    ndl_buffer b = { 0 };
    ndl_status st = ndl_buffer_reserve(&b, room);
    ndl_detokenizer_init(&d, t, special);
    for (size_t i = 0; st == NDL_OK && i < n; i++) {
        b.n += ndl_detokenizer_next(&d, ids[i], (char *)b.data + b.n, room);
        st = ndl_buffer_reserve(&b, room);
    }
    if (st != NDL_OK) {
        ndl_buffer_fini(&b);
        return st;
    }
    b.n += ndl_detokenizer_end(&d, (char *)b.data + b.n, room);
    ((char *)b.data)[b.n] = '\0';
    *text = b.data;
    *n_text = b.n;
    return NDL_OK;
}
