/*
 * partition_rest.c - what the rest of a chain adds to the sum at least: a
 * shortest path that may use a kind as often as it likes, each use at a
 * price, less the prices of the nodes that exist (Lagrange).  The prices are
 * found by steps along the subgradient.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "partition_solve.h"

enum { ROUNDS = 80 };
static const double WORK = 2e8;    /* operations for a bound, 0.2 s    */
static const double TOO_DEAR = 64; /* prices, in sums, that rounding
                                      still leaves to the bound        */

static int rounds(const ndl_chain *c, const ndl_reach *r)
{
    const double one = (double)c->k * c->n * (r->n_classes + 4);
    return WORK / one < ROUNDS ? (int)(WORK / one) + 1 : ROUNDS;
}

/* Tables of the shortest path from the end of the chain to its beginning. */
typedef struct path {
    const ndl_chain *c;
    const ndl_reach *r;
    double *rest;        /* (classes, n + 1) */
    double *cost;        /* (k, n + 1) stage here and all after it      */
    int *end;            /* (k, n + 1) where that stage ends            */
    int *queue;          /* (k, n + 1) */
    int *head, *tail;    /* (k) of the queues */
    double *try, *price; /* (k) prices, now and of the best round       */
    int *used;           /* (k) */
} path;

static double to_go(const path *p, int v, int j)
{
    const size_t row = (size_t)p->c->n + 1;
    return p->c->sum[(size_t)v * row + (size_t)j] +
           p->rest[(size_t)p->r->class_of[v] * row + (size_t)j];
}

/* The cheapest stage of kind v that begins at i: ends form a window. */
static void begin_stage(path *p, int v, int i)
{
    const size_t row = (size_t)p->c->n + 1, at = (size_t)v * row;
    const double *sum = p->c->sum + at;
    int *queue = p->queue + at;
    const double key = to_go(p, v, i + 1);
    while (p->tail[v] > p->head[v] && to_go(p, v, queue[p->tail[v] - 1]) >= key)
        p->tail[v]--;
    queue[p->tail[v]++] = i + 1;
    while (p->head[v] < p->tail[v] &&
           queue[p->head[v]] > p->r->end[at + (size_t)i])
        p->head[v]++;
    double cost = INFINITY;
    if (p->head[v] < p->tail[v]) {
        const int j = queue[p->head[v]];
        p->end[at + (size_t)i] = j;
        /* Never above the truth, however the prefix sums were rounded. */
        cost = to_go(p, v, j) - sum[i] + p->try[v] -
               4 * DBL_EPSILON * sum[p->c->n];
    }
    p->cost[at + (size_t)i] = cost;
}

static void onward(path *p, int i)
{
    const ndl_chain *c = p->c;
    const size_t row = (size_t)c->n + 1;
    for (int x = 0; x < p->r->n_classes; x++) {
        const double *after = p->r->after + (size_t)x * ((size_t)c->k + 1);
        double least = INFINITY;
        for (int v = 0; v < c->k; v++) {
            const double y = after[v] + p->cost[(size_t)v * row + (size_t)i];
            if (y < least) least = y;
        }
        p->rest[(size_t)x * row + (size_t)i] = least;
    }
}

static int cheapest(const path *p, const double *link, int i)
{
    const ndl_chain *c = p->c;
    double least = INFINITY;
    int best = -1;
    for (int v = 0; v < c->k; v++) {
        const double x =
            link[v] + p->cost[(size_t)v * ((size_t)c->n + 1) + (size_t)i];
        if ((i == 0 && !p->r->enters[v]) || x >= least) continue;
        least = x;
        best = v;
    }
    return best;
}

/* The bound at the prices of `try`; counts in `used` what its path uses. */
static double walk(path *p)
{
    const ndl_chain *c = p->c;
    const size_t row = (size_t)c->n + 1;
    memset(p->head, 0, (size_t)c->k * sizeof *p->head);
    memset(p->tail, 0, (size_t)c->k * sizeof *p->tail);
    memset(p->used, 0, (size_t)c->k * sizeof *p->used);
    for (int x = 0; x < p->r->n_classes; x++)
        p->rest[(size_t)x * row + (size_t)c->n] =
            p->r->after[(size_t)x * ((size_t)c->k + 1) + (size_t)c->k];
    for (int i = c->n - 1; i >= 0; i--) {
        for (int v = 0; v < c->k; v++) begin_stage(p, v, i);
        onward(p, i);
    }
    int v = cheapest(p, c->enter, 0);
    if (v < 0) return INFINITY;
    double bound = c->enter[v] + p->cost[(size_t)v * row];
    for (int i = 0; v >= 0;) {
        p->used[v]++;
        i = p->end[(size_t)v * row + (size_t)i];
        const size_t x = (size_t)p->r->class_of[v];
        v = i < c->n ? cheapest(p, p->r->after + x * ((size_t)c->k + 1), i)
                     : -1;
    }
    for (v = 0; v < c->k; v++) bound -= p->try[v] * c->count[v];
    return bound;
}

/* A step along the subgradient; false: there is nothing left to gain. */
static bool step(path *p, double bound, double target)
{
    const ndl_chain *c = p->c;
    double square = 0, all = 0;
    for (int v = 0; v < c->k; v++) {
        const double over = p->used[v] - c->count[v];
        if (over > 0 || p->try[v] > 0) square += over * over;
    }
    const double gap = target < INFINITY ? target - bound : 0.05 * fabs(bound);
    if (square == 0 || !(gap > 0)) return false;
    for (int v = 0; v < c->k; v++) {
        const double over = p->used[v] - c->count[v];
        p->try[v] = fmax(0, p->try[v] + gap / square * over);
        all += p->try[v] * c->count[v];
    }
    return all <= TOO_DEAR * fabs(bound);
}

static bool path_init(path *p, const ndl_chain *c)
{
    const size_t k = (size_t)c->k, cells = k * ((size_t)c->n + 1);
    p->cost = malloc(cells * sizeof *p->cost);
    p->end = malloc(cells * sizeof *p->end);
    p->queue = malloc(cells * sizeof *p->queue);
    p->head = malloc(k * sizeof *p->head);
    p->tail = malloc(k * sizeof *p->tail);
    p->used = malloc(k * sizeof *p->used);
    p->try = calloc(k, sizeof *p->try);
    return p->cost && p->end && p->queue && p->head && p->tail && p->used &&
           p->try;
}

double ndl_rest_bound(const ndl_chain *c, const ndl_reach *r, double target,
                      double *rest, double *price)
{
    path p = { .c = c, .r = r, .rest = rest, .price = price };
    const size_t bytes = (size_t)c->k * sizeof *price;
    double best = -INFINITY;
    memset(price, 0, bytes);
    if (path_init(&p, c)) {
        const int n = rounds(c, r);
        for (int i = 0; i < n; i++) {
            const double bound = walk(&p);
            if (bound > best) {
                best = bound;
                memcpy(price, p.try, bytes);
            }
            if (bound == INFINITY || !step(&p, bound, target)) break;
        }
        memcpy(p.try, price, bytes);
        walk(&p);
    } else {
        for (int i = 0; i < r->n_classes * (c->n + 1); i++) rest[i] = 0;
    }
    free(p.cost);
    free(p.end);
    free(p.queue);
    free(p.head);
    free(p.tail);
    free(p.used);
    free(p.try);
    return best > 0 ? best : 0;
}
