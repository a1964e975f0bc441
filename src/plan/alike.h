/* alike.h - ranks that measured the same, as one kind of node. */
#ifndef NOODLE_ALIKE_H
#define NOODLE_ALIKE_H

#include "noodle/strategy.h"

typedef struct ndl_alike {
    ndl_cluster cluster;      /* merged kinds; owned */
    int n;                    /* kinds before */
    int *kind;                /* (n) the merged kind of each; owned */
    ndl_strategy_setup setup; /* pins to merged kinds */
    ndl_pin *pins;            /* of the setup; owned */
} ndl_alike;

/**
 * Merge measured ranks of the same type whose times agree within 3 % at every
 * measured row count, whose memory within 5 %, and whose links within 10 %
 * for messages of one row and of `chunk_bytes`.  A merged kind has the longest
 * times, the least memory and the slowest links of its members, so that what
 * is planned with it holds for each of them.  Pinned nodes stay apart.
 *
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_alike_merge(ndl_alike *out, const ndl_cluster *c,
                           const ndl_strategy_setup *setup, double row_bytes,
                           double chunk_bytes);
void ndl_alike_fini(ndl_alike *a);

/** Is it merged kinds that are to be planned with?  Measured ranks in a free
 * order only: where the order is given, equal ranks make nothing easier. */
bool ndl_alike_helps(const ndl_cluster *c, const ndl_strategy_setup *setup);

#endif /* NOODLE_ALIKE_H */
