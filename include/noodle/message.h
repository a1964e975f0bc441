/*
 * message.h - judge a message, then find its parts.
 *
 * Nothing in a message is used before it was judged.  These say whether it
 * keeps to the rules of wire.h; they do not know what was agreed before (which
 * token ids exist, which sequence is where).  `msg` need not be aligned.
 */
#ifndef NOODLE_MESSAGE_H
#define NOODLE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "noodle/wire.h"

/**
 * BATCH: a whole message of `len` bytes.  STOP has neither table nor rows.
 * @param row_bytes  what the receiver expects a row to have; not 0.
 */
bool ndl_message_batch_is_valid(const void *msg, size_t len, uint32_t row_bytes,
                                uint32_t max_rows, uint32_t n_slots);

/** TOKENS: at most max_tokens of them, with ids 0 .. n_vocab-1, and at most
 * max_scores with finite numbers. */
bool ndl_message_tokens_is_valid(const void *msg, size_t len,
                                 uint32_t max_tokens, uint32_t n_vocab,
                                 uint32_t max_scores);

/** REPORT. */
bool ndl_message_report_is_valid(const void *msg, size_t len);

/** REPORT of kind STEPS: a whole message, layers numbered below n_layers. */
bool ndl_message_steps_is_valid(const void *msg, size_t len, uint32_t n_layers);

/** Bytes of it; its records, in a message whose header is filled in. */
size_t ndl_message_steps_bytes(uint32_t n_steps, uint32_t n_layers);
ndl_wire_step *ndl_message_steps(void *msg);
ndl_wire_layer *ndl_message_layers(void *msg);

/** ORDER. */
bool ndl_message_order_is_valid(const void *msg, size_t len);

/** Bytes of a BATCH message; SIZE_MAX if that cannot be counted. */
size_t ndl_message_batch_bytes(uint32_t n_seqs, uint32_t n_rows,
                               uint32_t row_bytes);

/** The table of a BATCH message, and its rows (n_rows * row_bytes): borrowed.
 * @param msg  aligned to 64, its header already filled in. */
ndl_wire_seq *ndl_message_batch_table(void *msg);
void *ndl_message_batch_rows(void *msg);

/** Of a BATCH message in a job that scores: what follows each row (n_rows). */
int32_t *ndl_message_batch_targets(void *msg);

/** The tokens of a TOKENS message: borrowed.  `msg` is aligned to 64. */
ndl_wire_token *ndl_message_tokens(void *msg);

/** The scores behind them; n_seqs must be final. */
ndl_wire_score *ndl_message_scores(void *msg);

#endif /* NOODLE_MESSAGE_H */
