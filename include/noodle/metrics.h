/*
 * metrics.h - what a run did, as tables in metrics.h5.
 *
 * Rank 0 writes; the file can be read while it grows and after kill -9.
 *
 *   /steps     a step of a stage: batch, rows, and its time, split into
 *              receive, busy, send, bubble; expected busy time
 *   /layers    a layer of a stage, summed over the steps since the last row
 *   /requests  one row a finished request: TTFT, TPOT
 *   /accounts  what a stage did for a request, from opening to closing it
 *   /plan      one row a stage: layers, memory, expected and measured means
 *   /ranks     one row a rank: host, node, processors, threads
 *   /config /system /slurm   attributes of these groups, texts
 *
 * A column has the name of its field below, and its unit as attribute "units";
 * the attribute is absent where there is none.
 *
 * Times in seconds since all stages were ready, on the clock of the rank.
 */
#ifndef NOODLE_METRICS_H
#define NOODLE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/plan.h"
#include "noodle/status.h"

typedef struct ndl_metrics ndl_metrics;

/* A step: the time from the end of the stage's last step to the end of this
 * one.  Bubble: waiting though a request was running; idle: no request was. */
typedef struct ndl_metrics_step {
    int64_t batch;
    int32_t stage; /* 1 .. S */
    int32_t rows, sequences;
    int32_t crowd; /* batches in flight when it was issued; 0: unknown */
    double end_sec;
    double receive_sec, busy_sec, send_sec, bubble_sec;
    double other_sec;    /* what none of these timers covers */
    double expected_sec; /* busy, by the cost model; 0: unknown */
} ndl_metrics_step;

/* Layer 0 is the embedding, 1 .. L the blocks, L + 1 the head. */
typedef struct ndl_metrics_layer {
    int32_t stage, layer;
    int64_t steps, rows;
    double sum_sec, min_sec, max_sec;
    double end_sec; /* when it was reported */
} ndl_metrics_layer;

typedef struct ndl_metrics_request {
    int32_t request; /* 0, 1, ... in the order of submission */
    int32_t prompt_tokens, new_tokens;
    char finish[64];
    double ttft_sec; /* from READY (all requests wait from there) */
    double tpot_sec; /* time per output token after the first; 0: one token */
    double end_sec;
} ndl_metrics_request;

/* A request that was stopped and went on later has several. */
typedef struct ndl_metrics_account {
    int32_t request, stage;
    int64_t rows, steps;
    double busy_sec; /* its share of the steps, by rows */
    double end_sec;  /* when it was reported */
} ndl_metrics_account;

typedef struct ndl_metrics_rank {
    int32_t rank, node, n_cpus, n_threads, stage; /* stage 0: none */
    int32_t reserved;
    int64_t memory_bytes;
    char host[64];
} ndl_metrics_rank;

/* A name and a text, of /config, /system. */
typedef struct ndl_metrics_fact {
    const char *name, *text;
} ndl_metrics_fact;

typedef struct ndl_metrics_setup {
    const char *path;
    const ndl_plan *plan;
    const ndl_metrics_rank *ranks; /* (n_ranks) */
    int n_ranks;
    const ndl_metrics_fact *config; /* (n_config): options as given */
    int n_config;
    const ndl_metrics_fact *system; /* (n_system): versions, kernels, CPU */
    int n_system;
} ndl_metrics_setup;

/** Make the file with all that is known at READY; Slurm's variables are read
 * from the environment.  @return NDL_OK; NDL_ECREATE, NDL_EPERM, NDL_EIO. */
ndl_status ndl_metrics_create(ndl_metrics **out,
                              const ndl_metrics_setup *setup);

/** Append rows; kept in memory until flush or until the memory set aside at the
 * start is full.  A step's stage is one of the plan's.  After NDL_EIO only
 * close makes sense: the file keeps what was flushed before.
 * @return NDL_OK; NDL_EIO. */
ndl_status ndl_metrics_steps(ndl_metrics *m, const ndl_metrics_step *rows,
                             int n);
ndl_status ndl_metrics_layers(ndl_metrics *m, const ndl_metrics_layer *rows,
                              int n);
ndl_status ndl_metrics_account_for(ndl_metrics *m,
                                   const ndl_metrics_account *row);
ndl_status ndl_metrics_finish(ndl_metrics *m, const ndl_metrics_request *row);

/** Make what was appended visible, if the last flush is `every_sec` ago or
 * longer (0: now). */
ndl_status ndl_metrics_flush(ndl_metrics *m, double now, double every_sec);

/** Write the measured means into /plan, flush, close, set NULL in every case.
 * NULL is allowed.  @return NDL_OK; NDL_EIO. */
ndl_status ndl_metrics_close(ndl_metrics **m);

#endif /* NOODLE_METRICS_H */
