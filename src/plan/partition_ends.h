/*
 * partition_ends.h - what both searches over sets of ends share.
 */
#ifndef NOODLE_PARTITION_ENDS_H
#define NOODLE_PARTITION_ENDS_H

#include <math.h>

#include "partition_solve.h"

/** Add to `starts` (words) the ends in `set` (classes, words) whose link to
 * kind v fits; keep those whose layer v can take.  False: none. */
bool ndl_ends_starts(uint64_t *starts, const ndl_reach *r, const uint64_t *set,
                     int k, int v);

/** As ndl_ends_find, for a given order. */
ndl_answer ndl_ends_find_given(const ndl_hunt *h);

#endif /* NOODLE_PARTITION_ENDS_H */
