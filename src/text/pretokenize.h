/* pretokenize.h - cuts text into the pieces that merges do not cross. */
#ifndef NOODLE_TEXT_PRETOKENIZE_H
#define NOODLE_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "noodle/tokenizer.h"

typedef struct ndl_pattern ndl_pattern; /* pretokenize.c */

typedef enum ndl_step_kind {
    NDL_STEP_SPLIT,     /* at matches of a pattern                      */
    NDL_STEP_SPACE,     /* a space in front of pieces that have none    */
    NDL_STEP_METASPACE, /* spaces become U+2581, and one is put in front */
    NDL_STEP_BYTES      /* marks the byte-level form; always last       */
} ndl_step_kind;

typedef enum ndl_prepend {
    NDL_PREPEND_NEVER,
    NDL_PREPEND_FIRST, /* only at the start of the input */
    NDL_PREPEND_ALWAYS
} ndl_prepend;

typedef struct ndl_step {
    ndl_step_kind kind;
    ndl_pattern *pattern;         /* SPLIT: owned                          */
    bool ends_before, ends_after; /* SPLIT: where a match ends a piece */
    ndl_prepend prepend;          /* METASPACE                             */
} ndl_step;

/* Text and where its pieces end; reused from section to section. */
typedef struct ndl_pieces {
    ndl_buffer text, ends;             /* ends: of size_t          */
    ndl_buffer other_text, other_ends; /* what a step writes       */
    struct ndl_matching *matching;     /* state of the matches     */
} ndl_pieces;

/** @param literal  the pattern is a text, not a regular expression. */
ndl_status ndl_pattern_create(ndl_pattern **out, const char *what,
                              const char *pattern, bool literal);
void ndl_pattern_destroy(ndl_pattern **p);

/** @param n_text  bytes of the whole input, which bounds the work. */
ndl_status ndl_pieces_init(ndl_pieces *p, size_t n_text);
void ndl_pieces_fini(ndl_pieces *p);

/** Cut `n` > 0 bytes into p->text and p->ends.
 * @param first  they are the start of the input.
 * @return NDL_OK; NDL_EDATA if a pattern needs too many steps; NDL_EOS. */
ndl_status ndl_pretokenize(const ndl_tokenizer *t, ndl_pieces *p,
                           const uint8_t *s, size_t n, bool first);

#endif /* NOODLE_TEXT_PRETOKENIZE_H */
