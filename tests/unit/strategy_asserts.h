/* strategy_asserts.h - what tests expect of plans and refusals. */
#ifndef NOODLE_TESTS_STRATEGY_ASSERTS_H
#define NOODLE_TESTS_STRATEGY_ASSERTS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "strategy_world.h"

static inline void assert_near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-12 * fabs(want)))
        fail_msg("%.17g is not %.17g", have, want);
}

static inline ndl_status plan_of(ndl_plan *out, const world *w)
{
    return ndl_strategy_plan(out, &w->setup, &w->costs, &w->cluster, &w->work,
                             NULL);
}

static inline void plan_it(ndl_plan *out, const world *w)
{
    const ndl_status st = plan_of(out, w);
    if (st != NDL_OK) fail_msg("status %d: %s", st, ndl_status_message());
}

static inline bool has_note(const ndl_plan *p, const char *text)
{
    for (int i = 0; i < p->n_notes; i++)
        if (strstr(p->notes[i], text)) return true;
    return false;
}

static inline void assert_note(const ndl_plan *p, const char *text)
{
    if (has_note(p, text)) return;
    for (int i = 0; i < p->n_notes; i++) print_error("%s\n", p->notes[i]);
    fail_msg("no note says \"%s\"", text);
}

static inline void assert_why(const ndl_plan *p, int stage, const char *text)
{
    if (!strstr(p->stages[stage].why, text))
        fail_msg("\"%s\" is not in: %s", text, p->stages[stage].why);
}

/* Fails with the status, says the text, and leaves the plan alone. */
static inline void assert_refused(const world *w, ndl_status status,
                                  const char *text)
{
    ndl_plan p = { .n_idle = 77 };
    assert_int_equal(plan_of(&p, w), status);
    assert_int_equal(p.n_idle, 77);
    if (!strstr(ndl_status_message(), text))
        fail_msg("\"%s\" is not in: %s", text, ndl_status_message());
    ndl_status_clear();
}

static inline void set_speed(world *w, int kind, double sec)
{
    world_time(&w->nodes[kind], NDL_LAYER_BLOCK, sec);
}

static inline void set_links(world *w, double latency_sec)
{
    for (int i = 0; i < w->cluster.n * w->cluster.n; i++)
        w->links[i].latency_sec = latency_sec;
}

#endif /* NOODLE_TESTS_STRATEGY_ASSERTS_H */
