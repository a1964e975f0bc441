/*
 * stage.h - a stage of the pipeline: takes batches from the stage before,
 * computes its layers, hands the rows on.
 *
 * A pump: step() does what can be done now and never blocks; whoever owns the
 * rank's loop waits when no pump has made progress.  The stage behind the last
 * is rank 0, which gets sampled ids instead of rows.
 */
#ifndef NOODLE_STAGE_H
#define NOODLE_STAGE_H

#include <stdbool.h>

#include "noodle/comm.h"
#include "noodle/model.h"
#include "noodle/progress.h"
#include "noodle/status.h"
#include "noodle/wire_setup.h"

typedef struct ndl_stage ndl_stage;

typedef struct ndl_stage_setup {
    ndl_comm *comm;               /* borrowed for the stage's life */
    const ndl_wire_job *job;      /* borrowed for the stage's life */
    const ndl_wire_place *places; /* (job->n_stages), borrowed     */
    int index;                    /* which of them this is         */
    double spin_sec;              /* of the thread pool            */
    ndl_progress_fn progress;     /* of loading, or NULL           */
    void *progress_arg;
    void (*meanwhile)(void *arg); /* called while a batch is computed, at least
                                     every few milliseconds; or NULL */
    void *meanwhile_arg;
} ndl_stage_setup;

/**
 * Map the weights, take the memory, start the threads, post the receives.
 * Not collective, but every rank must then agree.
 * @return NDL_OK; what weights.h and pool.h return; NDL_ECREATE (logits file).
 */
ndl_status ndl_stage_create(ndl_stage **out, const ndl_stage_setup *setup);

/** Free everything; a logits file that was not finished is removed. */
void ndl_stage_destroy(ndl_stage **s);

/** Do what can be done.  @return true if anything moved. */
bool ndl_stage_step(ndl_stage *s);

/** Report to rank 0 a failure that this rank found outside of the stage; rank 0
 * then ends the run.  The message is the stored one. */
void ndl_stage_fail(ndl_stage *s, ndl_status st);

/** Has rank 0 let the stage go?  @param[out] status  the run's, then. */
bool ndl_stage_has_left(const ndl_stage *s, ndl_status *status);

#endif /* NOODLE_STAGE_H */
