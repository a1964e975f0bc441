/*
 * pool.h - the threads of one rank.
 *
 * Fork and join: run() hands out numbered tasks to all threads, the caller's
 * included, and returns when all are done.  Tasks are claimed dynamically, so
 * a preempted thread does not stall the rest; what a task computes must not
 * depend on who runs it.
 *
 * Waiting adapts: threads spin for up to spin_sec, then sleep on a futex; with
 * more threads than cores spin_sec is 0.  The calling thread calls the
 * progress hook between tasks and while it waits, at least every millisecond
 * if tasks are shorter than that: MPI makes no progress on its own.
 */
#ifndef NOODLE_POOL_H
#define NOODLE_POOL_H

#include <stdint.h>

#include "noodle/status.h"

typedef struct ndl_pool ndl_pool;
typedef void (*ndl_pool_fn)(void *arg, int task, int thread);

typedef struct ndl_pool_config {
    int n_threads;           /* >= 1, with the caller's */
    double spin_sec;         /* 0: sleep at once        */
    void (*hook)(void *arg); /* progress, may be NULL; caller's thread only */
    void *hook_arg;
    void (*thread_init)(void); /* in every thread, the caller's too: FTZ, DAZ */
} ndl_pool_config;

/** @return NDL_OK; NDL_EOS if a thread cannot be made. */
ndl_status ndl_pool_create(ndl_pool **out, const ndl_pool_config *config);

/** Join all threads, free, set NULL. */
void ndl_pool_destroy(ndl_pool **p);

int ndl_pool_size(const ndl_pool *p);

/**
 * Run fn(arg, task, thread) for every task in 0..n_tasks-1, each once; thread
 * is 0..size-1 and unique among the tasks that run at the same time.  Returns
 * when all are done and their writes are visible.  Allocates nothing.  Not
 * re-entrant; only from the thread that created the pool.
 */
void ndl_pool_run(ndl_pool *p, int n_tasks, ndl_pool_fn fn, void *arg);

/** Runs so far that had to wait for other threads: those of more than one task
 * and thread.  From the thread that calls run(). */
int64_t ndl_pool_joins(const ndl_pool *p);

#endif /* NOODLE_POOL_H */
