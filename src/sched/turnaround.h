/*
 * turnaround.h - how long a batch is away: its time in the stages, what it
 * spends outside of them, and what batches in flight wait for one another.
 */
#ifndef NOODLE_SCHED_TURNAROUND_H
#define NOODLE_SCHED_TURNAROUND_H

#include <stdbool.h>

#include "noodle/cadence.h"
#include "step_curve.h"

typedef struct ndl_turnaround ndl_turnaround;

/**
 * @param n_stages      >= 1.
 * @param forget_steps  in so many steps half of what was seen is forgotten,
 *                      unless it is seen again.
 * @return NDL_OK; NDL_EOS out of memory.
 */
ndl_status ndl_turnaround_create(ndl_turnaround **out, int n_stages,
                                 double forget_steps);
void ndl_turnaround_destroy(ndl_turnaround **t);

/** From now on n_groups, 1 .. n_stages + 1, of `rows` decode rows are in
 * flight. */
void ndl_turnaround_set(ndl_turnaround *t, int n_groups, int rows);

/** A step has come back; those behind it waited for its prompt rows. */
void ndl_turnaround_pass(ndl_turnaround *t, bool has_prompt);

/** It was one of decode rows alone.
 * @param likely  what so many rows take in the stages. */
void ndl_turnaround_learn(ndl_turnaround *t, int rows, ndl_step_time likely,
                          const ndl_cadence_times *times);

/** Until a batch is back that takes `at` in the stages, if there are so many
 * groups of it; what is not known is taken at its best. */
double ndl_turnaround_sec(const ndl_turnaround *t, int n_groups,
                          ndl_step_time at);

#endif /* NOODLE_SCHED_TURNAROUND_H */
