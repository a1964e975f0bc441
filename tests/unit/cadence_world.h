/*
 * cadence_world.h - a pipeline in which time is a number: groups of sequences
 * go round through stages that take as long as a curve says, noise and
 * disturbance included, and a cadence is told and asked as a scheduler would.
 */
#ifndef NOODLE_TESTS_CADENCE_WORLD_H
#define NOODLE_TESTS_CADENCE_WORLD_H

#include <string.h>

#include "../support/chance.h"
#include "noodle/cadence.h"

enum { WORLD_STAGES = 16, WORLD_ROWS = 64, WORLD_WINDOW = WORLD_STAGES + 1 };

typedef struct world_flight {
    int rows;
    double sent_sec, back_sec;
    ndl_cadence_times times;
} world_flight;

typedef struct world {
    int n_stages, n_decoding;
    double curve[WORLD_ROWS + 1]; /* of the slowest stage, by rows          */
    double share[WORLD_STAGES];   /* of that, by stage; the largest is 1    */
    double trip_sec;
    double noise, wild; /* standard deviation; share of steps that take 4x */
    ndl_cadence *cadence;
    int fixed_groups; /* 0: what the cadence says */

    double now, free_sec[WORLD_STAGES];
    int n_flights, n_ready;
    world_flight flights[WORLD_WINDOW]; /* oldest first */
    double tokens;
} world;

static inline double world_uniform(void)
{
    return (double)(random_bits() >> 11) * 0x1p-53;
}

/* About normal: the sum of twelve. */
static inline double world_normal(void)
{
    double sum = -6.0;
    for (int i = 0; i < 12; i++) sum += world_uniform();
    return sum;
}

static inline double world_shares(const world *w)
{
    double sum = 0.0;
    for (int i = 0; i < w->n_stages; i++) sum += w->share[i];
    return sum;
}

/* Tokens a second with so many groups. */
static inline double world_rate(const world *w, int n_groups)
{
    const int rows = (w->n_decoding + n_groups - 1) / n_groups;
    const double t = w->curve[rows];
    const double by_stage = n_groups * t;
    const double by_trip = t * world_shares(w) + w->trip_sec;
    return w->n_decoding / (by_stage > by_trip ? by_stage : by_trip);
}

static inline int world_most_groups(const world *w)
{
    return w->n_decoding <= w->n_stages ? w->n_decoding : w->n_stages + 1;
}

static inline double world_best_rate(const world *w)
{
    double best = 0.0;
    for (int g = 1; g <= world_most_groups(w); g++)
        if (world_rate(w, g) > best) best = world_rate(w, g);
    return best;
}

static inline int world_groups(world *w)
{
    if (w->fixed_groups > 0) return w->fixed_groups;
    return ndl_cadence_groups(w->cadence, w->n_decoding);
}

/* A batch of `rows` goes through all stages, behind those before it. */
static inline void world_send(world *w, int rows)
{
    world_flight *f = &w->flights[w->n_flights++];
    const bool is_wild = world_uniform() < w->wild;
    double at = w->now + 0.5 * w->trip_sec;
    *f = (world_flight){ .rows = rows, .sent_sec = w->now };
    for (int i = 0; i < w->n_stages; i++) {
        double t = w->curve[rows] * w->share[i];
        t *= (is_wild ? 4.0 : 1.0) * (1.0 + w->noise * world_normal());
        if (at < w->free_sec[i]) at = w->free_sec[i];
        at = w->free_sec[i] = at + t;
        f->times.sum_sec += t;
        if (t > f->times.slowest_sec) f->times.slowest_sec = t;
    }
    f->back_sec = at + 0.5 * w->trip_sec;
    f->times.trip_sec = f->back_sec - f->sent_sec;
}

/* Send what may go, then let the oldest come back. */
static inline void world_step(world *w)
{
    const int n_groups = world_groups(w);
    const int rows = (w->n_decoding + n_groups - 1) / n_groups;
    while (w->n_flights < n_groups && w->n_ready > 0) {
        const int n = w->n_ready < rows ? w->n_ready : rows;
        w->n_ready -= n;
        world_send(w, n);
    }
    const world_flight f = w->flights[0];
    w->n_flights--;
    memmove(w->flights, w->flights + 1,
            (size_t)w->n_flights * sizeof *w->flights);
    if (f.back_sec > w->now) w->now = f.back_sec;
    w->n_ready += f.rows;
    w->tokens += f.rows;
    const ndl_cadence_load load = { .decode_rows = f.rows };
    ndl_cadence_learn(w->cadence, &load, &f.times);
}

#endif /* NOODLE_TESTS_CADENCE_WORLD_H */
