/*
 * tokenizer.c - the way of a text: added tokens out, normalize, cut, merge.
 *
 * The object is immutable; whatever an encoding needs beside it lives in an
 * `encoding` on the stack of the call, so threads may share a tokenizer.
 */
#include "noodle/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "utf8.h"
#include "vocab.h"

void ndl_tokenizer_destroy(ndl_tokenizer **tokenizer)
{
    ndl_tokenizer *t = *tokenizer;
    *tokenizer = NULL;
    if (!t) return;
    for (int i = 0; i < t->n_steps; i++)
        ndl_pattern_destroy(&t->steps[i].pattern);
    ndl_matcher_fini(&t->raw);
    ndl_matcher_fini(&t->normalized);
    free(t->what);
    free(t->bytes);
    free(t->offsets);
    free(t->flags);
    free(t->merges);
    free(t->components);
    free(t->json);
    free(t->unknown_text);
    free(t->words);
    free(t->pairs);
    free(t->shown);
    free(t);
}

int ndl_tokenizer_size(const ndl_tokenizer *t)
{
    return (int)t->n_ids;
}

int ndl_tokenizer_prefix(const ndl_tokenizer *t, int32_t ids[8])
{
    memcpy(ids, t->prefix, sizeof t->prefix);
    return t->n_prefix;
}

typedef struct encoding {
    const ndl_tokenizer *t;
    bool special;
    ndl_buffer ids;        /* of int32_t                    */
    ndl_buffer normalized; /* the section at work           */
    ndl_pieces pieces;
    ndl_bpe bpe;
} encoding;

static ndl_status add_id(encoding *e, uint32_t id)
{
    const int32_t v = (int32_t)id;
    return ndl_buffer_add(&e->ids, &v, sizeof v);
}

/* Normalized text without added tokens.
 * first: it is the start of the input. */
static ndl_status encode_plain(encoding *e, const uint8_t *s, size_t n,
                               bool first)
{
    size_t start = 0;
    if (n == 0) return NDL_OK;
    NDL_TRY(ndl_pretokenize(e->t, &e->pieces, s, n, first));
    const uint8_t *text = e->pieces.text.data;
    const size_t *ends = e->pieces.ends.data;
    for (size_t i = 0; i < e->pieces.ends.n / sizeof *ends; i++) {
        NDL_TRY(ndl_bpe_encode(e->t, &e->bpe, text + start, ends[i] - start,
                               &e->ids));
        start = ends[i];
    }
    return NDL_OK;
}

/* Raw text without the added tokens that are looked for in raw text. */
static ndl_status encode_section(encoding *e, const uint8_t *s, size_t n,
                                 bool first)
{
    ndl_match found;
    size_t at = 0;
    if (n == 0) return NDL_OK;
    e->normalized.n = 0;
    NDL_TRY(ndl_normalize(e->t, s, n, &e->normalized));
    if (e->normalized.n == 0) return NDL_OK;
    const uint8_t *text = e->normalized.data;
    while (ndl_matcher_find(&e->t->normalized, &e->normalized, at, e->special,
                            &found)) {
        NDL_TRY(encode_plain(e, text + at, found.start - at, first && at == 0));
        NDL_TRY(add_id(e, found.id));
        at = found.end;
    }
    return encode_plain(e, text + at, e->normalized.n - at, first && at == 0);
}

static ndl_status encode_all(encoding *e, const ndl_buffer *text)
{
    const uint8_t *s = text->data;
    ndl_match found;
    size_t at = 0;
    for (int i = 0; e->special && i < e->t->n_prefix; i++)
        NDL_TRY(add_id(e, (uint32_t)e->t->prefix[i]));
    if (text->n == 0) return NDL_OK;
    while (ndl_matcher_find(&e->t->raw, text, at, e->special, &found)) {
        NDL_TRY(encode_section(e, s + at, found.start - at, at == 0));
        NDL_TRY(add_id(e, found.id));
        at = found.end;
    }
    return encode_section(e, s + at, text->n - at, at == 0);
}

ndl_status ndl_tokenizer_encode(const ndl_tokenizer *t, const char *text,
                                size_t n, bool special, int32_t **ids,
                                size_t *n_ids)
{
    const size_t bad = ndl_utf8_check((const uint8_t *)text, n);
    if (bad < n)
        return NDL_FAIL(NDL_EDATA,
                        "text: byte offset %zu: not valid UTF-8: convert it",
                        bad);
    encoding e = { .t = t, .special = special };
    /* Only read: the matchers take their text as a buffer. */
    const ndl_buffer input = { .data = (void *)(uintptr_t)text, .n = n };
    ndl_status st;
    NDL_TRY_GOTO(done, st, ndl_pieces_init(&e.pieces, n));
    NDL_TRY_GOTO(done, st, encode_all(&e, &input));
    *ids = e.ids.data;
    *n_ids = e.ids.n / sizeof **ids;
    memset(&e.ids, 0, sizeof e.ids);
done:
    ndl_pieces_fini(&e.pieces);
    ndl_bpe_fini(&e.bpe);
    ndl_buffer_fini(&e.normalized);
    ndl_buffer_fini(&e.ids);
    return st;
}
