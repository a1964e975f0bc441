/*
 * pool.c - fork and join over a handful of threads.
 *
 * One word hands out the tasks: `left` counts down, and whoever brings it from
 * k > 0 to k - 1 owns task n_tasks - k.  A worker that wakes up late therefore
 * needs no care: either it finds nothing left, or it takes a task of the
 * current run.  What describes a run (fn, arg, n_tasks) is read only by
 * someone who owns a task, and the run cannot end before that task is counted
 * as done.
 *
 * Nobody has to show up: the caller alone would finish a run, so it waits only
 * for tasks that were taken, never for threads that sleep.
 */
#include "noodle/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "noodle/clock.h"

enum {
    CACHE_LINE = 64,
    SPINS_PER_CLOCK = 16 /* a pause is 10-50 ns, a clock read about 25 */
};
static const double HOOK_SEC = 1e-3; /* decision 4 of the architecture */

typedef struct worker {
    ndl_pool *pool;
    pthread_t handle;
    int thread; /* 1..n_threads-1 */
} worker;

/* Words that different threads write live on different cache lines. */
struct ndl_pool {
    ndl_pool_config config;
    int n_started; /* workers that run */
    worker *workers;
    double last_hook_sec;
    int64_t n_joins; /* the caller's thread alone knows it */

    alignas(CACHE_LINE) ndl_pool_fn fn; /* this run; written while no task */
    void *arg;                          /* is owned                        */
    int n_tasks;

    alignas(CACHE_LINE) atomic_uint generation; /* futex: counts runs */
    atomic_int n_sleepers;                      /* workers in its futex */
    atomic_bool stop;

    alignas(CACHE_LINE) atomic_int left; /* <= 0: nothing to take */

    alignas(CACHE_LINE) atomic_uint n_done; /* futex: tasks finished */
    atomic_bool is_joining;                 /* the caller is in its futex */
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleep while *word is `seen`, at most `sec` if that is not negative.  May
 * return early. */
static void futex_wait(atomic_uint *word, unsigned seen, double sec)
{
    const struct timespec limit = { .tv_nsec = (long)(sec * 1e9) };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, sec < 0 ? NULL : &limit,
            NULL, 0);
}

static void futex_wake(atomic_uint *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static void run_hook_if_due(ndl_pool *p)
{
    if (!p->config.hook) return;
    const double now = ndl_clock_sec();
    if (now - p->last_hook_sec < HOOK_SEC) return;
    p->last_hook_sec = now;
    p->config.hook(p->config.hook_arg);
}

/* Take tasks until none is left and count them as done in one go: nobody ends
 * the run before that, so `n_done` cannot be another run's. */
static void take_tasks(ndl_pool *p, int thread)
{
    unsigned mine = 0;
    int n_tasks = 0;
    for (;;) {
        const int k =
            atomic_fetch_sub_explicit(&p->left, 1, memory_order_acq_rel);
        if (k <= 0) break;
        n_tasks = p->n_tasks;
        p->fn(p->arg, n_tasks - k, thread);
        mine++;
        if (thread == 0) run_hook_if_due(p);
    }
    if (mine == 0) return;
    /* Sequential consistency pairs with wait_done(): either the caller sees
     * this count before it sleeps, or we see that it sleeps. */
    const unsigned before = atomic_fetch_add(&p->n_done, mine);
    if (thread != 0 && before + mine == (unsigned)n_tasks &&
        atomic_load(&p->is_joining))
        futex_wake(&p->n_done, 1);
}

/* Spin while *word is `seen`, for the pool's time.  True if it changed. */
static bool spin(const ndl_pool *p, atomic_uint *word, unsigned seen)
{
    if (p->config.spin_sec <= 0.0) return false;
    const double until = ndl_clock_sec() + p->config.spin_sec;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != seen)
                return true;
            pause_cpu();
        }
    } while (ndl_clock_sec() < until);
    return false;
}

static void wait_generation(ndl_pool *p, unsigned seen)
{
    if (spin(p, &p->generation, seen)) return;
    /* First we say that we sleep, then the kernel compares the word; the
     * caller changes the word first and then looks for sleepers. */
    atomic_fetch_add(&p->n_sleepers, 1);
    while (atomic_load(&p->generation) == seen)
        futex_wait(&p->generation, seen, -1.0);
    atomic_fetch_sub(&p->n_sleepers, 1);
}

static void *work(void *arg)
{
    const worker *w = arg;
    ndl_pool *p = w->pool;
    unsigned seen = 0;
    if (p->config.thread_init) p->config.thread_init();
    for (;;) {
        wait_generation(p, seen);
        seen = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (atomic_load(&p->stop)) return NULL;
        take_tasks(p, w->thread);
    }
}

/* Tell everybody that there is something new; wake those who sleep. */
static void announce(ndl_pool *p, int n_wanted)
{
    atomic_fetch_add(&p->generation, 1);
    const int asleep = atomic_load(&p->n_sleepers);
    if (asleep > 0)
        futex_wake(&p->generation, asleep < n_wanted ? asleep : n_wanted);
}

/* The caller's end of a run: spin, then sleep, but not past the time when the
 * hook is due again. */
static void wait_done(ndl_pool *p)
{
    const unsigned n = (unsigned)p->n_tasks;
    for (;;) {
        const unsigned done =
            atomic_load_explicit(&p->n_done, memory_order_acquire);
        if (done == n) return;
        run_hook_if_due(p);
        if (spin(p, &p->n_done, done)) continue;
        const double sec = p->config.hook
                               ? p->last_hook_sec + HOOK_SEC - ndl_clock_sec()
                               : HOOK_SEC;
        if (sec <= 0.0) continue;
        atomic_store(&p->is_joining, true);
        if (atomic_load(&p->n_done) == done) futex_wait(&p->n_done, done, sec);
        atomic_store(&p->is_joining, false);
    }
}

void ndl_pool_run(ndl_pool *p, int n_tasks, ndl_pool_fn fn, void *arg)
{
    NDL_ASSERT(n_tasks >= 0);
    if (n_tasks <= 1 || p->config.n_threads == 1) {
        run_hook_if_due(p);
        for (int i = 0; i < n_tasks; i++) {
            fn(arg, i, 0);
            run_hook_if_due(p);
        }
        return;
    }
    p->n_joins++;
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    atomic_store_explicit(&p->left, n_tasks, memory_order_release);
    announce(p, n_tasks - 1);
    take_tasks(p, 0);
    wait_done(p);
    run_hook_if_due(p);
}

/* Signals are the main thread's business: the workers block them all. */
static ndl_status start_workers(ndl_pool *p)
{
    sigset_t all, old;
    int err = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i < p->config.n_threads && err == 0; i++) {
        worker *w = &p->workers[i - 1];
        *w = (worker){ .pool = p, .thread = i };
        err = pthread_create(&w->handle, NULL, work, w);
        if (err == 0) p->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err == 0) return NDL_OK;
    return NDL_FAIL(NDL_EOS,
                    "threads: cannot start thread %d of %d: %s: use fewer "
                    "threads or raise the limit (ulimit -u)",
                    p->n_started + 2, p->config.n_threads, strerror(err));
}

ndl_status ndl_pool_create(ndl_pool **out, const ndl_pool_config *config)
{
    NDL_ASSERT(config->n_threads >= 1);
    const size_t n_workers = (size_t)config->n_threads - 1;
    ndl_pool *p = aligned_alloc(CACHE_LINE, sizeof *p);
    worker *workers = calloc(n_workers + 1, sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        return NDL_FAIL(NDL_EOS, "threads: out of memory for %d threads",
                        config->n_threads);
    }
    memset(p, 0, sizeof *p);
    p->config = *config;
    if (p->config.spin_sec > HOOK_SEC) p->config.spin_sec = HOOK_SEC;
    p->workers = workers;
    p->last_hook_sec = ndl_clock_sec();
    const ndl_status st = start_workers(p);
    if (st != NDL_OK) {
        ndl_pool_destroy(&p);
        return st;
    }
    if (config->thread_init) config->thread_init();
    *out = p;
    return NDL_OK;
}

void ndl_pool_destroy(ndl_pool **p)
{
    ndl_pool *q = *p;
    if (!q) return;
    atomic_store(&q->stop, true);
    announce(q, INT_MAX);
    for (int i = 0; i < q->n_started; i++)
        pthread_join(q->workers[i].handle, NULL);
    free(q->workers);
    free(q);
    *p = NULL;
}

int ndl_pool_size(const ndl_pool *p)
{
    return p->config.n_threads;
}

int64_t ndl_pool_joins(const ndl_pool *p)
{
    return p->n_joins;
}
