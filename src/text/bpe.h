/* bpe.h - merges of one piece. */
#ifndef NOODLE_TEXT_BPE_H
#define NOODLE_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "noodle/tokenizer.h"

/* Scratch memory, reused from piece to piece; zero it to begin. */
typedef struct ndl_bpe {
    ndl_buffer symbols, heap;
} ndl_bpe;

/** Append the ids of one piece to `ids` (of int32_t). */
ndl_status ndl_bpe_encode(const ndl_tokenizer *t, ndl_bpe *b,
                          const uint8_t *piece, size_t n, ndl_buffer *ids);
void ndl_bpe_fini(ndl_bpe *b);

#endif /* NOODLE_TEXT_BPE_H */
