/*
 * fleet.h - the ranks of a job as rank 0 knows them from their greetings.
 * Private to src/run.
 */
#ifndef NDL_FLEET_H
#define NDL_FLEET_H

#include "noodle/comm.h"
#include "noodle/hardware.h"
#include "noodle/load.h"
#include "noodle/plan.h"
#include "noodle/profile.h"

typedef struct ndl_fleet {
    int size;
    ndl_hardware *all;  /* (size) */
    bool *hosts;        /* (size) may or does host a stage: all but rank 0,
                           unless it is alone or shared */
    int *threads;       /* (size) of its stage; 0: it hosts none */
    bool crowded;       /* more threads than processors somewhere */
    unsigned cpu_flags; /* that all hosts have */
} ndl_fleet;

/** Collective: every rank greets.
 * @param rank0_hosts  rank 0 may host a stage too; told by rank 0 alone.
 * @param[out] out  on rank 0, which frees it with ndl_fleet_fini; elsewhere
 *                  NULL.
 * @return NDL_OK; NDL_EPROTO (another version); NDL_EOS: the same everywhere.
 */
ndl_status ndl_fleet_greet(ndl_comm *comm, ndl_fleet *out, bool rank0_hosts);
void ndl_fleet_fini(ndl_fleet *f);

/** Divide the processors of each node among its ranks that host.
 * @param wanted  threads of each instead; 0: divide. */
void ndl_fleet_give_threads(ndl_fleet *f, int wanted);

/** From here on only the ranks of a plan's stages host. */
void ndl_fleet_keep(ndl_fleet *f, const ndl_plan *plan);

/** One warning if the launcher has bound a host to less than its node could
 * give it: Open MPI 4.1 binds np <= 2 to single cores. */
void ndl_fleet_warn_of_binding(const ndl_fleet *f);

/** What a profile says of the ranks before they were measured: host, node,
 * threads, share of the memory, speed.
 * @param speeds  (size) or NULL
 * @param[out] out  (size), zeroed first */
void ndl_fleet_describe(const ndl_fleet *f, const double *speeds,
                        ndl_profile_rank *out);

/* What a profile of the fleet is for. */
typedef struct ndl_fleet_purpose {
    const ndl_model *model;
    ndl_mix mix;
    ndl_kv_types kv_types;
    ndl_load load;
    const double *speeds; /* (size) or NULL */
} ndl_fleet_purpose;

/** The signature that a profile made now would have; NULL: out of memory. */
json_t *ndl_fleet_signature(const ndl_fleet *f, const ndl_fleet_purpose *p);

#endif /* NDL_FLEET_H */
