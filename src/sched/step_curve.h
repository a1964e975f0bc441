/*
 * step_curve.h - time of a step by its number of decode rows, learnt from the
 * steps there were.  More rows take no less time: that is all it assumes.
 */
#ifndef NOODLE_SCHED_STEP_CURVE_H
#define NOODLE_SCHED_STEP_CURVE_H

#include <stdbool.h>

#include "noodle/status.h"

typedef struct ndl_step_curve ndl_step_curve;

/* Both are > 0 where they are known. */
typedef struct ndl_step_time {
    double slowest_sec, sum_sec; /* as in cadence.h */
} ndl_step_time;

/**
 * @param max_rows      >= 1; steps of more rows count as ones of so many.
 * @param forget_steps  after so many steps without one of its rows, what is
 *                      hoped of a number of rows is half of what was seen.
 * @return NDL_OK; NDL_EOS out of memory.
 */
ndl_status ndl_step_curve_create(ndl_step_curve **out, int max_rows,
                                 double forget_steps);
void ndl_step_curve_destroy(ndl_step_curve **c);

/** A step of `rows` >= 1 took so long. */
void ndl_step_curve_learn(ndl_step_curve *c, int rows, ndl_step_time t);

/** Has it learnt anything? */
bool ndl_step_curve_is_known(const ndl_step_curve *c);

/** What so many rows take, as far as one can tell; rises with rows.  Only if
 * something is known (asserted), like the next. */
ndl_step_time ndl_step_curve_likely(const ndl_step_curve *c, int rows);

/** What they may take at best: of numbers seen seldom, never or long ago less
 * than what is likely. */
ndl_step_time ndl_step_curve_hoped(const ndl_step_curve *c, int rows);

/** So many rows are being tried: times of long ago count no more. */
void ndl_step_curve_try(ndl_step_curve *c, int rows);

/** The try is over, whether or not there were steps of so many rows. */
void ndl_step_curve_tried(ndl_step_curve *c, int rows);

#endif /* NOODLE_SCHED_STEP_CURVE_H */
