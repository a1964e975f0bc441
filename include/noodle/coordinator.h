/*
 * coordinator.h - rank 0's side of the pipeline: turns requests into batches,
 * tokens into events, and reports of the stages into one verdict.
 *
 * A pump like the stage: step() never blocks.  It holds no weights.
 */
#ifndef NOODLE_COORDINATOR_H
#define NOODLE_COORDINATOR_H

#include <stdbool.h>

#include "noodle/comm.h"
#include "noodle/request.h"
#include "noodle/status.h"
#include "noodle/wire_setup.h"

typedef struct ndl_coordinator ndl_coordinator;

/* Who asked: told in the order of events, from inside step(). */
typedef struct ndl_client {
    void *arg;
    /** A token of the text.  @return false to end this request here. */
    bool (*on_token)(void *arg, int request, int32_t id, double now);
    /** The request is over; nothing more of it comes. */
    void (*on_finish)(void *arg, int request, ndl_finish why, double now);
} ndl_client;

/* What the model thought of a token of request `score->sequence`; only what was
 * asked for, in no order that one may rely on. */
typedef void (*ndl_score_fn)(void *arg, const ndl_wire_score *score);

struct ndl_recorder;

typedef struct ndl_coordinator_setup {
    ndl_comm *comm;               /* borrowed                    */
    const ndl_wire_job *job;      /* borrowed                    */
    const ndl_wire_place *places; /* (job->n_stages), borrowed   */
    const ndl_request *requests;  /* (n_requests), borrowed      */
    int n_requests;
    int n_vocab; /* ids of tokens are below it  */
    ndl_client client;
    ndl_score_fn on_score; /* of a job that scores */
    void *score_arg;
    struct ndl_recorder *recorder; /* borrowed; NULL: nothing is recorded */
} ndl_coordinator_setup;

/** Queue all requests and post the receives.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_coordinator_create(ndl_coordinator **out,
                                  const ndl_coordinator_setup *setup);
void ndl_coordinator_destroy(ndl_coordinator **c);

/** Do what can be done.  @return true if anything moved. */
bool ndl_coordinator_step(ndl_coordinator *c);

/** End early: finish the batches in flight, then stop with `status`. */
void ndl_coordinator_stop(ndl_coordinator *c, ndl_status status);

/** Is everything over, all ranks told?  @param[out] status  of the run. */
bool ndl_coordinator_is_over(const ndl_coordinator *c, ndl_status *status);

/** What stage i has told last; complete once the run is over. */
const ndl_wire_totals *ndl_coordinator_totals(const ndl_coordinator *c, int i);

#endif /* NOODLE_COORDINATOR_H */
