/*
 * comm_fake.h - ndl_comm for tests: R ranks in one process, one virtual clock.
 *
 * The world has a time; nothing else moves it but the functions below.  A rank
 * that computes is told so by ndl_fake_spend(): its own clock runs ahead, what
 * it sends leaves at its own time, and it sees nothing new until the world has
 * caught up.  A test drives its ranks like this:
 *
 *     do {
 *         bool moved = false;
 *         for (int r = 0; r < n; r++)
 *             if (ndl_fake_is_ready(f, r)) moved |= step(r);
 *     } while (!is_over && (moved || ndl_fake_advance(f)));
 *
 * A long message (longer than eager_bytes) leaves only when its receiver has
 * posted a receive, like MPI's rendezvous.  Messages from one rank to another
 * share a link and pass it one after the other.  Nothing here has a thread, a
 * real clock or a chance that is not in the seed: a failing run repeats.
 *
 * It finds misuse: a buffer that changes while it is being sent stops the
 * test, and a receive's buffer is filled with 0xa5 until its message is here.
 */
#ifndef NOODLE_TESTS_COMM_FAKE_H
#define NOODLE_TESTS_COMM_FAKE_H

#include "noodle/comm.h"

typedef struct ndl_fake ndl_fake;

typedef struct ndl_fake_config {
    int n_ranks;
    double latency_sec;
    double bytes_per_sec; /* 0: no limit                        */
    double jitter_sec;    /* added: 0 .. jitter_sec, at random  */
    uint64_t seed;
    size_t eager_bytes;
} ndl_fake_config;

ndl_fake *ndl_fake_create(const ndl_fake_config *cfg);

/** Free the world and all its ranks' comms. */
void ndl_fake_destroy(ndl_fake **f);

/** Rank r's end: borrowed until destroy; closing it does nothing more. */
ndl_comm *ndl_fake_comm(ndl_fake *f, int rank);

/** The time of the world; a rank's own is ndl_comm_now(). */
double ndl_fake_now(const ndl_fake *f);

/** Alive, and not computing at this time: it may be stepped. */
bool ndl_fake_is_ready(const ndl_fake *f, int rank);

/** Has it waited, and has nothing come for it since? */
bool ndl_fake_is_idle(const ndl_fake *f, int rank);

/** Rank r computes for so long from its own time on. */
void ndl_fake_spend(ndl_fake *f, int rank, double sec);

/**
 * Move the clock to the next time at which something happens: a message
 * arrives, or a rank has finished computing.  False, and no move, if nothing
 * will happen: all are waiting for each other (or for a deadline).
 */
bool ndl_fake_advance(ndl_fake *f);

/**
 * The same, but a rank that waits wakes at its max_sec, too, so that deadlines
 * pass.  False if no rank alive waits and nothing will happen.
 */
bool ndl_fake_advance_or_wake(ndl_fake *f);

/** From now on it sends and receives nothing; its messages that have left
 * arrive. */
void ndl_fake_kill(ndl_fake *f, int rank);

/** Lose the next n messages of this sender, receiver and tag. */
void ndl_fake_drop(ndl_fake *f, int from, int to, ndl_tag tag, int n);

/** Messages sent so far with this tag, the lost ones included. */
int ndl_fake_n_sent(const ndl_fake *f, ndl_tag tag);

/** Messages that have not been received (the lost ones not included), and
 * receives without a message: both 0 after a clean end. */
int ndl_fake_n_unreceived(const ndl_fake *f);
int ndl_fake_n_unmatched(const ndl_fake *f);

#endif /* NOODLE_TESTS_COMM_FAKE_H */
