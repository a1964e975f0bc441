/*
 * arena.h - memory by lifetime.
 *
 * A block reserved once and handed out piece by piece; nothing is given back
 * but the whole.  Pages are zero and become real when first touched, so a
 * generous reservation costs nothing.  After freeze(), which READY does, an
 * allocation is a programmer's error: the steady state allocates nothing.
 */
#ifndef NOODLE_ARENA_H
#define NOODLE_ARENA_H

#include <stddef.h>

#include "noodle/status.h"

typedef struct ndl_arena ndl_arena;

/**
 * Reserve `bytes` (rounded up to 2 MiB), aligned to 2 MiB, huge pages advised.
 * @param name  for messages, borrowed for the arena's life.
 * @return NDL_OK; NDL_EOS naming the arena and the size.
 */
ndl_status ndl_arena_create(ndl_arena **out, const char *name, size_t bytes);

/** Give everything back, set NULL. */
void ndl_arena_destroy(ndl_arena **a);

/** Forget the arena, set NULL, but leave its memory as it is until the process
 * ends: somebody else may still read it.  NULL is allowed. */
void ndl_arena_abandon(ndl_arena **a);

/** `bytes` of zeroed memory aligned to 64; NULL when the reservation is used
 * up.  Asserts if frozen. */
void *ndl_arena_alloc(ndl_arena *a, size_t bytes);

void ndl_arena_freeze(ndl_arena *a);

/** Bytes handed out so far, and reserved. */
size_t ndl_arena_used(const ndl_arena *a);
size_t ndl_arena_size(const ndl_arena *a);

#endif /* NOODLE_ARENA_H */
