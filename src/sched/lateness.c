/* lateness.c - see lateness.h: a maximum that fades. */
#include "lateness.h"

#include <math.h>

/* Before any was measured; the most that is not an accident; what a step keeps
 * of it, half of which is gone after 350.  (Two stages, a prompt of 8192 of
 * llama-3.2-1b in int8 beside four texts, --stall-ms 200; two steps in a row,
 * from the steps in metrics.h5: one pair in a hundred took more than 0.22 s
 * with 1.25, 1.5 and 0.995, more than 0.17 to 0.19 s with these.) */
static const double UNSURE = 1.5, LATEST = 2.5, KEEP = 0.998;

void ndl_lateness_begin(ndl_lateness *l, int n_steps)
{
    *l = (ndl_lateness){ .n_steps = n_steps, .late = 1.0, .worst = UNSURE };
}

void ndl_lateness_learn(ndl_lateness *l, double times)
{
    l->late += (fmin(times, LATEST) - l->late) / l->n_steps;
    l->worst = fmax(l->late, 1.0 + KEEP * (l->worst - 1.0));
}
