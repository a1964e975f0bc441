/*
 * plan_split.h - plans without times: equal shares of the parameters, or as
 * the user says.
 */
#ifndef NOODLE_PLAN_SPLIT_H
#define NOODLE_PLAN_SPLIT_H

#include "noodle/plan.h"

/* A rank that may host a stage, in pipeline order. */
typedef struct ndl_plan_rank {
    int rank;
    uint64_t free_bytes; /* its share of its node's free memory */
    int n_threads;
    char host[64];
} ndl_plan_rank;

/**
 * Split so that the stage with the most parameters has as few as possible
 * (parameters that a token passes through; the embedding is looked up), every
 * stage within its rank's free memory.  Exact for ranks in the given order; a
 * rank takes as much as that allows, and those left without are idle.
 *
 * @param[out] out  the caller frees it with ndl_plan_fini; untouched on error.
 * @return NDL_OK; NDL_EUNAVAIL if it does not fit, saying what is needed, what
 *         there is and what would help; NDL_EOS.
 * Deterministic: equal inputs give equal plans on every machine.
 */
ndl_status ndl_plan_equal(ndl_plan *out, const ndl_plan_costs *costs,
                          const ndl_plan_rank *ranks, int n_ranks);

/**
 * Split as the user says: "3,2,3" blocks a stage, in rank order; a last 0 is a
 * stage of the head alone.
 * @return NDL_OK; NDL_EUSAGE if it is malformed, has more stages than ranks,
 *         or does not add up to the model's blocks; NDL_EUNAVAIL (memory).
 */
ndl_status ndl_plan_split(ndl_plan *out, const char *split,
                          const ndl_plan_costs *costs,
                          const ndl_plan_rank *ranks, int n_ranks);

#endif /* NOODLE_PLAN_SPLIT_H */
