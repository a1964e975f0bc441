/*
 * partition_chain.c - checks a partition problem and prepares it; the state
 * spaces of used nodes; splits and their price.
 */
#include "partition_chain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"

/* Larger numbers are no times, and their sums might overflow. */
static const double ABSURD = 1e150;

static bool is_cost(double x)
{
    return x >= 0 && x <= ABSURD;
}

static ndl_status check_costs(const char *what, const double *x, int rows,
                              int columns)
{
    if (!x) return NDL_OK;
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < columns; i++) {
            const double value = x[(size_t)r * (size_t)columns + (size_t)i];
            if (!is_cost(value))
                return NDL_FAIL(NDL_EDATA,
                                "partition: %s [%d][%d] is %g: it must be "
                                "from 0 to %g",
                                what, r, i, value, ABSURD);
        }
    return NDL_OK;
}

static ndl_status check_all_costs(const ndl_partition_problem *p)
{
    const int k = p->n_types, n = p->n_items;
    NDL_TRY(check_costs("time", p->time, k, n));
    NDL_TRY(check_costs("sum", p->sum, k, n));
    NDL_TRY(check_costs("link", p->link, k, k));
    NDL_TRY(check_costs("sum_link", p->sum_link, k, k));
    NDL_TRY(check_costs("enter", p->enter, 1, k));
    NDL_TRY(check_costs("leave", p->leave, 1, k));
    NDL_TRY(check_costs("limited", p->limited, k, n));
    return check_costs("stage_limit", &p->stage_limit, 1, 1);
}

static ndl_status check_sizes(const ndl_partition_problem *p, int *nodes)
{
    if (p->n_items < 1 || p->n_items > NDL_PARTITION_ITEMS)
        return NDL_FAIL(NDL_EDATA, "partition: %d layers: 1 to %d are possible",
                        p->n_items, NDL_PARTITION_ITEMS);
    if (p->n_types < 1 || p->n_types > NDL_PARTITION_NODES)
        return NDL_FAIL(NDL_EDATA,
                        "partition: %d kinds of nodes: 1 to %d are possible",
                        p->n_types, NDL_PARTITION_NODES);
    if (p->min_stages < 0 || p->max_stages < 0)
        return NDL_FAIL(NDL_EDATA,
                        "partition: a limit of stages is negative: 0 is none");
    int all = 0;
    for (int v = 0; v < p->n_types; v++) {
        if (p->count[v] < 1 || p->count[v] > NDL_PARTITION_NODES - all)
            return NDL_FAIL(NDL_EDATA,
                            "partition: %d nodes of kind %d: at least 1, and "
                            "%d in all, are possible",
                            p->count[v], v, NDL_PARTITION_NODES);
        all += p->count[v];
    }
    *nodes = all;
    return NDL_OK;
}

/* What is read as a number of bytes must not wrap around. */
static ndl_status check_items(const ndl_partition_problem *p)
{
    uint64_t all = 0;
    for (int i = 0; i < p->n_items; i++) {
        if (p->bytes[i] > UINT64_MAX - all)
            return NDL_FAIL(NDL_EDATA,
                            "partition: the layers take more than 2^64 bytes: "
                            "check their sizes");
        all += p->bytes[i];
        if (p->pin && (p->pin[i] < -1 || p->pin[i] >= p->n_types))
            return NDL_FAIL(NDL_EDATA,
                            "partition: layer %d is pinned to kind %d: there "
                            "are %d kinds",
                            i, p->pin[i], p->n_types);
    }
    if (p->stage_bytes > UINT64_MAX - all)
        return NDL_FAIL(NDL_EDATA,
                        "partition: a stage takes more than 2^64 bytes: check "
                        "its size");
    return NDL_OK;
}

/* `seen` has n_types zeros. */
static ndl_status check_order(const ndl_partition_problem *p, int nodes,
                              int *seen)
{
    if (!p->order) return NDL_OK;
    if (p->n_order != nodes)
        return NDL_FAIL(NDL_EDATA,
                        "partition: the order names %d nodes: there are %d",
                        p->n_order, nodes);
    for (int q = 0; q < nodes; q++) {
        const int v = p->order[q];
        if (v < 0 || v >= p->n_types || ++seen[v] > p->count[v])
            return NDL_FAIL(NDL_EDATA,
                            "partition: place %d of the order is kind %d: it "
                            "is unknown or named too often",
                            q, v);
    }
    return NDL_OK;
}

static void add_up(double *prefix, const double *x, int k, int n)
{
    for (int v = 0; v < k; v++) {
        const double *row = x + (size_t)v * (size_t)n;
        double *to = prefix + (size_t)v * ((size_t)n + 1);
        to[0] = 0;
        for (int i = 0; i < n; i++) to[i + 1] = to[i] + row[i];
    }
}

/* Furthest end of each stage by what does not depend on time: two pointers,
 * since a part of a stage that fits, fits. */
static void fit_kind(ndl_chain *c, int v, const double *limited,
                     const uint64_t *bytes)
{
    const ndl_partition_problem *p = c->p;
    int *fit = c->fit + (size_t)v * ((size_t)c->n + 1);
    const uint64_t room = p->memory[v];
    int j = 0;
    for (int i = 0; i <= c->n; i++) {
        if (j < i) j = i;
        while (j < c->n && (!p->pin || p->pin[j] < 0 || p->pin[j] == v) &&
               bytes[j + 1] - bytes[i] + p->stage_bytes <= room &&
               (p->stage_limit == 0 ||
                limited[j + 1] - limited[i] <= p->stage_limit))
            j++;
        fit[i] = j;
    }
}

static ndl_status fit_all(ndl_chain *c)
{
    const ndl_partition_problem *p = c->p;
    const size_t row = (size_t)c->n + 1;
    double *limited = malloc(row * sizeof *limited);
    uint64_t *bytes = malloc(row * sizeof *bytes);
    if (limited && bytes) {
        bytes[0] = 0;
        for (int i = 0; i < c->n; i++) bytes[i + 1] = bytes[i] + p->bytes[i];
        for (int v = 0; v < c->k; v++) {
            const double *x = p->limited ? p->limited : p->time;
            add_up(limited, x + (size_t)v * (size_t)c->n, 1, c->n);
            fit_kind(c, v, limited, bytes);
        }
    }
    const bool ok = limited && bytes;
    free(limited);
    free(bytes);
    return ok ? NDL_OK
              : NDL_FAIL(NDL_EOS, "partition: no memory: use fewer "
                                  "layers or kinds of nodes");
}

static ndl_status allocate(ndl_chain *c)
{
    const size_t k = (size_t)c->k, row = (size_t)c->n + 1;
    c->count = calloc(k, sizeof *c->count);
    c->time = malloc(k * row * sizeof *c->time);
    c->sum = malloc(k * row * sizeof *c->sum);
    c->enter = calloc(k, sizeof *c->enter);
    c->leave = calloc(k, sizeof *c->leave);
    c->fit = malloc(k * row * sizeof *c->fit);
    if (!c->count || !c->time || !c->sum || !c->enter || !c->leave || !c->fit)
        return NDL_FAIL(NDL_EOS, "partition: no memory: use fewer layers or "
                                 "kinds of nodes");
    return NDL_OK;
}

static void limit_stages(ndl_chain *c)
{
    const ndl_partition_problem *p = c->p;
    c->max = c->nodes < c->n ? c->nodes : c->n;
    if (p->max_stages && p->max_stages < c->max) c->max = p->max_stages;
    c->min = p->min_stages > 1 ? p->min_stages : 0;
    for (int v = 0; v < c->k; v++)
        c->count[v] = p->count[v] < c->max ? p->count[v] : c->max;
}

ndl_status ndl_chain_init(ndl_chain *c, const ndl_partition_problem *p,
                          double max_sec)
{
    ndl_status st;
    *c = (ndl_chain){ .p = p, .n = p->n_items, .k = p->n_types };
    NDL_TRY(check_sizes(p, &c->nodes));
    NDL_TRY(check_all_costs(p));
    NDL_TRY(check_items(p));
    if (isnan(max_sec))
        return NDL_FAIL(NDL_EDATA, "partition: the time limit is no number: "
                                   "0 is none");
    NDL_TRY_GOTO(done, st, allocate(c));
    NDL_TRY_GOTO(done, st, check_order(p, c->nodes, c->count));
    c->order = p->order;
    c->sum_link = p->sum_link ? p->sum_link : p->link;
    const size_t bytes = (size_t)c->k * sizeof(double);
    if (p->enter) memcpy(c->enter, p->enter, bytes);
    if (p->leave) memcpy(c->leave, p->leave, bytes);
    limit_stages(c);
    add_up(c->time, p->time, c->k, c->n);
    add_up(c->sum, p->sum ? p->sum : p->time, c->k, c->n);
    c->deadline = max_sec > 0 ? ndl_clock_sec() + max_sec : INFINITY;
    st = fit_all(c);
done:
    if (st != NDL_OK) ndl_chain_fini(c);
    return st;
}

void ndl_chain_fini(ndl_chain *c)
{
    free(c->count);
    free(c->time);
    free(c->sum);
    free(c->enter);
    free(c->leave);
    free(c->fit);
    *c = (ndl_chain){ 0 };
}

bool ndl_chain_late(ndl_chain *c)
{
    if (!c->late && c->deadline < INFINITY)
        c->late = ndl_clock_sec() >= c->deadline;
    return c->late;
}

void ndl_counts_init(ndl_counts *s, const ndl_chain *c)
{
    *s = (ndl_counts){ .k = c->k, .n = 1 };
    for (int v = 0; v < c->k; v++) {
        if (v == NDL_COUNTS_KINDS ||
            s->n > NDL_COUNTS_STATES / (c->count[v] + 1)) {
            s->n = 0;
            return;
        }
        s->stride[v] = s->n;
        s->n *= c->count[v] + 1;
    }
}

void ndl_counts_next(ndl_counts *s, const ndl_chain *c)
{
    for (int v = 0; v < s->k; v++) {
        if (s->digit[v] < c->count[v]) {
            s->digit[v]++;
            s->used++;
            return;
        }
        s->used -= s->digit[v];
        s->digit[v] = 0;
    }
}

ndl_slots ndl_slots_of(const ndl_chain *c)
{
    const int all = c->nodes < c->n ? c->nodes : c->n;
    if (c->max < all) return (ndl_slots){ c->max + 1, false };
    return (ndl_slots){ c->min + 1, true };
}

int ndl_slots_next(ndl_slots s, int slot)
{
    if (slot + 1 < s.n) return slot + 1;
    return s.open ? slot : -1;
}

bool ndl_slots_done(ndl_slots s, const ndl_chain *c, int slot)
{
    return s.open ? slot == s.n - 1 : slot >= c->min;
}
