/*
 * pace.h - how fast a layer of a kind can do its work, as seen so far: what an
 * emulated rank is slower than.  Private to src/model.
 */
#ifndef NDL_PACE_H
#define NDL_PACE_H

#include <stdint.h>

enum { NDL_PACE_WORKS = 1024 };

/* What is kept of works that cost the same up to a few percent. */
typedef struct ndl_pace_work {
    int32_t kind, rows; /* rows 0: nothing here yet */
    int32_t octaves;    /* of the keys, in eighths */
    double keys, sec;   /* the shortest so far */
} ndl_pace_work;

typedef struct ndl_pace {
    ndl_pace_work works[NDL_PACE_WORKS];
} ndl_pace;

/**
 * Note that work of this kind took sec.
 * @param kind  0 or more
 * @param rows  > 0
 * @param keys  that the rows attend to, summed over them; 0: none
 * @return what it can take at most, by this and all that was seen so far: no
 * more than work with as many rows and keys or more did, and than its share of
 * work with fewer.
 */
double ndl_pace_note(ndl_pace *p, int kind, int rows, int64_t keys, double sec);

#endif /* NDL_PACE_H */
