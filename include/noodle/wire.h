/*
 * wire.h - everything two ranks ever say to each other.
 *
 * Pure data: no MPI call, no pointer, no machine-dependent width.  A change
 * here is a protocol change: bump NDL_WIRE_VERSION, which HELLO compares.
 *
 *   setup, collective:  HELLO (gather to 0), JOB and PLAN (broadcast from 0)
 *   0 --BATCH--> stage 1 --BATCH--> ... --BATCH--> stage S --TOKENS--> 0
 *   stage --REPORT--> 0   a sign of life, a fault, or the totals at the end
 *   0 --ORDER--> stage    give up at once
 *
 * One batch is one message: header, table of sequences, rows.  Rows are token
 * ids (int32) on the way to stage 1 and activations (D floats) after it.
 */
#ifndef NOODLE_WIRE_H
#define NOODLE_WIRE_H

#include <assert.h>
#include <stdint.h>

#define NDL_WIRE_VERSION 1u
#define NDL_WIRE_MAGIC   0x4e444c42u /* "NDLB" */

typedef enum ndl_tag {
    NDL_TAG_FIRST = 100,
    NDL_TAG_BATCH = NDL_TAG_FIRST, /* i -> i+1: ndl_wire_batch, table, rows */
    NDL_TAG_TOKENS,                /* last -> 0: ndl_wire_batch, tokens     */
    NDL_TAG_REPORT,                /* stage -> 0: ndl_wire_report           */
    NDL_TAG_ORDER,                 /* 0 -> stage: ndl_wire_order            */
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
    uint32_t n_rows;    /* rows in all                               */
    uint32_t n_seqs;    /* entries of the table                      */
    uint32_t row_bytes; /* 4 (ids) or 4 * width; TOKENS: 0           */
    uint32_t reserved;  /* zero                                      */
    uint8_t pad[32];    /* the table starts on a cache line          */
} ndl_wire_batch;

enum {
    NDL_SEQ_SAMPLE = 1 << 0, /* sample after the last row                */
    NDL_SEQ_LOGITS = 1 << 1  /* write the logits of every row to the file */
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
    int32_t top_k; /* 0: off                                     */
    uint8_t pad[16];
} ndl_wire_seq;

/* One sampled token; TOKENS is ndl_wire_batch and n_seqs of these.  Every
 * batch is answered, also one without samples: that is its acknowledgement. */
typedef struct ndl_wire_token {
    uint64_t sequence;
    uint32_t pos; /* position that this token will take */
    int32_t id;
} ndl_wire_token;

typedef enum ndl_report_kind {
    NDL_REPORT_ALIVE = 1,
    NDL_REPORT_FAULT = 2, /* status and text say why */
    NDL_REPORT_DONE = 3   /* answer to STOP          */
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

enum { NDL_WIRE_HOST = 64, NDL_WIRE_CPUS = 1024 };

/* What a rank says of itself before the plan. */
typedef struct ndl_wire_hello {
    uint32_t magic, version;
    uint32_t cpu_flags;
    int32_t node;          /* number of its shared-memory node     */
    int32_t n_cpus;        /* online on its node                    */
    int32_t reserved;      /* zero                                  */
    uint64_t memory_bytes; /* free on its node, before it is shared */
    uint64_t cpus[NDL_WIRE_CPUS / 64]; /* its affinity, by OS index */
    char host[NDL_WIRE_HOST];
} ndl_wire_hello;

enum { NDL_WIRE_PATH = 4096 };

typedef enum ndl_job_kind {
    NDL_JOB_LEAVE = 1, /* nothing for the other ranks: go home with `status` */
    NDL_JOB_PIPELINE = 2 /* become a pipeline */
} ndl_job_kind;

/* What rank 0 tells all before the plan. */
typedef struct ndl_wire_job {
    uint32_t magic;
    uint32_t kind; /* ndl_job_kind */
    int32_t status;
    uint32_t n_stages;
    uint32_t n_slots;     /* sequences with KV at the same time              */
    uint32_t context;     /* positions of a slot                             */
    uint32_t max_rows;    /* rows of a batch, at most                        */
    uint32_t kv_dtype;    /* ndl_dtype                                       */
    uint32_t cpu_flags;   /* kernels that all stages use                     */
    uint32_t log_level;   /* ndl_log_level                                   */
    uint32_t sleep_only;  /* 1: threads exceed cores, nobody spins           */
    uint32_t logits_rows; /* rows of that .npy                             */
    uint32_t reserved[4];
    char weights[NDL_WIRE_PATH]; /* zero-terminated */
    char logits[NDL_WIRE_PATH];  /* .npy that the last stage writes, or "" */
} ndl_wire_job;

/* Stage s of the plan; the plan is n_stages of these, in order. */
typedef struct ndl_wire_place {
    int32_t rank;
    int32_t first_layer, n_layers;
    int32_t embed, head; /* 0 or 1 */
    int32_t n_threads;
    int32_t reserved[2];
} ndl_wire_place;

static_assert(sizeof(ndl_wire_batch) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_seq) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_token) == 16, "wire layout is frozen");
static_assert(sizeof(ndl_wire_totals) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_report) == 16 + 64 + NDL_WIRE_TEXT, "frozen");
static_assert(sizeof(ndl_wire_order) == 16, "wire layout is frozen");
static_assert(sizeof(ndl_wire_hello) == 32 + 128 + 64, "frozen");
static_assert(sizeof(ndl_wire_job) == 8 * 8 + 2 * NDL_WIRE_PATH, "frozen");
static_assert(sizeof(ndl_wire_place) == 32, "frozen");

#endif /* NOODLE_WIRE_H */
