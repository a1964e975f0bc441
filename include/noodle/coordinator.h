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
#include "noodle/plan.h"
#include "noodle/request.h"
#include "noodle/scheduler.h"
#include "noodle/status.h"
#include "noodle/wire_setup.h"

typedef struct ndl_coordinator ndl_coordinator;

/* A token of a text. */
typedef struct ndl_token {
    int32_t id;
    float log_p; /* natural logarithm of its probability before any filter or
                    temperature; NaN: not asked for */
    int n_top;   /* the likeliest tokens there, likeliest first */
    const ndl_wire_candidate *top; /* (n_top), borrowed for the call */
} ndl_token;

/* Who asked: told in the order of events, from inside step(). */
typedef struct ndl_client {
    void *arg;
    /** A token of the text.  @return false to end this request here. */
    bool (*on_token)(void *arg, int request, const ndl_token *t, double now);
    /** The request is over; nothing more of it comes. */
    void (*on_finish)(void *arg, int request, ndl_finish why, double now);
    /** Requests have ended since the last call, and the next batches are on
     * their way: the time for what takes long.  Or NULL. */
    void (*on_settled)(void *arg);
    /** How things stand, about once a second and at the end; or NULL. */
    void (*on_progress)(void *arg, const ndl_scheduler_counts *counts,
                        double now);
} ndl_client;

/* What the model thought of a token of request `score->sequence`; only what was
 * asked for, in no order that one may rely on. */
typedef void (*ndl_score_fn)(void *arg, const ndl_wire_score *score);

struct ndl_recorder;

typedef struct ndl_coordinator_setup {
    ndl_comm *comm;               /* borrowed                    */
    const ndl_wire_job *job;      /* borrowed                    */
    const ndl_wire_place *places; /* (job->n_stages), borrowed   */
    const ndl_plan *plan;         /* names of hosts, borrowed; or NULL */
    const ndl_request *requests;  /* (n_requests), borrowed      */
    int n_requests;
    int n_vocab;      /* ids of tokens are below it        */
    int n_groups;     /* as in ndl_scheduler_config        */
    double stall_sec; /* likewise                          */
    bool no_reuse;    /* likewise                          */
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

/** While this process computes a step of the stage that it hosts too: the
 * other ranks must not think that rank 0 is gone. */
void ndl_coordinator_keep_alive(ndl_coordinator *c);

/** End early: finish the batches in flight, then stop with `status`. */
void ndl_coordinator_stop(ndl_coordinator *c, ndl_status status);

/** Is everything over, all ranks told?  @param[out] status  of the run. */
bool ndl_coordinator_is_over(const ndl_coordinator *c, ndl_status *status);

/** What the scheduler counts. */
ndl_scheduler_counts ndl_coordinator_counts(const ndl_coordinator *c);

/** Shortest round trip of a message to stage i and back so far, in seconds;
 * 0: none yet. */
double ndl_coordinator_ping_sec(const ndl_coordinator *c, int i);

/** What stage i has told last; complete once the run is over. */
const ndl_wire_totals *ndl_coordinator_totals(const ndl_coordinator *c, int i);

#endif /* NOODLE_COORDINATOR_H */
