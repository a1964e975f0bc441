/* added.h - finds the added tokens in a text. */
#ifndef NOODLE_TEXT_ADDED_H
#define NOODLE_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "noodle/tokenizer.h"

/* Added tokens in the order of their bytes: all that begin alike are one
 * range, so that the longest match is found by narrowing it. */
typedef struct ndl_added {
    size_t offset; /* in texts */
    uint32_t n;    /* bytes    */
    uint32_t id;
    uint8_t flags; /* NDL_TOKEN_* of vocab.h */
} ndl_added;

typedef struct ndl_matcher {
    ndl_added *items;
    ndl_buffer texts;
    uint32_t n;
    uint32_t first[257]; /* range of items by their first byte */
} ndl_matcher;

typedef struct ndl_match {
    size_t start, end;
    uint32_t id;
} ndl_match;

ndl_status ndl_matcher_init(ndl_matcher *m, const ndl_tokenizer *t,
                            bool normalized);
void ndl_matcher_fini(ndl_matcher *m);

/** Leftmost, then longest, added token at or after `from`; not `special`:
 * special ones are found, so that nothing in them is, but not given. */
bool ndl_matcher_find(const ndl_matcher *m, const ndl_buffer *text, size_t from,
                      bool special, ndl_match *out);

#endif /* NOODLE_TEXT_ADDED_H */
