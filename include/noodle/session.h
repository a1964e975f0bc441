/*
 * session.h - one run of the pipeline, from hello to good-bye.
 *
 * Rank 0 leads, all others follow: say hello, learn the plan, host a stage or
 * idle, leave together with the same status.  Setup is collective and every
 * phase of it ends with an agreement; then there is no collective any more.
 */
#ifndef NOODLE_SESSION_H
#define NOODLE_SESSION_H

#include <signal.h>
#include <stdbool.h>

#include "noodle/comm.h"
#include "noodle/coordinator.h"
#include "noodle/load.h"
#include "noodle/metrics.h"
#include "noodle/model.h"
#include "noodle/plan.h"
#include "noodle/profile.h"
#include "noodle/progress.h"
#include "noodle/store.h"
#include "noodle/strategy.h"
#include "noodle/wire_setup.h"

/* A wish to end early, set by the client or a signal handler's owner. */
typedef struct ndl_stop {
    bool requested;
    ndl_status status;
} ndl_stop;

/* Where the plan comes from. */
typedef enum ndl_plan_by {
    NDL_PLAN_BY_SHAPE,   /* equal parameters, nothing is measured */
    NDL_PLAN_BY_MEASURE, /* a probe, then a strategy */
    NDL_PLAN_BY_FILE     /* a plan, or a profile and then a strategy */
} ndl_plan_by;

typedef struct ndl_session_setup {
    ndl_comm *comm;
    ndl_store *store; /* the open weights file, borrowed */
    const ndl_model *model;
    ndl_mix mix;           /* of the weights */
    ndl_kv_types kv_types; /* of the KV cache */
    const char *split;     /* the user's; NULL: as plan_by says */
    ndl_plan_by plan_by;
    const char *plan_file;    /* NDL_PLAN_BY_FILE */
    const char *save_profile; /* what was measured goes here, or NULL */
    ndl_strategy_setup strategy;
    ndl_workload workload;
    const double *speeds; /* (size) of emulated ranks; NULL: all as they are */
    const ndl_comm_link *links; /* (n_links) emulated, borrowed */
    int n_links;
    ndl_load load;
    const char *stage_in;           /* folder on each node, or NULL */
    const char *metrics;            /* file to write, or NULL */
    const ndl_metrics_fact *config; /* (n_config) for metrics: options */
    int n_config;
    bool rank0_hosts; /* rank 0 may host a stage beside the others */
    int n_threads;    /* of a stage; 0: from the affinity          */
    int context;      /* positions of a slot, >= every request     */
    int n_slots;      /* sequences at the same time                */
    int n_pages;      /* of KV, shared by them; 0: whole contexts  */
    int n_groups;     /* these three: see ndl_scheduler_config     */
    double stall_sec;
    bool no_reuse;
    int max_rows;                /* of a batch                                */
    const char *logits;          /* .npy of the last stage, or NULL           */
    bool compare;                /* it is another model's: read, compare, and
                                    remove it                                 */
    bool more;                   /* the caller leads another run after it: the
                                    others stay if this one ends well         */
    const ndl_request *requests; /* (n_requests), borrowed           */
    int n_requests;
    ndl_client client;
    ndl_score_fn on_score; /* of requests with score_from, or NULL */
    void *score_arg;
    void (*on_plan)(void *arg, const ndl_plan *plan); /* before loading */
    void (*on_probe)(void *arg); /* before measuring, or NULL        */
    void (*on_ready)(void *arg); /* all have loaded                  */
    ndl_progress_fn on_load;     /* while rank 0 loads a stage, or NULL */
    void *arg;
    const ndl_stop *stop;                /* looked at between steps */
    const volatile sig_atomic_t *signal; /* last signal, 0: none    */
} ndl_session_setup;

/* What is left of a run. */
typedef struct ndl_session_result {
    ndl_plan plan;               /* n_stages 0: there was none              */
    ndl_wire_totals *totals;     /* (plan.n_stages)                         */
    double *ping_sec;            /* (plan.n_stages) round trip of a message to a
                                    stage and back, shortest; 0: not known */
    ndl_scheduler_counts counts; /* of the whole run */
    double start_sec; /* the caller's: clock_sec when it began       */
    double probe_sec; /* measuring took; 0: nothing was measured */
    double ready_sec; /* clock_sec when all stages were ready    */
    double end_sec;
    double rank0_cpu_sec; /* processor time of rank 0 between these  */
    const char *kernels;  /* what all stages use, static             */
    ndl_kv_types kv_types;
} ndl_session_result;

/** Collective, rank 0: lead a run.  @param[out] result  the caller frees it
 *  with ndl_session_result_fini, also after an error. */
ndl_status ndl_session_lead(const ndl_session_setup *setup,
                            ndl_session_result *result);
void ndl_session_result_fini(ndl_session_result *r);

/**
 * Collective, other ranks: follow rank 0 until it lets go.
 * @return the status of the run, which is rank 0's.
 */
ndl_status ndl_session_follow(ndl_comm *comm,
                              const volatile sig_atomic_t *signal);

/** Collective, rank 0: there was no run (or it is over); send all home. */
ndl_status ndl_session_dismiss(ndl_comm *comm, ndl_status status);

/** What a run ends with after a signal: EINT, ETERM, or ETEMP for USR1. */
ndl_status ndl_session_signal_status(int sig);

/** Kernels that this process may use: CPUID masked by NDL_CPU.
 * @return NDL_OK; NDL_EUSAGE for an unknown or impossible NDL_CPU. */
ndl_status ndl_session_cpu_flags(unsigned *flags);

#endif /* NOODLE_SESSION_H */
