/*
 * pages.c - see pages.h.
 *
 * The whole pages of a table are, in their order, a path of the tree, because
 * a page that turns out to be equal to one of the tree is given back for it.
 * So whoever uses a page also uses those before it, and the list of unused
 * pages, in which a table's last page is put first, has every page before its
 * parent: what is at its head is a leaf.
 */
#include "noodle/pages.h"

#include <stdlib.h>

#include "page_tree.h"

typedef struct table {
    int *pages; /* (n_entries) */
    int n;
    int n_known;  /* positions that the tree knows */
    int request;  /* -1: closed */
    bool is_told; /* the stages know that it is open */
} table;

struct ndl_pages {
    ndl_pages_config config;
    ndl_page_tree tree;
    int *refs;        /* (n_pages): tables that it is in */
    int *free;        /* (n_pages): neither used nor kept */
    int *next, *prev; /* (n_pages + 1): ring of the kept, through n_pages */
    int n_free, n_kept;
    int *entries;  /* (n_slots, n_entries) */
    table *tables; /* (n_slots) */
    int *path;     /* (n_entries): what look() found */
    /* One list is being filled while the other is borrowed. */
    ndl_page_op *ops[2]; /* (max_ops) */
    int n_ops, filling;
    int64_t hit_tokens, evictions;
};

int ndl_pages_of(int n_positions)
{
    return n_positions / NDL_PAGE_POSITIONS +
           (n_positions % NDL_PAGE_POSITIONS > 0);
}

static bool allocate(ndl_pages *p)
{
    const ndl_pages_config *c = &p->config;
    const size_t n = (size_t)c->n_pages, slots = (size_t)c->n_slots;
    p->refs = calloc(n, sizeof *p->refs);
    p->free = calloc(n, sizeof *p->free);
    p->next = calloc(n + 1, sizeof *p->next);
    p->prev = calloc(n + 1, sizeof *p->prev);
    p->entries = calloc(slots, sizeof *p->entries * (size_t)c->n_entries);
    p->tables = calloc(slots, sizeof *p->tables);
    p->path = calloc((size_t)c->n_entries, sizeof *p->path);
    p->ops[0] = calloc((size_t)c->max_ops, sizeof *p->ops[0]);
    p->ops[1] = calloc((size_t)c->max_ops, sizeof *p->ops[1]);
    return ndl_page_tree_init(&p->tree, c->n_pages) && p->refs && p->free &&
           p->next && p->prev && p->entries && p->tables && p->path &&
           p->ops[0] && p->ops[1];
}

ndl_status ndl_pages_create(ndl_pages **out, const ndl_pages_config *config)
{
    NDL_ASSERT(config->n_pages >= 1 && config->n_slots >= 1);
    NDL_ASSERT(config->n_entries >= 1 && config->max_ops >= 1);
    ndl_pages *p = calloc(1, sizeof *p);
    if (p) p->config = *config;
    if (!p || !allocate(p)) {
        ndl_pages_destroy(&p);
        return NDL_FAIL(NDL_EOS, "scheduler: out of memory for %d KV pages",
                        config->n_pages);
    }
    for (int i = 0; i < config->n_slots; i++)
        p->tables[i] = (table){
            .pages = p->entries + (size_t)i * (size_t)config->n_entries,
            .request = -1,
        };
    /* The first pages are given first. */
    for (int i = config->n_pages; i > 0; i--) p->free[p->n_free++] = i - 1;
    p->next[config->n_pages] = p->prev[config->n_pages] = config->n_pages;
    *out = p;
    return NDL_OK;
}

void ndl_pages_destroy(ndl_pages **pp)
{
    ndl_pages *p = *pp;
    if (!p) return;
    ndl_page_tree_fini(&p->tree);
    free(p->ops[1]);
    free(p->ops[0]);
    free(p->path);
    free(p->tables);
    free(p->entries);
    free(p->prev);
    free(p->next);
    free(p->free);
    free(p->refs);
    free(p);
    *pp = NULL;
}

static void push(ndl_pages *p, ndl_page_op_kind kind, int slot, int a, int b)
{
    NDL_ASSERT(p->n_ops < p->config.max_ops);
    p->ops[p->filling][p->n_ops++] =
        (ndl_page_op){ (uint32_t)kind, (uint32_t)slot, (uint32_t)a,
                       (uint32_t)b };
}

static void keep(ndl_pages *p, int page)
{
    const int ring = p->config.n_pages, last = p->prev[ring];
    p->next[last] = page;
    p->prev[page] = last;
    p->next[page] = ring;
    p->prev[ring] = page;
    p->n_kept++;
}

static void unkeep(ndl_pages *p, int page)
{
    p->next[p->prev[page]] = p->next[page];
    p->prev[p->next[page]] = p->prev[page];
    p->n_kept--;
}

static void give_back(ndl_pages *p, int page)
{
    p->free[p->n_free++] = page;
}

static void unref(ndl_pages *p, int page)
{
    NDL_ASSERT(p->refs[page] > 0);
    if (--p->refs[page] > 0) return;
    const int n = p->tree.n_ids[page];
    if (n > 0 && n < NDL_PAGE_POSITIONS &&
        ndl_page_tree_twin(&p->tree, page) >= 0)
        ndl_page_tree_remove(&p->tree, page);
    if (p->tree.n_ids[page] > 0)
        keep(p, page);
    else
        give_back(p, page);
}

/* A page that nobody has; the caller has seen that there is one. */
static int take_page(ndl_pages *p)
{
    NDL_ASSERT(ndl_pages_available(p) > 0);
    if (p->n_free > 0) return p->free[--p->n_free];
    const int page = p->next[p->config.n_pages];
    unkeep(p, page);
    ndl_page_tree_remove(&p->tree, page);
    p->evictions++;
    return page;
}

static void map(ndl_pages *p, int slot, int entry, int page)
{
    table *t = &p->tables[slot];
    NDL_ASSERT(t->request >= 0 && entry < p->config.n_entries);
    if (!t->is_told) push(p, NDL_PAGE_OPEN, slot, t->request, 0);
    t->is_told = true;
    if (p->refs[page]++ == 0 && p->tree.n_ids[page] > 0) unkeep(p, page);
    t->pages[entry] = page;
    push(p, NDL_PAGE_MAP, slot, entry, page);
}

void ndl_pages_open(ndl_pages *p, int slot, int request)
{
    table *t = &p->tables[slot];
    NDL_ASSERT(t->request < 0 && t->n == 0 && request >= 0);
    t->request = request;
}

void ndl_pages_close(ndl_pages *p, int slot, const int32_t *text, int n_sent)
{
    table *t = &p->tables[slot];
    NDL_ASSERT(t->request >= 0);
    ndl_pages_sent(p, slot, text, n_sent);
    while (t->n > 0) unref(p, t->pages[--t->n]);
    t->n_known = 0;
    t->request = -1;
    if (t->is_told) push(p, NDL_PAGE_CLOSE, slot, 0, 0);
    t->is_told = false;
}

/* What the tree has of a text beyond `pos`: whole pages in p->path, and the
 * beginning of one more. */
typedef struct find {
    ndl_pages_match match;
    int source, n_common; /* that one, or -1; and how much of it */
} find;

static find look(ndl_pages *p, int slot, const int32_t *text, int n, int pos)
{
    const find nothing = { .match.end = pos, .source = -1 };
    find f = nothing;
    int k = pos / NDL_PAGE_POSITIONS;
    int parent = k > 0 ? p->tables[slot].pages[k - 1] : -1;
    for (;; k++) {
        const int start = k * NDL_PAGE_POSITIONS, left = n - 1 - start;
        if (p->config.no_reuse || left <= 0) break;
        int same = 0;
        const int most = left < NDL_PAGE_POSITIONS ? left : NDL_PAGE_POSITIONS;
        const int page =
            ndl_page_tree_find(&p->tree, parent, text + start, most, &same);
        if (same < NDL_PAGE_POSITIONS) {
            if (start + same < f.match.end + NDL_PAGE_LEAST_COMMON) break;
            f.source = page;
            f.n_common = same;
            f.match.end = start + same;
            break;
        }
        p->path[f.match.n_shared++] = parent = page;
        f.match.n_kept += p->refs[page] == 0;
        f.match.end = start + same;
    }
    return f.match.end < pos + NDL_PAGE_LEAST_COMMON ? nothing : f;
}

ndl_pages_match ndl_pages_find(ndl_pages *p, int slot, const int32_t *text,
                               int n, int pos)
{
    return look(p, slot, text, n, pos).match;
}

/* Does all of the page that begins alike belong to the text, and to nobody? */
static bool can_take_over(const ndl_pages *p, const find *f)
{
    return f->source >= 0 && p->refs[f->source] == 0 &&
           p->tree.n_ids[f->source] == f->n_common;
}

/* A page of its own for entry k, which begins as f->source does. */
static void copy_page(ndl_pages *p, int slot, int k, const find *f, int own)
{
    int page = own;
    if (own < 0) {
        page = take_page(p);
        map(p, slot, k, page);
    }
    if (f->source < 0) return;
    /* The source itself may have been what was least recently used: then its
     * content is where it is wanted. */
    if (f->source != page) push(p, NDL_PAGE_COPY, slot, f->source, page);
    if (p->tree.n_ids[f->source] > 0 && p->refs[f->source] == 0) {
        unkeep(p, f->source);
        keep(p, f->source);
    }
}

int ndl_pages_reuse(ndl_pages *p, int slot, const int32_t *text, int n, int pos)
{
    table *t = &p->tables[slot];
    const find f = look(p, slot, text, n, pos);
    const int first = pos / NDL_PAGE_POSITIONS;
    const int k = f.match.end / NDL_PAGE_POSITIONS;
    NDL_ASSERT(t->n == first || t->n == first + 1);
    const int own = t->n > first ? t->pages[first] : -1;
    if (f.match.end == pos && own >= 0) return pos;

    const bool takes_over = can_take_over(p, &f);
    const bool fills_own = !takes_over && own >= 0 && k == first;
    /* One's own page, where it is not filled, is a copy of what takes its
     * place, so that unref() sets it free. */
    const int spare =
        ndl_pages_available(p) - f.match.n_kept + (own >= 0 && !fills_own);
    if (!takes_over && !fills_own && spare < 1) return -1;
    for (int i = 0; i < f.match.n_shared; i++)
        map(p, slot, first + i, p->path[i]);
    if (takes_over) map(p, slot, k, f.source);
    if (own >= 0 && !fills_own) unref(p, own);
    if (!takes_over) copy_page(p, slot, k, &f, fills_own ? own : -1);
    t->n = k + 1;
    t->n_known = k * NDL_PAGE_POSITIONS;
    p->hit_tokens += f.match.end - pos;
    return f.match.end;
}

bool ndl_pages_extend(ndl_pages *p, int slot, int pos)
{
    table *t = &p->tables[slot];
    const int k = pos / NDL_PAGE_POSITIONS;
    NDL_ASSERT(k <= t->n);
    if (k < t->n) return true;
    if (ndl_pages_available(p) == 0) return false;
    map(p, slot, k, take_page(p));
    t->n++;
    return true;
}

/* A page that has all its rows: if the tree has an equal one, that will do. */
static void merge(ndl_pages *p, int slot, int k)
{
    const int page = p->tables[slot].pages[k];
    const int twin = ndl_page_tree_twin(&p->tree, page);
    if (twin < 0) return;
    ndl_page_tree_remove(&p->tree, page);
    map(p, slot, k, twin);
    unref(p, page);
}

/* The beginning of a page need not be kept beside it. */
static void drop_stub(ndl_pages *p, int page)
{
    const int stub = ndl_page_tree_stub(&p->tree, page);
    if (stub < 0 || p->refs[stub] > 0) return;
    unkeep(p, stub);
    ndl_page_tree_remove(&p->tree, stub);
    give_back(p, stub);
}

void ndl_pages_sent(ndl_pages *p, int slot, const int32_t *text, int n_sent)
{
    table *t = &p->tables[slot];
    if (p->config.no_reuse) return;
    for (int k = t->n_known / NDL_PAGE_POSITIONS; t->n_known < n_sent; k++) {
        const int start = k * NDL_PAGE_POSITIONS, left = n_sent - start;
        const int n = left < NDL_PAGE_POSITIONS ? left : NDL_PAGE_POSITIONS;
        t->n_known = start + n;
        if (n < NDL_PAGE_LEAST_COMMON) return; /* not worth remembering */
        ndl_page_tree_put(&p->tree, t->pages[k], k > 0 ? t->pages[k - 1] : -1,
                          text + start, n);
        if (n == NDL_PAGE_POSITIONS) merge(p, slot, k);
        drop_stub(p, t->pages[k]);
    }
}

int ndl_pages_held(const ndl_pages *p, int slot)
{
    return p->tables[slot].n;
}

int ndl_pages_available(const ndl_pages *p)
{
    return p->n_free + p->n_kept;
}

int ndl_pages_room(const ndl_pages *p)
{
    return p->config.max_ops - p->n_ops;
}

int ndl_pages_take_ops(ndl_pages *p, const ndl_page_op **ops)
{
    const int n = p->n_ops;
    *ops = p->ops[p->filling];
    p->filling = !p->filling;
    p->n_ops = 0;
    return n;
}

ndl_pages_counts ndl_pages_count(const ndl_pages *p)
{
    return (ndl_pages_counts){
        .hit_tokens = p->hit_tokens,
        .evictions = p->evictions,
        .n_pages = p->config.n_pages,
        .n_used = p->config.n_pages - p->n_free - p->n_kept,
        .n_kept = p->n_kept,
    };
}
