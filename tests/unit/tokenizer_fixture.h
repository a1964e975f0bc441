/*
 * tokenizer_fixture.h - small tokenizers for the tests of src/text.
 *
 * Two vocabularies whose ids can be read: in the byte-level one the id of a
 * byte is the byte; in the SentencePiece one 0 1 2 are <unk> <s> </s>, a byte
 * b is 3 + b, and the given tokens follow.  Further tokens count from
 * FIRST_TOKEN in both.
 */
#ifndef NOODLE_TOKENIZER_FIXTURE_H
#define NOODLE_TOKENIZER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/json.h"
#include "noodle/status.h"
#include "noodle/tokenizer.h"

enum { FIRST_TOKEN = 259, MAX_FIXTURE = 16 };

#define BYTE_LEVEL(space, regex)                                               \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" #space                     \
    ",\"trim_offsets\":true,\"use_regex\":" #regex "}"
#define SPM_DECODER                                                            \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"  \
    "{\"String\":\"\u2581\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"  \
    "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"   \
    "\"stop\":0}]}"
#define SPM_NORMALIZER                                                         \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\","           \
    "\"prepend\":\"\u2581\"},{\"type\":\"Replace\",\"pattern\":"               \
    "{\"String\":\" \"},\"content\":\"\u2581\"}]}"

/* JSON texts; NULL is null, or the usual one of the form. */
typedef struct fixture {
    bool spm;
    const char *normalizer, *pre_tokenizer, *post_processor, *decoder;
    const char *model; /* members of model, replacing the usual */
    const char *added; /* list                                  */
    const char *tokens[MAX_FIXTURE], *merges[MAX_FIXTURE];
} fixture;

static inline json_t *fixture_part(const char *text, const char *otherwise)
{
    json_error_t err;
    text = text ? text : otherwise ? otherwise : "null";
    json_t *j = json_loads(text, JSON_DECODE_ANY, &err);
    if (!j) fail_msg("fixture: %s: %s", err.text, text);
    return j;
}

/* The alphabet of byte-level vocabularies, written down a second time. */
static inline const char *fixture_byte(int byte, char out[8])
{
    int cp = byte, n = 0;
    for (int b = 0; b < 256; b++) {
        const bool prints = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        if (b == byte && !prints) cp = 256 + n;
        n += !prints;
    }
    if (cp < 0x80)
        snprintf(out, 8, "%c", cp);
    else
        snprintf(out, 8, "%c%c", 0xc0 | cp >> 6, 0x80 | (cp & 0x3f));
    return out;
}

static inline json_t *fixture_vocab(const fixture *f)
{
    static const char *const markup[] = { "<unk>", "<s>", "</s>" };
    json_t *vocab = json_object();
    char name[8];
    for (int i = 0; f->spm && i < 3; i++)
        json_object_set_new(vocab, markup[i], json_integer(i));
    for (int b = 0; b < 256; b++) {
        if (f->spm) snprintf(name, sizeof name, "<0x%02X>", b);
        json_object_set_new(vocab, f->spm ? name : fixture_byte(b, name),
                            json_integer(b + 3 * f->spm));
    }
    for (int i = 0; i < MAX_FIXTURE && f->tokens[i]; i++)
        json_object_set_new(vocab, f->tokens[i], json_integer(FIRST_TOKEN + i));
    return vocab;
}

/* The text of a tokenizer.json; the caller frees it. */
static inline char *fixture_json(const fixture *f)
{
    json_t *root = json_object(), *model = json_object();
    json_t *merges = json_array(), *flags = fixture_part(f->model, "{}");
    json_object_set_new(root, "normalizer",
                        fixture_part(f->normalizer, f->spm && !f->pre_tokenizer
                                                        ? SPM_NORMALIZER
                                                        : NULL));
    json_object_set_new(root, "pre_tokenizer",
                        fixture_part(f->pre_tokenizer,
                                     f->spm ? NULL : BYTE_LEVEL(false, true)));
    json_object_set_new(root, "post_processor",
                        fixture_part(f->post_processor, NULL));
    json_object_set_new(root, "decoder",
                        fixture_part(f->decoder, f->spm
                                                     ? SPM_DECODER
                                                     : BYTE_LEVEL(true, true)));
    json_object_set_new(root, "added_tokens", fixture_part(f->added, "[]"));
    json_object_set_new(model, "type", json_string("BPE"));
    json_object_set_new(model, "unk_token",
                        f->spm ? json_string("<unk>") : json_null());
    json_object_set_new(model, "byte_fallback", json_boolean(f->spm));
    json_object_set_new(model, "vocab", fixture_vocab(f));
    for (int i = 0; i < MAX_FIXTURE && f->merges[i]; i++)
        json_array_append_new(merges, json_string(f->merges[i]));
    json_object_set_new(model, "merges", merges);
    json_object_update(model, flags);
    json_object_set_new(root, "model", model);
    char *text = json_dumps(root, 0);
    json_decref(flags);
    json_decref(root);
    assert_non_null(text);
    return text;
}

static inline ndl_tokenizer *must_parse(const char *json, size_t n)
{
    ndl_tokenizer *t = NULL;
    ndl_status_clear();
    if (ndl_tokenizer_parse(&t, json, n, "t.json") != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return t;
}

static inline ndl_tokenizer *fixture_tokenizer(const fixture *f)
{
    char *json = fixture_json(f);
    ndl_tokenizer *t = must_parse(json, strlen(json));
    free(json);
    return t;
}

#endif /* NOODLE_TOKENIZER_FIXTURE_H */
