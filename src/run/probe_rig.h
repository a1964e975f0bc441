/*
 * probe_rig.h - something to measure: blank layers of a model's shape, and the
 * threads, kernels and memory that a stage would have.
 */
#ifndef NDL_PROBE_RIG_H
#define NDL_PROBE_RIG_H

#include "noodle/forward.h"
#include "noodle/load.h"
#include "noodle/probe.h"
#include "noodle/topology.h"

enum {
    NDL_PROBE_SEQUENCES = 16, /* of a decode step, at most               */
    NDL_PROBE_ROWS = 512,     /* of a prompt chunk, at most              */
    NDL_PROBE_CONTEXT = 1024  /* positions: KV memory is not what counts */
};

typedef struct ndl_probe_rig {
    const ndl_probe_setup *setup; /* borrowed */
    ndl_model model; /* of what is measured: few blocks, a short vocabulary */
    ndl_forward_limits limits;
    ndl_load load; /* map or copy */
    ndl_load_facts facts;
    double head_scale; /* the model's vocabulary over that of the rig */
    ndl_pool *pool;
    ndl_weights *weights;
    ndl_forward *ring; /* all blocks */
    ndl_forward *few;  /* n_few of them; NULL if n_few is 0: take the ring */
    int n_few;
    int n_touched;     /* slots of the ring whose memory is there */
    float *x, *origin; /* (max_rows, D) */
    int32_t *ids;      /* (max_rows) */
} ndl_probe_rig;

/** How many bytes of weights come from memory when they are used in turn, and
 * not from the last cache.  Pure. */
uint64_t ndl_probe_rig_beyond(const ndl_topology *t, int n_threads);

/** Prompts as long as the context that share a chunk, 1 or more.  Pure. */
int ndl_probe_rig_prompts(const ndl_probe_setup *setup);

/**
 * What a rig of this setup may have: `enough` bytes of blocks, within
 * `memory_bytes` in all.  Pure.
 * Fills model, limits, head_scale and n_few.
 * @return NDL_OK; NDL_EOS: not even one block fits; NDL_EDATA.
 */
ndl_status ndl_probe_rig_design(ndl_probe_rig *rig,
                                const ndl_probe_setup *setup,
                                uint64_t memory_bytes, uint64_t enough);

/** Design it, measure the memory's speed and make the layers.  Large: on
 * failure there is nothing to close.  @return NDL_OK; NDL_EOS; NDL_EDATA. */
ndl_status ndl_probe_rig_open(ndl_probe_rig *rig, const ndl_probe_setup *setup,
                              uint64_t memory_bytes);
void ndl_probe_rig_close(ndl_probe_rig *rig);

/** Seconds of one run over those of one layer of the model: a run goes through
 * several blocks, or through a part of the vocabulary. */
double ndl_probe_rig_scale(const ndl_probe_rig *rig, const ndl_sample *what);

/**
 * Before the first run: let a rank that is emulated run at full speed a few
 * times.  It waits in proportion to the fastest time that it has seen, and
 * there may be time for one slow run only.
 */
void ndl_probe_rig_pace(ndl_probe_rig *rig, const ndl_sample *what);

/** Run once.  @return seconds of one layer of the model. */
double ndl_probe_rig_run(ndl_probe_rig *rig, const ndl_sample *what);

#endif /* NDL_PROBE_RIG_H */
