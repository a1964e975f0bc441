/*
 * tally.h - how far a run of many requests is, and how long the rest will take.
 * Pure.
 */
#ifndef NDL_TALLY_H
#define NDL_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/scheduler.h"

typedef struct ndl_tally {
    int n_requests; /* of the file */
    int n_finished; /* of these, those of earlier starts too */
    int64_t prompt_tokens, prompt_done; /* done: a first token has come */
    int64_t new_limit, new_done; /* tokens that may be written, that are */
    int64_t finished_limit, finished_done; /* the same of finished requests */
} ndl_tally;

/** Seconds that the rest takes at the rate of the first `sec`, if what is left
 * writes as much of what it may as what has finished did.
 * @return below 0: nothing is known yet. */
double ndl_tally_left_sec(const ndl_tally *t, double sec);

/** "120 of 500 requests, 31 running, 2345 tokens/s (1650 prompt, 695 new), KV
 * 62 %, 1:23 left".
 * @param counts  of the scheduler.
 * @return buf. */
const char *ndl_tally_text(const ndl_tally *t,
                           const ndl_scheduler_counts *counts, double sec,
                           char *buf, size_t cap);

#endif /* NDL_TALLY_H */
