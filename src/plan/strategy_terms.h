/*
 * strategy_terms.h - a planning task in the terms of the exact solver: layers,
 * kinds of nodes, seconds and bytes.
 *
 * Items are the embedding (0), the blocks (1 .. L) and the head (L + 1).
 */
#ifndef NOODLE_STRATEGY_TERMS_H
#define NOODLE_STRATEGY_TERMS_H

#include "noodle/partition.h"
#include "noodle/strategy.h"

/* What is to be planned, checked; everything is borrowed. */
typedef struct ndl_strategy_task {
    const ndl_strategy_setup *setup;
    const ndl_plan_costs *costs;
    const ndl_cluster *cluster;
    const ndl_workload *work;
    double until_sec; /* ndl_clock_sec() at which searching ends */
} ndl_strategy_task;

/* Which seconds the solver is to look at. */
typedef enum ndl_terms_view {
    NDL_TERMS_LINKED, /* period: stages and links at work; sum: the same     */
    NDL_TERMS_STAGES, /* period: stages at work alone; sum: with the links
                         between them                                        */
    NDL_TERMS_ALONE,  /* period: a mean prompt chunk of one request alone;
                         sum: that chunk and all its decode steps            */
    NDL_TERMS_STEP,   /* period: a decode step, all stages at work           */
    NDL_TERMS_MEMORY  /* no seconds at all: does it fit?                     */
} ndl_terms_view;

/* K kinds, I items.  All arrays are owned. */
typedef struct ndl_terms {
    const ndl_strategy_task *task;
    int n_kinds, n_items, n_nodes, n_chunks;
    int batch;                          /* sequences of a decode step       */
    int *count, *order, *pin;           /* (K), (n_nodes), (I)              */
    uint64_t *bytes, *memory;           /* (I), (K)                         */
    double *prompt;                     /* (K, 3) a prompt, all at work     */
    double *step;                       /* (K, I) a decode step, all at work */
    double *busy;                       /* (K, I) a request, all at work    */
    double *chunk, *alone;              /* (K, I) of one request alone      */
    double *prompt_link, *chunk_link;   /* (K, K) all chunks, the mean one  */
    double *link, *alone_link;          /* (K, K) a request at work, alone  */
    double *prompt_enter, *chunk_enter; /* (K) */
    double *enter, *leave;              /* (K) a request at work            */
    double *zeros;                      /* (K, max(K, I)) */
} ndl_terms;

/** @return NDL_OK; NDL_EOS. */
ndl_status ndl_terms_init(ndl_terms *out, const ndl_strategy_task *task);
void ndl_terms_fini(ndl_terms *t);

/** Sequences of a decode step when as many groups as stages are on their way:
 * ceil(sequences / stages). */
int ndl_terms_batch_of(const ndl_workload *work, int n_stages);

/** Set step, busy, link, enter and leave for decode steps of `batch`. */
void ndl_terms_set_batch(ndl_terms *t, int batch);

/** The problem of a view; borrows from the terms.  Free of stage counts. */
ndl_partition_problem ndl_terms_problem(const ndl_terms *t,
                                        ndl_terms_view view);

/** NDL_LAYER_EMBED, BLOCK or HEAD. */
ndl_layer_kind ndl_terms_layer(const ndl_terms *t, int item);

/** Bytes that items first .. first + n - 1 take as a stage. */
uint64_t ndl_terms_bytes(const ndl_terms *t, int first, int n);

#endif /* NOODLE_STRATEGY_TERMS_H */
