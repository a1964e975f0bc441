/*
 * registry.h - the stages as rank 0 knows them: where they are, what they have
 * told, and when they gave a sign of life last.  Private to src/run.
 */
#ifndef NDL_REGISTRY_H
#define NDL_REGISTRY_H

#include <stdbool.h>

#include "noodle/comm.h"
#include "noodle/plan.h"
#include "noodle/wire_setup.h"
#include "recorder.h"

typedef struct ndl_registry ndl_registry;

typedef struct ndl_registry_setup {
    ndl_comm *comm;               /* borrowed for the registry's life */
    const ndl_wire_place *places; /* (n_stages), likewise             */
    int n_stages;
    const ndl_plan *plan;   /* for names of hosts, likewise; or NULL    */
    ndl_recorder *recorder; /* likewise; NULL: nothing is recorded      */
} ndl_registry_setup;

/** Post a receive for each stage; life counts from here.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_registry_create(ndl_registry **out,
                               const ndl_registry_setup *setup);
void ndl_registry_destroy(ndl_registry **r);

/**
 * Take what the stages have told.
 * @param heed_faults  false: the run is being ended already, its cause is known
 * @param[out] moved   set to true if anything came
 * @return NDL_OK; a stage's fault, with its rank and text; NDL_EPROTO: a report
 *         that makes no sense; what ndl_comm_test returns.
 */
ndl_status ndl_registry_hear(ndl_registry *r, bool heed_faults, bool *moved);

/** STOP is in the stream: stages may tell their totals from now on, not
 * before. */
void ndl_registry_await_totals(ndl_registry *r);

/** A number for stages to answer: how long that takes is their ping. */
uint32_t ndl_registry_ping(ndl_registry *r);

/** Have all told their totals, which is the last that they tell? */
bool ndl_registry_all_done(const ndl_registry *r);

/** When a stage was last known to have worked, or all began. */
double ndl_registry_last_work(const ndl_registry *r);

/**
 * Is everybody alive?
 * @return NDL_OK; NDL_ETEMP naming stage, rank, host, and the last sign of
 *         life.
 */
ndl_status ndl_registry_find_silent(const ndl_registry *r, double now);

/** What stage i has told last. */
const ndl_wire_totals *ndl_registry_totals(const ndl_registry *r, int i);

/** Shortest answer to a ping so far, in seconds; 0: none yet. */
double ndl_registry_ping_sec(const ndl_registry *r, int i);

#endif /* NDL_REGISTRY_H */
