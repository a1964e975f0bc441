/*
 * pace.h - how fast a layer of a kind can do its work, as seen so far: what an
 * emulated rank is slower than.  Private to src/model.
 */
#ifndef NDL_PACE_H
#define NDL_PACE_H

#include <stdint.h>

enum { NDL_PACE_WORKS = 1024 };

/* What a layer computes in a step. */
typedef struct ndl_pace_load {
    int kind;     /* 0 or more: layers that are alike             */
    int rows;     /* > 0                                          */
    int spans;    /* sequences that they are of, whose caches are read */
    int64_t keys; /* that the rows attend to, summed over them; 0: none */
} ndl_pace_load;

/* The shortest time of loads that cost the same up to a few percent. */
typedef struct ndl_pace_work {
    ndl_pace_load load; /* rows 0: nothing here yet */
    int octaves;        /* of the keys, in eighths  */
    double sec;
} ndl_pace_work;

typedef struct ndl_pace {
    ndl_pace_work works[NDL_PACE_WORKS];
} ndl_pace;

/**
 * Note that a load took sec > 0 (another time is not kept).
 * @return what it can take at most, up to some 5 %, by this and all that is
 * kept: no more than a load of as many rows, spans and keys or more did, and
 * than a load of fewer rows or keys in proportion.
 */
double ndl_pace_note(ndl_pace *p, const ndl_pace_load *load, double sec);

#endif /* NDL_PACE_H */
