/* test_pool.c - facts about pool.h. */
#include "noodle/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/clock.h"

enum { MAX_TASKS = 1000 };

typedef struct tally {
    int runs[MAX_TASKS]; /* plain on purpose: the pool makes them visible */
    int thread[MAX_TASKS];
    atomic_int busy[8]; /* a thread number is used by one at a time */
    int n_threads;
    atomic_int faults;
    double sec;  /* each task sleeps so long */
    int n_steps; /* each task is busy so long */
} tally;

typedef struct hooked {
    pthread_t caller;
    int calls, strangers;
    double last_sec, worst_gap_sec;
} hooked;

static void count_task(void *arg, int task, int thread)
{
    tally *t = arg;
    if (thread < 0 || thread >= t->n_threads) {
        t->faults++;
        return;
    }
    if (atomic_fetch_add(&t->busy[thread], 1) != 0) t->faults++;
    t->runs[task]++;
    t->thread[task] = thread;
    if (t->sec > 0.0) ndl_clock_sleep(t->sec);
    for (volatile int i = 0; i < t->n_steps; i++) continue;
    atomic_fetch_sub(&t->busy[thread], 1);
}

static void note_hook(void *arg)
{
    hooked *h = arg;
    const double now = ndl_clock_sec();
    if (!pthread_equal(pthread_self(), h->caller)) h->strangers++;
    if (h->calls++ > 0 && now - h->last_sec > h->worst_gap_sec)
        h->worst_gap_sec = now - h->last_sec;
    h->last_sec = now;
}

static ndl_pool *make_pool(int n_threads, double spin_sec)
{
    ndl_pool *p = NULL;
    const ndl_pool_config c = { .n_threads = n_threads, .spin_sec = spin_sec };
    assert_int_equal(ndl_pool_create(&p, &c), NDL_OK);
    assert_int_equal(ndl_pool_size(p), n_threads);
    return p;
}

static void check_tally(const tally *t, int n_tasks)
{
    assert_int_equal(t->faults, 0);
    for (int i = 0; i < MAX_TASKS; i++)
        assert_int_equal(t->runs[i], i < n_tasks ? 1 : 0);
}

static void pool_runs_each_task_exactly_once(void **state)
{
    (void)state;
    static const int tasks[] = { 0, 1, 2, 3, 4, 5, 7, 16, 63, 256, 1000 };
    static const double spins[] = { 0.0, 50e-6 };
    static tally t;
    for (int n = 1; n <= 5; n++)
        for (int s = 0; s < 2; s++) {
            ndl_pool *p = make_pool(n, spins[s]);
            for (int i = 0; i < 11 * 20; i++) {
                memset(&t, 0, sizeof t);
                t.n_threads = n;
                ndl_pool_run(p, tasks[i % 11], count_task, &t);
                check_tally(&t, tasks[i % 11]);
            }
            ndl_pool_destroy(&p);
            assert_null(p);
        }
}

/* Tasks long enough for all threads to turn up, short enough for them to meet
 * at the claim all the time. */
static void pool_runs_each_task_once_under_contention(void **state)
{
    (void)state;
    static tally t;
    ndl_pool *p = make_pool(3, 50e-6);
    for (int i = 0; i < 200; i++) {
        memset(&t, 0, sizeof t);
        t.n_threads = 3;
        t.n_steps = 100;
        ndl_pool_run(p, MAX_TASKS, count_task, &t);
        check_tally(&t, MAX_TASKS);
    }
    ndl_pool_destroy(&p);
}

static void pool_finishes_a_hundred_thousand_tiny_runs(void **state)
{
    (void)state;
    static const double spins[] = { 0.0, 50e-6 };
    static tally t;
    for (int s = 0; s < 2; s++) {
        ndl_pool *p = make_pool(3, spins[s]);
        const double start = ndl_clock_sec();
        memset(&t, 0, sizeof t);
        t.n_threads = 3;
        for (int i = 0; i < 100000; i++) ndl_pool_run(p, 4, count_task, &t);
        for (int i = 0; i < 4; i++) assert_int_equal(t.runs[i], 100000);
        assert_int_equal(t.faults, 0);
        print_message("spin %g us: %.2f us a run\n", spins[s] * 1e6,
                      (ndl_clock_sec() - start) * 10.0);
        ndl_pool_destroy(&p);
    }
}

static void pool_shares_long_tasks_among_its_threads(void **state)
{
    (void)state;
    static tally t;
    ndl_pool *p = make_pool(4, 0.0);
    memset(&t, 0, sizeof t);
    t.n_threads = 4;
    t.sec = 0.02;
    int seen = 0;
    ndl_pool_run(p, 16, count_task, &t);
    for (int i = 0; i < 16; i++) seen |= 1 << t.thread[i];
    assert_int_equal(seen, 15);
    ndl_pool_destroy(&p);
}

/* Only workers are slow, so the caller has to wait for them. */
static void finish_late(void *arg, int task, int thread)
{
    int *finished = arg;
    if (thread != 0) ndl_clock_sleep(0.005);
    finished[task] = 1;
}

static void pool_returns_after_the_last_task(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        int finished[3] = { 0 };
        ndl_pool *p = make_pool(3, i % 2 ? 50e-6 : 0.0);
        ndl_clock_sleep(0.001);
        ndl_pool_run(p, 3, finish_late, finished);
        for (int t = 0; t < 3; t++) assert_int_equal(finished[t], 1);
        ndl_pool_destroy(&p);
    }
}

/* What the next run reads was written by another thread in the last one. */
static void shift_task(void *arg, int task, int thread)
{
    uint64_t(*rows)[2] = arg;
    (void)thread;
    rows[task][1] = rows[(task + 1) % 64][0] + 1;
}

static void swap_task(void *arg, int task, int thread)
{
    uint64_t(*rows)[2] = arg;
    (void)thread;
    rows[task][0] = rows[task][1];
}

static void pool_makes_results_visible_to_all_threads(void **state)
{
    (void)state;
    static uint64_t rows[64][2];
    memset(rows, 0, sizeof rows);
    ndl_pool *p = make_pool(4, 20e-6);
    for (int i = 0; i < 2000; i++) {
        ndl_pool_run(p, 64, shift_task, rows);
        ndl_pool_run(p, 64, swap_task, rows);
    }
    for (int i = 0; i < 64; i++) assert_int_equal(rows[i][0], 2000);
    ndl_pool_destroy(&p);
}

/* The first task is the caller's and ends at once; the others are long. */
static void long_for_workers(void *arg, int task, int thread)
{
    (void)arg;
    (void)task;
    if (thread != 0) ndl_clock_sleep(0.1);
}

static void short_sleep(void *arg, int task, int thread)
{
    (void)arg;
    (void)task;
    (void)thread;
    ndl_clock_sleep(0.0005);
}

static void check_hook(int n_threads, double spin_sec, int n_tasks,
                       ndl_pool_fn fn)
{
    hooked h = { .caller = pthread_self() };
    const ndl_pool_config c = { .n_threads = n_threads,
                                .spin_sec = spin_sec,
                                .hook = note_hook,
                                .hook_arg = &h };
    ndl_pool *p = NULL;
    assert_int_equal(ndl_pool_create(&p, &c), NDL_OK);
    const double start = ndl_clock_sec();
    do {
        ndl_pool_run(p, n_tasks, fn, NULL);
    } while (ndl_clock_sec() - start < 0.1);
    const double sec = ndl_clock_sec() - start;
    ndl_pool_destroy(&p);
    print_message("%d threads: %d calls in %.3f s, worst gap %.2f ms\n",
                  n_threads, h.calls, sec, h.worst_gap_sec * 1e3);
    assert_int_equal(h.strangers, 0);
    /* Never more often than once a millisecond; on a busy machine rarer. */
    assert_true(h.calls <= (int)(sec * 1000.0) + 1);
    assert_true(h.calls >= (int)(sec * 20.0));
}

static void pool_calls_the_hook_while_the_caller_waits(void **state)
{
    (void)state;
    check_hook(3, 0.0, 3, long_for_workers);
    check_hook(3, 50e-6, 3, long_for_workers);
    check_hook(3, 1.0, 3, long_for_workers);
}

static void pool_calls_the_hook_between_short_tasks(void **state)
{
    (void)state;
    check_hook(1, 0.0, 100, short_sleep);
    check_hook(2, 0.0, 100, short_sleep);
    check_hook(2, 0.0, 1, short_sleep);
}

static atomic_int n_inits;
static void count_init(void)
{
    n_inits++;
}

static void pool_inits_every_thread(void **state)
{
    (void)state;
    for (int n = 1; n <= 5; n++) {
        ndl_pool *p = NULL;
        const ndl_pool_config c = { .n_threads = n, .thread_init = count_init };
        n_inits = 0;
        assert_int_equal(ndl_pool_create(&p, &c), NDL_OK);
        ndl_pool_destroy(&p);
        assert_int_equal(n_inits, n);
    }
}

static void pool_can_be_destroyed_idle_or_twice(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        ndl_pool *p = make_pool(1 + i % 5, i % 2 ? 50e-6 : 0.0);
        if (i % 3 == 0) ndl_clock_sleep(0.001); /* all asleep by now */
        ndl_pool_destroy(&p);
        ndl_pool_destroy(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_each_task_exactly_once),
        cmocka_unit_test(pool_runs_each_task_once_under_contention),
        cmocka_unit_test(pool_finishes_a_hundred_thousand_tiny_runs),
        cmocka_unit_test(pool_shares_long_tasks_among_its_threads),
        cmocka_unit_test(pool_returns_after_the_last_task),
        cmocka_unit_test(pool_makes_results_visible_to_all_threads),
        cmocka_unit_test(pool_calls_the_hook_while_the_caller_waits),
        cmocka_unit_test(pool_calls_the_hook_between_short_tasks),
        cmocka_unit_test(pool_inits_every_thread),
        cmocka_unit_test(pool_can_be_destroyed_idle_or_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
