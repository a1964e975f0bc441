/*
 * partition_ends.c - splits with links in a free order: for every multiset of
 * used nodes and every class of the last one, the set of positions at which
 * such a start of the pipeline can end.  Sets are exact where the furthest end
 * is not: a node may be wanted only because its links fit.
 */
#include <stdlib.h>
#include <string.h>

#include "partition_bits.h"
#include "partition_ends.h"

/* What is at hand while the states are walked through. */
typedef struct walk {
    const ndl_hunt *h;
    ndl_counts s;
    uint64_t *set; /* (states, classes, words) */
    int *back;     /* (states) */
    uint64_t *starts;
} walk;

static uint64_t *set_of(const walk *w, int64_t at, int x)
{
    const ndl_reach *r = w->h->r;
    return w->set +
           ((size_t)at * (size_t)r->n_classes + (size_t)x) * (size_t)r->words;
}

bool ndl_ends_starts(uint64_t *starts, const ndl_reach *r, const uint64_t *set,
                     int k, int v)
{
    const size_t words = (size_t)r->words;
    uint64_t any = 0;
    for (int x = 0; x < r->n_classes; x++) {
        if (r->after[(size_t)x * ((size_t)k + 1) + (size_t)v] == INFINITY)
            continue;
        const uint64_t *from = set + (size_t)x * words;
        for (size_t i = 0; i < words; i++) starts[i] |= from[i];
    }
    const uint64_t *can = r->can + (size_t)v * words;
    for (size_t i = 0; i < words; i++) any |= starts[i] &= can[i];
    return any != 0;
}

/* Fill the sets of one state from those with a node less. */
static void visit(walk *w, int64_t at)
{
    const ndl_chain *c = w->h->c;
    const ndl_reach *r = w->h->r;
    const size_t words = (size_t)r->words;
    for (int v = 0; v < c->k; v++) {
        if (w->s.digit[v] == 0) continue;
        const int64_t from = at - w->s.stride[v];
        memset(w->starts, 0, words * sizeof *w->starts);
        if (from == 0) w->starts[0] = r->enters[v];
        if (!ndl_ends_starts(w->starts, r, set_of(w, from, 0), c->k, v))
            continue;
        ndl_bits_extend(set_of(w, at, r->class_of[v]), w->starts, r->words,
                        r->end + (size_t)v * ((size_t)c->n + 1));
    }
    for (int x = 0; x < r->n_classes; x++)
        ndl_bits_clear_below(set_of(w, at, x), w->back[w->s.n - 1 - at]);
}

/* The class in which the state completes a split; -1: none. */
static int complete(const walk *w, int64_t at)
{
    const ndl_chain *c = w->h->c;
    const ndl_reach *r = w->h->r;
    if (w->s.used < c->min) return -1;
    for (int x = 0; x < r->n_classes; x++) {
        const size_t last = (size_t)x * ((size_t)c->k + 1) + (size_t)c->k;
        if (r->after[last] < INFINITY && ndl_bits_has(set_of(w, at, x), c->n))
            return x;
    }
    return -1;
}

/* A class that has `i` among its ends and may send to v; -1: none. */
static int sender(const walk *w, int64_t at, int i, int v)
{
    const ndl_reach *r = w->h->r;
    const size_t row = (size_t)w->h->c->k + 1;
    for (int x = 0; x < r->n_classes; x++)
        if (r->after[(size_t)x * row + (size_t)v] < INFINITY &&
            ndl_bits_has(set_of(w, at, x), i))
            return x;
    return -1;
}

/* One stage back from (at, class, end): the longest that there is. */
static bool trace_kind(walk *w, int64_t *at, int *class, int *end, int v)
{
    const ndl_chain *c = w->h->c;
    const ndl_reach *r = w->h->r;
    const int64_t stride = w->s.stride[v];
    if (r->class_of[v] != *class || *at / stride % (c->count[v] + 1) == 0)
        return false;
    const int64_t from = *at - stride;
    const int begin = r->begin[(size_t)v * ((size_t)c->n + 1) + (size_t)*end];
    for (int i = begin; i < *end; i++) {
        const bool first = from == 0 && i == 0 && r->enters[v];
        const int x = first ? 0 : sender(w, from, i, v);
        if (x < 0) continue;
        ndl_split_push(w->h->found,
                       (ndl_partition_stage){ v, -1, i, *end - i });
        *at = from;
        *class = x;
        *end = i;
        return true;
    }
    return false;
}

static void trace(walk *w, int64_t at, int class)
{
    int end = w->h->c->n;
    w->h->found->n = 0;
    while (end > 0) {
        int v = 0;
        while (!trace_kind(w, &at, &class, &end, v)) v++;
    }
    ndl_split_reverse(w->h->found);
}

static ndl_answer go(walk *w)
{
    ndl_chain *c = w->h->c;
    for (int64_t at = 1; at < w->s.n; at++) {
        ndl_counts_next(&w->s, c);
        if (w->s.used > c->max) continue;
        if (at % 1024 == 0 && ndl_chain_late(c)) return NDL_ANSWER_UNKNOWN;
        visit(w, at);
        c->states += w->h->r->n_classes;
        const int class = complete(w, at);
        if (class < 0) continue;
        trace(w, at, class);
        return NDL_ANSWER_YES;
    }
    return NDL_ANSWER_NO;
}

ndl_answer ndl_ends_find(const ndl_hunt *h)
{
    if (h->c->order) return ndl_ends_find_given(h);
    walk w = { .h = h };
    ndl_counts_init(&w.s, h->c);
    const size_t states = (size_t)w.s.n * (size_t)h->r->n_classes;
    const size_t words = (size_t)h->r->words;
    if (states == 0 || states > NDL_COUNTS_STATES ||
        states * words * sizeof *w.set > NDL_PARTITION_BYTES)
        return NDL_ANSWER_UNKNOWN;
    w.set = calloc(states * words, sizeof *w.set);
    w.back = malloc((size_t)w.s.n * sizeof *w.back);
    w.starts = malloc(words * sizeof *w.starts);
    ndl_answer answer = NDL_ANSWER_UNKNOWN;
    if (w.set && w.back && w.starts) {
        ndl_furthest_back(w.back, h->c, h->r);
        answer = go(&w);
    }
    free(w.set);
    free(w.back);
    free(w.starts);
    return answer;
}
