/*
 * partition_ends_given.c - splits with links in a given order: for every place
 * and number of stages so far, the set of positions at which its stage can
 * end.  What later places may start from is kept per class of the last kind.
 */
#include <stdlib.h>
#include <string.h>

#include "partition_bits.h"
#include "partition_ends.h"

typedef struct walk {
    const ndl_hunt *h;
    ndl_slots s;
    uint64_t *set; /* (nodes, slots, words) ends of this place  */
    uint64_t *sum; /* (slots, classes, words) of all places before */
    uint64_t *starts, *ends;
} walk;

static uint64_t *set_of(const walk *w, int q, int slot)
{
    return w->set +
           ((size_t)q * (size_t)w->s.n + (size_t)slot) * (size_t)w->h->r->words;
}

static uint64_t *sum_of(const walk *w, int slot)
{
    const ndl_reach *r = w->h->r;
    return w->sum + (size_t)slot * (size_t)r->n_classes * (size_t)r->words;
}

/* Slots from last to first, so that a place is not used twice. */
static void visit(walk *w, int q)
{
    const ndl_chain *c = w->h->c;
    const ndl_reach *r = w->h->r;
    const int v = c->order[q];
    const size_t words = (size_t)r->words;
    for (int slot = w->s.n - 1; slot >= 0; slot--) {
        const int to = ndl_slots_next(w->s, slot);
        if (to < 0) continue;
        memset(w->starts, 0, words * sizeof *w->starts);
        if (slot == 0) w->starts[0] = r->enters[v];
        if (!ndl_ends_starts(w->starts, r, sum_of(w, slot), c->k, v)) continue;
        memset(w->ends, 0, words * sizeof *w->ends);
        ndl_bits_extend(w->ends, w->starts, r->words,
                        r->end + (size_t)v * ((size_t)c->n + 1));
        uint64_t *set = set_of(w, q, to);
        uint64_t *sum = sum_of(w, to) + (size_t)r->class_of[v] * words;
        for (size_t i = 0; i < words; i++) {
            set[i] |= w->ends[i];
            sum[i] |= w->ends[i];
        }
    }
}

static bool may_follow(const walk *w, int u, int v)
{
    const ndl_reach *r = w->h->r;
    return r->after[(size_t)r->class_of[u] * ((size_t)w->h->c->k + 1) +
                    (size_t)v] < INFINITY;
}

/* The place before q whose stage ends at i, in a slot before `slot`. */
static bool sender(const walk *w, int *q, int *slot, int i)
{
    const ndl_chain *c = w->h->c;
    for (int from = *slot; from >= 0 && from >= *slot - 1; from--) {
        if (ndl_slots_next(w->s, from) != *slot) continue;
        if (i == 0 && from == 0 && w->h->r->enters[c->order[*q]]) {
            *q = -1;
            return true;
        }
        for (int u = *q - 1; u >= 0; u--) {
            if (!may_follow(w, c->order[u], c->order[*q]) ||
                !ndl_bits_has(set_of(w, u, from), i))
                continue;
            *q = u;
            *slot = from;
            return true;
        }
    }
    return false;
}

static void trace(walk *w, int q, int slot)
{
    const ndl_chain *c = w->h->c;
    int end = c->n;
    w->h->found->n = 0;
    while (q >= 0) {
        const int place = q, v = c->order[q];
        int i = w->h->r->begin[(size_t)v * ((size_t)c->n + 1) + (size_t)end];
        while (!sender(w, &q, &slot, i)) i++;
        ndl_split_push(w->h->found,
                       (ndl_partition_stage){ v, place, i, end - i });
        end = i;
    }
    ndl_split_reverse(w->h->found);
}

static bool is_complete(const walk *w, int q, int slot)
{
    const ndl_chain *c = w->h->c;
    return ndl_slots_done(w->s, c, slot) && may_follow(w, c->order[q], c->k) &&
           ndl_bits_has(set_of(w, q, slot), c->n);
}

static ndl_answer go(walk *w)
{
    ndl_chain *c = w->h->c;
    for (int q = 0; q < c->nodes; q++) {
        if (ndl_chain_late(c)) return NDL_ANSWER_UNKNOWN;
        visit(w, q);
        c->states += w->s.n;
        for (int slot = 0; slot < w->s.n; slot++) {
            if (!is_complete(w, q, slot)) continue;
            trace(w, q, slot);
            return NDL_ANSWER_YES;
        }
    }
    return NDL_ANSWER_NO;
}

ndl_answer ndl_ends_find_given(const ndl_hunt *h)
{
    walk w = { .h = h, .s = ndl_slots_of(h->c) };
    const size_t words = (size_t)h->r->words, slots = (size_t)w.s.n;
    const size_t states = slots * (size_t)h->c->nodes;
    const size_t sums = slots * (size_t)h->r->n_classes;
    if ((states + sums) * words * sizeof *w.set > NDL_PARTITION_BYTES)
        return NDL_ANSWER_UNKNOWN;
    w.set = calloc(states * words, sizeof *w.set);
    w.sum = calloc(sums * words, sizeof *w.sum);
    w.starts = malloc(words * sizeof *w.starts);
    w.ends = malloc(words * sizeof *w.ends);
    ndl_answer answer = NDL_ANSWER_UNKNOWN;
    if (w.set && w.sum && w.starts && w.ends) answer = go(&w);
    free(w.set);
    free(w.sum);
    free(w.starts);
    free(w.ends);
    return answer;
}
