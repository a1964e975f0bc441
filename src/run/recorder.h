/*
 * recorder.h - what rank 0 writes down of a run: turns batches, reports of the
 * stages and tokens into rows of metrics.h5, and puts what was expected beside
 * what was measured.  Private to src/run.
 *
 * A disk that fails must not end the run: recording stops with a warning.
 */
#ifndef NDL_RECORDER_H
#define NDL_RECORDER_H

#include "noodle/costmodel.h"
#include "noodle/metrics.h"
#include "noodle/request.h"
#include "noodle/scheduler.h"
#include "noodle/wire.h"

typedef struct ndl_recorder ndl_recorder;

typedef struct ndl_recorder_setup {
    const ndl_metrics_setup *metrics; /* path, plan, ranks, facts */
    const ndl_plan *plan;             /* borrowed for the recorder's life */
    const ndl_cost *costs;       /* (n_stages) borrowed, or NULL: unknown */
    const ndl_request *requests; /* (n_requests) borrowed */
    int n_requests;
} ndl_recorder_setup;

/** @return NDL_OK; NDL_EOS; what ndl_metrics_create returns. */
ndl_status ndl_recorder_create(ndl_recorder **out,
                               const ndl_recorder_setup *setup);

/** All stages are ready: times count from here. */
void ndl_recorder_begin(ndl_recorder *r, double now);

/** A batch goes out; in_flight counts it. */
void ndl_recorder_batch(ndl_recorder *r, const ndl_scheduler_batch *b,
                        int in_flight);

/** A valid STEPS message of stage 0, 1, ... has come. */
void ndl_recorder_steps(ndl_recorder *r, void *msg, double now);

/** A valid ACCOUNTS message of stage 0, 1, ... has come.
 * @return false: it tells of requests that there are none of. */
bool ndl_recorder_accounts(ndl_recorder *r, void *msg, double now);

void ndl_recorder_token(ndl_recorder *r, int request, double now);
void ndl_recorder_finish(ndl_recorder *r, int request, ndl_finish why,
                         double now);

/** Write what is left, close, free, set NULL.  NULL is allowed. */
void ndl_recorder_close(ndl_recorder **r);

#endif /* NDL_RECORDER_H */
