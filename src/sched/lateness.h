/*
 * lateness.h - how much longer than foretold steps took of late, at worst: what
 * a promise about times has to allow for.
 */
#ifndef NOODLE_SCHED_LATENESS_H
#define NOODLE_SCHED_LATENESS_H

typedef struct ndl_lateness {
    int n_steps;  /* that are waited for together                        */
    double late;  /* times what was foretold: so many of them, by now    */
    double worst; /* the most that this was of late, 1 .. 2.5            */
} ndl_lateness;

/** Nothing was measured yet: some lateness is taken for granted.
 * @param n_steps  >= 1. */
void ndl_lateness_begin(ndl_lateness *l, int n_steps);

/** A step has taken `times` > 0 as long as foretold. */
void ndl_lateness_learn(ndl_lateness *l, double times);

#endif /* NOODLE_SCHED_LATENESS_H */
