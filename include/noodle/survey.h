/*
 * survey.h - what all ranks are made of, brought to rank 0.
 */
#ifndef NOODLE_SURVEY_H
#define NOODLE_SURVEY_H

#include <stdint.h>

#include "noodle/comm.h"
#include "noodle/machine.h"
#include "noodle/profile.h"
#include "noodle/topology.h"
#include "noodle/wire_setup.h"

/* A rank's answer: fixed widths, travels as bytes. */
typedef struct ndl_survey_rank {
    char host[NDL_WIRE_HOST];
    int32_t rank, node, n_threads;
    int32_t crowded; /* 1: some processors have more threads than they are, and
                        the figures are those of a thread's turns */
    uint64_t free_bytes; /* on its node, before it is shared */
    ndl_topology topology;
    ndl_machine machine; /* measured with all ranks at work at once */
} ndl_survey_rank;

typedef struct ndl_survey {
    int n_ranks;
    ndl_survey_rank *ranks; /* (n_ranks); owned */
    ndl_link *links;        /* (n_ranks, n_ranks); owned */
} ndl_survey;

/** Collective, rank 0 (announces NDL_JOB_HARDWARE): measure everything.
 * @return NDL_OK; NDL_EOS.  The other ranks then wait for the next job. */
ndl_status ndl_survey_lead(ndl_comm *comm, ndl_survey *out);
void ndl_survey_fini(ndl_survey *s);

/** Collective, other ranks: after NDL_JOB_HARDWARE was heard. */
ndl_status ndl_survey_follow(ndl_comm *comm);

#endif /* NOODLE_SURVEY_H */
