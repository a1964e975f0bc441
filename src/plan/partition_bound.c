/*
 * partition_bound.c - a period that no split can beat, proven without search.
 * For prices z >= 0 of nodes that add up to 1, T >= sum over layers of the
 * least z[v] * time[v][i], the dual of sharing all layers as a fluid.  What a
 * layer then costs, or 1, is a weight; under a limit no node takes more weight
 * than its heaviest stage has, and all nodes must take all of it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "partition_solve.h"

enum { ROUNDS = 80 };
static const double WORK = 2e8;    /* operations for a bound, 0.2 s    */
static const double SLACK = 1e-11; /* far above what rounding can add  */

/* The cheapest hosts at these prices; load: (k) time that each then has. */
static double share(const ndl_chain *c, const double *price, double *load)
{
    const size_t row = (size_t)c->n + 1;
    double all = 0;
    memset(load, 0, (size_t)c->k * sizeof *load);
    for (size_t i = 0; i < (size_t)c->n; i++) {
        double least = INFINITY, time = 0;
        int host = 0;
        for (int v = 0; v < c->k; v++) {
            const size_t at = (size_t)v * row + i;
            if (c->fit[at] <= (int)i) continue;
            const double x = c->time[at + 1] - c->time[at];
            if (price[v] * x >= least) continue;
            least = price[v] * x;
            host = v;
            time = x;
        }
        all += least;
        load[host] += time;
    }
    return all;
}

/* Prices such that all nodes together cost 1. */
static void normalize(const ndl_chain *c, double *price)
{
    double all = 0;
    for (int v = 0; v < c->k; v++) all += price[v] * c->count[v];
    for (int v = 0; v < c->k; v++)
        price[v] = all > 0 ? price[v] / all : 1.0 / c->k / c->count[v];
}

/* Some layer's least time, and the links that every split has. */
static double least_period(const ndl_chain *c)
{
    const size_t row = (size_t)c->n + 1;
    double enter = INFINITY, leave = INFINITY, all = 0;
    for (int v = 0; v < c->k; v++) {
        enter = fmin(enter, c->enter[v]);
        leave = fmin(leave, c->leave[v]);
    }
    for (size_t i = 0; i < (size_t)c->n; i++) {
        double least = INFINITY;
        for (size_t v = 0; v < (size_t)c->k; v++)
            if (c->fit[v * row + i] > (int)i)
                least = fmin(least,
                             c->time[v * row + i + 1] - c->time[v * row + i]);
        all = fmax(all, least);
    }
    return fmax(all, fmax(enter, leave));
}

double ndl_bound_period(const ndl_chain *c, double *price)
{
    const size_t row = (size_t)c->n + 1, k = (size_t)c->k;
    double best = least_period(c), *load = price + k;
    for (size_t v = 0; v < k; v++) {
        const double all = c->time[v * row + (size_t)c->n];
        price[v] = all > 0 ? 1 / all : 0;
    }
    normalize(c, price);
    const double rounds = fmin(ROUNDS, WORK / ((double)c->k * c->n));
    for (int i = 0; i < rounds; i++) {
        const double bound = share(c, price, load) * (1 - SLACK);
        if (bound > best) best = bound;
        if (!(bound > 0) || bound == INFINITY) break;
        /* Who has more than its part becomes dearer. */
        for (size_t v = 0; v < k; v++) {
            const double over = load[v] / c->count[v] / bound - 1;
            price[v] *= exp(fmin(over, 4) * 0.3 / sqrt(1 + i));
        }
        normalize(c, price);
    }
    return best;
}

/* Whether the heaviest stages of all nodes together take the whole chain.
 * weight: (n + 1) prefix sums. */
static bool takes_all(const ndl_chain *c, const ndl_reach *r,
                      const double *weight)
{
    const size_t row = (size_t)c->n + 1;
    double all = 0;
    for (size_t v = 0; v < (size_t)c->k; v++) {
        double most = 0;
        for (int i = 0; i < c->n; i++) {
            const double x = weight[r->end[v * row + (size_t)i]] - weight[i];
            if (x > most) most = x;
        }
        all += most * c->count[v];
    }
    return all >= weight[c->n] * (1 - SLACK);
}

bool ndl_bound_allows(const ndl_chain *c, const ndl_reach *r,
                      const double *price)
{
    const size_t row = (size_t)c->n + 1;
    double *count = malloc(2 * row * sizeof *count), *cost = count + row;
    if (!count) return true;
    count[0] = cost[0] = 0;
    for (size_t i = 0; i < (size_t)c->n; i++) {
        double least = INFINITY;
        for (size_t v = 0; v < (size_t)c->k; v++) {
            const size_t at = v * row + i;
            if (c->fit[at] <= (int)i) continue;
            least = fmin(least, price[v] * (c->time[at + 1] - c->time[at]));
        }
        count[i + 1] = (double)(i + 1);
        cost[i + 1] = cost[i] + (least < INFINITY ? least : 0);
    }
    const bool ok = takes_all(c, r, count) && takes_all(c, r, cost);
    free(count);
    return ok;
}
