/*
 * session_plan.h - from the ranks' greetings to who hosts what.
 * Private to src/run.
 */
#ifndef NDL_SESSION_PLAN_H
#define NDL_SESSION_PLAN_H

#include "noodle/session.h"

/**
 * Rank 0: choose kernels, threads and stages.
 * @param[in]  all     (size) greetings, by rank
 * @param[out] job     what all ranks will be told; magic and kind stay
 * @param[out] places  (job->n_stages), the caller frees it
 * @param[out] plan    the caller frees it with ndl_plan_fini
 * @return NDL_OK; NDL_EPROTO (other version), NDL_EUSAGE, NDL_EUNAVAIL.
 */
ndl_status ndl_session_plan(const ndl_session_setup *setup,
                            const ndl_wire_hello *all, ndl_wire_job *job,
                            ndl_wire_place **places, ndl_plan *plan);

#endif /* NDL_SESSION_PLAN_H */
