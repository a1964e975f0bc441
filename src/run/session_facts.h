/*
 * session_facts.h - what metrics.h5 says of a run besides its rows: ranks,
 * versions, options.  Private to src/run.
 */
#ifndef NDL_SESSION_FACTS_H
#define NDL_SESSION_FACTS_H

#include "fleet.h"
#include "noodle/session.h"
#include "recorder.h"

typedef struct ndl_session_facts {
    const ndl_session_setup *setup;
    const ndl_fleet *fleet;
    const ndl_plan *plan;
    const ndl_cost *costs; /* (plan->n_stages) or NULL; borrowed */
    const char *kernels;
} ndl_session_facts;

/** Make the recorder of a run: setup->metrics is its file.
 * @return NDL_OK; what ndl_recorder_create returns. */
ndl_status ndl_session_record(ndl_recorder **out, const ndl_session_facts *f);

#endif /* NDL_SESSION_FACTS_H */
