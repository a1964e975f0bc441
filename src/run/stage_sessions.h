/*
 * stage_sessions.h - the sequences that a stage has keys of: opened, fed and
 * closed by the stream of batches.  Each has a slot, whose table of KV pages
 * is built from the page operations that come with the batches.
 * Private to src/run.
 */
#ifndef NDL_STAGE_SESSIONS_H
#define NDL_STAGE_SESSIONS_H

#include "noodle/arena.h"
#include "noodle/forward.h"
#include "noodle/status.h"
#include "noodle/wire_setup.h"

typedef struct ndl_stage_sessions {
    ndl_forward *forward; /* borrowed */
    const ndl_wire_job *job;
    int stage;                /* 1 .. S, for messages */
    ndl_span *spans;          /* (n_slots) of the batch in hand */
    uint64_t *used_in;        /* (n_slots): the last batch with the slot */
    uint64_t *written_in;     /* (n_pages): the last batch that fills it */
    uint64_t n_batches;       /* by our own count */
    ndl_wire_account *open;   /* (n_slots) of the sequences that have one */
    ndl_wire_account *closed; /* (CLOSED + n_slots) to be told to rank 0 */
    int n_closed;
    uint32_t n_lost;
} ndl_stage_sessions;

enum { NDL_STAGE_CLOSED = 1024 };

/** Bytes that init() takes from its arena. */
size_t ndl_stage_sessions_bytes(const ndl_wire_job *job);

/** @param forward  borrowed for the object's life; may be set later. */
void ndl_stage_sessions_init(ndl_stage_sessions *s, ndl_arena *arena,
                             const ndl_wire_job *job, int stage);

/**
 * Carry out what a valid batch (message.h) says of slots and pages, and make
 * spans of its rows.
 * @return NDL_OK; NDL_EPROTO: rows outside of the context, without pages, or
 *         two sequences with the same slot or filling the same page, which
 *         would make threads write the same keys.
 */
ndl_status ndl_stage_sessions_begin(ndl_stage_sessions *s, ndl_wire_batch *b);

/** The batch was computed, in so many seconds: every sequence gets its share,
 * by rows. */
void ndl_stage_sessions_end(ndl_stage_sessions *s, ndl_wire_batch *b,
                            double busy_sec);

/** No sequence goes on. */
void ndl_stage_sessions_close_all(ndl_stage_sessions *s);

/** Move the oldest accounts of closed sequences into an ACCOUNTS message.
 * @return its bytes. */
size_t ndl_stage_sessions_write(ndl_stage_sessions *s, int stage, void *msg);

#endif /* NDL_STAGE_SESSIONS_H */
