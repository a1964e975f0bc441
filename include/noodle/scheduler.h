/*
 * scheduler.h - which rows go into the next batch.
 *
 * Pure: no clock, no message, no file.  The coordinator asks for batches while
 * there is room in the pipeline and tells which tokens came back; a simulator
 * can drive the same code.  Memory is allocated once, at creation.
 *
 * Continuous batching: a request waits until it gets a slot and KV pages
 * (pages.h), its prompt goes through in chunks, then its tokens one by one;
 * when it ends the next one takes its place.  Sequences that decode are spread
 * over as many batches in flight as pay (cadence.h), and while prompts come in
 * over one more than there are stages, or as many where the stall is tight: a
 * batch takes an equal share of them, those that have waited longest first, and
 * fills up with prompt rows, oldest request first, as long as no running decode
 * has to wait longer than the stall.  Where there is a limit, prompts wait
 * for a first step without them, while one may be on its way and for no more
 * than some batches.  Where pages run out the youngest request gives up its
 * own, waits again, and later computes its text anew, which gives the same
 * bits.  The oldest is never stopped, so everybody's turn comes.
 */
#ifndef NOODLE_SCHEDULER_H
#define NOODLE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/cadence.h"
#include "noodle/pages.h"
#include "noodle/request.h"
#include "noodle/status.h"

typedef struct ndl_scheduler ndl_scheduler;

typedef struct ndl_scheduler_config {
    int max_requests; /* submitted over the whole life      */
    int n_slots;      /* sequences with KV at the same time */
    int n_pages;      /* of KV, >= those of one context     */
    int n_stages;     /* of the pipeline, >= 1              */
    int n_groups;     /* of decode rows in flight; 0: what the measured times
                         say */
    int window;       /* batches in flight at most, >= 1    */
    int max_rows;     /* rows of a batch at most, >= n_slots / n_groups */
    int context;      /* positions of a slot                */
    double stall_sec; /* a running decode waits so long for its next token, at
                         most, because of prompts, if steps are no later than
                         the cadence has seen and leave room for prompts at
                         all; 0: about twice the time that it takes without
                         any; INFINITY: no limit */
    bool no_reuse;    /* every request computes all of its prompt */
} ndl_scheduler_config;

/* The rows of one sequence in a batch. */
typedef struct ndl_scheduler_rows {
    int request; /* number that submit() gave             */
    int slot;    /* its table of pages                    */
    int pos;     /* of the first row                      */
    int n_rows;
    const int32_t *ids; /* (n_rows), borrowed until the next call */
    bool sample;        /* the last row gives the next token     */
} ndl_scheduler_rows;

typedef struct ndl_scheduler_batch {
    uint64_t id;
    int n_rows, n_seqs, n_ops;
    const ndl_scheduler_rows *seqs; /* (n_seqs), borrowed until the next call */
    const ndl_page_op *ops;         /* (n_ops), likewise: before the rows     */
} ndl_scheduler_batch;

typedef struct ndl_scheduler_counts {
    ndl_pages_counts pages;
    int64_t preemptions;
    int n_waiting, n_running; /* requests without and with a slot */
    int n_groups;             /* of the last batch with decode rows */
} ndl_scheduler_counts;

/** @return NDL_OK; NDL_EOS out of memory. */
ndl_status ndl_scheduler_create(ndl_scheduler **out,
                                const ndl_scheduler_config *config);
void ndl_scheduler_destroy(ndl_scheduler **s);

/** Page operations of one batch, at most. */
int ndl_scheduler_max_ops(const ndl_scheduler_config *config);

/**
 * Queue a request; first come, first served.
 * @param r  borrowed until it has finished; n_prompt >= 1 and
 *           n_prompt <= context (asserted: the caller has told the user).
 *           One that wants logits or scores computes every row exactly once:
 *           it neither reuses pages nor is stopped for others.
 * @return its number: 0, 1, ...
 */
int ndl_scheduler_submit(ndl_scheduler *s, const ndl_request *r);

/** The next batch to send, or false: nothing to do, or the window is full. */
bool ndl_scheduler_next(ndl_scheduler *s, ndl_scheduler_batch *out);

/**
 * A token has come back (asserted: the request is one that awaits it).
 * @return NDL_FINISH_NONE if the sequence goes on, else why it has ended; its
 * slot and pages are free then.  A token for a request that was cancelled
 * meanwhile is dropped, and NDL_FINISH_STOPPED returned.
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
 * @param times  what it took, or NULL: not known.
 * @param[out] ended  requests that wanted no token and have run their prompt
 *                    now; borrowed until the next call.
 * @return how many.
 */
int ndl_scheduler_done(ndl_scheduler *s, uint64_t id,
                       const ndl_cadence_times *times, const int **ended);

/** End a request: nothing more of it is sent, its slot and pages are free, and
 * tokens of it that are on their way will be dropped. */
void ndl_scheduler_cancel(ndl_scheduler *s, int request);

/** Requests that are queued or running; 0: all have finished. */
int ndl_scheduler_pending(const ndl_scheduler *s);
int ndl_scheduler_in_flight(const ndl_scheduler *s);
bool ndl_scheduler_is_finished(const ndl_scheduler *s, int request);
ndl_scheduler_counts ndl_scheduler_count(const ndl_scheduler *s);

#endif /* NOODLE_SCHEDULER_H */
