/* pace.c - see pace.h: a table of the shortest times, open addressing. */
#include "pace.h"

#include <math.h>

enum {
    MAX_STEPS = 16, /* of a search: a full table only forgets      */
    PANEL = 8       /* rows at a time, at most: one more may cost as many */
};

/* An eighth of an octave is 9 %, and attention a small share of a block. */
static int32_t octaves_of(double keys)
{
    return keys > 0.0 ? (int32_t)(8.0 * log2(keys)) + 1 : 0;
}

static uint32_t place_of(const ndl_pace_work *w)
{
    uint32_t h = (uint32_t)w->kind;
    h = h * 0x9e3779b1u + (uint32_t)w->rows;
    h = h * 0x9e3779b1u + (uint32_t)w->octaves;
    return (h ^ h >> 15) * 0x85ebca6bu >> 16;
}

static void keep(ndl_pace *p, const ndl_pace_work *new)
{
    const uint32_t first = place_of(new);
    for (uint32_t i = 0; i < MAX_STEPS; i++) {
        ndl_pace_work *w = &p->works[(first + i) % NDL_PACE_WORKS];
        if (w->rows == 0) *w = *new;
        if (w->kind != new->kind || w->rows != new->rows ||
            w->octaves != new->octaves)
            continue;
        if (new->sec < w->sec) *w = *new;
        return;
    }
}

/* The time of work is that of its rows, in panels, and of its keys: c times as
 * much of both never takes more than c times as long. */
static double most_sec(const ndl_pace_work *seen, const ndl_pace_work *w)
{
    double times = 1.0;
    if (w->rows > seen->rows)
        times = (w->rows + PANEL - 1.0) / (double)seen->rows;
    if (w->keys > seen->keys) times = fmax(times, w->keys / seen->keys);
    return times * seen->sec;
}

double ndl_pace_note(ndl_pace *p, int kind, int rows, int64_t keys, double sec)
{
    ndl_pace_work new = { .kind = kind, .rows = rows, .keys = (double)keys };
    new.octaves = octaves_of(new.keys);
    new.sec = sec;
    keep(p, &new);
    for (int i = 0; i < NDL_PACE_WORKS; i++) {
        const ndl_pace_work *w = &p->works[i];
        if (w->rows > 0 && w->kind == kind) sec = fmin(sec, most_sec(w, &new));
    }
    return sec;
}
