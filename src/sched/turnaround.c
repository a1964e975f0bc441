/*
 * turnaround.c - see turnaround.h.
 *
 * Were all steps alike, a batch would be away for as long as the slowest stage
 * needs for all groups, or for its own way round where that takes longer.  They
 * are not, so that groups wait for one another: by how much is measured for
 * each number of groups.
 */
#include "turnaround.h"

#include <math.h>
#include <stdlib.h>

/* What is measured is mixed with so many steps of no wait at all, so that a
 * number of groups is left for waits that last, not for one wild step, behind
 * which the whole pipeline waits.  In a pipeline of numbers (tests/unit/
 * cadence_world.h, 60 random ones of 1 .. 16 stages, 5 % noise, 1 % of steps
 * four times as long) the choice loses 2.4 % to the best fixed number without
 * the waits, and 1.2 to 1.6 % with 8, 32 or 64 here; where steps are hardly
 * ever wild 8 are too few. */
enum { PRIOR = 32, COUNTED = 256 };

static const double WAITED = 1.05; /* times the time without: beyond noise */
static const double LONGEST = 1.5; /* a step counts as no longer than that */

/* What was seen of a number of groups. */
typedef struct wait {
    int n;
    double ratio; /* measured time by the one without waits */
    long long seen_at;
} wait;

struct ndl_turnaround {
    int n_stages;
    double forget_steps;
    long long now;   /* steps that came back */
    double trip_sec; /* outside of stages    */
    int n_groups, rows;
    int drain;   /* steps until none is left that was with others    */
    int mixed;   /* steps until none is left that was behind prompts */
    wait *waits; /* (n_stages + 2), by number of groups              */
};

ndl_status ndl_turnaround_create(ndl_turnaround **out, int n_stages,
                                 double forget_steps)
{
    ndl_turnaround *t = calloc(1, sizeof *t);
    wait *waits = calloc((size_t)n_stages + 2, sizeof *waits);
    if (!t || !waits) {
        free(t);
        free(waits);
        return NDL_FAIL(NDL_EOS, "cadence: out of memory");
    }
    *t = (ndl_turnaround){ .n_stages = n_stages,
                           .forget_steps = forget_steps,
                           .waits = waits };
    *out = t;
    return NDL_OK;
}

void ndl_turnaround_destroy(ndl_turnaround **tp)
{
    if (*tp) free((*tp)->waits);
    free(*tp);
    *tp = NULL;
}

void ndl_turnaround_set(ndl_turnaround *t, int n_groups, int rows)
{
    t->rows = rows;
    if (n_groups == t->n_groups) return;
    t->n_groups = n_groups;
    t->drain = t->n_stages + 1;
}

void ndl_turnaround_pass(ndl_turnaround *t, bool has_prompt)
{
    t->now++;
    if (t->drain > 0) t->drain--;
    if (t->mixed > 0) t->mixed--;
    if (has_prompt) t->mixed = t->n_stages + 1;
}

static double without_waits(const ndl_turnaround *t, int n_groups,
                            ndl_step_time at)
{
    return fmax(n_groups * at.slowest_sec, at.sum_sec + t->trip_sec);
}

/* The time outside of stages, from a batch that spent so much of its way
 * there.  One behind prompt rows, behind what was sent before the number of
 * groups changed, or behind others in a full pipeline has waited for those: it
 * only tells a bound, or the waits would justify the groups that made them. */
static void learn_trip(ndl_turnaround *t, double slowest_sec,
                       const ndl_cadence_times *times)
{
    const double outside = fmax(times->trip_sec - times->sum_sec, 0.0);
    const double queue_sec = t->n_groups * slowest_sec;
    const bool has_waited =
        t->drain > 0 || t->mixed > 0 ||
        (t->n_groups > 1 && times->trip_sec < WAITED * queue_sec);
    if (outside < t->trip_sec)
        t->trip_sec += (outside - t->trip_sec) / 4.0;
    else if (!has_waited)
        t->trip_sec += fmin((outside - t->trip_sec) / 16.0,
                            fmax(slowest_sec, t->trip_sec) / 16.0);
}

static void learn_wait(ndl_turnaround *t, double ratio)
{
    wait *w = &t->waits[t->n_groups];
    if (w->n < COUNTED) w->n++;
    w->ratio += (fmin(ratio, LONGEST) - w->ratio) / w->n;
    w->seen_at = t->now;
}

void ndl_turnaround_learn(ndl_turnaround *t, int rows, ndl_step_time likely,
                          const ndl_cadence_times *times)
{
    if (t->n_groups == 0) return; /* nobody wants to know */
    learn_trip(t, likely.slowest_sec, times);
    if (t->drain > 0 || t->mixed > 0 || rows != t->rows) return;
    learn_wait(t, times->trip_sec / without_waits(t, t->n_groups, likely));
}

double ndl_turnaround_sec(const ndl_turnaround *t, int n_groups,
                          ndl_step_time at)
{
    const wait *w = &t->waits[n_groups];
    const double age = (double)(t->now - w->seen_at);
    const double weight = w->n / (1.0 + age / t->forget_steps);
    const double ratio = (w->ratio * weight + PRIOR) / (weight + PRIOR);
    return without_waits(t, n_groups, at) * ratio;
}
