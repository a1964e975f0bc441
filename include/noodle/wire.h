/*
 * wire.h - the stream of batches and its answers.  What else two ranks ever say
 * to each other: wire_setup.h, wire_report.h.
 *
 * Pure data: no MPI call, no pointer, no machine-dependent width.  A change
 * here is a protocol change: bump NDL_WIRE_VERSION, which HELLO compares.
 *
 *   before: wire_setup.h
 *   0 --BATCH--> stage 1 --BATCH--> ... --BATCH--> stage S --TOKENS--> 0
 *   stage --REPORT--> 0   wire_report.h
 *   0 --ORDER--> stage    likewise
 *   any --PROBE--> any    measuring a link, before the plan
 *
 * One batch is one message: header, table of sequences, page operations, rows.
 * Rows are token ids (int32) on the way to stage 1 and activations (D floats)
 * after it.  In a job that scores, behind the last row there is one id (int32)
 * for each: the token that follows it in the text, or -1 if nobody asks.
 */
#ifndef NOODLE_WIRE_H
#define NOODLE_WIRE_H

#include <assert.h>
#include <stdint.h>

#define NDL_WIRE_VERSION 6u
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
    uint32_t n_ops;     /* page operations; TOKENS: candidates       */
    float slowest_sec;  /* TOKENS: busy time of the slowest stage; of the */
                        /* stages so far on the way there                 */
    float sum_sec;      /* the same of all of them                        */
    uint8_t pad[24];    /* the table starts on a cache line          */
} ndl_wire_batch;

enum {
    NDL_SEQ_SAMPLE = 1 << 0, /* sample after the last row                */
    NDL_SEQ_LOGITS = 1 << 1, /* write the logits of every row to the file */
    NDL_SEQ_SCORE = 1 << 2,  /* score the rows that say what follows them */
    NDL_SEQ_LOG_P = 1 << 3   /* tell the probability of what is sampled   */
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
    uint32_t n_top;     /* candidates to tell beside what is sampled  */
    uint32_t reserved;  /* zero */
} ndl_wire_seq;

/* Behind the table, filled up with zeros to whole cache lines: what happens to
 * slots and pages before the rows are computed, in order. */
typedef enum ndl_wire_op_kind {
    NDL_OP_OPEN = 1, /* slot is sequence a's; its table of pages is empty  */
    NDL_OP_MAP = 2,  /* slot: entry a of its table is page b               */
    NDL_OP_COPY = 3, /* page b, the slot's, becomes what page a is         */
    NDL_OP_CLOSE = 4 /* slot: its sequence is over; its table is empty     */
} ndl_wire_op_kind;

typedef struct ndl_wire_op {
    uint32_t kind; /* ndl_wire_op_kind */
    uint32_t slot, a, b;
} ndl_wire_op;

enum {
    NDL_WIRE_OPS_LINE = 4, /* operations in a cache line */
    NDL_WIRE_TOP = 20      /* candidates of a token, at most */
};

/* One sampled token; TOKENS is ndl_wire_batch, n_seqs of these, n_ops of
 * ndl_wire_candidate, and n_rows of ndl_wire_score.  Every
 * batch is answered, also one without samples: that is its acknowledgement. */
typedef struct ndl_wire_token {
    uint64_t sequence;
    uint32_t pos; /* position that this token will take */
    int32_t id;
    float log_p;    /* natural logarithm, <= 0; NaN: not asked for */
    uint32_t n_top; /* of the candidates that follow all tokens */
} ndl_wire_token;

/* One of the likeliest tokens at a position. */
typedef struct ndl_wire_candidate {
    int32_t id;
    float log_p;
} ndl_wire_candidate;

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

static_assert(sizeof(ndl_wire_batch) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_seq) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_op) == 16, "wire layout is frozen");
static_assert(sizeof(ndl_wire_candidate) == 8, "wire layout is frozen");
static_assert(sizeof(ndl_wire_token) == 24, "wire layout is frozen");
static_assert(sizeof(ndl_wire_score) == 40, "wire layout is frozen");

#endif /* NOODLE_WIRE_H */
