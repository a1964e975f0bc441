/*
 * rhythm.h - when will this wait end, going by the ones before it?  Private to
 * comm; takes times, has no clock.
 *
 * A stage of a steady pipeline waits about as long each time.  Whoever sleeps
 * till the end wakes late: 40 us after the ring, and between nodes, where
 * nobody rings, up to a millisecond.  So around the end that is expected it is
 * better to be awake.
 */
#ifndef NOODLE_COMM_RHYTHM_H
#define NOODLE_COMM_RHYTHM_H

#include <stdbool.h>

enum { NDL_RHYTHM_WAITS = 4 };

typedef struct ndl_rhythm {
    double last_sec[NDL_RHYTHM_WAITS]; /* the latest waits, as a ring */
    unsigned n_waits, n_begun;
    double payoff; /* 0..1: share of the late windows that were right */
    double from_sec, to_sec; /* of this wait, since its begin; 0, 0: none */
} ndl_rhythm;

void ndl_rhythm_init(ndl_rhythm *r);

/** A wait begins: set from_sec and to_sec. */
void ndl_rhythm_begin(ndl_rhythm *r);

/** It has ended, after `sec`. */
void ndl_rhythm_end(ndl_rhythm *r, double sec);

#endif /* NOODLE_COMM_RHYTHM_H */
