/*
 * plan.h - which rank hosts which layers.
 *
 * The plan itself: plain data, how it is printed, drawn, written and read.
 * Who decides is elsewhere: strategy.h from measured or estimated times,
 * plan_split.h by parameters or as the user says.  A plan from a file is
 * checked like any other input.
 *
 * Layers are the blocks; the embedding goes with the first stage and the head
 * (final norm, LM head) with the last; either may have a stage to itself.
 */
#ifndef NOODLE_PLAN_H
#define NOODLE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "noodle/forward.h"
#include "noodle/json.h"
#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/status.h"

/* What the parts of a model need. */
typedef struct ndl_plan_costs {
    int n_blocks;
    int width;                         /* of the rows that stages hand on    */
    int64_t block_params, head_params; /* that a token passes through        */
    int64_t embed_params;              /* looked up, not passed through      */
    uint64_t block_bytes, embed_bytes, head_bytes; /* of weights in the file */
    int64_t shared_params; /* of a tied matrix, counted in both head and */
    uint64_t shared_bytes; /* embedding: a stage of both has it once     */
    uint64_t kv_bytes;     /* of one block: all slots, whole context */
    uint64_t buffer_bytes; /* of any stage, whatever its layers      */
    uint64_t logits_bytes; /* of the last stage on top               */
} ndl_plan_costs;

/** Costs of a shape: pure, without a file.
 * @return NDL_OK; NDL_EDATA if a size overflows; NDL_EOS. */
ndl_status ndl_plan_costs_of(ndl_plan_costs *out, const ndl_model *m,
                             ndl_mix mix, const ndl_forward_limits *limits,
                             int n_threads);

/* What a plan is made for. */
typedef struct ndl_workload {
    int prompt_tokens, new_tokens; /* of a request                     */
    int sequences;  /* at the same time                                */
    int chunk_rows; /* rows of a batch at most                         */
} ndl_workload;

typedef struct ndl_plan_stage {
    int rank; /* -1: a virtual node */
    int first_layer, n_layers;
    bool embed, head;
    int n_threads;
    int64_t params; /* stored for this stage, embedding included */
    uint64_t weight_bytes, kv_bytes, buffer_bytes, free_bytes;
    /* Expected; 0: nothing was measured or estimated. */
    double prompt_sec; /* a full prompt chunk in the middle of a prompt     */
    double decode_sec; /* a decode step of its share of the sequences       */
    double busy_sec;   /* per request of the workload                       */
    double link_sec;   /* handing such a prompt chunk on                    */
    char host[64];     /* host, or the virtual node's name */
    char why[160];
} ndl_plan_stage;

/** What a stage needs by its layers, embedding and head: fills params,
 * weight_bytes, kv_bytes and buffer_bytes. */
void ndl_plan_stage_needs(ndl_plan_stage *s, const ndl_plan_costs *costs);

enum { NDL_PLAN_NOTES = 8 };

typedef struct ndl_plan {
    int n_stages, n_idle; /* ranks offered, but without a stage */
    ndl_plan_stage *stages;
    char strategy[24]; /* strategy.h's names; "parameters", "split" */
    char source[16];   /* "measured", "estimated", "parameters", "user" */
    ndl_workload workload;
    double period_sec;     /* busiest stage or link, per request; 0: unknown */
    double latency_sec;    /* of one request alone                           */
    double tokens_per_sec; /* all sequences, prompt and new tokens        */
    double balance;        /* 0..1: mean over greatest busy time; POP's      */
                           /* load balance                                   */
    double gap; /* 0: proven optimal; 0.02: at most 2 % better is possible */
    int bottleneck; /* stage; -1: a link or unknown */
    int n_notes;
    char notes[NDL_PLAN_NOTES][200];
} ndl_plan;

void ndl_plan_fini(ndl_plan *p);

/** The plan as a table: stage, rank, host, layers, parameters, memory, times
 * (if there are), why; under it the figures of the whole and the notes. */
void ndl_plan_print(const ndl_plan *p, FILE *out);

/** The plan as a picture for a terminal of `columns`: a bar a stage, as long
 * as its time, with its layers, memory and links. */
void ndl_plan_draw(const ndl_plan *p, FILE *out, int columns);

/** The plan as JSON (share/noodle-mpi/plan.schema.json); NULL if out of
 * memory.  A new reference. */
json_t *ndl_plan_json(const ndl_plan *p);

/** Write it to a file, atomically.  @return NDL_OK; NDL_ECREATE, NDL_EIO. */
ndl_status ndl_plan_save(const ndl_plan *p, const char *path);

/**
 * Read a plan back, strictly: unknown, missing or absurd fields are refused by
 * name, and stages must cover blocks 0 .. n-1 in order, embedding first, head
 * last, each rank once.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA; NDL_EOS.
 */
ndl_status ndl_plan_load(ndl_plan *out, const char *path);
ndl_status ndl_plan_parse(ndl_plan *out, const char *text, size_t n,
                          const char *what);

/** "3.1 GiB", "512 KiB" into buf; returns buf. */
char *ndl_plan_bytes_text(uint64_t bytes, char *buf, size_t cap);

#endif /* NOODLE_PLAN_H */
