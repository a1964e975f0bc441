/* page_tree.c - see page_tree.h. */
#include "page_tree.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/pages.h"

bool ndl_page_tree_init(ndl_page_tree *t, int n_pages)
{
    const size_t n = (size_t)n_pages;
    *t = (ndl_page_tree){
        .ids = calloc(n, sizeof *t->ids * NDL_PAGE_POSITIONS),
        .n_ids = calloc(n, sizeof *t->n_ids),
        .parent = calloc(n, sizeof *t->parent),
        .n_children = calloc(n, sizeof *t->n_children),
        .order = calloc(n, sizeof *t->order),
    };
    return t->ids && t->n_ids && t->parent && t->n_children && t->order;
}

void ndl_page_tree_fini(ndl_page_tree *t)
{
    free(t->order);
    free(t->n_children);
    free(t->parent);
    free(t->n_ids);
    free(t->ids);
    *t = (ndl_page_tree){ 0 };
}

static int32_t *ids_of(const ndl_page_tree *t, int page)
{
    return t->ids + (size_t)page * NDL_PAGE_POSITIONS;
}

static int common(const int32_t *a, int n_a, const int32_t *b, int n_b)
{
    const int n = n_a < n_b ? n_a : n_b;
    int i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

/* Where something stands among the others; equal contents by number. */
typedef struct place {
    int parent;
    const int32_t *ids; /* (n) */
    int n, page;
} place;

static bool is_before(const ndl_page_tree *t, int page, const place *x)
{
    if (t->parent[page] != x->parent) return t->parent[page] < x->parent;
    const int32_t *ids = ids_of(t, page);
    const int n = t->n_ids[page];
    const int same = common(ids, n, x->ids, x->n);
    if (same < n && same < x->n) return ids[same] < x->ids[same];
    return n != x->n ? n < x->n : page < x->page;
}

/* How many of the tree are before x. */
static int rank_of(const ndl_page_tree *t, const place *x)
{
    int low = 0, high = t->n;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (is_before(t, t->order[middle], x))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int rank_of_page(const ndl_page_tree *t, int page)
{
    const place x = { t->parent[page], ids_of(t, page), t->n_ids[page], page };
    return rank_of(t, &x);
}

static void take_out(ndl_page_tree *t, int page)
{
    const int at = rank_of_page(t, page);
    NDL_ASSERT(t->order[at] == page && t->n_children[page] == 0);
    t->n--;
    memmove(&t->order[at], &t->order[at + 1],
            sizeof *t->order * (size_t)(t->n - at));
    if (t->parent[page] >= 0) t->n_children[t->parent[page]]--;
}

void ndl_page_tree_put(ndl_page_tree *t, int page, int parent,
                       const int32_t *ids, int n)
{
    NDL_ASSERT(n >= 1 && n <= NDL_PAGE_POSITIONS);
    NDL_ASSERT(parent < 0 || t->n_ids[parent] == NDL_PAGE_POSITIONS);
    if (t->n_ids[page] > 0) take_out(t, page);
    memcpy(ids_of(t, page), ids, sizeof *ids * (size_t)n);
    t->n_ids[page] = n;
    t->parent[page] = parent;
    if (parent >= 0) t->n_children[parent]++;
    const int at = rank_of_page(t, page);
    memmove(&t->order[at + 1], &t->order[at],
            sizeof *t->order * (size_t)(t->n - at));
    t->order[at] = page;
    t->n++;
}

void ndl_page_tree_remove(ndl_page_tree *t, int page)
{
    take_out(t, page);
    t->n_ids[page] = 0;
}

/* The page of rank `at`, if it is a child of `parent`, else -1. */
static int child_at(const ndl_page_tree *t, int at, int parent)
{
    if (at < 0 || at >= t->n) return -1;
    return t->parent[t->order[at]] == parent ? t->order[at] : -1;
}

int ndl_page_tree_find(const ndl_page_tree *t, int parent, const int32_t *ids,
                       int n, int *n_common)
{
    const place x = { parent, ids, n, -1 };
    const int at = rank_of(t, &x);
    int best = -1;
    *n_common = 0;
    /* What stands before is shorter or smaller: on a tie it has less else. */
    for (int i = at - 1; i <= at; i++) {
        const int page = child_at(t, i, parent);
        if (page < 0) continue;
        const int same = common(ids_of(t, page), t->n_ids[page], ids, n);
        if (same <= *n_common) continue;
        *n_common = same;
        best = page;
    }
    return best;
}

static bool begins_with(const ndl_page_tree *t, int page, int beginning)
{
    const int n = t->n_ids[beginning];
    return t->n_ids[page] >= n && memcmp(ids_of(t, page), ids_of(t, beginning),
                                         sizeof *t->ids * (size_t)n) == 0;
}

int ndl_page_tree_twin(const ndl_page_tree *t, int page)
{
    const int at = rank_of_page(t, page), parent = t->parent[page];
    for (int i = at - 1; i <= at + 1; i += 2) {
        const int other = child_at(t, i, parent);
        if (other >= 0 && begins_with(t, other, page)) return other;
    }
    return -1;
}

int ndl_page_tree_stub(const ndl_page_tree *t, int page)
{
    const int other = child_at(t, rank_of_page(t, page) - 1, t->parent[page]);
    return other >= 0 && begins_with(t, page, other) ? other : -1;
}
