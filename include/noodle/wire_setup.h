/*
 * wire_setup.h - what ranks say to each other before the pipeline runs, all of
 * it collective: greetings to rank 0, the job and the places from it.
 *
 * Pure data of fixed widths, like wire.h, whose version covers it.
 */
#ifndef NOODLE_WIRE_SETUP_H
#define NOODLE_WIRE_SETUP_H

#include <assert.h>
#include <stdint.h>

#include "noodle/wire.h"
#include "noodle/wire_report.h"

enum { NDL_WIRE_HOST = 64, NDL_WIRE_CPUS = 1024, NDL_WIRE_MIX = 8 };

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
    NDL_JOB_PIPELINE = 2, /* become a pipeline */
    NDL_JOB_HARDWARE = 3, /* tell what you are made of; then the next job */
    NDL_JOB_PROFILE = 4,  /* measure layers and links; then the next job */
    NDL_JOB_LINKS = 5     /* links to slow down: int32 n, n of ndl_comm_link;
                             then the next job */
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
    uint16_t type_k;      /* ndl_dtype of the keys in the KV cache           */
    uint16_t type_v;      /* and of the values                               */
    uint32_t cpu_flags;   /* kernels that all stages use                     */
    uint32_t log_level;   /* ndl_log_level                                   */
    uint32_t sleep_only;  /* 1: threads exceed cores, nobody spins           */
    uint32_t logits_rows; /* rows of that .npy                             */
    uint32_t want_steps;  /* 1: stages tell where their time goes            */
    uint32_t want_scores; /* 1: rows say what follows them, tokens are scored */
    uint32_t compare;     /* 1: the logits are another model's, to be read   */
    uint32_t more;        /* 1: another job comes after it, if all is well   */
    uint32_t n_pages;     /* of the KV cache, on every stage                 */
    uint32_t max_ops;     /* page operations of a batch, at most             */
    char weights[NDL_WIRE_PATH];  /* zero-terminated */
    char logits[NDL_WIRE_PATH];   /* .npy of the last stage, or "" */
    char stage_in[NDL_WIRE_PATH]; /* folder on each node, or "" */
} ndl_wire_job;

/* Stage s of the plan; the plan is n_stages of these, in order. */
typedef struct ndl_wire_place {
    int32_t rank;
    int32_t first_layer, n_layers;
    int32_t embed, head; /* 0 or 1 */
    int32_t n_threads;
    float speed;         /* 0 or 1: as it is; less: emulated */
    uint32_t load;       /* ndl_load */
    uint64_t free_bytes; /* memory that it may take */
} ndl_wire_place;

/* After NDL_JOB_PROFILE and the greetings: this, the text of config.json, and
 * one seat a rank, all from rank 0. */
typedef struct ndl_wire_probe {
    uint32_t magic;
    uint8_t mix[NDL_WIRE_MIX]; /* ndl_mix of the weights */
    uint16_t type_k, type_v;   /* ndl_dtype of keys, of values */
    uint32_t cpu_flags;        /* kernels that all use */
    uint32_t load;             /* ndl_load */
    uint32_t chunk_rows, context, n_slots;
    uint32_t sleep_only;   /* 1: threads exceed cores, nobody spins */
    uint32_t config_bytes; /* with the final zero */
} ndl_wire_probe;

typedef struct ndl_wire_seat {
    int32_t n_threads; /* 0: hosts nothing */
    float speed;       /* as in ndl_wire_place */
} ndl_wire_seat;

static_assert(sizeof(ndl_wire_probe) == 44, "frozen");
static_assert(sizeof(ndl_wire_seat) == 8, "frozen");
static_assert(sizeof(ndl_wire_hello) == 32 + 128 + 64, "frozen");
static_assert(sizeof(ndl_wire_job) == 9 * 8 + 3 * NDL_WIRE_PATH, "frozen");
static_assert(sizeof(ndl_wire_place) == 40, "frozen");

#endif /* NOODLE_WIRE_SETUP_H */
