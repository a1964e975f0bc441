/* normalize.h - what is done to text before it is cut. */
#ifndef NOODLE_TEXT_NORMALIZE_H
#define NOODLE_TEXT_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "noodle/tokenizer.h"

enum { NDL_NORMALIZE_MAX_TEXT = 64 }; /* bytes of a normalizer's text */

typedef enum ndl_normalizer_kind {
    NDL_NORMALIZER_NFC,
    NDL_NORMALIZER_PREPEND,
    NDL_NORMALIZER_REPLACE
} ndl_normalizer_kind;

typedef struct ndl_normalizer {
    ndl_normalizer_kind kind;
    char from[NDL_NORMALIZE_MAX_TEXT + 1], to[NDL_NORMALIZE_MAX_TEXT + 1];
} ndl_normalizer;

/** Append the normalized form of valid UTF-8.  @return NDL_OK; NDL_EDATA;
 * NDL_EOS. */
ndl_status ndl_normalize(const ndl_tokenizer *t, const uint8_t *s, size_t n,
                         ndl_buffer *out);

#endif /* NOODLE_TEXT_NORMALIZE_H */
