/*
 * cadence.h - how long the steps of a pipeline take, learnt while it runs, and
 * what follows from that: how many groups of sequences are in flight, and how
 * many rows of a prompt go beside them.
 *
 * Pure: no clock; whoever has one tells what was measured.  All times are
 * seconds.  One step carries decode rows (one a sequence) and prompt rows.
 *
 * With G groups of b = B / G sequences in flight the rate is
 * B / max(G * slowest(b), sum(b) + trip): slowest is the time of the slowest
 * stage, sum that of all, trip what a batch spends outside of stages.
 */
#ifndef NOODLE_CADENCE_H
#define NOODLE_CADENCE_H

#include <stdbool.h>

#include "noodle/status.h"

typedef struct ndl_cadence ndl_cadence;

/* What one step carries. */
typedef struct ndl_cadence_load {
    int decode_rows, prompt_rows;
    double prompt_keys; /* ndl_cadence_keys() of all prompt rows */
} ndl_cadence_load;

/* What a step took. */
typedef struct ndl_cadence_times {
    double slowest_sec; /* of the slowest stage; 0: not known, learn nothing */
    double sum_sec;     /* of all stages together                            */
    double trip_sec;    /* from sending it to its answer, waits included     */
} ndl_cadence_times;

/** Keys that n rows from position `pos` on see together: row i of them sees
 * those before `pos` and i + 1 more. */
static inline double ndl_cadence_keys(int pos, int n)
{
    return (double)n * pos + 0.5 * n * (n + 1.0);
}

/** @param n_stages, max_rows  >= 1.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_cadence_create(ndl_cadence **out, int n_stages, int max_rows);
void ndl_cadence_destroy(ndl_cadence **c);

/** A step has come back. */
void ndl_cadence_learn(ndl_cadence *c, const ndl_cadence_load *load,
                       const ndl_cadence_times *times);

/**
 * Groups to have in flight while n_decoding sequences write: the number with
 * the highest rate, 1 .. min(n_decoding, n_stages + 1).  A number of rows that
 * was never seen is taken to cost no more than the next smaller one that was,
 * so that it is tried; a number that is hardly better does not replace the
 * last choice.
 */
int ndl_cadence_groups(ndl_cadence *c, int n_decoding);

/** What the slowest stage will take; 0: nothing is known yet. */
double ndl_cadence_step_sec(const ndl_cadence *c, const ndl_cadence_load *load);

/**
 * How many times as long as foretold n_stages steps with prompt rows in a row
 * have taken of late, at worst; 1 .. 2.5, and above 1 before anything is known.
 */
double ndl_cadence_worst(const ndl_cadence *c);

/** Median time of the decode-only steps of late; 0: none yet. */
double ndl_cadence_decode_sec(const ndl_cadence *c);

/**
 * The most prompt rows, 0 .. at_most, from position `pos` on that may be added
 * to `load` for the step to take no longer than `sec`.  While nothing is known:
 * at_most.
 */
int ndl_cadence_rows(const ndl_cadence *c, const ndl_cadence_load *load,
                     int pos, int at_most, double sec);

#endif /* NOODLE_CADENCE_H */
