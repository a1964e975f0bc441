/*
 * vocab.h - the tokenizer's inside, shared by the files of this folder.
 *
 * Two kinds of fields: what the file says (tokens, merges, components), and
 * what is derived from it for speed.  tokenizer_json.c and tokenizer_pack.c
 * fill the first kind, each from its own hostile file; ndl_vocab_finish checks
 * it once for both and derives the second.
 */
#ifndef NOODLE_TEXT_VOCAB_H
#define NOODLE_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "added.h"
#include "noodle/json.h"
#include "noodle/status.h"
#include "noodle/tokenizer.h"
#include "normalize.h"
#include "pretokenize.h"

enum {
    NDL_VOCAB_MAX_IDS = 1 << 24,     /* ids lie below; pairs pack in 48 bits */
    NDL_VOCAB_MAX_JSON = 1 << 28,    /* bytes of a tokenizer.json            */
    NDL_VOCAB_MAX_TOKEN = 1 << 16,   /* bytes of one token                   */
    NDL_VOCAB_MAX_ADDED = 1024,      /* bytes of one added token             */
    NDL_VOCAB_MAX_STEPS = 16,        /* normalizers; pre-tokenizers          */
    NDL_VOCAB_MAX_COMPONENTS = 60000 /* bytes; an attribute must hold them   */
};

/* One byte a token, as stored in the weights file. */
enum {
    NDL_TOKEN_PRESENT = 1,     /* the id exists                          */
    NDL_TOKEN_MODEL = 2,       /* the merges may make it                 */
    NDL_TOKEN_ADDED = 4,       /* split out of the text before all else  */
    NDL_TOKEN_SPECIAL = 8,     /* only from markup, never from text      */
    NDL_TOKEN_LSTRIP = 16,     /* takes the white space before it        */
    NDL_TOKEN_RSTRIP = 32,     /* takes the white space after it         */
    NDL_TOKEN_WORD = 64,       /* only where no word character touches   */
    NDL_TOKEN_NORMALIZED = 128 /* looked for in normalized text         */
};

typedef enum ndl_strip {
    NDL_STRIP_NOTHING,
    NDL_STRIP_ONE_SPACE,  /* of the whole text                     */
    NDL_STRIP_FIRST_TOKEN /* every U+2581 of the first token       */
} ndl_strip;

typedef struct ndl_decoder {
    bool byte_level, spaces, byte_fallback; /* spaces: U+2581 is ' ' */
    ndl_strip strip;
} ndl_decoder;

typedef struct ndl_pair {
    uint64_t key; /* left << 24 | right, plus 1; 0 is empty */
    uint32_t rank, result;
} ndl_pair;

struct ndl_tokenizer {
    char *what; /* names it in messages */

    /* What the file says. */
    uint32_t n_ids; /* largest id + 1                         */
    uint8_t *bytes; /* texts of all tokens, in order of id    */
    size_t n_bytes;
    uint32_t *offsets;     /* (n_ids + 1)                            */
    uint8_t *flags;        /* (n_ids)                                */
    uint32_t (*merges)[3]; /* (n_merges) left, right, result         */
    uint32_t n_merges;     /* in order of rank                       */
    char *components;      /* JSON: normalizer, pre_tokenizer, ...   */
    char *json;            /* the whole file; NULL if loaded         */
    size_t n_json;

    /* What the components say (tokenizer_parts.c). */
    ndl_normalizer normalizers[NDL_VOCAB_MAX_STEPS];
    ndl_step steps[NDL_VOCAB_MAX_STEPS];
    int n_normalizers, n_steps;
    bool byte_level, byte_fallback, fuse_unknown, ignore_merges;
    char *unknown_text; /* NULL if none */
    ndl_decoder decoder;
    int32_t prefix[8];
    int n_prefix;

    /* Derived (ndl_vocab_finish). */
    int32_t unknown;       /* id or -1                                  */
    int32_t byte_ids[256]; /* token of a byte, or -1                    */
    uint32_t *words;       /* id + 1 by hash of the text; 0 is empty    */
    uint32_t word_mask;
    ndl_pair *pairs;
    uint32_t pair_mask;
    ndl_matcher raw, normalized; /* added tokens by where they are found */
    uint32_t *shown;             /* item + 1 of normalized by id; may be NULL */
    size_t max_piece;
};

/* --- vocab.c --- */

/** Check what the file says, derive the rest.  @return NDL_OK; NDL_EDATA;
 * NDL_EOS. */
ndl_status ndl_vocab_finish(ndl_tokenizer *t);

/** Text of an id < n_ids; borrowed. */
const uint8_t *ndl_vocab_token(const ndl_tokenizer *t, uint32_t id, size_t *n);

/** Text that an id stands for when it is decoded: of an added token that is
 * looked for in normalized text, the normalized one; borrowed. */
const uint8_t *ndl_vocab_shown(const ndl_tokenizer *t, uint32_t id, size_t *n);

/** Id of a text that the merges may start from or make; -1 if none. */
int32_t ndl_vocab_find(const ndl_tokenizer *t, const uint8_t *s, size_t n);

/** The merge of two neighbours; NULL if they do not merge. */
const ndl_pair *ndl_vocab_pair(const ndl_tokenizer *t, uint32_t left,
                               uint32_t right);

/** Byte that a character of a byte-level vocabulary stands for, or -1. */
int ndl_vocab_byte_of(uint32_t cp);
/** And back: the character of a byte. */
uint32_t ndl_vocab_char_of(uint8_t byte);

/** The byte of a token written `<0xHH>`, or -1. */
int ndl_vocab_fallback_byte(const uint8_t *s, size_t n);

/* --- tokenizer_parts.c --- */

/** Read normalizer, pre_tokenizer, post_processor, decoder and the model's
 * flags.  @return NDL_OK; NDL_EDATA naming what is not supported; NDL_EOS. */
ndl_status ndl_parts_read(ndl_tokenizer *t, const json_t *components);

#endif /* NOODLE_TEXT_VOCAB_H */
