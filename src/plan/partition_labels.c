/*
 * partition_labels.c - the least sum in a free order: for every multiset of
 * used nodes, class of the last one, and end, the least sum so far.  What
 * cannot be completed below the best known sum is dropped at once, so that
 * few labels remain.
 */
#include "partition_labels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Labels of a state: least sums at the ends lo .. hi. */
typedef struct labels {
    double *at; /* (hi - lo + 1) in a chunk; NULL: none */
    short lo, hi;
} labels;

enum { CHUNK = 1 << 17, CHUNKS = 1 << 10 }; /* doubles, 1 GiB in all */

typedef struct walk {
    const ndl_hunt *h;
    const ndl_sum_query *q;
    ndl_counts s;
    labels *label; /* (states, classes)                   */
    int *back;     /* (states)                            */
    double *out;   /* (classes, n + 1)                    */
    double **chunk;
    int n_chunks, in_chunk;
    ndl_starts starts;
    double below; /* the best so far, or the query's */
    int64_t best_state;
    int best_class; /* -1: none found */
} walk;

static labels *labels_of(const walk *w, int64_t at, int x)
{
    return w->label + (size_t)at * (size_t)w->h->r->n_classes + (size_t)x;
}

static double *take(walk *w, int n)
{
    if (w->n_chunks == 0 || w->in_chunk + n > CHUNK) {
        if (w->n_chunks == CHUNKS) return NULL;
        w->chunk[w->n_chunks] = malloc(CHUNK * sizeof **w->chunk);
        if (!w->chunk[w->n_chunks]) return NULL;
        w->n_chunks++;
        w->in_chunk = 0;
    }
    double *at = w->chunk[w->n_chunks - 1] + w->in_chunk;
    w->in_chunk += n;
    return at;
}

static double after(const walk *w, int x, int v)
{
    return w->h->r->after[(size_t)x * ((size_t)w->h->c->k + 1) + (size_t)v];
}

/* What kind v may start from once the nodes of state `from` are used. */
static void gather(walk *w, int64_t from, int v)
{
    const ndl_chain *c = w->h->c;
    ndl_starts *s = &w->starts;
    s->lo = c->n;
    s->hi = -1;
    for (int i = 0; i <= c->n; i++) s->base[i] = INFINITY;
    if (from == 0 && w->h->r->enters[v]) {
        s->base[0] = c->enter[v];
        s->lo = s->hi = 0;
    }
    for (int x = 0; x < w->h->r->n_classes; x++) {
        const labels *l = labels_of(w, from, x);
        const double hop = after(w, x, v);
        if (!l->at || hop == INFINITY) continue;
        for (int i = l->lo; i <= l->hi; i++) {
            const double y = l->at[i - l->lo] + hop;
            s->base[i] = y < s->base[i] ? y : s->base[i];
        }
        if (l->lo < s->lo) s->lo = l->lo;
        if (l->hi > s->hi) s->hi = l->hi;
    }
}

/* Keep the labels of a class that may become better than the best. */
static bool keep(walk *w, int64_t at, int x, double left)
{
    const int n = w->h->c->n;
    const double *rest =
        w->q->rest ? w->q->rest + (size_t)x * ((size_t)n + 1) : NULL;
    double *out = w->out + (size_t)x * ((size_t)n + 1);
    int lo = n + 1, hi = 0;
    for (int i = w->back[w->s.n - 1 - at]; i <= n; i++) {
        if (out[i] + (rest ? rest[i] : 0) - left >= w->below) out[i] = INFINITY;
        if (out[i] == INFINITY) continue;
        if (lo > i) lo = i;
        hi = i;
    }
    if (lo > hi) return true;
    labels *l = labels_of(w, at, x);
    l->at = take(w, hi - lo + 1);
    if (!l->at) return false;
    l->lo = (short)lo;
    l->hi = (short)hi;
    memcpy(l->at, out + lo, (size_t)(hi - lo + 1) * sizeof *out);
    return true;
}

static void complete(walk *w, int64_t at, int x)
{
    const int n = w->h->c->n;
    const double sum =
        w->out[(size_t)x * ((size_t)n + 1) + (size_t)n] + after(w, x, w->s.k);
    if (w->s.used < w->h->c->min || !(sum < w->below)) return;
    w->below = sum;
    w->best_state = at;
    w->best_class = x;
}

/* The labels of a state from those with a node less; false: no memory. */
static bool visit(walk *w, int64_t at)
{
    const ndl_chain *c = w->h->c;
    const ndl_reach *r = w->h->r;
    const size_t row = (size_t)c->n + 1;
    double left = 0;
    for (size_t i = 0; i < (size_t)r->n_classes * row; i++)
        w->out[i] = INFINITY;
    bool any = false;
    for (int v = 0; v < c->k; v++) {
        if (w->q->price) left += w->q->price[v] * (c->count[v] - w->s.digit[v]);
        if (w->s.digit[v] == 0) continue;
        gather(w, at - w->s.stride[v], v);
        if (w->starts.lo > w->starts.hi) continue;
        any = true;
        ndl_starts_extend(w->out + (size_t)r->class_of[v] * row, &w->starts,
                          w->h, v);
    }
    for (int x = 0; any && x < r->n_classes; x++) {
        complete(w, at, x);
        if (!keep(w, at, x, left)) return false;
    }
    return true;
}

/* The class at `from` whose labels gave v its start i; 0 for the first. */
static int sender(const walk *w, int64_t from, int v, int i)
{
    double least = INFINITY;
    int best = 0;
    for (int x = 0; x < w->h->r->n_classes; x++) {
        const labels *l = labels_of(w, from, x);
        if (!l->at || i < l->lo || i > l->hi) continue;
        const double sum = l->at[i - l->lo] + after(w, x, v);
        if (sum >= least) continue;
        least = sum;
        best = x;
    }
    return best;
}

static void trace(walk *w)
{
    const ndl_chain *c = w->h->c;
    int64_t at = w->best_state;
    int class = w->best_class, end = c->n;
    w->h->found->n = 0;
    while (end > 0) {
        double least = INFINITY;
        int kind = -1, start = 0;
        for (int v = 0; v < c->k; v++) {
            const int64_t stride = w->s.stride[v];
            if (w->h->r->class_of[v] != class ||
                at / stride % (c->count[v] + 1) == 0)
                continue;
            gather(w, at - stride, v);
            const int i = ndl_starts_best(&w->starts, w->h, v, end, &least);
            if (i < 0) continue;
            kind = v;
            start = i;
        }
        ndl_split_push(w->h->found,
                       (ndl_partition_stage){ kind, -1, start, end - start });
        at -= w->s.stride[kind];
        class = sender(w, at, kind, start);
        end = start;
    }
    ndl_split_reverse(w->h->found);
}

static ndl_answer go(walk *w)
{
    ndl_chain *c = w->h->c;
    bool whole = true;
    for (int64_t at = 1; whole && at < w->s.n; at++) {
        ndl_counts_next(&w->s, c);
        if (w->s.used > c->max) continue;
        c->states += w->h->r->n_classes;
        whole = !(at % 256 == 0 && ndl_chain_late(c)) && visit(w, at);
    }
    if (w->best_class >= 0) trace(w);
    if (!whole) return NDL_ANSWER_UNKNOWN;
    return w->best_class >= 0 ? NDL_ANSWER_YES : NDL_ANSWER_NO;
}

static bool begin(walk *w)
{
    const ndl_chain *c = w->h->c;
    const size_t classes = (size_t)w->h->r->n_classes;
    w->label = calloc((size_t)w->s.n * classes, sizeof *w->label);
    w->back = malloc((size_t)w->s.n * sizeof *w->back);
    w->out = malloc(classes * ((size_t)c->n + 1) * sizeof *w->out);
    w->chunk = malloc(CHUNKS * sizeof(double *));
    return ndl_starts_init(&w->starts, c) && w->label && w->back && w->out &&
           w->chunk;
}

static void finish(walk *w)
{
    for (int i = 0; i < w->n_chunks; i++) free(w->chunk[i]);
    free(w->chunk);
    free(w->label);
    free(w->back);
    free(w->out);
    ndl_starts_fini(&w->starts);
}

ndl_answer ndl_labels_find(const ndl_hunt *h, const ndl_sum_query *q)
{
    h->found->n = 0;
    if (h->c->order) return ndl_labels_find_given(h, q);
    walk w = { .h = h, .q = q, .below = q->below, .best_class = -1 };
    ndl_counts_init(&w.s, h->c);
    if (w.s.n == 0 || w.s.n > NDL_COUNTS_STATES / (int64_t)h->r->n_classes)
        return NDL_ANSWER_UNKNOWN;
    ndl_answer answer = NDL_ANSWER_UNKNOWN;
    if (begin(&w)) {
        ndl_furthest_back(w.back, h->c, h->r);
        answer = go(&w);
    }
    finish(&w);
    return answer;
}
