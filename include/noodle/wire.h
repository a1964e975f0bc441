/*
 * wire.h - everything two ranks ever say to each other.
 *
 * Pure data: no MPI call, no pointer, no machine-dependent width.  A change
 * here is a protocol change: bump NDL_WIRE_VERSION, which HELLO compares.
 *
 *   before: wire_setup.h
 *   0 --BATCH--> stage 1 --BATCH--> ... --BATCH--> stage S --TOKENS--> 0
 *   stage --REPORT--> 0   a sign of life, a fault, where the time of its steps
 *                         went, or the totals at the end
 *   0 --ORDER--> stage    give up at once
 *   any --PROBE--> any    measuring a link, before the plan
 *
 * One batch is one message: header, table of sequences, rows.  Rows are token
 * ids (int32) on the way to stage 1 and activations (D floats) after it.  In a
 * job that scores, behind the last row there is one id (int32) for each: the
 * token that follows it in the text, or -1 if nobody asks.
 */
#ifndef NOODLE_WIRE_H
#define NOODLE_WIRE_H

#include <assert.h>
#include <stdint.h>

#define NDL_WIRE_VERSION 5u
#define NDL_WIRE_MAGIC   0x4e444c42u /* "NDLB" */

typedef enum ndl_tag {
    NDL_TAG_FIRST = 100,
    NDL_TAG_BATCH = NDL_TAG_FIRST, /* i -> i+1: ndl_wire_batch, table, rows */
    NDL_TAG_TOKENS, /* last -> 0: ndl_wire_batch, tokens, scores */
    NDL_TAG_REPORT, /* stage -> 0: ndl_wire_report           */
    NDL_TAG_ORDER,  /* 0 -> stage: ndl_wire_order            */
    NDL_TAG_PROBE,  /* any -> any: bytes that mean nothing   */
    NDL_TAG_LAST
} ndl_tag;

typedef enum ndl_batch_kind {
    NDL_BATCH_ROWS = 1, /* rows to compute                            */
    NDL_BATCH_STOP = 2  /* in stream order: nothing comes after; drain */
} ndl_batch_kind;

/* Precedes the table and the rows in the same buffer, so that one batch is
 * one message and pays the latency of a hop once. */
typedef struct ndl_wire_batch {
    uint32_t magic;     /* NDL_WIRE_MAGIC                            */
    uint32_t kind;      /* ndl_batch_kind                            */
    uint64_t batch_id;  /* 1, 2, ...: issued by rank 0; STOP: 0, or  */
                        /* 1 if not all was computed that was asked  */
    uint32_t n_rows;    /* rows in all; TOKENS: scores               */
    uint32_t n_seqs;    /* entries of the table                      */
    uint32_t row_bytes; /* 4 (ids) or 4 * width, and 4 more in a job */
                        /* that scores; TOKENS: 0                    */
    uint32_t reserved;  /* zero                                      */
    uint8_t pad[32];    /* the table starts on a cache line          */
} ndl_wire_batch;

enum {
    NDL_SEQ_SAMPLE = 1 << 0, /* sample after the last row                */
    NDL_SEQ_LOGITS = 1 << 1, /* write the logits of every row to the file */
    NDL_SEQ_SCORE = 1 << 2   /* score the rows that say what follows them */
};

/* One sequence's rows in a batch, in the order of the rows.  It carries its
 * sampling settings, so that the last stage keeps no state of requests. */
typedef struct ndl_wire_seq {
    uint64_t sequence; /* name of the sequence, for the answer       */
    uint64_t seed;     /* key of its random numbers                  */
    uint32_t slot;     /* KV slot, 0 .. n_slots-1                     */
    uint32_t pos;      /* position of its first row in the sequence  */
    uint32_t n_rows;   /* >= 1                                       */
    uint32_t flags;    /* NDL_SEQ_*                                  */
    float temperature; /* 0: greedy                                  */
    float top_p, min_p;
    int32_t top_k;      /* 0: off                                     */
    int64_t logits_row; /* of its first row in the file of logits     */
    uint8_t pad[8];
} ndl_wire_seq;

/* One sampled token; TOKENS is ndl_wire_batch, n_seqs of these, and n_rows of
 * ndl_wire_score.  Every
 * batch is answered, also one without samples: that is its acknowledgement. */
typedef struct ndl_wire_token {
    uint64_t sequence;
    uint32_t pos; /* position that this token will take */
    int32_t id;
} ndl_wire_token;

/* What the model thought of a token that was in the text; the last three only
 * if it is compared with another model's logits. */
typedef struct ndl_wire_score {
    uint64_t sequence;
    uint32_t pos;      /* of the token, >= 1                              */
    uint32_t same_top; /* 1: both models have the same likeliest token    */
    double log_p;      /* natural logarithm of its probability, <= 0      */
    double divergence; /* KL(other || this) of the whole distribution     */
    double max_diff;   /* largest difference of two logits of a token     */
} ndl_wire_score;

typedef enum ndl_report_kind {
    NDL_REPORT_ALIVE = 1,
    NDL_REPORT_FAULT = 2, /* status and text say why */
    NDL_REPORT_DONE = 3,  /* answer to STOP          */
    NDL_REPORT_STEPS = 4  /* ndl_wire_steps          */
} ndl_report_kind;

enum { NDL_WIRE_TEXT = 1024 };

/* Totals of a stage since READY. */
typedef struct ndl_wire_totals {
    uint64_t batches, rows;
    uint64_t bytes_in, bytes_out;
    double busy_sec; /* computing                                     */
    double wait_sec; /* nothing to compute                            */
    double send_sec; /* computed, but the next stage's buffer is full */
    uint64_t peak_rss_bytes;
} ndl_wire_totals;

typedef struct ndl_wire_report {
    uint32_t magic;
    uint32_t kind; /* ndl_report_kind */
    int32_t status;
    uint32_t stage;
    ndl_wire_totals totals;
    char text[NDL_WIRE_TEXT]; /* zero-terminated */
} ndl_wire_report;

typedef struct ndl_wire_order {
    uint32_t magic;
    uint32_t kind;  /* ndl_order_kind */
    int32_t status; /* ABORT: why     */
    uint32_t reserved;
} ndl_wire_order;

typedef enum ndl_order_kind {
    NDL_ORDER_ALIVE = 1, /* rank 0 is alive                */
    NDL_ORDER_ABORT = 2, /* give up at once: leave with `status` */
    NDL_ORDER_LEAVE = 3  /* all is done: leave with `status`     */
} ndl_order_kind;

/* Where the time of one step of a stage went: from the end of its last step to
 * the end of this one. */
typedef struct ndl_wire_step {
    uint64_t batch_id;
    double end_sec;    /* since the stage was let go, on its own clock     */
    float receive_sec; /* a batch was on its way                           */
    float busy_sec;    /* computing                                        */
    float send_sec;    /* done, but the next stage's buffers are full      */
    float bubble_sec;  /* nothing to do though requests run; idle before   */
                       /* the first and after the last                     */
    float other_sec;   /* what the timers above do not cover               */
    uint32_t reserved;
} ndl_wire_step;

/* A layer over the steps of one STEPS message. */
typedef struct ndl_wire_layer {
    uint32_t layer; /* 0 embedding, 1 .. L, L + 1 head */
    uint32_t steps;
    uint64_t rows;
    double sum_sec;
    float min_sec, max_sec;
} ndl_wire_layer;

/* A report of kind STEPS: this, n_steps of ndl_wire_step, n_layers of
 * ndl_wire_layer.  Begins as ndl_wire_report does. */
typedef struct ndl_wire_steps {
    uint32_t magic;
    uint32_t kind;    /* NDL_REPORT_STEPS */
    uint32_t n_steps; /* <= NDL_WIRE_STEPS */
    uint32_t stage;
    uint32_t n_layers;
    uint32_t lost; /* steps that found no room since the last message */
    uint64_t reserved;
} ndl_wire_steps;

enum { NDL_WIRE_STEPS = 512 }; /* records in one message, at most */

static_assert(sizeof(ndl_wire_batch) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_seq) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_token) == 16, "wire layout is frozen");
static_assert(sizeof(ndl_wire_score) == 40, "wire layout is frozen");
static_assert(sizeof(ndl_wire_totals) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_report) == 16 + 64 + NDL_WIRE_TEXT, "frozen");
static_assert(sizeof(ndl_wire_step) == 40, "wire layout is frozen");
static_assert(sizeof(ndl_wire_layer) == 32, "wire layout is frozen");
static_assert(sizeof(ndl_wire_steps) == 32, "wire layout is frozen");
static_assert(sizeof(ndl_wire_order) == 16, "wire layout is frozen");

#endif /* NOODLE_WIRE_H */
