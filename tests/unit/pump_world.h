/*
 * pump_world.h - a coordinator and its stages in one process, over the fake
 * comm and its virtual clock; ranks may be left out, for the test to play them.
 */
#ifndef NOODLE_TESTS_PUMP_WORLD_H
#define NOODLE_TESTS_PUMP_WORLD_H

#include "comm_fake.h"
#include "noodle/coordinator.h"
#include "noodle/stage.h"
#include "toy.h"

enum { WORLD_STAGES = 4, WORLD_REQUESTS = 12, WORLD_NEW = 64 };

typedef struct world_setup {
    const char *weights;
    int n_stages;
    int blocks[WORLD_STAGES]; /* of each stage */
    bool hosted;              /* rank 0 alone, with the only stage */
    int n_slots, max_rows, context, n_threads;
    int n_pages; /* 0: whole contexts for all slots */
    int n_groups;
    double stall_sec;
    bool no_reuse;
    ndl_kv_types kv_types;
    unsigned cpu_flags;
    double latency_sec, bytes_per_sec, jitter_sec, compute_sec;
    size_t eager_bytes;
    uint64_t seed;
    const ndl_request *requests; /* (n_requests) */
    int n_requests;
    const char *logits;    /* .npy, or NULL           */
    bool compare;          /* which is read           */
    ndl_score_fn on_score; /* NULL: nothing is scored */
    void *score_arg;
    int n_idle;                  /* ranks without a stage   */
    bool no_coordinator;         /* the test plays rank 0   */
    bool no_stage[WORLD_STAGES]; /* the test plays its rank */
} world_setup;

/* What the client was told of a request. */
typedef struct world_text {
    int32_t ids[WORLD_NEW];
    int n, n_finishes;
    int refuse_at; /* on_token says no from this token on; 0: never */
    ndl_finish why;
} world_text;

typedef struct world {
    world_setup setup;
    ndl_fake *fake;
    int n_ranks;
    ndl_wire_job job;
    ndl_wire_place places[WORLD_STAGES];
    ndl_coordinator *coordinator;
    ndl_stage *stages[WORLD_STAGES];
    bool is_dead[WORLD_STAGES];
    world_text texts[WORLD_REQUESTS];
    ndl_status left[WORLD_STAGES]; /* with which each stage left */
    bool has_left[WORLD_STAGES];
} world;

/** The pumps of a setup; fails the test if one cannot be made. */
void world_open(world *w, const world_setup *setup);

/** Free the pumps, and then the fake comm. */
void world_close_pumps(world *w);
void world_close(world *w);

/** Rank that hosts stage i. */
int world_rank(const world *w, int stage);

/** Step every rank that is ready; then, if nothing moved, let time pass.
 * @return false if nothing will ever happen again. */
bool world_turn(world *w);

/**
 * Turn until the coordinator is over and every living stage has left.
 * @return the run's status; the test fails if it takes longer than `sec` of
 *         virtual time.
 */
ndl_status world_run(world *w, double sec);

/** Kill the rank of a stage: it does nothing any more. */
void world_kill(world *w, int stage);

/** Send as rank `from` and forget: for ranks that the test plays. */
void world_send(world *w, int from, int to, ndl_tag tag, const void *msg,
                size_t len);

/** Turn until a message for a rank that the test plays is here; its length.
 * The test fails if none comes within `sec`. */
size_t world_receive(world *w, int from, int to, ndl_tag tag, void *msg,
                     size_t cap, double sec);

#endif /* NOODLE_TESTS_PUMP_WORLD_H */
