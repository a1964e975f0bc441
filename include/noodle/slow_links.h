/* slow_links.h - all ranks agree to see links that are slower than they are. */
#ifndef NOODLE_SLOW_LINKS_H
#define NOODLE_SLOW_LINKS_H

#include "noodle/comm.h"

/**
 * Collective, rank 0: announce the job (NDL_JOB_LINKS).  The others then wait
 * for the next job, on their own slow comms.
 * @param links     (n), n > 0
 * @param[out] out  rank 0's slow comm over `comm`: closed by the caller
 * @return NDL_OK; NDL_EPROTO; NDL_EUNAVAIL: the same on all ranks.
 */
ndl_status ndl_slow_links_lead(ndl_comm *comm, const ndl_comm_link *links,
                               int n, ndl_comm **out);

/** Collective, the other ranks, after they heard NDL_JOB_LINKS.
 * @param[in,out] slow  this rank's, closed first if it is there */
ndl_status ndl_slow_links_follow(ndl_comm *comm, ndl_comm **slow);

#endif /* NOODLE_SLOW_LINKS_H */
