/*
 * comm.h - messages between ranks.
 *
 * Point-to-point only, never blocking: begin an operation, test it, and when
 * nothing moves, wait() until something may have.  Collectives exist for the
 * setup phase alone.  comm_mpi.c implements it over MPI and is, with main.c,
 * the only user of mpi.h; tests have an implementation with a virtual clock.
 * Only the main thread of a rank may call anything here.
 */
#ifndef NOODLE_COMM_H
#define NOODLE_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"
#include "noodle/wire.h"

typedef struct ndl_comm ndl_comm;

/* One message in flight.  The caller provides the storage, zeroed before the
 * first use, so that the steady state allocates nothing; it must not move
 * while the operation is active. */
typedef struct ndl_comm_op {
    uint64_t opaque[6];
    bool is_active; /* begun and not yet seen to be complete */
    bool is_receive;
    bool is_arriving; /* a receive whose message is on its way */
    int peer;
} ndl_comm_op;

/* What an implementation provides.  Meanings: the functions below. */
typedef struct ndl_comm_ops {
    ndl_status (*send_begin)(ndl_comm *c, ndl_comm_op *op, int to, ndl_tag tag,
                             const void *buf, size_t len);
    ndl_status (*recv_begin)(ndl_comm *c, ndl_comm_op *op, int from,
                             ndl_tag tag, void *buf, size_t cap);
    ndl_status (*test)(ndl_comm *c, ndl_comm_op *op, bool *done, size_t *len);
    void (*cancel)(ndl_comm *c, ndl_comm_op *op);
    void (*wait)(ndl_comm *c, double max_sec);
    double (*now)(ndl_comm *c);
    void (*close)(ndl_comm *c);
} ndl_comm_ops;

/* First member of every implementation's own struct. */
struct ndl_comm {
    const ndl_comm_ops *ops;
    int rank, size;
    int node;        /* ranks with equal numbers share memory; -1: unknown */
    ndl_comm *inner; /* NULL, or the one that this one changes */
};

/**
 * Post a send.  Never blocks.  `buf` is borrowed and must not change until
 * test() says done.  len <= INT_MAX, else NDL_EPROTO.  Rings the receiver.
 */
ndl_status ndl_comm_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                               ndl_tag tag, const void *buf, size_t len);

/** Post a receive of at most `cap` bytes; a longer message is NDL_EPROTO at
 * test().  Messages of one (sender, tag) arrive in order. */
ndl_status ndl_comm_recv_begin(ndl_comm *c, ndl_comm_op *op, int from,
                               ndl_tag tag, void *buf, size_t cap);

/** Is it complete?  @param[out] done  @param[out] len  bytes received; may be
 * NULL.  Testing an inactive op gives done = false. */
ndl_status ndl_comm_test(ndl_comm *c, ndl_comm_op *op, bool *done, size_t *len);

/**
 * Give up an operation, if it is active: receives at the end of a run, and
 * sends that nobody will take.
 * @return false: its buffer is the caller's again; true: it is a send whose
 *         buffer MPI may go on reading, which must stay until the process ends.
 */
bool ndl_comm_cancel(ndl_comm *c, ndl_comm_op *op);

/**
 * Wait until a message may have come, but not longer than max_sec.  Spins
 * first if that has paid off lately, then sleeps: on one node on the doorbell,
 * between nodes with a back-off up to 1 ms (5 ms after seconds of silence).
 * May return early.  Test all active operations between two calls: only tests
 * make messages come and go.
 */
void ndl_comm_wait(ndl_comm *c, double max_sec);

/** Seconds; the virtual clock in tests. */
double ndl_comm_now(ndl_comm *c);

/** Free and set NULL.  MPI: collective. */
void ndl_comm_close(ndl_comm **c);

/* ---- comm_slow.c: links that are slower than they are ---- */

/* One direction.  Fixed widths, because rank 0 sends them to all. */
typedef struct ndl_comm_link {
    int32_t from, to;     /* ranks; -1: any                              */
    double delay_sec;     /* added, 0 .. NDL_LINK_DELAY_MAX_SEC          */
    double bytes_per_sec; /* 0: as it is; or NDL_LINK_BANDWIDTH_MIN .. MAX */
} ndl_comm_link;

#define NDL_LINK_DELAY_MAX_SEC 10.0
#define NDL_LINK_BANDWIDTH_MIN 1e3
#define NDL_LINK_BANDWIDTH_MAX 1e15

/**
 * A comm like `inner`, on which messages to this rank arrive late: one after
 * the other at the link's bandwidth, and then delayed.  Time counts from when
 * this rank finds a message complete, so a rank that does not test sees it
 * later.  Every rank opens its own, before its first receive.  What is
 * collective, and set_spin, goes to `inner`.
 * @param inner  borrowed until close, which leaves it open; use only one of
 *               them at a time
 * @param links  (n), not kept; of several for a pair the last counts
 * @return NDL_OK; NDL_EPROTO for links that cannot be; NDL_EUNAVAIL.
 */
ndl_status ndl_comm_slow_open(ndl_comm **out, ndl_comm *inner,
                              const ndl_comm_link *links, int n);

/* ---- comm_mpi.c: setup over MPI ---- */

/**
 * Collective over all ranks of the world.  Duplicates the communicator, sets
 * its error handler, finds the nodes, and makes one doorbell a rank in shared
 * memory.
 */
ndl_status ndl_comm_open_mpi(ndl_comm **out);

/** Spin up to this long before sleeping; 0 when threads exceed cores. */
void ndl_comm_set_spin(ndl_comm *c, double spin_sec);

/**
 * Collective.  The status of the lowest rank that failed (NDL_OK if none), the
 * same on all ranks; its message becomes the stored message of rank 0, with
 * "rank R on HOST: " in front if R is not 0.  Every setup phase ends with it,
 * so that no rank walks on alone.  Waits without using the processor.
 */
ndl_status ndl_comm_agree(ndl_comm *c, ndl_status mine);

/** Collective; blocking, with sleeping waits: `len` bytes from rank 0. */
ndl_status ndl_comm_bcast(ndl_comm *c, void *buf, size_t len);

/** Collective: `len` bytes of every rank to rank 0, in rank order.
 * @param all  size * len bytes on rank 0, ignored elsewhere. */
ndl_status ndl_comm_gather(ndl_comm *c, const void *mine, size_t len,
                           void *all);

/** "Open MPI 4.1.4", static. */
const char *ndl_comm_library(void);

#endif /* NOODLE_COMM_H */
