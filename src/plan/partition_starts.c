/*
 * partition_starts.c - one stage more: from the least sums per start to the
 * least sums per end.  The starts of an end are a window that only moves
 * onward, so its minimum costs O(1).
 */
#include <math.h>
#include <stdlib.h>

#include "partition_labels.h"

/* The window compares sums less prefix sums; where a prefix is so much larger
 * than a split's sum, rounding would decide, and each pair is looked at. */
static const double WILD = 64;

bool ndl_starts_init(ndl_starts *s, const ndl_chain *c)
{
    const size_t row = (size_t)c->n + 1;
    s->base = malloc(row * sizeof *s->base);
    s->key = malloc(row * sizeof *s->key);
    s->queue = malloc(row * sizeof *s->queue);
    return s->base && s->key && s->queue;
}

void ndl_starts_fini(ndl_starts *s)
{
    free(s->base);
    free(s->key);
    free(s->queue);
    *s = (ndl_starts){ 0 };
}

static void extend_pairs(double *out, const ndl_starts *s, const ndl_hunt *h,
                         size_t row)
{
    const double *sum = h->c->sum + row;
    for (int i = s->lo; i <= s->hi; i++) {
        if (s->base[i] == INFINITY) continue;
        const int end = h->r->end[row + (size_t)i];
        for (int j = i + 1; j <= end; j++) {
            const double x = s->base[i] + (sum[j] - sum[i]);
            if (x < out[j]) out[j] = x;
        }
    }
}

static bool is_wild(const ndl_chain *c, int v)
{
    const size_t row = (size_t)c->n + 1;
    const double all = c->sum[(size_t)v * row + (size_t)c->n];
    for (size_t u = 0; u < (size_t)c->k; u++)
        if (all > WILD * c->sum[u * row + (size_t)c->n]) return true;
    return false;
}

void ndl_starts_extend(double *out, const ndl_starts *s, const ndl_hunt *h,
                       int v)
{
    const size_t row = (size_t)v * ((size_t)h->c->n + 1);
    if (s->lo > s->hi) return;
    if (is_wild(h->c, v)) {
        extend_pairs(out, s, h, row);
        return;
    }
    const double *sum = h->c->sum + row;
    const int *begin = h->r->begin + row;
    const int last = h->r->end[row + (size_t)s->hi];
    int head = 0, tail = 0;
    for (int j = s->lo + 1; j <= last; j++) {
        const int i = j - 1;
        if (i <= s->hi && s->base[i] < INFINITY) {
            s->key[i] = s->base[i] - sum[i];
            while (tail > head && s->key[s->queue[tail - 1]] >= s->key[i])
                tail--;
            s->queue[tail++] = i;
        }
        while (head < tail && s->queue[head] < begin[j]) head++;
        if (head == tail) continue;
        const int from = s->queue[head];
        const double x = s->base[from] + (sum[j] - sum[from]);
        if (x < out[j]) out[j] = x;
    }
}

int ndl_starts_best(const ndl_starts *s, const ndl_hunt *h, int v, int end,
                    double *least)
{
    const size_t row = (size_t)v * ((size_t)h->c->n + 1);
    const double *sum = h->c->sum + row;
    int best = -1, i = h->r->begin[row + (size_t)end];
    if (i < s->lo) i = s->lo;
    for (; i <= s->hi && i < end; i++) {
        const double x = s->base[i] + (sum[end] - sum[i]);
        if (x >= *least) continue;
        *least = x;
        best = i;
    }
    return best;
}
