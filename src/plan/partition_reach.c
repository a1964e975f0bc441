/*
 * partition_reach.c - tables of what fits under a limit of the period.
 */
#include "partition_reach.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ndl_status ndl_reach_init(ndl_reach *r, const ndl_chain *c)
{
    const size_t k = (size_t)c->k, row = (size_t)c->n + 1;
    *r = (ndl_reach){ .words = c->n / 64 + 1 };
    r->end = malloc(k * row * sizeof *r->end);
    r->begin = malloc(k * row * sizeof *r->begin);
    r->can = malloc(k * (size_t)r->words * sizeof *r->can);
    r->enters = malloc(k * sizeof *r->enters);
    r->class_of = malloc(k * sizeof *r->class_of);
    r->after = malloc(k * (k + 1) * sizeof *r->after);
    if (r->end && r->begin && r->can && r->enters && r->class_of && r->after)
        return NDL_OK;
    ndl_reach_fini(r);
    return NDL_FAIL(NDL_EOS, "partition: no memory: use fewer layers or kinds "
                             "of nodes");
}

void ndl_reach_fini(ndl_reach *r)
{
    free(r->end);
    free(r->begin);
    free(r->can);
    free(r->enters);
    free(r->class_of);
    free(r->after);
    *r = (ndl_reach){ 0 };
}

/* Two pointers: both ends of a longest stage only move onward. */
static void set_kind(ndl_reach *r, const ndl_chain *c, int v)
{
    const int n = c->n;
    const size_t row = (size_t)v * ((size_t)n + 1);
    const double *time = c->time + row;
    const int *fit = c->fit + row;
    int *end = r->end + row, *begin = r->begin + row;
    uint64_t *can = r->can + (size_t)v * (size_t)r->words;
    memset(can, 0, (size_t)r->words * sizeof *can);
    begin[0] = 0;
    for (int i = 0, j = 0; i <= n; i++) {
        if (j < i) begin[j = i] = i;
        for (; j < fit[i] && time[j + 1] - time[i] <= r->limit; j++)
            begin[j + 1] = i;
        end[i] = j;
        if (j > i) can[i / 64] |= UINT64_C(1) << (i % 64);
    }
}

/* What leaves kind u.  A single node has no link to its own kind: NAN, which
 * is like any other. */
static double onward(const ndl_reach *r, const ndl_chain *c, bool sums, int u,
                     int v)
{
    if (v == c->k)
        return c->leave[u] > r->limit ? INFINITY : sums ? c->leave[u] : 0;
    if (u == v && c->count[u] == 1) return NAN;
    const size_t at = (size_t)u * (size_t)c->k + (size_t)v;
    if (c->p->link[at] > r->limit) return INFINITY;
    return sums ? c->sum_link[at] : 0;
}

static bool is_alike(const ndl_reach *r, const ndl_chain *c, bool sums, int u,
                     const double *after)
{
    for (int v = 0; v <= c->k; v++) {
        const double x = onward(r, c, sums, u, v);
        if (!isnan(x) && !isnan(after[v]) && x != after[v]) return false;
    }
    return true;
}

static void set_class(ndl_reach *r, const ndl_chain *c, bool sums, int u)
{
    const size_t row = (size_t)c->k + 1;
    int x = 0;
    while (x < r->n_classes &&
           !is_alike(r, c, sums, u, r->after + (size_t)x * row))
        x++;
    double *after = r->after + (size_t)x * row;
    r->class_of[u] = x;
    for (int v = 0; v <= c->k; v++)
        if (x == r->n_classes || isnan(after[v]))
            after[v] = onward(r, c, sums, u, v);
    if (x == r->n_classes) r->n_classes++;
}

/* Whether nothing that a split could use is above the limit. */
static bool is_open(const ndl_reach *r, const ndl_chain *c)
{
    const size_t row = (size_t)c->k + 1;
    for (int v = 0; v < c->k; v++)
        if (!r->enters[v]) return false;
    for (size_t i = 0; i < (size_t)r->n_classes * row; i++)
        if (r->after[i] == INFINITY) return false;
    return true;
}

void ndl_reach_set(ndl_reach *r, const ndl_chain *c, double limit, bool sums)
{
    r->limit = limit;
    r->n_classes = 0;
    for (int v = 0; v < c->k; v++) {
        set_kind(r, c, v);
        set_class(r, c, sums, v);
        r->enters[v] = c->enter[v] <= limit;
    }
    r->open = is_open(r, c);
    for (size_t i = 0; i < (size_t)r->n_classes * ((size_t)c->k + 1); i++)
        if (isnan(r->after[i])) r->after[i] = INFINITY;
}

static double least_above(double least, double x, double limit)
{
    return x > limit && x < least ? x : least;
}

double ndl_reach_next(const ndl_reach *r, const ndl_chain *c)
{
    const size_t row = (size_t)c->n + 1, k = (size_t)c->k;
    double least = INFINITY;
    for (size_t v = 0; v < k; v++) {
        const double *time = c->time + v * row;
        for (int i = 0; i < c->n; i++) {
            const int j = r->end[v * row + (size_t)i];
            if (j < c->fit[v * row + (size_t)i])
                least = least_above(least, time[j + 1] - time[i], r->limit);
        }
        least = least_above(least, c->enter[v], r->limit);
        least = least_above(least, c->leave[v], r->limit);
    }
    for (size_t i = 0; i < k * k; i++)
        least = least_above(least, c->p->link[i], r->limit);
    return least;
}
