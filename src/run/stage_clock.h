/*
 * stage_clock.h - where a stage's time goes: every moment belongs to one
 * state, every step gets a record, and records travel to rank 0.
 * Private to src/run.
 */
#ifndef NDL_STAGE_CLOCK_H
#define NDL_STAGE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "noodle/forward.h"
#include "noodle/wire_report.h"

typedef enum ndl_stage_state {
    NDL_STAGE_IDLE,    /* before the first batch */
    NDL_STAGE_BUBBLE,  /* no batch is here or on its way */
    NDL_STAGE_RECEIVE, /* one is on its way */
    NDL_STAGE_BUSY,
    NDL_STAGE_SEND, /* one is here, but there is no room for its result */
    NDL_STAGE_OTHER,
    NDL_N_STAGE_STATES
} ndl_stage_state;

enum { NDL_STAGE_CLOCK_STEPS = 2048 };

/* Storage is the stage's; all zero before start. */
typedef struct ndl_stage_clock {
    ndl_stage_state state;
    bool is_started;
    double begin, since;
    double step[NDL_N_STAGE_STATES]; /* since the end of the last step */
    double total[NDL_N_STAGE_STATES];
    bool keeps;          /* records are wanted */
    ndl_wire_step *ring; /* (NDL_STAGE_CLOCK_STEPS) if they are */
    int first, n;
    uint32_t lost;
    ndl_layer_clock *layers; /* (n_layers + 2): embedding, hosted, head */
    int first_layer, n_layers, n_model_layers;
} ndl_stage_clock;

/** The first call starts the clock, idle. */
void ndl_stage_clock_start(ndl_stage_clock *c, double now);

/** From now on the time belongs to `state`. */
void ndl_stage_clock_to(ndl_stage_clock *c, ndl_stage_state state, double now);

/** A step has ended: keep its record. */
void ndl_stage_clock_step(ndl_stage_clock *c, uint64_t batch_id, double now);

/** Totals until now. */
void ndl_stage_clock_totals(const ndl_stage_clock *c, double now,
                            ndl_wire_totals *out);

/** Bytes of the longest message that write() makes. */
size_t ndl_stage_clock_cap(const ndl_stage_clock *c);

/** Move the oldest records and all layers into a STEPS message (aligned to 8);
 * not while the forward pass runs.  @return its bytes. */
size_t ndl_stage_clock_write(ndl_stage_clock *c, int stage, void *msg);

#endif /* NDL_STAGE_CLOCK_H */
