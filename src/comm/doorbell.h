/*
 * doorbell.h - how ranks of one node wake each other; private to comm.
 *
 * A bell is a word in shared memory that counts its rings.  Its one owner
 * remembers the count that it has heard and sleeps on the word until it moves.
 * Anybody may ring.  It says "look again", never what there is to see, so it
 * knows nothing of messages.
 */
#ifndef NOODLE_COMM_DOORBELL_H
#define NOODLE_COMM_DOORBELL_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Two cache lines: x86 fetches lines in pairs, and two bells in one pair would
 * slow each other's owners.  Count and flag share a line, because whoever
 * rings needs both. */
enum { NDL_BELL_SPACING = 128 };

typedef struct ndl_bell {
    _Atomic uint32_t n_rings;
    _Atomic uint32_t is_waited; /* the owner sleeps, or is about to */
    uint8_t pad[NDL_BELL_SPACING - 8];
} ndl_bell;

static_assert(sizeof(ndl_bell) == NDL_BELL_SPACING, "one bell per line pair");
static_assert(ATOMIC_INT_LOCK_FREE == 2,
              "a lock would not work between processes");

/** Make a silent bell; before anybody else knows it. */
void ndl_bell_init(ndl_bell *b);

/** Move the count and wake the owner if it sleeps.  Any process or thread. */
void ndl_bell_ring(ndl_bell *b);

/** The count, to be compared with a count heard before. */
uint32_t ndl_bell_count(const ndl_bell *b);

/** Owner only: return when the count is no longer `heard`, or at `end_sec` of
 * ndl_clock_sec(). */
void ndl_bell_spin(const ndl_bell *b, uint32_t heard, double end_sec);

/** Owner only: the same, asleep.  Returns early when a signal comes. */
void ndl_bell_sleep(ndl_bell *b, uint32_t heard, double max_sec);

#endif /* NOODLE_COMM_DOORBELL_H */
