/*
 * cadence.c - see cadence.h.
 *
 * The number of groups is found by hoping: what is not known well is taken at
 * its best, and tried if the rate would be higher.  Times known well enough to
 * lose are left alone, until they are so old that they are hoped for again.
 */
#include "noodle/cadence.h"

#include <math.h>
#include <stdlib.h>

#include "lateness.h"
#include "noodle/doubles.h"
#include "prompt_cost.h"
#include "step_curve.h"
#include "turnaround.h"

enum {
    RECENT = 15, /* steps whose median is "of late"         */
    TRY = 3      /* steps to see before a try is judged     */
};

static const double HARDLY_BETTER = 0.02;
static const double KEEP_MOST = 0.98; /* a step: half of it is gone after 35 */
static const double WILD = 1.5;       /* times what was expected           */
static const double ABSURD_SEC = 1e6; /* no step takes that long           */

/* A number of groups that is being tried. */
typedef struct trial {
    int rows;      /* of a batch of a group; 0: nothing is tried   */
    int n_missing; /* steps of about so many rows still to be seen */
    int patience;  /* steps of any kind until it is given up       */
} trial;

struct ndl_cadence {
    int n_stages;
    ndl_step_curve *curve; /* of steps of decode rows alone  */
    double recent[RECENT]; /* their slowest_sec              */
    int n_recent, next_recent;
    ndl_prompt_cost prompt;
    double most_rows;      /* of late steps with prompt rows */
    ndl_lateness lateness; /* of such steps                  */
    ndl_turnaround *turnaround;
    int n_groups; /* the choice; 0: nobody has asked */
    trial trial;
};

/* A number of rows is hoped for again often enough to follow a drift, but so
 * seldom that trying costs less than 1 %.  One that is slower by x is tried
 * every x * forget_steps steps and costs x times the steps of the try: those
 * that fill and drain the pipeline and those to see.  There are n_stages + 1
 * of them; a half of a percent for all is 200 times both. */
static double forget_steps(double n_stages)
{
    return 200.0 * (n_stages + 1.0) * (2.0 * (n_stages + 1.0) + TRY);
}

ndl_status ndl_cadence_create(ndl_cadence **out, int n_stages, int max_rows)
{
    NDL_ASSERT(n_stages >= 1 && max_rows >= 1);
    ndl_cadence *c = calloc(1, sizeof *c);
    if (!c) return NDL_FAIL(NDL_EOS, "cadence: out of memory");
    c->n_stages = n_stages;
    ndl_lateness_begin(&c->lateness, n_stages);
    ndl_status st = NDL_OK;
    const double forget = forget_steps(n_stages);
    NDL_TRY_GOTO(done, st, ndl_step_curve_create(&c->curve, max_rows, forget));
    NDL_TRY_GOTO(done, st,
                 ndl_turnaround_create(&c->turnaround, n_stages, forget));
    *out = c;
    c = NULL;
done:
    ndl_cadence_destroy(&c);
    return st;
}

void ndl_cadence_destroy(ndl_cadence **cp)
{
    ndl_cadence *c = *cp;
    if (!c) return;
    ndl_step_curve_destroy(&c->curve);
    ndl_turnaround_destroy(&c->turnaround);
    free(c);
    *cp = NULL;
}

static bool is_time(double sec)
{
    return sec > 0.0 && sec < ABSURD_SEC;
}

static bool is_load(const ndl_cadence_load *load)
{
    return load->decode_rows >= 0 && load->prompt_rows >= 0 &&
           load->decode_rows + (double)load->prompt_rows >= 1.0 &&
           load->prompt_keys >= 0.0 && load->prompt_keys < 1e18;
}

/* What a step takes without its prompt rows.  One that has no others reads the
 * weights all the same, as one row does. */
static double decode_part(const ndl_cadence *c, int rows)
{
    return ndl_step_curve_likely(c->curve, rows > 0 ? rows : 1).slowest_sec;
}

static double fitted_sec(const ndl_cadence *c, const ndl_cadence_load *load,
                         double rows, double keys)
{
    if (ndl_step_curve_is_known(c->curve))
        return decode_part(c, load->decode_rows) +
               ndl_prompt_cost_sec(&c->prompt, rows, keys);
    /* All that was seen had prompt rows: one row is like another then. */
    return ndl_prompt_cost_sec(&c->prompt, rows + load->decode_rows, keys);
}

/* While the weights are what a step waits for, a few rows more cost nothing,
 * and then all of their time: beyond the rows that were seen of late none may
 * be cheaper than those were on average. */
double ndl_cadence_step_sec(const ndl_cadence *c, const ndl_cadence_load *load)
{
    const double rows = load->prompt_rows, keys = load->prompt_keys;
    if (!is_load(load)) return 0.0;
    const double sec = fitted_sec(c, load, rows, keys);
    const double seen = c->most_rows - load->decode_rows;
    if (seen <= 0.0 || rows <= seen) return sec;
    const double known = fitted_sec(c, load, seen, keys * seen / rows);
    return fmax(sec, known * (rows + load->decode_rows) / c->most_rows);
}

static void learn_prompt(ndl_cadence *c, const ndl_cadence_load *load,
                         double sec)
{
    const double expected = ndl_cadence_step_sec(c, load);
    const bool is_known = ndl_step_curve_is_known(c->curve);
    const double rows =
        load->prompt_rows + (is_known ? 0.0 : (double)load->decode_rows);
    if (expected > 0.0 && !ndl_prompt_cost_is_strange(&c->prompt, rows)) {
        ndl_lateness_learn(&c->lateness, sec / expected);
        if (sec > WILD * expected) sec = WILD * expected;
    }
    if (is_known) sec -= decode_part(c, load->decode_rows);
    ndl_prompt_cost_learn(&c->prompt, rows, load->prompt_keys, fmax(sec, 0.0));
    c->most_rows = fmax(KEEP_MOST * c->most_rows,
                        load->prompt_rows + (double)load->decode_rows);
}

static void learn_decode(ndl_cadence *c, int rows,
                         const ndl_cadence_times *times)
{
    /* The slowest stage is one of all. */
    const double slowest = times->slowest_sec;
    const double sum =
        is_time(times->sum_sec) ? fmax(times->sum_sec, slowest) : slowest;
    ndl_step_curve_learn(c->curve, rows, (ndl_step_time){ slowest, sum });
    c->recent[c->next_recent] = slowest;
    c->next_recent = (c->next_recent + 1) % RECENT;
    if (c->n_recent < RECENT) c->n_recent++;
    if (is_time(times->sum_sec) && is_time(times->trip_sec))
        ndl_turnaround_learn(c->turnaround, rows,
                             ndl_step_curve_likely(c->curve, rows), times);
}

static void follow_trial(ndl_cadence *c, const ndl_cadence_load *load)
{
    trial *t = &c->trial;
    if (t->rows == 0) return;
    const int off = abs(load->decode_rows - t->rows);
    t->patience--;
    if (load->prompt_rows == 0 && off <= t->rows / 8) t->n_missing--;
    if (t->n_missing > 0 && t->patience > 0) return;
    ndl_step_curve_tried(c->curve, t->rows);
    t->rows = 0;
}

void ndl_cadence_learn(ndl_cadence *c, const ndl_cadence_load *load,
                       const ndl_cadence_times *times)
{
    if (!is_load(load)) return;
    ndl_turnaround_pass(c->turnaround, load->prompt_rows > 0);
    if (is_time(times->slowest_sec)) {
        if (load->prompt_rows > 0)
            learn_prompt(c, load, times->slowest_sec);
        else
            learn_decode(c, load->decode_rows, times);
    }
    follow_trial(c, load);
}

static int rows_of(int n_decoding, int n_groups)
{
    return n_decoding / n_groups + (n_decoding % n_groups != 0);
}

/* Sequences a second, by the formula of cadence.h and what is known to come on
 * top of it. */
static double rate(const ndl_cadence *c, int n_decoding, int n_groups,
                   ndl_step_time t)
{
    return n_decoding / ndl_turnaround_sec(c->turnaround, n_groups, t);
}

/* The number, but not this one, that may be fastest. */
static int best_hope(const ndl_cadence *c, int n_decoding, int most, int but,
                     double *its_rate)
{
    int best = but;
    *its_rate = 0.0;
    for (int g = 1; g <= most; g++) {
        /* Of those with batches alike the fewest. */
        const int rows = rows_of(n_decoding, g);
        if (g == but || (g > 1 && rows == rows_of(n_decoding, g - 1))) continue;
        const double r =
            rate(c, n_decoding, g, ndl_step_curve_hoped(c->curve, rows));
        if (r > *its_rate) {
            *its_rate = r;
            best = g;
        }
    }
    return best;
}

static void begin_trial(ndl_cadence *c, int rows)
{
    c->trial = (trial){ rows, TRY, 4 * (c->n_stages + 1) + 4 * TRY };
    ndl_step_curve_try(c->curve, rows);
}

static int choose(ndl_cadence *c, int n_decoding, int most)
{
    /* One group a stage, until something better is known. */
    if (c->n_groups == 0) c->n_groups = c->n_stages;
    const int now = c->n_groups < most ? c->n_groups : most;
    const int rows = rows_of(n_decoding, now);
    if (!ndl_step_curve_is_known(c->curve)) return now;
    if (c->trial.rows > 0) {
        c->trial.rows = rows; /* sequences come and go meanwhile */
        return now;
    }
    const double rate_now =
        rate(c, n_decoding, now, ndl_step_curve_likely(c->curve, rows));
    double hoped = 0.0;
    const int other = best_hope(c, n_decoding, most, now, &hoped);
    if (hoped <= rate_now * (1.0 + HARDLY_BETTER)) return now;
    begin_trial(c, rows_of(n_decoding, other));
    return c->n_groups = other;
}

int ndl_cadence_groups(ndl_cadence *c, int n_decoding)
{
    const int most = n_decoding <= c->n_stages ? n_decoding : c->n_stages + 1;
    const int told = most > 1 ? choose(c, n_decoding, most) : 1;
    ndl_turnaround_set(c->turnaround, told, rows_of(n_decoding, told));
    return told;
}

double ndl_cadence_worst(const ndl_cadence *c)
{
    return c->lateness.worst;
}

double ndl_cadence_decode_sec(const ndl_cadence *c)
{
    double v[RECENT];
    if (c->n_recent == 0) return 0.0;
    for (int i = 0; i < c->n_recent; i++) v[i] = c->recent[i];
    ndl_doubles_sort(v, (size_t)c->n_recent);
    return ndl_doubles_median(v, (size_t)c->n_recent);
}

/* What `load` takes with n more rows from position pos on. */
static double with_rows(const ndl_cadence *c, ndl_cadence_load load, int pos,
                        int n)
{
    load.prompt_rows += n;
    load.prompt_keys += ndl_cadence_keys(pos, n);
    return ndl_cadence_step_sec(c, &load);
}

int ndl_cadence_rows(const ndl_cadence *c, const ndl_cadence_load *load,
                     int pos, int at_most, double sec)
{
    if (at_most <= 0) return 0;
    /* Most often there is room for all. */
    if (with_rows(c, *load, pos, at_most) <= sec) return at_most;
    int fits = 0, too_many = at_most;
    while (too_many - fits > 1) {
        const int n = fits + (too_many - fits) / 2;
        if (with_rows(c, *load, pos, n) <= sec)
            fits = n;
        else
            too_many = n;
    }
    return fits;
}
