/* pace.c - see pace.h: a table of the shortest times, open addressing. */
#include "pace.h"

#include <math.h>
#include <stdbool.h>

enum {
    MAX_STEPS = 16, /* of a search: a full table only forgets */
    /* Rows that a product takes at a time: one row more may cost as many. */
    TILE_ROWS = 12
};

/* An eighth of an octave is 9 %, and attention a small share of a block. */
static int octaves_of(int64_t keys)
{
    return keys > 0 ? (int)(8.0 * log2((double)keys)) + 1 : 0;
}

static uint32_t place_of(const ndl_pace_work *w)
{
    uint32_t h = (uint32_t)w->load.kind;
    h = h * 0x9e3779b1u + (uint32_t)w->load.rows;
    h = h * 0x9e3779b1u + (uint32_t)w->load.spans;
    h = h * 0x9e3779b1u + (uint32_t)w->octaves;
    return (h ^ h >> 15) * 0x85ebca6bu >> 16;
}

static bool is_alike(const ndl_pace_work *a, const ndl_pace_work *b)
{
    return a->load.kind == b->load.kind && a->load.rows == b->load.rows &&
           a->load.spans == b->load.spans && a->octaves == b->octaves;
}

static void keep(ndl_pace *p, const ndl_pace_work *new)
{
    const uint32_t first = place_of(new);
    for (uint32_t i = 0; i < MAX_STEPS; i++) {
        ndl_pace_work *w = &p->works[(first + i) % NDL_PACE_WORKS];
        if (w->load.rows == 0) *w = *new;
        if (!is_alike(w, new)) continue;
        if (new->sec < w->sec) *w = *new;
        return;
    }
}

/* A step takes a time for each tile of rows and for each key, and one for the
 * weights: with c times as many of both, no more than c times as long.  Keys of
 * one sequence are read once for many rows, those of others not. */
static double most_sec(const ndl_pace_work *seen, const ndl_pace_load *load)
{
    double times = 1.0;
    if (load->spans > seen->load.spans) return INFINITY;
    if (load->rows > seen->load.rows)
        times = (load->rows + TILE_ROWS - 1.0) / seen->load.rows;
    if (load->keys > seen->load.keys)
        times = fmax(times, (double)load->keys / (double)seen->load.keys);
    return times * seen->sec;
}

double ndl_pace_note(ndl_pace *p, const ndl_pace_load *load, double sec)
{
    const ndl_pace_work new = { *load, octaves_of(load->keys), sec };
    if (sec > 0.0) keep(p, &new);
    for (int i = 0; i < NDL_PACE_WORKS; i++) {
        const ndl_pace_work *w = &p->works[i];
        if (w->load.rows > 0 && w->load.kind == load->kind)
            sec = fmin(sec, most_sec(w, load));
    }
    return sec;
}
