/*
 * test_scheduler_busy.c - requests in a pipeline in which time is a number.
 *
 * Of mixed lengths: with what the scheduler learns no stage waits for long, and
 * no running text for much longer than without prompts.  A long prompt among
 * texts that are being written: they do not wait longer than the stall.
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
    MOST_STAGES = 8,
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
static const double read_sec = 0.05, row_sec = 0.0065, key_sec = 1.5e-6,
                    noise = 0.1;

typedef struct flight {
    uint64_t id;
    double sent_sec, back_sec;
    ndl_cadence_times times;
} flight;

typedef struct pipeline {
    int n_stages;
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
                           (1.0 + noise * (2.0 * chance_share() - 1.0));
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

static void run(int n_stages, int n_requests, int context, double stall_sec)
{
    const ndl_scheduler_config config = {
        .max_requests = n_requests,
        .n_slots = N_SLOTS,
        .n_pages = N_SLOTS * ndl_pages_of(context),
        .n_stages = n_stages,
        .window = n_stages + (n_stages + 1) / 2,
        .max_rows = 128,
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
    for (int n = 1; n <= MOST_STAGES; n *= 2) {
        memset(&p, 0, sizeof p);
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
    memset(&p, 0, sizeof p);
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
    for (int n = 1; n <= MOST_STAGES; n *= 2) {
        const double free_sec = with_long_prompt(n, 1e9);
        for (int times = 2; times <= 8; times += times < 4 ? 1 : 4) {
            const double stall = times * read_sec;
            const double sec = with_long_prompt(n, stall);
            const double late = p.gaps[p.n_gaps - 1];
            print_message("%d stages: stall %.2f s, longest wait %.3f s, "
                          "prompt %.2f times as long as without limit\n",
                          n, stall, late, sec / free_sec);
            assert_true(late < (times > 2 ? 1.1 : 1.45) * stall);
            assert_true(sec < (times > 2 ? 1.3 : 1.4) * free_sec);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_are_busy_and_texts_do_not_wait_long),
        cmocka_unit_test(texts_do_not_wait_longer_than_the_stall),
    };
    random_state = chance_seed(20261122);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
