/*
 * step_curve.c - see step_curve.h.
 *
 * Numbers of rows fall into cells, one each up to EXACT and 1/16 apart above.
 * A cell keeps its last times; their mean without the outer quarters stands for
 * it, which neither noise nor a disturbed step moves far.  Through the cells
 * goes the nearest curve that never falls.
 */
#include "step_curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/doubles.h"

enum {
    EXACT = 64,
    KEPT = 32,      /* times of a cell: 5 % of noise become 1 %            */
    ENOUGH = 3,     /* times that outvote one wild one                     */
    SETTLED = 8,    /* times whose middle tells noise from a change        */
    LONG_AGO = 256, /* steps: contexts may have grown by a page since then */
    SLOWEST = 0,
    SUM = 1
};

typedef struct cell {
    int rows; /* of the last step */
    int n, next;
    double sec[2][KEPT];
    double middle[2];
    long long seen_at, tried_at; /* in steps learnt; 0: never */
} cell;

/* The curve at a cell. */
typedef struct point {
    int rows;
    double sec[2];
} point;

/* Neighbouring points that share a value. */
typedef struct block {
    double sum, weight; /* the value is sum / weight */
    int n_points;
} block;

struct ndl_step_curve {
    int max_rows, n_cells, n_points;
    double forget_steps;
    long long now;   /* steps learnt */
    double noise;    /* standard deviation of a time, relative */
    cell *cells;     /* (n_cells), by rows                         */
    point *points;   /* (n_points) of (n_cells), of those that count */
    double *weights; /* (n_points), likewise */
    block *blocks;   /* (n_cells), scratch   */
};

static int cell_of(const ndl_step_curve *c, int rows)
{
    if (rows > c->max_rows) rows = c->max_rows;
    if (rows <= EXACT) return rows - 1;
    int i = EXACT;
    for (int from = EXACT + 1; rows >= from + from / 16; i++) from += from / 16;
    return i;
}

ndl_status ndl_step_curve_create(ndl_step_curve **out, int max_rows,
                                 double forget_steps)
{
    NDL_ASSERT(max_rows >= 1 && forget_steps > 0.0);
    ndl_step_curve *c = calloc(1, sizeof *c);
    if (!c) return NDL_FAIL(NDL_EOS, "cadence: out of memory");
    c->max_rows = max_rows < 1 << 24 ? max_rows : 1 << 24;
    c->forget_steps = forget_steps;
    c->noise = 0.05;
    c->n_cells = cell_of(c, c->max_rows) + 1;
    const size_t n = (size_t)c->n_cells;
    c->cells = calloc(n, sizeof *c->cells);
    c->points = calloc(n, sizeof *c->points);
    c->weights = calloc(n, sizeof *c->weights);
    c->blocks = calloc(n, sizeof *c->blocks);
    if (!c->cells || !c->points || !c->weights || !c->blocks) {
        ndl_step_curve_destroy(&c);
        return NDL_FAIL(NDL_EOS, "cadence: out of memory");
    }
    *out = c;
    return NDL_OK;
}

void ndl_step_curve_destroy(ndl_step_curve **cp)
{
    ndl_step_curve *c = *cp;
    if (!c) return;
    free(c->cells);
    free(c->points);
    free(c->weights);
    free(c->blocks);
    free(c);
    *cp = NULL;
}

/* The mean without the outer quarters, but of three times the middle one. */
static double middle_of(const double *sec, int n)
{
    double v[KEPT], sum = 0.0;
    memcpy(v, sec, (size_t)n * sizeof *v);
    ndl_doubles_sort(v, (size_t)n);
    const int cut = (n + 1) / 4;
    for (int i = cut; i < n - cut; i++) sum += v[i];
    return sum / (n - 2 * cut);
}

/* A wild time says nothing about noise: it counts as a quarter. */
static void note_noise(ndl_step_curve *c, const cell *at, double slowest_sec)
{
    if (at->n < SETTLED) return;
    const double off = fabs(slowest_sec / at->middle[SLOWEST] - 1.0);
    const double deviation = 1.25 * (off < 0.25 ? off : 0.25);
    c->noise += (deviation - c->noise) / 64.0;
}

static void note(cell *at, int rows, const double sec[2])
{
    at->rows = rows;
    for (int k = 0; k < 2; k++) at->sec[k][at->next] = sec[k];
    at->next = (at->next + 1) % KEPT;
    if (at->n < KEPT) at->n++;
    for (int k = 0; k < 2; k++) at->middle[k] = middle_of(at->sec[k], at->n);
}

/* Cells that may be judged; at the very beginning, all. */
static void gather_points(ndl_step_curve *c)
{
    int need = 1;
    for (int i = 0; i < c->n_cells && need < ENOUGH; i++)
        if (c->cells[i].n >= ENOUGH) need = ENOUGH;
    c->n_points = 0;
    for (int i = 0; i < c->n_cells; i++) {
        const cell *at = &c->cells[i];
        if (at->n < need) continue;
        /* What is fresh bends what is not. */
        const double age = (double)(c->now - at->seen_at);
        c->weights[c->n_points] = at->n / (1.0 + age / LONG_AGO);
        c->points[c->n_points++] =
            (point){ at->rows, { at->middle[0], at->middle[1] } };
    }
}

/* The nearest values in squares that never fall: where they do, neighbours are
 * pooled, again and again.  (A running maximum would keep every high error.) */
static void straighten(ndl_step_curve *c, int k)
{
    block *b = c->blocks;
    int n = 0;
    for (int i = 0; i < c->n_points; i++) {
        const double w = c->weights[i];
        b[n++] = (block){ w * c->points[i].sec[k], w, 1 };
        while (n > 1 && b[n - 2].sum / b[n - 2].weight >
                            b[n - 1].sum / b[n - 1].weight) {
            b[n - 2].sum += b[n - 1].sum;
            b[n - 2].weight += b[n - 1].weight;
            b[n - 2].n_points += b[n - 1].n_points;
            n--;
        }
    }
    int at = 0;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < b[j].n_points; i++)
            c->points[at++].sec[k] = b[j].sum / b[j].weight;
}

void ndl_step_curve_learn(ndl_step_curve *c, int rows, ndl_step_time t)
{
    NDL_ASSERT(rows >= 1);
    cell *at = &c->cells[cell_of(c, rows)];
    const double sec[2] = { t.slowest_sec, t.sum_sec };
    note_noise(c, at, t.slowest_sec);
    note(at, rows, sec);
    at->seen_at = ++c->now;
    gather_points(c);
    straighten(c, SLOWEST);
    straighten(c, SUM);
}

bool ndl_step_curve_is_known(const ndl_step_curve *c)
{
    return c->n_points > 0;
}

static ndl_step_time scaled(const point *p, double by)
{
    return (ndl_step_time){ by * p->sec[SLOWEST], by * p->sec[SUM] };
}

/* The last point of so many rows or fewer; -1: none. */
static int point_below(const ndl_step_curve *c, int rows)
{
    int low = -1, high = c->n_points;
    while (high - low > 1) {
        const int mid = low + (high - low) / 2;
        if (c->points[mid].rows <= rows)
            low = mid;
        else
            high = mid;
    }
    return low;
}

ndl_step_time ndl_step_curve_likely(const ndl_step_curve *c, int rows)
{
    NDL_ASSERT(c->n_points > 0 && rows >= 0);
    const int i = point_below(c, rows);
    const point *p = &c->points[i < 0 ? 0 : i];
    if (i < 0) return scaled(p, (double)rows / p->rows);
    if (i == c->n_points - 1) return scaled(p, 1.0);
    const double share = (double)(rows - p->rows) / (p[1].rows - p->rows);
    const ndl_step_time a = scaled(p, 1.0 - share), b = scaled(p + 1, share);
    return (ndl_step_time){ a.slowest_sec + b.slowest_sec,
                            a.sum_sec + b.sum_sec };
}

/* No less than fewer rows take.  Fewer than any that were seen may take half of
 * their share: panels of rows make steps in the curve. */
static ndl_step_time least(const ndl_step_curve *c, int rows)
{
    const int i = point_below(c, rows);
    if (i >= 0) return scaled(&c->points[i], 1.0);
    return scaled(&c->points[0], 0.5 * rows / c->points[0].rows);
}

static double smallest(const double *sec, int n)
{
    double s = sec[0];
    for (int i = 1; i < n; i++) s = fmin(s, sec[i]);
    return s;
}

/* Two standard deviations below what a cell says, but of those of a full one
 * only half: numbers that are as good as each other would be tried in turn for
 * ever.  (Five seeds of test_cadence_world, numbers_as_good_...: that lost up
 * to 2.6 % to the best fixed number; so, 1.2 %.)  While a cell has said little,
 * no more than the shortest time there was: two of three may have been wild. */
static ndl_step_time at_best(const ndl_step_curve *c, const cell *at,
                             ndl_step_time t)
{
    const double off = 1.0 / sqrt(at->n) - 0.5 / sqrt(KEPT);
    const double by = 1.0 - fmin(0.5, 2.0 * c->noise * off);
    t = (ndl_step_time){ by * t.slowest_sec, by * t.sum_sec };
    if (at->n >= SETTLED) return t;
    const double up = 1.0 + c->noise;
    return (ndl_step_time){
        fmin(t.slowest_sec, up * smallest(at->sec[SLOWEST], at->n)),
        fmin(t.sum_sec, up * smallest(at->sec[SUM], at->n)),
    };
}

ndl_step_time ndl_step_curve_hoped(const ndl_step_curve *c, int rows)
{
    NDL_ASSERT(c->n_points > 0 && rows >= 1);
    const cell *at = &c->cells[cell_of(c, rows)];
    if (at->n < ENOUGH && at->tried_at == 0) return least(c, rows);
    const long long last =
        at->seen_at > at->tried_at ? at->seen_at : at->tried_at;
    const double by = 1.0 / (1.0 + (double)(c->now - last) / c->forget_steps);
    ndl_step_time t = ndl_step_curve_likely(c, rows);
    if (at->n >= ENOUGH) t = at_best(c, at, t);
    return (ndl_step_time){ by * t.slowest_sec, by * t.sum_sec };
}

void ndl_step_curve_try(ndl_step_curve *c, int rows)
{
    cell *at = &c->cells[cell_of(c, rows)];
    if (c->now - at->seen_at <= LONG_AGO) return;
    at->n = at->next = 0;
    at->tried_at = 0;
}

void ndl_step_curve_tried(ndl_step_curve *c, int rows)
{
    c->cells[cell_of(c, rows)].tried_at = c->now;
}
