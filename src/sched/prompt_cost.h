/*
 * prompt_cost.h - what rows of prompts add to the time of a step: so much a row
 * and so much a key that a row sees, learnt from the steps there were.
 */
#ifndef NOODLE_SCHED_PROMPT_COST_H
#define NOODLE_SCHED_PROMPT_COST_H

#include <stdbool.h>

/* All zero: nothing is known. */
typedef struct ndl_prompt_cost {
    int n; /* steps learnt, no more than are counted */
    /* Sums over steps of r rows with k keys that took t seconds more, each
     * divided by r: a time is about as far off as it is long; and how many
     * steps. */
    double rr, rk, kk, rt, kt, steps;
    double row_sec, key_sec; /* >= 0 */
} ndl_prompt_cost;

/** Are they so many more than usual that what is known tells little of them? */
bool ndl_prompt_cost_is_strange(const ndl_prompt_cost *c, double rows);

/** `rows` > 0 that see `keys` >= 0 have made a step longer by `sec` >= 0.  If
 * they are strange, what was learnt before is forgotten. */
void ndl_prompt_cost_learn(ndl_prompt_cost *c, double rows, double keys,
                           double sec);

double ndl_prompt_cost_sec(const ndl_prompt_cost *c, double rows, double keys);

#endif /* NOODLE_SCHED_PROMPT_COST_H */
