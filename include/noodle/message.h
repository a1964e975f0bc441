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
#include "noodle/wire_report.h"

/* What a receiver of batches expects. */
typedef struct ndl_message_batch_limits {
    uint32_t row_bytes; /* of a row, exactly; not 0 */
    uint32_t max_rows, n_slots, max_ops;
    uint32_t n_pages;   /* of the KV cache         */
    uint32_t n_entries; /* of a slot's table of pages */
} ndl_message_batch_limits;

/** BATCH: a whole message of `len` bytes.  STOP has neither table nor rows. */
bool ndl_message_batch_is_valid(const void *msg, size_t len,
                                const ndl_message_batch_limits *limits);

/* What a receiver of tokens expects. */
typedef struct ndl_message_token_limits {
    uint32_t max_tokens;
    uint32_t n_vocab;    /* ids are below it */
    uint32_t max_scores; /* with finite numbers */
} ndl_message_token_limits;

/** TOKENS. */
bool ndl_message_tokens_is_valid(const void *msg, size_t len,
                                 const ndl_message_token_limits *limits);

/** REPORT. */
bool ndl_message_report_is_valid(const void *msg, size_t len);

/** REPORT of kind STEPS: a whole message, layers numbered below n_layers. */
bool ndl_message_steps_is_valid(const void *msg, size_t len, uint32_t n_layers);

/** REPORT of kind ACCOUNTS: a whole message. */
bool ndl_message_accounts_is_valid(const void *msg, size_t len);

/** Bytes of one, and its records. */
size_t ndl_message_accounts_bytes(uint32_t n);
ndl_wire_account *ndl_message_accounts(void *msg);

/** Bytes of a STEPS message; its records, in a message whose header is filled
 * in. */
size_t ndl_message_steps_bytes(uint32_t n_steps, uint32_t n_layers);
ndl_wire_step *ndl_message_steps(void *msg);
ndl_wire_layer *ndl_message_layers(void *msg);

/** ORDER. */
bool ndl_message_order_is_valid(const void *msg, size_t len);

/** Bytes of a BATCH message; SIZE_MAX if that cannot be counted. */
size_t ndl_message_batch_bytes(uint32_t n_seqs, uint32_t n_ops, uint32_t n_rows,
                               uint32_t row_bytes);

/** Bytes of it before the rows. */
size_t ndl_message_front_bytes(uint32_t n_seqs, uint32_t n_ops);

/** The table of a BATCH message, its page operations (n_ops, and zeros up to a
 * cache line), and its rows (n_rows * row_bytes): borrowed.
 * @param msg  aligned to 64, its header already filled in. */
ndl_wire_seq *ndl_message_batch_table(void *msg);
ndl_wire_op *ndl_message_batch_ops(void *msg);
void *ndl_message_batch_rows(void *msg);

/** Of a BATCH message in a job that scores: what follows each row (n_rows). */
int32_t *ndl_message_batch_targets(void *msg);

/** The tokens of a TOKENS message: borrowed.  `msg` is aligned to 64. */
ndl_wire_token *ndl_message_tokens(void *msg);

/** The candidates behind them (n_ops); n_seqs must be final. */
ndl_wire_candidate *ndl_message_candidates(void *msg);

/** The scores behind these; n_seqs and n_ops must be final. */
ndl_wire_score *ndl_message_scores(void *msg);

#endif /* NOODLE_MESSAGE_H */
