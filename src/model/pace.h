/*
 * pace.h - how fast a layer of a kind can do its work, as seen so far: what an
 * emulated rank is slower than.  Private to src/model.
 */
#ifndef NDL_PACE_H
#define NDL_PACE_H

#include <stdint.h>

enum { NDL_PACE_WORKS = 1024 };

/* Rows and keys that cost the same up to a few percent. */
typedef struct ndl_pace_work {
    int32_t kind, rows; /* rows 0: nothing here yet */
    int32_t keys;       /* in eighths of an octave */
    double sec;         /* the shortest so far */
} ndl_pace_work;

typedef struct ndl_pace {
    ndl_pace_work works[NDL_PACE_WORKS];
} ndl_pace;

/**
 * Note that work of this kind took sec.
 * @param kind  0 or more
 * @param rows  > 0
 * @param keys  that the rows attend to, summed over them; 0: none
 * @return the shortest that such work took so far; sec itself when there is no
 * room to remember more kinds.
 */
double ndl_pace_note(ndl_pace *p, int kind, int rows, int64_t keys, double sec);

#endif /* NDL_PACE_H */
