/*
 * strategy_squares.c - the least sum of squares of stage times under a bound.
 *
 * Dynamic programme over the nodes in order: f[d][e] is the least sum of
 * squares with which the nodes so far, d of them left out, host exactly the
 * items 0 .. e - 1.  The next node is left out (d + 1) or takes the items
 * s .. e - 1, one at least.  Exact for the order of nodes that it is given.
 */
#include <math.h>
#include <stdlib.h>

#include "strategy_solve.h"

/* Cells of the table of choices (2 bytes each): 256 MiB. */
enum { MAX_CELLS = 1 << 27 };

typedef struct table {
    const ndl_partition_problem *p;
    const int *kinds; /* (n) of the nodes in order */
    int n, n_stages, n_left_out;
    double period;
    double *time, *limited; /* (n_types, n_items + 1) prefix sums */
    uint64_t *bytes;        /* (n_items + 1) prefix sums */
    double *now, *next;     /* (n_left_out + 1, n_items + 1) f */
    int16_t *start;         /* (n, n_left_out + 1, n_items + 1) where the stage
                               of this node starts, -1: the node is left out */
} table;

static size_t width(const table *t)
{
    return (size_t)t->p->n_items + 1;
}

static size_t layer(const table *t)
{
    return ((size_t)t->n_left_out + 1) * width(t);
}

static bool allocate(table *t)
{
    const size_t prefix = (size_t)t->p->n_types * width(t);
    t->time = calloc(prefix, sizeof *t->time);
    t->limited = calloc(prefix, sizeof *t->limited);
    t->bytes = calloc(width(t), sizeof *t->bytes);
    t->now = calloc(layer(t), sizeof *t->now);
    t->next = calloc(layer(t), sizeof *t->next);
    t->start = calloc((size_t)t->n * layer(t), sizeof *t->start);
    return t->time && t->limited && t->bytes && t->now && t->next && t->start;
}

static void release(table *t)
{
    free(t->time);
    free(t->limited);
    free(t->bytes);
    free(t->now);
    free(t->next);
    free(t->start);
}

static void sum_up(table *t)
{
    const ndl_partition_problem *p = t->p;
    const double *limited = p->limited ? p->limited : p->time;
    for (int i = 0; i < p->n_items; i++)
        t->bytes[i + 1] = t->bytes[i] + p->bytes[i];
    for (size_t k = 0; k < (size_t)p->n_types; k++) {
        double *time = t->time + k * width(t);
        double *limit = t->limited + k * width(t);
        for (size_t i = 0; i < (size_t)p->n_items; i++) {
            time[i + 1] = time[i] + p->time[k * (size_t)p->n_items + i];
            limit[i + 1] = limit[i] + limited[k * (size_t)p->n_items + i];
        }
    }
}

/* May a node of the kind host the items from .. to - 1?  If not, no more items
 * either: the saving of a stage of all items does not occur, since there are
 * two stages at least. */
static bool may_host(const table *t, int kind, int from, int to)
{
    const ndl_partition_problem *p = t->p;
    const double *time = t->time + (size_t)kind * width(t);
    const double *limited = t->limited + (size_t)kind * width(t);
    if (p->pin && p->pin[from] >= 0 && p->pin[from] != kind) return false;
    if (time[to] - time[from] > t->period) return false;
    if (p->stage_limit > 0.0 && limited[to] - limited[from] > p->stage_limit)
        return false;
    return t->bytes[to] - t->bytes[from] + p->stage_bytes <= p->memory[kind];
}

/* The best way for this node to end at `end`. */
static void take_items(table *t, int kind, const double *before, int end,
                       double *best, int16_t *start)
{
    const double *time = t->time + (size_t)kind * width(t);
    for (int from = end - 1; from >= 0; from--) {
        if (!may_host(t, kind, from, end)) break;
        const double own = time[end] - time[from];
        const double sum = before[from] + own * own;
        if (sum < *best) {
            *best = sum;
            *start = (int16_t)from;
        }
    }
}

static void step(table *t, int place)
{
    const int kind = t->kinds[place];
    int16_t *starts = t->start + (size_t)place * layer(t);
    for (int d = 0; d <= t->n_left_out; d++) {
        const size_t row = (size_t)d * width(t);
        for (int e = 0; e <= t->p->n_items; e++) {
            const size_t at = row + (size_t)e;
            t->next[at] = d ? t->now[at - width(t)] : INFINITY;
            starts[at] = -1;
            take_items(t, kind, t->now + row, e, &t->next[at], &starts[at]);
        }
    }
    double *old = t->now;
    t->now = t->next;
    t->next = old;
}

static void read_back(const table *t, ndl_partition_stage *stages)
{
    int d = t->n_left_out, e = t->p->n_items, s = t->n_stages;
    for (int place = t->n - 1; place >= 0; place--) {
        const size_t at = (size_t)place * layer(t) + (size_t)d * width(t);
        const int start = t->start[at + (size_t)e];
        if (start < 0) {
            d--;
            continue;
        }
        stages[--s] = (ndl_partition_stage){
            .type = t->kinds[place],
            .place = t->p->order ? place : -1,
            .first = start,
            .n = e - start,
        };
        e = start;
    }
}

static ndl_status lower(table *t, ndl_solution *s)
{
    ndl_status st = NDL_OK;
    if (!allocate(t)) {
        st = NDL_FAIL(NDL_EOS, "plan: out of memory");
        goto done;
    }
    sum_up(t);
    for (size_t i = 0; i < layer(t); i++) t->now[i] = INFINITY;
    t->now[0] = 0.0;
    for (int place = 0; place < t->n; place++) step(t, place);
    if (isfinite(t->now[layer(t) - 1])) read_back(t, s->stages);
done:
    release(t);
    return st;
}

ndl_status ndl_squares_lower(ndl_solution *s, const ndl_partition_problem *p,
                             double period)
{
    if (s->n < 2) return NDL_OK;
    int *kinds = malloc((size_t)s->n * sizeof *kinds);
    if (!kinds) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < s->n; i++) kinds[i] = s->stages[i].type;
    table t = { .p = p,
                .kinds = p->order ? p->order : kinds,
                .n = p->order ? p->n_order : s->n,
                .n_stages = s->n,
                .period = period };
    t.n_left_out = t.n - s->n;
    const bool small = (double)t.n * (double)layer(&t) <= MAX_CELLS;
    const ndl_status st = small ? lower(&t, s) : NDL_OK;
    free(kinds);
    return st;
}
