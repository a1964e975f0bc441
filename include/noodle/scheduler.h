/*
 * scheduler.h - which rows go into the next batch.
 *
 * Pure: no clock, no message, no file.  The coordinator asks for batches while
 * there is room in the pipeline and tells which tokens came back; a simulator
 * can drive the same code.  Memory is allocated once, at creation.
 *
 * A sequence is a request that has a KV slot.  It belongs to a group; the
 * sequences of a group decode together, and as many groups as there are stages
 * keep all stages at work.  A batch takes the decode rows of one group first
 * and fills up with prompt rows, oldest request first, in chunks; the chunks
 * of one prompt follow each other through the pipeline without waiting.
 */
#ifndef NOODLE_SCHEDULER_H
#define NOODLE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/request.h"
#include "noodle/status.h"

typedef struct ndl_scheduler ndl_scheduler;

typedef struct ndl_scheduler_config {
    int max_requests; /* submitted over the whole life      */
    int n_slots;      /* sequences with KV at the same time */
    int n_groups;     /* >= 1; stages of the pipeline       */
    int window;       /* batches in flight at most, >= 1    */
    int max_rows;     /* rows of a batch at most, >= n_slots / n_groups */
    int context;      /* positions of a slot                */
} ndl_scheduler_config;

/* The rows of one sequence in a batch. */
typedef struct ndl_scheduler_rows {
    int request; /* number that submit() gave             */
    int slot;    /* KV slot                               */
    int pos;     /* of the first row                      */
    int n_rows;
    const int32_t *ids; /* (n_rows), borrowed until the next call */
    bool sample;        /* the last row gives the next token     */
} ndl_scheduler_rows;

typedef struct ndl_scheduler_batch {
    uint64_t id;
    int n_rows, n_seqs;
    const ndl_scheduler_rows *seqs; /* (n_seqs), borrowed until the next call */
} ndl_scheduler_batch;

/** @return NDL_OK; NDL_EOS out of memory. */
ndl_status ndl_scheduler_create(ndl_scheduler **out,
                                const ndl_scheduler_config *config);
void ndl_scheduler_destroy(ndl_scheduler **s);

/**
 * Queue a request; first come, first served.
 * @param r  borrowed until it has finished; n_prompt >= 1 and
 *           n_prompt <= context (asserted: the caller has told the user).
 * @return its number: 0, 1, ...
 */
int ndl_scheduler_submit(ndl_scheduler *s, const ndl_request *r);

/** The next batch to send, or false: nothing to do, or the window is full. */
bool ndl_scheduler_next(ndl_scheduler *s, ndl_scheduler_batch *out);

/**
 * A token has come back (asserted: the request is one that awaits it).
 * @return NDL_FINISH_NONE if the sequence goes on, else why it has ended; its
 * slot is free then.  A token for a request that was cancelled meanwhile is
 * dropped, and NDL_FINISH_STOPPED returned.
 * An end token itself is not part of the text.
 */
ndl_finish ndl_scheduler_token(ndl_scheduler *s, int request, int32_t id);

/**
 * Which requests get a token from batch `id`, in the order of its rows.  An
 * answer that says otherwise is not to be believed.
 * @param[out] requests  borrowed until done(); untouched if -1 is returned.
 * @return how many; -1: the batch is not the oldest in flight.
 */
int ndl_scheduler_awaited(const ndl_scheduler *s, uint64_t id,
                          const int **requests);

/**
 * Batch `id`, the oldest in flight (asserted), has left the pipeline; call
 * after its tokens.
 * @param[out] ended  requests that wanted no token and have run their prompt
 *                    now; borrowed until the next call.
 * @return how many.
 */
int ndl_scheduler_done(ndl_scheduler *s, uint64_t id, const int **ended);

/** End a request; its slot is free when its batches have left the pipeline. */
void ndl_scheduler_cancel(ndl_scheduler *s, int request);

/** Requests that are queued or running; 0: all have finished. */
int ndl_scheduler_pending(const ndl_scheduler *s);
int ndl_scheduler_in_flight(const ndl_scheduler *s);
bool ndl_scheduler_is_finished(const ndl_scheduler *s, int request);

#endif /* NOODLE_SCHEDULER_H */
