/*
 * scheduler_drive.h - what tests do with a scheduler again and again; include
 * cmocka.h first.
 */
#ifndef NOODLE_TESTS_SCHEDULER_DRIVE_H
#define NOODLE_TESTS_SCHEDULER_DRIVE_H

#include "noodle/scheduler.h"

/* Batch `id` comes back; nobody ends with it. */
static inline void done(ndl_scheduler *s, uint64_t id)
{
    const int *ended;
    assert_int_equal(ndl_scheduler_done(s, id, NULL, &ended), 0);
}

/* One stage, a slot for each request, pages for all and one batch in flight,
 * unless the test says otherwise. */
static inline ndl_scheduler *make(ndl_scheduler_config config)
{
    ndl_scheduler *s = NULL;
    if (config.n_stages == 0) config.n_stages = 1;
    if (config.n_slots == 0) config.n_slots = config.max_requests;
    if (config.window == 0) config.window = 1;
    if (config.n_pages == 0)
        config.n_pages = config.n_slots * ndl_pages_of(config.context);
    assert_int_equal(ndl_scheduler_create(&s, &config), NDL_OK);
    return s;
}

/* The next batch goes, and comes back with token `id` for who awaits one.
 * @param times  what it took, or NULL: nobody knows. */
static inline ndl_scheduler_batch step_timed(ndl_scheduler *s, int32_t id,
                                             const ndl_cadence_times *times)
{
    ndl_scheduler_batch b;
    const int *list, *ended;
    assert_true(ndl_scheduler_next(s, &b));
    const int n = ndl_scheduler_awaited(s, b.id, &list);
    for (int i = 0; i < n; i++) ndl_scheduler_token(s, list[i], id);
    ndl_scheduler_done(s, b.id, times, &ended);
    return b;
}

static inline ndl_scheduler_batch step(ndl_scheduler *s, int32_t id)
{
    return step_timed(s, id, NULL);
}

/* Steps until all is done. */
static inline int run_out(ndl_scheduler *s)
{
    int n = 0;
    for (; ndl_scheduler_pending(s) > 0; n++) step(s, 1);
    return n;
}

#endif /* NOODLE_TESTS_SCHEDULER_DRIVE_H */
