/*
 * strategy_share.c - the fullest node as empty as it can be.
 *
 * The share of the fullest node is one of finitely many: bytes of some run of
 * layers over the memory of some kind of node.  All of them are listed and
 * sorted as fractions; the least feasible one is found by bisection, since
 * what fits under a share fits under a greater one.  Under the share a / m a
 * node of memory M may take floor(a * M / m) bytes, in exact arithmetic.
 */
#include <stdlib.h>

#include "noodle/clock.h"
#include "strategy_solve.h"

/* Both factors have 64 bits. */
__extension__ typedef unsigned __int128 wide;

typedef struct share {
    uint64_t bytes, memory;
} share;

static int by_share(const void *a, const void *b)
{
    const share *x = a, *y = b;
    const wide left = (wide)x->bytes * y->memory;
    const wide right = (wide)y->bytes * x->memory;
    return (left > right) - (left < right);
}

static void add_share(share *list, size_t *n, uint64_t bytes, uint64_t memory)
{
    if (bytes <= memory && memory > 0) list[(*n)++] = (share){ bytes, memory };
}

/* Blocks are alike, so a run of layers is: whether the embedding or the head
 * is in it, and how many blocks.  Sorted; returns how many. */
static size_t list_shares(const ndl_terms *t, const uint64_t *memory,
                          share *list)
{
    const int n_blocks = t->n_items - 2;
    size_t n = 0;
    for (int k = 0; k < t->n_kinds; k++) {
        for (int b = 0; b <= n_blocks; b++) {
            const int head = t->n_items - 1 - b;
            add_share(list, &n, ndl_terms_bytes(t, 0, b + 1), memory[k]);
            if (b) add_share(list, &n, ndl_terms_bytes(t, 1, b), memory[k]);
            add_share(list, &n, ndl_terms_bytes(t, head, b + 1), memory[k]);
        }
        add_share(list, &n, ndl_terms_bytes(t, 0, t->n_items), memory[k]);
    }
    qsort(list, n, sizeof *list, by_share);
    return n;
}

static void set_memory(ndl_terms *t, const uint64_t *memory, const share *s)
{
    for (int k = 0; k < t->n_kinds; k++)
        t->memory[k] = (uint64_t)((wide)s->bytes * memory[k] / s->memory);
}

static ndl_status is_feasible(ndl_terms *t, double until_sec)
{
    ndl_solution s = { 0 };
    const ndl_status st =
        ndl_solution_least(&s, t, NDL_TERMS_MEMORY, until_sec);
    ndl_solution_fini(&s);
    return st;
}

/* Bisection over list[0 .. n - 1]; the last one is the fallback. */
static ndl_status lower(ndl_terms *t, const uint64_t *memory, const share *list,
                        size_t n)
{
    const double begin = ndl_clock_sec();
    const double slice = (t->task->until_sec - begin) / 64.0;
    size_t low = 0, high = n; /* list[high] is feasible, n: none known */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        set_memory(t, memory, &list[mid]);
        const ndl_status st = is_feasible(t, ndl_clock_sec() + slice);
        if (st != NDL_OK && st != NDL_EUNAVAIL) return st;
        if (st == NDL_OK)
            high = mid;
        else
            low = mid + 1;
    }
    if (high == n) return NDL_EUNAVAIL;
    set_memory(t, memory, &list[high]);
    return NDL_OK;
}

ndl_status ndl_share_lower(ndl_terms *t)
{
    const size_t k = (size_t)t->n_kinds;
    uint64_t *memory = malloc(k * sizeof *memory);
    share *list = malloc(k * (3 * (size_t)t->n_items + 1) * sizeof *list);
    ndl_status st = NDL_OK;
    if (!memory || !list) {
        st = NDL_FAIL(NDL_EOS, "plan: out of memory");
        goto done;
    }
    for (size_t i = 0; i < k; i++) memory[i] = t->memory[i];
    st = lower(t, memory, list, list_shares(t, memory, list));
done:
    free(memory);
    free(list);
    return st;
}
