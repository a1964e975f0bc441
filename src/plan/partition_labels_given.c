/*
 * partition_labels_given.c - the least sum in a given order: for every place,
 * number of stages so far, and end, the least sum; what later places may
 * start from is kept per class of the last kind.
 */
#include <math.h>
#include <stdlib.h>

#include "partition_labels.h"

typedef struct walk {
    const ndl_hunt *h;
    ndl_slots s;
    double *label; /* (nodes, slots, n + 1) ends of this place        */
    double *least; /* (slots, classes, n + 1) of all places before    */
    ndl_starts starts;
    double below;
    int best_place, best_slot; /* -1: none found */
} walk;

static double *labels_of(const walk *w, int q, int slot)
{
    return w->label + ((size_t)q * (size_t)w->s.n + (size_t)slot) *
                          ((size_t)w->h->c->n + 1);
}

static double *least_of(const walk *w, int slot, int x)
{
    const size_t classes = (size_t)w->h->r->n_classes;
    return w->least +
           ((size_t)slot * classes + (size_t)x) * ((size_t)w->h->c->n + 1);
}

static double after(const walk *w, int x, int v)
{
    return w->h->r->after[(size_t)x * ((size_t)w->h->c->k + 1) + (size_t)v];
}

/* Unlike fmin, which minds NAN, this is one instruction. */
static double lesser(double a, double b)
{
    return a < b ? a : b;
}

/* Lower the starts of kind v to labels of class x. */
static void gather(ndl_starts *s, const double *label, double hop, int n)
{
    if (hop == INFINITY) return;
    double *base = s->base;
    for (int i = 1; i <= n; i++) base[i] = lesser(base[i], label[i] + hop);
}

static void gather_none(walk *w, int slot, int v)
{
    const ndl_chain *c = w->h->c;
    w->starts.lo = 0;
    w->starts.hi = c->n;
    for (int i = 0; i <= c->n; i++) w->starts.base[i] = INFINITY;
    if (slot == 0 && w->h->r->enters[v]) w->starts.base[0] = c->enter[v];
}

static void visit(walk *w, int q)
{
    const ndl_chain *c = w->h->c;
    const int v = c->order[q], class = w->h->r->class_of[v];
    for (int slot = w->s.n - 1; slot >= 0; slot--) {
        const int to = ndl_slots_next(w->s, slot);
        if (to < 0) continue;
        gather_none(w, slot, v);
        for (int x = 0; x < w->h->r->n_classes; x++)
            gather(&w->starts, least_of(w, slot, x), after(w, x, v), c->n);
        double *out = labels_of(w, q, to), *all = least_of(w, to, class);
        ndl_starts_extend(out, &w->starts, w->h, v);
        for (int i = 0; i <= c->n; i++) all[i] = lesser(all[i], out[i]);
    }
}

static void complete(walk *w, int q)
{
    const ndl_chain *c = w->h->c;
    const int class = w->h->r->class_of[c->order[q]];
    for (int slot = 0; slot < w->s.n; slot++) {
        const double sum = labels_of(w, q, slot)[c->n] + after(w, class, c->k);
        if (!ndl_slots_done(w->s, c, slot) || !(sum < w->below)) continue;
        w->below = sum;
        w->best_place = q;
        w->best_slot = slot;
    }
}

/* Where a stage came from. */
typedef struct origin {
    int slot, place, start;
    double sum;
} origin;

static void look(walk *w, origin *best, const int *q, int end)
{
    const int v = w->h->c->order[q[0]];
    const int i = ndl_starts_best(&w->starts, w->h, v, end, &best->sum);
    if (i < 0) return;
    best->start = i;
    best->slot = q[1];
    best->place = q[2];
}

static void trace(walk *w)
{
    const ndl_chain *c = w->h->c;
    int q = w->best_place, slot = w->best_slot, end = c->n;
    w->h->found->n = 0;
    while (end > 0) {
        const int v = c->order[q];
        origin best = { 0, -1, 0, INFINITY };
        for (int s = slot; s >= 0 && s >= slot - 1; s--) {
            if (ndl_slots_next(w->s, s) != slot) continue;
            for (int u = -1; u < q; u++) {
                gather_none(w, u < 0 ? s : -1, v);
                if (u >= 0)
                    gather(&w->starts, labels_of(w, u, s),
                           after(w, w->h->r->class_of[c->order[u]], v), c->n);
                look(w, &best, (const int[]){ q, s, u }, end);
            }
        }
        ndl_split_push(w->h->found, (ndl_partition_stage){ v, q, best.start,
                                                           end - best.start });
        end = best.start;
        q = best.place;
        slot = best.slot;
    }
    ndl_split_reverse(w->h->found);
}

static ndl_answer go(walk *w)
{
    ndl_chain *c = w->h->c;
    bool whole = true;
    for (int q = 0; whole && q < c->nodes; q++) {
        c->states += w->s.n;
        whole = !ndl_chain_late(c);
        if (!whole) break;
        visit(w, q);
        complete(w, q);
    }
    if (w->best_place >= 0) trace(w);
    if (!whole) return NDL_ANSWER_UNKNOWN;
    return w->best_place >= 0 ? NDL_ANSWER_YES : NDL_ANSWER_NO;
}

ndl_answer ndl_labels_find_given(const ndl_hunt *h, const ndl_sum_query *q)
{
    walk w = { .h = h, .s = ndl_slots_of(h->c), .below = q->below };
    const size_t row = (size_t)h->c->n + 1, slots = (size_t)w.s.n;
    const size_t n = (size_t)h->c->nodes * slots * row;
    const size_t m = slots * (size_t)h->r->n_classes * row;
    w.best_place = -1;
    if (n + m > NDL_PARTITION_BYTES / sizeof(double)) return NDL_ANSWER_UNKNOWN;
    w.label = malloc(n * sizeof *w.label);
    w.least = malloc(m * sizeof *w.least);
    ndl_answer answer = NDL_ANSWER_UNKNOWN;
    if (ndl_starts_init(&w.starts, h->c) && w.label && w.least) {
        for (size_t i = 0; i < n; i++) w.label[i] = INFINITY;
        for (size_t i = 0; i < m; i++) w.least[i] = INFINITY;
        answer = go(&w);
    }
    free(w.label);
    free(w.least);
    ndl_starts_fini(&w.starts);
    return answer;
}
