/*
 * alike.c - see alike.h.
 *
 * A free order of 64 ranks, each a kind of its own, is out of reach of an exact
 * solver; of 64 alike ones there is one order only.  Every member agrees with
 * the first of its group, so differences do not add up along a chain.
 */
#include "alike.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double time_apart = 0.03, memory_apart = 0.05, link_apart = 0.10;

/* How the merging goes. */
typedef struct merging {
    const ndl_cluster *c;
    const ndl_strategy_setup *setup;
    double bytes[2]; /* of the messages that links are compared with */
    int *kind;       /* (c->n) */
    int *first;      /* (c->n) first member of a merged kind */
    int n_kinds;
} merging;

static bool agree(double a, double b, double apart)
{
    return fabs(a - b) <= apart * fmin(a, b);
}

static bool knot_agrees(const ndl_cost *a, const ndl_cost *b,
                        ndl_layer_kind kind, int crowded, int knot)
{
    enum { LONG_CONTEXT = 2048 };
    const int rows = (int)a->curve[kind][crowded].rows[knot];
    const ndl_work works[] = {
        ndl_work_prompt(0, rows, true, crowded),
        ndl_work_prompt(LONG_CONTEXT, rows, true, crowded),
        ndl_work_decode(rows, 0, crowded),
        ndl_work_decode(rows, LONG_CONTEXT, crowded),
    };
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (!agree(ndl_cost_sec(a, kind, &works[i]),
                   ndl_cost_sec(b, kind, &works[i]), time_apart))
            return false;
    return true;
}

static bool costs_agree(const ndl_cost *a, const ndl_cost *b)
{
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
        for (int crowded = 0; crowded < 2; crowded++) {
            const ndl_cost_curve *x = &a->curve[k][crowded];
            const ndl_cost_curve *y = &b->curve[k][crowded];
            if (x->n != y->n) return false;
            for (int i = 0; i < x->n; i++)
                if (x->rows[i] != y->rows[i] ||
                    !knot_agrees(a, b, (ndl_layer_kind)k, crowded, i))
                    return false;
        }
    return true;
}

static bool link_agrees(const merging *m, const ndl_link *a, const ndl_link *b)
{
    if (a->same_node != b->same_node) return false;
    for (int i = 0; i < 2; i++)
        if (!agree(ndl_link_sec(a, m->bytes[i]), ndl_link_sec(b, m->bytes[i]),
                   link_apart))
            return false;
    return true;
}

/* To and from everybody else, and rank 0. */
static bool links_agree(const merging *m, int a, int b)
{
    const size_t n = (size_t)m->c->n;
    const ndl_link *links = m->c->links;
    if (!link_agrees(m, &m->c->entry[a], &m->c->entry[b])) return false;
    for (size_t x = 0; x < n; x++) {
        if (x == (size_t)a || x == (size_t)b) continue;
        if (!link_agrees(m, &links[(size_t)a * n + x],
                         &links[(size_t)b * n + x]) ||
            !link_agrees(m, &links[x * n + (size_t)a],
                         &links[x * n + (size_t)b]))
            return false;
    }
    return true;
}

static bool may_merge(const merging *m, int node)
{
    for (int i = 0; i < m->setup->n_pins; i++)
        if (m->setup->pins[i].node == node) return false;
    return m->c->nodes[node].rank >= 0 && m->c->nodes[node].count == 1;
}

static bool nodes_agree(const merging *m, int a, int b)
{
    const ndl_node *x = &m->c->nodes[a], *y = &m->c->nodes[b];
    return x->type == y->type &&
           agree((double)x->memory_bytes, (double)y->memory_bytes,
                 memory_apart) &&
           costs_agree(&x->cost, &y->cost) && links_agree(m, a, b);
}

static void find_kinds(merging *m)
{
    for (int i = 0; i < m->c->n; i++) {
        int k = m->n_kinds;
        if (may_merge(m, i))
            for (k = 0; k < m->n_kinds; k++)
                if (may_merge(m, m->first[k]) && nodes_agree(m, m->first[k], i))
                    break;
        if (k == m->n_kinds) m->first[m->n_kinds++] = i;
        m->kind[i] = k;
    }
}

/* ---- the merged cluster ---- */

static void worse_curve(ndl_cost_curve *a, const ndl_cost_curve *b)
{
    for (int i = 0; i < a->n; i++) {
        a->sec[i] = fmax(a->sec[i], b->sec[i]);
        a->key_sec[i] = fmax(a->key_sec[i], b->key_sec[i]);
        a->shared_key_sec[i] = fmax(a->shared_key_sec[i], b->shared_key_sec[i]);
    }
}

static void worse_node(ndl_node *a, const ndl_node *b)
{
    a->count += b->count;
    if (b->memory_bytes < a->memory_bytes) a->memory_bytes = b->memory_bytes;
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
        for (int crowded = 0; crowded < 2; crowded++)
            worse_curve(&a->cost.curve[k][crowded], &b->cost.curve[k][crowded]);
}

static void worse_link(ndl_link *a, const ndl_link *b)
{
    a->latency_sec = fmax(a->latency_sec, b->latency_sec);
    /* 0 means that it was not measured, not that nothing gets through. */
    if (b->bytes_per_sec > 0.0 &&
        (a->bytes_per_sec <= 0.0 || b->bytes_per_sec < a->bytes_per_sec))
        a->bytes_per_sec = b->bytes_per_sec;
    a->same_node = a->same_node && b->same_node;
}

static void fill(ndl_cluster *out, const merging *m, bool *known)
{
    const size_t n = (size_t)m->c->n, k = (size_t)m->n_kinds;
    out->n = m->n_kinds;
    memcpy(out->source, m->c->source, sizeof out->source);
    for (size_t a = 0; a < n; a++) {
        const size_t x = (size_t)m->kind[a];
        if ((size_t)m->first[x] == a) {
            out->nodes[x] = m->c->nodes[a];
            out->entry[x] = m->c->entry[a];
        } else {
            worse_node(&out->nodes[x], &m->c->nodes[a]);
            worse_link(&out->entry[x], &m->c->entry[a]);
        }
        for (size_t b = 0; b < n; b++) {
            const size_t at = x * k + (size_t)m->kind[b];
            const ndl_link *link = &m->c->links[a * n + b];
            if (a == b) continue;
            if (known[at])
                worse_link(&out->links[at], link);
            else
                out->links[at] = *link;
            known[at] = true;
        }
    }
}

/* A node that is alone in its kind keeps its own link to itself, which an
 * added member would use; in a group of several it says nothing. */
static void keep_own_links(ndl_cluster *out, const merging *m)
{
    const size_t n = (size_t)m->c->n, k = (size_t)m->n_kinds;
    for (size_t x = 0; x < k; x++) {
        const size_t a = (size_t)m->first[x];
        if (out->nodes[x].count == m->c->nodes[a].count)
            out->links[x * k + x] = m->c->links[a * n + a];
    }
}

static void move_pins(ndl_alike *a, const ndl_strategy_setup *setup)
{
    a->setup = *setup;
    a->setup.pins = a->pins;
    for (int i = 0; i < setup->n_pins; i++)
        a->pins[i] =
            (ndl_pin){ setup->pins[i].layer, a->kind[setup->pins[i].node] };
}

static ndl_status make(ndl_alike *out, const merging *m)
{
    const size_t k = (size_t)m->n_kinds;
    ndl_cluster c = { .nodes = calloc(k, sizeof *c.nodes),
                      .links = calloc(k * k, sizeof *c.links),
                      .entry = calloc(k, sizeof *c.entry) };
    ndl_pin *pins = calloc((size_t)m->setup->n_pins + 1, sizeof *pins);
    bool *known = calloc(k * k, sizeof *known);
    if (!c.nodes || !c.links || !c.entry || !pins || !known) {
        ndl_cluster_fini(&c);
        free(pins);
        free(known);
        return NDL_FAIL(NDL_EOS, "plan: out of memory");
    }
    fill(&c, m, known);
    keep_own_links(&c, m);
    free(known);
    *out = (ndl_alike){
        .cluster = c, .n = m->c->n, .kind = m->kind, .pins = pins
    };
    move_pins(out, m->setup);
    return NDL_OK;
}

ndl_status ndl_alike_merge(ndl_alike *out, const ndl_cluster *c,
                           const ndl_strategy_setup *setup, double row_bytes,
                           double chunk_bytes)
{
    const size_t n = (size_t)c->n;
    merging m = { .c = c,
                  .setup = setup,
                  .bytes = { row_bytes, chunk_bytes },
                  .kind = calloc(n, sizeof *m.kind),
                  .first = calloc(n, sizeof *m.first) };
    ndl_status st = NDL_OK;
    if (!m.kind || !m.first) {
        st = NDL_FAIL(NDL_EOS, "plan: out of memory");
        goto done;
    }
    find_kinds(&m);
    NDL_TRY_GOTO(done, st, make(out, &m));
    m.kind = NULL; /* handed over */
done:
    free(m.kind);
    free(m.first);
    return st;
}

void ndl_alike_fini(ndl_alike *a)
{
    ndl_cluster_fini(&a->cluster);
    free(a->kind);
    free(a->pins);
    *a = (ndl_alike){ 0 };
}

bool ndl_alike_helps(const ndl_cluster *c, const ndl_strategy_setup *setup)
{
    for (int i = 0; i < c->n; i++)
        if (c->nodes[i].rank < 0) return false;
    return setup->free_order;
}
