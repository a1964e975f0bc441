/*
 * tokenizer.h - text to ids and back.
 *
 * Byte-pair encoding as Hugging Face's tokenizer.json describes it, in two
 * forms: byte-level with a pre-tokenizer pattern (GPT-2, Llama 3) and
 * SentencePiece-style with byte fallback (Llama 2).  tokenizer.json is parsed
 * once, at import; weights.h5 holds it packed (/tokenizer), so that rank 0
 * starts in milliseconds.  Immutable after creation, so threads may share it.
 */
#ifndef NOODLE_TOKENIZER_H
#define NOODLE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"
#include "noodle/store.h"

typedef struct ndl_tokenizer ndl_tokenizer;

/**
 * Build from the text of a tokenizer.json; hostile input.
 * @param what  names it in messages.
 * @return NDL_OK; NDL_EDATA naming the field or the unsupported component
 *         (model type, normalizer, pre-tokenizer, decoder ...); NDL_EOS.
 */
ndl_status ndl_tokenizer_parse(ndl_tokenizer **out, const char *json, size_t n,
                               const char *what);

/** Write to /tokenizer of a file being made.  Only after parse: what was loaded
 * does not hold the JSON that export needs (NDL_ESOFTWARE). */
ndl_status ndl_tokenizer_save(const ndl_tokenizer *t, ndl_store *s);

/** Read from /tokenizer of an open file; hostile input. */
ndl_status ndl_tokenizer_load(ndl_tokenizer **out, ndl_store *s);

/**
 * The tokenizer.json that was saved in an open file, byte for byte; to copy a
 * tokenizer from file to file, parse it and save that.
 * @param[out] json  malloc'ed, `n` bytes, not zero-terminated; caller frees.
 */
ndl_status ndl_tokenizer_json(ndl_store *s, char **json, size_t *n);
void ndl_tokenizer_destroy(ndl_tokenizer **t);

int ndl_tokenizer_size(const ndl_tokenizer *t); /* largest id + 1 */

/** Ids that the post-processor puts in front (BOS); returns how many (<= 8). */
int ndl_tokenizer_prefix(const ndl_tokenizer *t, int32_t ids[8]);

/**
 * Encode UTF-8 text.
 * @param special   parse special tokens in the text (`<s>` is one id) and put
 *                  the prefix in front; false: text is only text.
 * @param[out] ids  malloc'ed, caller frees; NULL if n is 0.
 * @return NDL_OK; NDL_EDATA with the byte offset where the text is not valid
 *         UTF-8; NDL_EOS.
 */
ndl_status ndl_tokenizer_encode(const ndl_tokenizer *t, const char *text,
                                size_t n, bool special, int32_t **ids,
                                size_t *n_ids);

/**
 * Decode all ids at once, special tokens left out unless `special`.
 * Bytes that do not form UTF-8 become U+FFFD.  Ids out of range give nothing.
 * @param[out] text  malloc'ed, zero-terminated; the caller frees it.
 */
ndl_status ndl_tokenizer_decode(const ndl_tokenizer *t, const int32_t *ids,
                                size_t n, bool special, char **text,
                                size_t *n_text);

/* Streaming decode: gives only whole characters; feeding ids one by one and
 * then ending gives the same text as decoding them at once. */
typedef struct ndl_detokenizer {
    const ndl_tokenizer *tokenizer; /* borrowed */
    uint8_t held[16];               /* bytes of an incomplete character */
    int n_held;
    bool started; /* something was printed: no leading space to strip */
    bool special;
} ndl_detokenizer;

void ndl_detokenizer_init(ndl_detokenizer *d, const ndl_tokenizer *t,
                          bool special);

/**
 * @param[out] out  receives text; cap of at least
 *                  ndl_tokenizer_max_piece(t) + 64 always suffices.
 * @return bytes written.
 */
size_t ndl_detokenizer_next(ndl_detokenizer *d, int32_t id, char *out,
                            size_t cap);
/** What is still held, as U+FFFD.  @return bytes written (<= 48). */
size_t ndl_detokenizer_end(ndl_detokenizer *d, char *out, size_t cap);

/** The most bytes that one id decodes to. */
size_t ndl_tokenizer_max_piece(const ndl_tokenizer *t);

#endif /* NOODLE_TOKENIZER_H */
