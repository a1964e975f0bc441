/*
 * byte_tokenizer.h - a tokenizer for models that have none: ids are bytes.
 *
 * Ids from 256 on are left without text and decode to nothing, as filler
 * tokens would, but 128 000 fillers would be most of what a start reads.
 */
#ifndef NOODLE_FORMATS_BYTE_TOKENIZER_H
#define NOODLE_FORMATS_BYTE_TOKENIZER_H

/** Text of a tokenizer.json; the caller frees it.  NULL: out of memory. */
char *ndl_byte_tokenizer(void);

#endif /* NOODLE_FORMATS_BYTE_TOKENIZER_H */
