/* cluster.c - see cluster.h: nodes that were measured, and what all nodes
 * share.  Virtual ones from files are in cluster_file.c. */
#include "noodle/cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_parts.h"

const char *ndl_node_type_name(ndl_node_type t)
{
    static const char *const names[] = { "cpu", "gpu", "igpu", "any" };
    return names[t];
}

int ndl_cluster_size(const ndl_cluster *c)
{
    int n = 0;
    for (int i = 0; i < c->n; i++) n += c->nodes[i].count;
    return n;
}

double ndl_link_sec(const ndl_link *l, double bytes)
{
    return l->latency_sec +
           (l->bytes_per_sec > 0 ? bytes / l->bytes_per_sec : 0.0);
}

void ndl_cluster_fini(ndl_cluster *c)
{
    free(c->nodes);
    free(c->links);
    free(c->entry);
    *c = (ndl_cluster){ 0 };
}

ndl_status ndl_cluster_init(ndl_cluster *c, int n)
{
    const size_t k = (size_t)n;
    *c = (ndl_cluster){ .n = n };
    c->nodes = calloc(k, sizeof *c->nodes);
    c->links = calloc(k * k, sizeof *c->links);
    c->entry = calloc(k, sizeof *c->entry);
    if (c->nodes && c->links && c->entry) return NDL_OK;
    ndl_cluster_fini(c);
    return NDL_FAIL(NDL_EOS, "plan: out of memory for %d nodes", n);
}

/* A message goes in, its answer comes out: the slower way counts. */
static ndl_link slower(const ndl_link *a, const ndl_link *b)
{
    ndl_link l = *a;
    l.latency_sec = fmax(a->latency_sec, b->latency_sec);
    if (b->bytes_per_sec > 0 &&
        (a->bytes_per_sec <= 0 || b->bytes_per_sec < a->bytes_per_sec))
        l.bytes_per_sec = b->bytes_per_sec;
    return l;
}

static ndl_status fill_node(ndl_node *node, const ndl_profile_rank *r)
{
    node->type = NDL_NODE_CPU;
    node->rank = r->rank;
    node->count = 1;
    node->n_threads = r->n_threads;
    node->memory_bytes = r->memory_bytes;
    snprintf(node->name, sizeof node->name, "%.*s", NDL_PROFILE_HOST - 1,
             r->host);
    return ndl_cost_fit(&node->cost, r->samples, r->n_samples);
}

ndl_status ndl_cluster_measured(ndl_cluster *out, const ndl_profile *p)
{
    ndl_cluster c;
    const size_t size = (size_t)p->n_ranks;
    int n = 0;
    for (int r = 0; r < p->n_ranks; r++) n += p->ranks[r].n_threads > 0;
    if (n == 0)
        return NDL_FAIL(NDL_EDATA, "profile: no rank hosts a stage: measure "
                                   "again with more ranks");
    NDL_TRY(ndl_cluster_init(&c, n));
    ndl_status st = NDL_OK;
    n = 0;
    for (size_t r = 0; r < size; r++) {
        if (p->ranks[r].n_threads <= 0) continue;
        NDL_TRY_GOTO(done, st, fill_node(&c.nodes[n], &p->ranks[r]));
        c.entry[n] = slower(&p->links[r], &p->links[r * size]);
        n++;
    }
    for (int i = 0; i < c.n; i++)
        for (int j = 0; j < c.n; j++)
            c.links[i * c.n + j] = p->links[(size_t)c.nodes[i].rank * size +
                                            (size_t)c.nodes[j].rank];
    snprintf(c.source, sizeof c.source, "%s", "measured");
    *out = c;
    c = (ndl_cluster){ 0 };
done:
    ndl_cluster_fini(&c);
    return st;
}
