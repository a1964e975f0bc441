/*
 * belt.h - messages that pass from one process to another through memory that
 * both have; private to comm.
 *
 * A belt goes one way, from one sender to one receiver, and keeps the order.
 * A short message lies on it as a whole (a letter): put once, it needs nothing
 * from its sender any more.  Of a long one there is a note with its length,
 * which keeps its place in the order; it travels elsewhere.
 *
 *   line pair 0   n_put     bytes laid down since the beginning (sender)
 *   line pair 1   n_taken   bytes taken up (receiver); is_full
 *   from 256      records, each from a line's begin on:
 *                 length and kind, 16 bytes; the message, round the end if
 *                 need be
 *
 * All zeros is an empty belt, so fresh pages of the system are one.
 */
#ifndef NOODLE_COMM_BELT_H
#define NOODLE_COMM_BELT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much lies on a belt, and what is short, is chosen by bench_hop (Zen 4
 * EPYC, two ranks of a node, medians of interleaved rounds, times of the
 * belt : times of MPI): with MPI's direct copy (CMA) 8 KiB 0.37, 64 KiB 0.58,
 * 256 KiB 0.74, 1 MiB 0.85; without it 0.74, 0.48, 0.57, 0.47.  Beyond that the
 * two copies are not overlapped, and one direct copy is as good. */
enum {
    NDL_BELT_ROOM = 2 << 20,  /* for records; a power of two */
    NDL_BELT_LETTER = 1 << 20 /* no letter is longer         */
};

typedef struct ndl_belt {
    _Atomic uint64_t n_put;
    uint8_t pad_put[120];
    _Atomic uint64_t n_taken;
    _Atomic uint32_t is_full; /* the sender waits for room */
    uint8_t pad_taken[116];
    unsigned char room[NDL_BELT_ROOM];
} ndl_belt;

static_assert(offsetof(ndl_belt, n_taken) == 128, "one writer a line pair");
static_assert(offsetof(ndl_belt, room) == 256, "records begin on lines");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
              "a lock would not work between processes");

/* What each side knows for itself: of what lies in shared memory it believes
 * nothing unseen. */
typedef struct ndl_belt_end {
    ndl_belt *belt; /* NULL: there is none */
    uint64_t at;    /* bytes put, or taken, by this side      */
    uint64_t seen;  /* of the other side's count, at the last look */
    size_t longest; /* sender: letter, <= NDL_BELT_LETTER          */
} ndl_belt_end;

typedef enum ndl_belt_item {
    NDL_BELT_NOTHING,
    NDL_BELT_HAS_LETTER,
    NDL_BELT_HAS_NOTE,
    NDL_BELT_BROKEN /* what lies there cannot be ours */
} ndl_belt_item;

/**
 * Sender: lay down a message of at most e->longest bytes, or a note of a longer
 * one, whose bytes are not looked at.
 * @return false if there is no room: nothing was done, and the take that makes
 *         room will say so.
 */
bool ndl_belt_put(ndl_belt_end *e, const void *buf, size_t len);

/** Receiver: what is next?  @param[out] len  of the message, if there is one */
ndl_belt_item ndl_belt_look(ndl_belt_end *e, size_t *len);

/**
 * Receiver: take up what the last look found.
 * @param buf  where a letter goes; NULL: it is thrown away, or is a note
 * @return true if the sender waits for room, and must be told.
 */
bool ndl_belt_take(ndl_belt_end *e, void *buf, ndl_belt_item item, size_t len);

#endif /* NOODLE_COMM_BELT_H */
