/*
 * session_plan.h - from the ranks' greetings to who hosts what.
 * Private to src/run.
 */
#ifndef NDL_SESSION_PLAN_H
#define NDL_SESSION_PLAN_H

#include "fleet.h"
#include "noodle/session.h"

/* What rank 0 has decided. */
typedef struct ndl_session_choice {
    ndl_plan plan;
    ndl_wire_place *places; /* (plan.n_stages) */
    ndl_cost *costs;        /* (plan.n_stages); NULL: nothing was measured */
    ndl_load *loads;        /* (plan.n_stages) what auto means; likewise */
} ndl_session_choice;

/**
 * Rank 0: choose kernels, threads and stages.
 * @param[in]  profile  what was measured just now, or NULL
 * @param[out] job      what all ranks will be told; magic and kind stay
 * @param[out] out      the caller frees it with ndl_session_choice_fini
 * @return NDL_OK; NDL_EUSAGE, NDL_EUNAVAIL, NDL_ECONFIG (a stale profile or a
 *         plan for other ranks), and what reading the file returns.
 */
ndl_status ndl_session_choose(const ndl_session_setup *setup, ndl_fleet *fleet,
                              const ndl_profile *profile, ndl_wire_job *job,
                              ndl_session_choice *out);
void ndl_session_choice_fini(ndl_session_choice *c);

#endif /* NDL_SESSION_PLAN_H */
