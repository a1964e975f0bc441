/*
 * test_scheduler_busy.c - requests in a pipeline in which time is a number.
 *
 * Of mixed lengths: with what the scheduler learns no stage waits for long, and
 * no running text for much longer than without prompts.  A long prompt among
 * texts that are being written: they do not wait longer than the stall.  A long
 * prompt alone: late steps do not leave stages idle.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/doubles.h"
#include "noodle/scheduler.h"

enum {
    MOST_STAGES = 16,
    N_REQUESTS = 120,
    N_SLOTS = 32,
    MOST_PROMPT = 1024,
    MOST_NEW = 256,
    LONG_PROMPT = 8192,
    N_WRITERS = 4,
    WRITERS_NEW = 1000,
    MOST_TOKENS = N_REQUESTS * MOST_NEW
};

/* A step of all stages takes row_sec for each row and key_sec for each key that
 * one of them sees, but no less than the weights take to be read, and more or
 * less by chance. */
static const double read_sec = 0.05, row_sec = 0.0065, key_sec = 1.5e-6;

typedef struct flight {
    uint64_t id;
    double sent_sec, back_sec;
    ndl_cadence_times times;
} flight;

typedef struct pipeline {
    int n_stages;
    double noise; /* a step takes so much of its time more or less, at most */
    int window;   /* batches in flight at most; 0: the usual number */
    int max_rows; /* of a batch */
    ndl_scheduler *s;
    ndl_request requests[N_REQUESTS];
    double now, free_sec[MOST_STAGES], busy_sec;
    flight flights[2 * MOST_STAGES]; /* oldest first */
    int n_flights;
    double told_sec[N_REQUESTS]; /* the last token of each; 0: none */
    double gaps[MOST_TOKENS];
    int n_gaps;
} pipeline;

static int32_t ids[N_REQUESTS][MOST_PROMPT], long_ids[LONG_PROMPT];
static pipeline p;

static double chance_share(void)
{
    return (double)(random_bits() >> 11) * 0x1p-53;
}

static void clear(void)
{
    memset(&p, 0, sizeof p);
    p.noise = 0.1;
    p.max_rows = 128;
}

static void draw_requests(void)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        p.requests[i] = (ndl_request){ .prompt = ids[i],
                                       .n_prompt = between(16, MOST_PROMPT),
                                       .max_new = between(1, MOST_NEW) };
        for (int k = 0; k < MOST_PROMPT; k++) ids[i][k] = between(0, 1 << 20);
    }
}

static double work_sec(const ndl_scheduler_batch *b)
{
    double keys = 0.0;
    for (int i = 0; i < b->n_seqs; i++)
        keys += ndl_cadence_keys(b->seqs[i].pos, b->seqs[i].n_rows);
    return fmax(read_sec, row_sec * b->n_rows + key_sec * keys);
}

static void send(const ndl_scheduler_batch *b)
{
    flight *f = &p.flights[p.n_flights++];
    double at = p.now;
    *f = (flight){ .id = b->id, .sent_sec = p.now };
    for (int i = 0; i < p.n_stages; i++) {
        const double sec = work_sec(b) / p.n_stages *
                           (1.0 + p.noise * (2.0 * chance_share() - 1.0));
        at = p.free_sec[i] = fmax(at, p.free_sec[i]) + sec;
        p.busy_sec += sec / p.n_stages;
        f->times.slowest_sec = fmax(f->times.slowest_sec, sec);
        f->times.sum_sec += sec;
    }
    f->back_sec = at + 1e-4;
    f->times.trip_sec = f->back_sec - f->sent_sec;
}

static void tell_token(int request)
{
    if (p.told_sec[request] > 0.0) {
        assert_true(p.n_gaps < MOST_TOKENS);
        p.gaps[p.n_gaps++] = p.now - p.told_sec[request];
    }
    p.told_sec[request] = p.now;
    ndl_scheduler_token(p.s, request, 1);
}

static void take_oldest(void)
{
    const flight f = p.flights[0];
    const int *list, *ended;
    assert_true(p.n_flights > 0);
    memmove(p.flights, p.flights + 1,
            (size_t)--p.n_flights * sizeof *p.flights);
    p.now = f.back_sec;
    const int n = ndl_scheduler_awaited(p.s, f.id, &list);
    int awaited[N_SLOTS];
    memcpy(awaited, list, (size_t)n * sizeof *awaited);
    for (int i = 0; i < n; i++) tell_token(awaited[i]);
    assert_int_equal(ndl_scheduler_done(p.s, f.id, &f.times, &ended), 0);
}

/* As many batches as the coordinator has in flight. */
static int usual_window(int n_stages)
{
    return n_stages + (n_stages + 1) / 2;
}

static void run(int n_stages, int n_requests, int context, double stall_sec)
{
    const ndl_scheduler_config config = {
        .max_requests = n_requests,
        .n_slots = N_SLOTS,
        .n_pages = N_SLOTS * ndl_pages_of(context),
        .n_stages = n_stages,
        .window = p.window > 0 ? p.window : usual_window(n_stages),
        .max_rows = p.max_rows,
        .context = context,
        .stall_sec = stall_sec,
    };
    ndl_scheduler_batch b;
    p.n_stages = n_stages;
    assert_int_equal(ndl_scheduler_create(&p.s, &config), NDL_OK);
    for (int i = 0; i < n_requests; i++)
        ndl_scheduler_submit(p.s, &p.requests[i]);
    while (ndl_scheduler_pending(p.s) > 0) {
        while (ndl_scheduler_next(p.s, &b)) send(&b);
        take_oldest();
    }
    ndl_scheduler_destroy(&p.s);
    ndl_doubles_sort(p.gaps, (size_t)p.n_gaps);
}

/* A decode row alone in each batch takes read_sec to go round. */
static void stages_are_busy_and_texts_do_not_wait_long(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n *= 2) {
        clear();
        draw_requests();
        run(n, N_REQUESTS, MOST_PROMPT + MOST_NEW, 0.0);
        const double busy = p.busy_sec / p.now;
        const double gap = ndl_doubles_median(p.gaps, (size_t)p.n_gaps);
        const double late = p.gaps[p.n_gaps * 99 / 100];
        print_message("%d stages: %.3f busy, waits of %.1f times a decode "
                      "step, 99 %% below %.1f\n",
                      n, busy, gap / read_sec, late / read_sec);
        /* With eight stages a quarter of so few requests is the beginning
         * and the end, when the pipeline is not full. */
        assert_true(busy > (n < 8 ? 0.9 : 0.8));
        assert_true(gap < 2.3 * read_sec);
        assert_true(late < 5.0 * read_sec);
    }
}

static double with_long_prompt(int n_stages, double stall_sec)
{
    clear();
    for (int i = 0; i < N_WRITERS; i++)
        p.requests[i] = (ndl_request){ .prompt = ids[i],
                                       .n_prompt = 4,
                                       .max_new = WRITERS_NEW };
    p.requests[N_WRITERS] = (ndl_request){ .prompt = long_ids,
                                           .n_prompt = LONG_PROMPT,
                                           .max_new = 1 };
    run(n_stages, N_WRITERS + 1, LONG_PROMPT + WRITERS_NEW, stall_sec);
    return p.told_sec[N_WRITERS];
}

/* Twice what a token takes without the prompt is tight: what is late by chance
 * is more than the prompt's share. */
static void texts_do_not_wait_longer_than_the_stall(void **state)
{
    (void)state;
    for (int n = 1; n <= 8; n *= 2) {
        const double free_sec = with_long_prompt(n, 1e9);
        for (int times = 2; times <= 8; times += times < 4 ? 1 : 4) {
            const double stall = times * read_sec;
            const double sec = with_long_prompt(n, stall);
            const double late = p.gaps[p.n_gaps - 1];
            print_message("%d stages: stall %.2f s, longest wait %.3f s, "
                          "prompt %.2f times as long as without limit\n",
                          n, stall, late, sec / free_sec);
            assert_true(late < (times > 2 ? 1.05 : 1.25) * stall);
            assert_true(sec < (times > 2 ? 1.3 : 1.4) * free_sec);
        }
    }
}

static double busy_with_prompt(int n_stages, int window, double noise)
{
    clear();
    p.noise = noise;
    p.window = window;
    p.max_rows = 64;
    p.requests[0] = (ndl_request){ .prompt = long_ids,
                                   .n_prompt = LONG_PROMPT,
                                   .max_new = 1 };
    run(n_stages, 1, LONG_PROMPT + 1, 0.0);
    return p.busy_sec / p.now;
}

/* Chunks of equal time: about 180 steps, and 15 more until the last stage is
 * through, leave 0.92. */
static void late_steps_leave_no_stage_idle(void **state)
{
    (void)state;
    const int n = MOST_STAGES;
    for (int fifths = 1; fifths <= 2; fifths++) {
        const double noise = fifths / 5.0;
        const double some = busy_with_prompt(n, n + 1, noise);
        const double more = busy_with_prompt(n, usual_window(n), noise);
        print_message("%d stages, noise %.1f: %.3f busy with %d batches in "
                      "flight, %.3f with %d\n",
                      n, noise, some, n + 1, more, usual_window(n));
        assert_true(more > some + 0.01);
        assert_true(more > (fifths == 1 ? 0.88 : 0.84));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_are_busy_and_texts_do_not_wait_long),
        cmocka_unit_test(texts_do_not_wait_longer_than_the_stall),
        cmocka_unit_test(late_steps_leave_no_stage_idle),
    };
    random_state = chance_seed(20261122);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
