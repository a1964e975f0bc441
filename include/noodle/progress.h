/* progress.h - tell how far a long piece of work is, but not too often, and
 * learn whether to go on. */
#ifndef NOODLE_PROGRESS_H
#define NOODLE_PROGRESS_H

#include <stdint.h>

#include "noodle/status.h"

/**
 * Somebody who wants to know: `done` of `all` bytes.
 * @return NDL_OK; any other status ends the work, which cleans up and returns
 *         it (an interrupt).
 */
typedef ndl_status (*ndl_progress_fn)(void *arg, uint64_t done, uint64_t all);

typedef struct ndl_progress {
    ndl_progress_fn fn; /* may be NULL */
    void *arg;
    uint64_t done, all; /* bytes, or what the work counts */
    double told_sec;    /* clock of the last call; 0: none yet */
} ndl_progress;

/** Count `n` more as done and call `fn` if the last call was 0.1 s ago, and
 * once when all is done.  @return what fn returned, else NDL_OK. */
ndl_status ndl_progress_add(ndl_progress *p, uint64_t n);

#endif /* NOODLE_PROGRESS_H */
