/*
 * partition_furthest.c - splits without links: it is best to reach as far as
 * possible, so one position per set of used nodes tells all.  A free order
 * works from the end of the chain, because what is left over must then suffice
 * from a position on, which the sets of ends need to know.
 */
#include <stdlib.h>

#include "partition_solve.h"

void ndl_furthest_back(int *back, const ndl_chain *c, const ndl_reach *r)
{
    ndl_counts s;
    const size_t row = (size_t)c->n + 1;
    ndl_counts_init(&s, c);
    back[0] = c->n;
    for (int64_t at = 1; at < s.n; at++) {
        ndl_counts_next(&s, c);
        int least = c->n;
        for (int v = 0; v < s.k; v++) {
            if (s.digit[v] == 0) continue;
            const int end = back[at - s.stride[v]];
            const int start = r->begin[(size_t)v * row + (size_t)end];
            if (start < least) least = start;
        }
        back[at] = least;
    }
}

static void free_trace(const ndl_hunt *h, const int *back, int64_t at)
{
    const ndl_chain *c = h->c;
    ndl_counts s;
    ndl_counts_init(&s, c);
    h->found->n = 0;
    for (int v = 0, i = 0; i < c->n; v++) {
        /* The kind that made this entry hosts i .. end, if there is any. */
        const int64_t digit = at / s.stride[v] % (c->count[v] + 1);
        if (digit == 0) continue;
        const int end = back[at - s.stride[v]];
        const size_t row = (size_t)v * ((size_t)c->n + 1);
        if (h->r->begin[row + (size_t)end] != back[at]) continue;
        at -= s.stride[v];
        if (end > i)
            ndl_split_push(h->found,
                           (ndl_partition_stage){ v, -1, i, end - i });
        i = end > i ? end : i;
        v = -1;
    }
}

static ndl_answer free_find(const ndl_hunt *h)
{
    ndl_chain *c = h->c;
    ndl_counts s;
    ndl_counts_init(&s, c);
    int *back = malloc((size_t)s.n * sizeof *back);
    if (!back) return NDL_ANSWER_UNKNOWN;
    ndl_furthest_back(back, c, h->r);
    ndl_answer answer = NDL_ANSWER_NO;
    for (int64_t at = 0; at < s.n; at++, ndl_counts_next(&s, c)) {
        if (back[at] > 0 || s.used > c->max) continue;
        free_trace(h, back, at);
        answer = NDL_ANSWER_YES;
        break;
    }
    c->states += s.n;
    free(back);
    return answer;
}

/* at: (nodes + 1, slots) furthest end after so many places and at most so many
 * stages; without a limit of stages there is one slot. */
static void given_trace(const ndl_hunt *h, const int *at, size_t slots)
{
    const ndl_chain *c = h->c;
    const size_t step = slots > 1;
    size_t slot = slots - 1;
    h->found->n = 0;
    for (int q = c->nodes; q > 0; q--) {
        const int *now = at + (size_t)q * slots, *before = now - slots;
        if (now[slot] == before[slot]) continue;
        const int first = before[slot - step];
        ndl_split_push(h->found,
                       (ndl_partition_stage){ c->order[q - 1], q - 1, first,
                                              now[slot] - first });
        slot -= step;
    }
    ndl_split_reverse(h->found);
}

static ndl_answer given_find(const ndl_hunt *h)
{
    ndl_chain *c = h->c;
    const ndl_slots s = ndl_slots_of(c);
    const size_t slots = s.open ? 1 : (size_t)s.n, step = slots > 1;
    int *at = calloc(((size_t)c->nodes + 1) * slots, sizeof *at);
    if (!at) return NDL_ANSWER_UNKNOWN;
    for (int q = 1; q <= c->nodes; q++) {
        const int *end =
            h->r->end + (size_t)c->order[q - 1] * ((size_t)c->n + 1);
        int *now = at + (size_t)q * slots, *before = now - slots;
        for (size_t i = step; i < slots; i++) {
            const int far = end[before[i - step]];
            now[i] = far > before[i] ? far : before[i];
        }
    }
    c->states += (int64_t)slots * c->nodes;
    const bool yes = at[(size_t)c->nodes * slots + slots - 1] == c->n;
    if (yes) given_trace(h, at, slots);
    free(at);
    return yes ? NDL_ANSWER_YES : NDL_ANSWER_NO;
}

bool ndl_furthest_is_possible(const ndl_chain *c)
{
    ndl_counts s;
    if (c->order) return true;
    ndl_counts_init(&s, c);
    return s.n > 0;
}

ndl_answer ndl_furthest_find(const ndl_hunt *h)
{
    if (h->c->order) return given_find(h);
    if (!ndl_furthest_is_possible(h->c)) return NDL_ANSWER_UNKNOWN;
    return free_find(h);
}
