/*
 * probe.h - measure what layers take, on every rank at once, before there is
 * a plan.
 *
 * Works on synthetic weights of the model's shape (never the file), as many
 * copies of a block as it takes to be larger than the caches, in the kind of
 * memory that the run will use.  Kinds of layers x row counts x contexts, each
 * with all ranks of a node at work at once and, for decode steps, alone too:
 * the minimum over repeats, within a limit of time.
 */
#ifndef NOODLE_PROBE_H
#define NOODLE_PROBE_H

#include "kernels.h"
#include "noodle/comm.h"
#include "noodle/load.h"
#include "noodle/model.h"
#include "noodle/profile.h"
#include "noodle/status.h"

typedef struct ndl_probe_setup {
    const ndl_model *model;
    ndl_mix mix;
    ndl_kv_types kv_types;
    const ndl_kernels *kernels;
    int n_threads;   /* of this rank; 0: it hosts nothing and only takes part */
    double spin_sec; /* of its pool */
    double speed;    /* emulated; 1: as it is */
    ndl_load load;   /* auto: decided by measuring */
    int chunk_rows;  /* the largest batch of the run */
    int context;     /* positions of a slot */
    int n_slots;
    double max_sec; /* about; 0: 1.5 */
} ndl_probe_setup;

/**
 * Collective.  Fills the samples, loads and bandwidths of this rank; host,
 * node, rank and memory are the caller's.
 * @return NDL_OK; NDL_EOS, after an agreement: the same on all ranks.
 */
ndl_status ndl_probe_layers(ndl_comm *comm, const ndl_probe_setup *setup,
                            ndl_profile_rank *out);

/**
 * Collective.  Measure the links of this rank to all others, pairs in turns
 * (each rank in one pair at a time).  With more than 64 ranks, one rank of a
 * node stands for all of its node.
 * @param[out] row  (size) to rank j; [rank] is zero.
 */
ndl_status ndl_probe_links(ndl_comm *comm, ndl_link *row);

#endif /* NOODLE_PROBE_H */
