/*
 * profiling.h - a profile of all ranks: who hosts what to measure, and the
 * gathering.
 */
#ifndef NOODLE_PROFILING_H
#define NOODLE_PROFILING_H

#include <stdbool.h>

#include "noodle/comm.h"
#include "noodle/load.h"
#include "noodle/profile.h"

/* What is to be measured. */
typedef struct ndl_profiling_setup {
    const ndl_model *model;
    const char *config; /* JSON text of the model, for the other ranks */
    ndl_mix mix;
    ndl_kv_types kv_types;
    ndl_load load;
    int chunk_rows, context, n_slots;
    int n_threads;        /* of a stage; 0: from the affinity */
    bool rank0_hosts;     /* rank 0 may host a stage beside the others */
    const double *speeds; /* (size) of emulated ranks; NULL: all as they are */
} ndl_profiling_setup;

/**
 * Collective, rank 0: announce the job (NDL_JOB_PROFILE), measure layers and
 * links on all ranks that may host a stage.  The others then wait for the next
 * job.
 * @param[out] out  the caller frees it with ndl_profile_fini.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_profiling_lead(ndl_comm *comm, const ndl_profiling_setup *setup,
                              ndl_profile *out);

/** Collective, the other ranks, after they heard NDL_JOB_PROFILE. */
ndl_status ndl_profiling_follow(ndl_comm *comm);

#endif /* NOODLE_PROFILING_H */
