/*
 * partition_search.c - good splits where the nodes are too many for all sets
 * of them: looks at orders of the nodes, each solved exactly, and moves to a
 * neighbour that is no worse.  Proves nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "partition_solve.h"

typedef struct search {
    ndl_chain c; /* with the order looked at */
    ndl_reach r;
    ndl_split found;
    int *order;   /* (nodes) */
    double bound; /* < 0: the period counts */
    double value; /* of the order at hand   */
    double goal;  /* nothing is better      */
    uint64_t chance;
    ndl_split *best;
} search;

static int pick(search *s, int n)
{
    s->chance = s->chance * UINT64_C(6364136223846793005) + 1;
    return (int)((s->chance >> 33) % (uint64_t)n);
}

static double value_of(const search *s, const ndl_split *x)
{
    if (x->n == 0) return INFINITY;
    return s->bound < 0 ? x->period : x->sum;
}

static void offer(search *s)
{
    if (!ndl_split_price(&s->found, &s->c)) return;
    for (int i = 0; i < s->found.n; i++) s->found.stage[i].place = -1;
    if (value_of(s, &s->found) < value_of(s, s->best))
        ndl_split_copy(s->best, &s->found);
}

static ndl_answer test(search *s, double limit)
{
    const ndl_hunt h = { &s->c, &s->r, &s->found };
    ndl_reach_set(&s->r, &s->c, limit, false);
    if (s->r.open && s->c.min == 0) return ndl_furthest_find(&h);
    return ndl_ends_find(&h);
}

/* Whether the order has a period of at most s->value.  One test more tells
 * whether it is clearly better; only then it is worth finding the least. */
static bool try_period(search *s)
{
    if (test(s, s->value) != NDL_ANSWER_YES) return false;
    offer(s);
    double low = s->goal, high = s->found.period;
    for (int i = 0; i < 60 && low < high; i++) {
        const double at = i ? low + (high - low) / 2 : high * (1 - 1e-4);
        const ndl_answer x = test(s, at);
        if (x == NDL_ANSWER_YES) {
            offer(s);
            high = s->found.period;
        } else if (i == 0 || x == NDL_ANSWER_UNKNOWN) {
            break;
        } else {
            low = ndl_reach_next(&s->r, &s->c);
        }
    }
    s->value = high;
    return true;
}

static bool try_sum(search *s)
{
    const ndl_hunt h = { &s->c, &s->r, &s->found };
    const ndl_sum_query q = { .below = nextafter(s->value, INFINITY) };
    if (ndl_labels_find(&h, &q) != NDL_ANSWER_YES) return false;
    offer(s);
    s->value = s->found.sum;
    return true;
}

static bool try_order(search *s)
{
    return s->bound < 0 ? try_period(s) : try_sum(s);
}

/* Kinds by their time for the whole chain, fastest first or last. */
static void sort_order(search *s, bool fastest_first)
{
    const ndl_chain *c = &s->c;
    const size_t row = (size_t)c->n + 1;
    int n = 0;
    for (int v = 0; v < c->k; v++)
        for (int i = 0; i < c->p->count[v]; i++) {
            const double x = c->time[(size_t)v * row + (size_t)c->n];
            int at = n++;
            for (; at > 0; at--) {
                const size_t u = (size_t)s->order[at - 1];
                const double y = c->time[u * row + (size_t)c->n];
                if (fastest_first ? y <= x : y >= x) break;
                s->order[at] = s->order[at - 1];
            }
            s->order[at] = v;
        }
}

/* Take the node at `from` out and put it in at `to`. */
static void move(int *order, int from, int to)
{
    const int v = order[from];
    for (; from < to; from++) order[from] = order[from + 1];
    for (; from > to; from--) order[from] = order[from - 1];
    order[to] = v;
}

static void swap(int *order, int a, int b)
{
    const int v = order[a];
    order[a] = order[b];
    order[b] = v;
}

/* How many orders may be looked at for so much work. */
static double tries(const search *s, double work)
{
    const double one = s->bound < 0 ? 8 : 2.0 * s->r.n_classes + 8;
    const double n = work / ((double)s->c.nodes * s->c.n * one + 1000);
    return s->c.deadline < INFINITY ? 64 * n : n;
}

static void climb(search *s, double work)
{
    const double n = tries(s, work);
    for (int64_t i = 0; (double)i < n; i++) {
        if (ndl_chain_late(&s->c) || value_of(s, s->best) <= s->goal) return;
        const int a = pick(s, s->c.nodes), b = pick(s, s->c.nodes);
        const bool swaps = pick(s, 2) == 0;
        if (s->order[a] == s->order[b]) continue;
        if (swaps)
            swap(s->order, a, b);
        else
            move(s->order, a, b);
        if (try_order(s)) continue;
        if (swaps)
            swap(s->order, a, b);
        else
            move(s->order, b, a);
    }
}

/* Start from the better of two orders; they are looked at in any case. */
static void start(search *s)
{
    const double deadline = s->c.deadline;
    const bool late = s->c.late;
    s->c.deadline = INFINITY;
    s->c.late = false;
    double value[2];
    for (int i = 0; i < 2; i++) {
        s->value = INFINITY;
        sort_order(s, i == 0);
        try_order(s);
        value[i] = s->value;
    }
    if (value[0] < value[1]) {
        sort_order(s, true);
        s->value = value[0];
    }
    s->c.deadline = deadline;
    s->c.late = late;
}

ndl_status ndl_search(ndl_chain *c, const ndl_search_query *q, ndl_split *best)
{
    search s = { .c = *c, .bound = q->bound, .goal = q->goal, .best = best };
    ndl_status st = NDL_OK;
    s.chance = 1;
    s.order = malloc((size_t)c->nodes * sizeof *s.order);
    if (!s.order)
        return NDL_FAIL(NDL_EOS, "partition: no memory: use fewer nodes");
    s.c.order = s.order;
    NDL_TRY_GOTO(done, st, ndl_reach_init(&s.r, c));
    NDL_TRY_GOTO(done, st, ndl_split_init(&s.found, c));
    if (q->bound >= 0) ndl_reach_set(&s.r, c, q->bound, true);
    if (best->n == 0 || !c->late) {
        start(&s);
        climb(&s, q->work);
    }
    c->states = s.c.states;
    c->late |= s.c.late;
done:
    ndl_split_fini(&s.found);
    ndl_reach_fini(&s.r);
    free(s.order);
    return st;
}
