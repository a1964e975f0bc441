/*
 * wire_report.h - what stages tell rank 0 beside the stream of batches, and
 * what it orders.
 *
 * Pure data of fixed widths, like wire.h, whose version covers it.
 */
#ifndef NOODLE_WIRE_REPORT_H
#define NOODLE_WIRE_REPORT_H

#include <assert.h>
#include <stdint.h>

typedef enum ndl_report_kind {
    NDL_REPORT_ALIVE = 1,
    NDL_REPORT_FAULT = 2,   /* status and text say why */
    NDL_REPORT_DONE = 3,    /* answer to STOP          */
    NDL_REPORT_STEPS = 4,   /* ndl_wire_steps          */
    NDL_REPORT_ACCOUNTS = 5 /* ndl_wire_accounts       */
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
    uint32_t pong; /* number of the newest order that asked for an answer */
    uint32_t reserved;
    ndl_wire_totals totals;
    char text[NDL_WIRE_TEXT]; /* zero-terminated */
} ndl_wire_report;

typedef struct ndl_wire_order {
    uint32_t magic;
    uint32_t kind;  /* ndl_order_kind */
    int32_t status; /* ABORT: why     */
    uint32_t ping;  /* ALIVE: answer with this number; 0: need not */
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

/* What a stage has done for a sequence, from opening to closing it. */
typedef struct ndl_wire_account {
    uint64_t sequence;
    uint32_t rows, steps;
    double busy_sec; /* its share of the steps, by rows */
} ndl_wire_account;

/* A report of kind ACCOUNTS: this, and n of ndl_wire_account. */
typedef struct ndl_wire_accounts {
    uint32_t magic;
    uint32_t kind; /* NDL_REPORT_ACCOUNTS */
    uint32_t n;    /* <= NDL_WIRE_ACCOUNTS */
    uint32_t stage;
    uint32_t lost; /* accounts that found no room since the last message */
    uint32_t reserved[3];
} ndl_wire_accounts;

/* Records in one message, at most */
enum { NDL_WIRE_STEPS = 512, NDL_WIRE_ACCOUNTS = 256 };

static_assert(sizeof(ndl_wire_totals) == 64, "wire layout is frozen");
static_assert(sizeof(ndl_wire_account) == 24, "wire layout is frozen");
static_assert(sizeof(ndl_wire_accounts) == 32, "wire layout is frozen");
static_assert(sizeof(ndl_wire_report) == 24 + 64 + NDL_WIRE_TEXT, "frozen");
static_assert(sizeof(ndl_wire_step) == 40, "wire layout is frozen");
static_assert(sizeof(ndl_wire_layer) == 32, "wire layout is frozen");
static_assert(sizeof(ndl_wire_steps) == 32, "wire layout is frozen");
static_assert(sizeof(ndl_wire_order) == 16, "wire layout is frozen");

#endif /* NOODLE_WIRE_REPORT_H */
