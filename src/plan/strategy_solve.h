/* strategy_solve.h - the best stages for a task, as numbers. */
#ifndef NOODLE_STRATEGY_SOLVE_H
#define NOODLE_STRATEGY_SOLVE_H

#include "strategy_terms.h"

typedef struct ndl_solution {
    int n;                       /* stages */
    ndl_partition_stage *stages; /* (n); owned */
    double gap; /* of the first objective that is in seconds; 0: proven */
} ndl_solution;

void ndl_solution_fini(ndl_solution *s);

/** @return NDL_OK; NDL_EUNAVAIL without a message: no stages meet the limits;
 * NDL_EDATA; NDL_EOS. */
ndl_status ndl_solution_find(ndl_solution *out, const ndl_strategy_task *task);

/** Least period of a view among the stage counts that the setup allows; the
 * statuses of ndl_solution_find.  Changes the terms' batch. */
ndl_status ndl_solution_least(ndl_solution *out, ndl_terms *t,
                              ndl_terms_view view, double until_sec);

/**
 * memory-aware: lower the terms' memory to the least share of it under which
 * there is still a plan: exact to the byte.
 * @return NDL_OK; NDL_EUNAVAIL, NDL_EOS.
 */
ndl_status ndl_share_lower(ndl_terms *t);

/**
 * balanced: among the splits over the same nodes (given order: over as many)
 * whose slowest stage takes no more than `period`, take the one with the least
 * sum of squares of the stage times.  Keeps what there is if the table of a
 * very long order would be too large.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_squares_lower(ndl_solution *s, const ndl_partition_problem *p,
                             double period);

#endif /* NOODLE_STRATEGY_SOLVE_H */
