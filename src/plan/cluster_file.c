/*
 * cluster_file.c - cluster.h: virtual nodes from a file that people write.
 *
 * A figure that is wrong by a unit makes a plan that is wrong by a thousand,
 * so nothing is guessed: every field is known, in range, and named when it is
 * not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_parts.h"
#include "entry.h"
#include "noodle/file.h"
#include "noodle/yaml.h"

enum { MAX_FILE_BYTES = 4 << 20, MAX_KINDS = 1024 };

/* Ethernet of 10 Gbit/s, where a file says nothing. */
static const ndl_link default_link = { .latency_sec = 20e-6,
                                       .bytes_per_sec = 1.25e9 };
/* To start the threads of a node on a layer and to wait for the last. */
static const double default_overhead_sec = 10e-6;

/* Above zero: the smallest that is not absurd. */
static const ndl_quantity memory_range = {
    NDL_UNIT_BYTES, 1.0, 1152921504606846976.0,
    "more than 0 and at most 1 EiB, like 64 GiB"
};
static const ndl_quantity compute_range = {
    NDL_UNIT_FLOP_PER_SEC, 1.0, 1e18,
    "more than 0 and at most 1e18 FLOP/s, like 1.5 TFLOP/s"
};
static const ndl_quantity bandwidth_range = {
    NDL_UNIT_BYTES_PER_SEC, 1.0, 1e15,
    "more than 0 and at most 1e15 B/s, like 12 GB/s"
};
static const ndl_quantity latency_range = { NDL_UNIT_SEC, 0.0, 10.0,
                                            "0 to 10 s, like 2us" };

/* What parsing knows all the way down; borrowed. */
typedef struct reader {
    const char *what;
    const ndl_model *model;
    ndl_mix mix;
    ndl_kv_types kv_types;
    const ndl_profile *profile;
} reader;

static ndl_status read_link(const ndl_entry *f, ndl_link *link)
{
    if (ndl_entry_has(f, "latency"))
        NDL_TRY(ndl_entry_quantity(f, "latency", &latency_range,
                                   &link->latency_sec));
    if (ndl_entry_has(f, "bandwidth"))
        NDL_TRY(ndl_entry_quantity(f, "bandwidth", &bandwidth_range,
                                   &link->bytes_per_sec));
    return NDL_OK;
}

static ndl_status read_type(const ndl_entry *f, ndl_node_type *out)
{
    char name[16];
    NDL_TRY(ndl_entry_text(f, "type", name, sizeof name));
    for (int t = NDL_NODE_CPU; t <= NDL_NODE_ANY; t++)
        if (strcmp(name, ndl_node_type_name((ndl_node_type)t)) == 0) {
            *out = (ndl_node_type)t;
            return NDL_OK;
        }
    return ndl_entry_fail(f, "type", "unknown: give cpu, gpu, igpu or any");
}

/* The first rank of the host that was measured. */
static const ndl_profile_rank *find_host(const ndl_profile *p, const char *host)
{
    for (int r = 0; r < p->n_ranks; r++)
        if (p->ranks[r].n_samples > 0 &&
            strncmp(p->ranks[r].host, host, NDL_PROFILE_HOST) == 0)
            return &p->ranks[r];
    return NULL;
}

static ndl_status cost_like(const reader *r, const ndl_entry *f, ndl_cost *cost)
{
    char host[NDL_PROFILE_HOST], reason[256];
    double speed = 1.0;
    NDL_TRY(ndl_entry_text(f, "like", host, sizeof host));
    if (ndl_entry_has(f, "compute") || ndl_entry_has(f, "bandwidth") ||
        ndl_entry_has(f, "overhead"))
        return ndl_entry_fail(f, "like",
                              "stands beside compute, bandwidth or overhead: "
                              "give either it or those");
    if (ndl_entry_has(f, "speed"))
        NDL_TRY(ndl_entry_real(f, "speed", 1e-3, 1e3, &speed));
    if (!r->profile)
        return ndl_entry_fail(f, "like",
                              "needs measured times: give the file "
                              "that profile wrote, --profile FILE");
    const ndl_profile_rank *rank = find_host(r->profile, host);
    if (!rank) {
        snprintf(reason, sizeof reason,
                 "host %s is not in the profile, whose first is %.*s: name one "
                 "of its hosts",
                 host, NDL_PROFILE_HOST,
                 r->profile->n_ranks > 0 ? r->profile->ranks[0].host : "none");
        return ndl_entry_fail(f, "like", reason);
    }
    NDL_TRY(ndl_cost_fit(cost, rank->samples, rank->n_samples));
    ndl_cost_scale(cost, 1.0 / speed);
    return NDL_OK;
}

static ndl_status cost_of_peaks(const reader *r, const ndl_entry *f,
                                ndl_cost *cost)
{
    ndl_cost_peaks peaks = { .overhead_sec = default_overhead_sec };
    if (ndl_entry_has(f, "speed"))
        return ndl_entry_fail(f, "speed",
                              "is without like: give like, or "
                              "compute and bandwidth instead");
    NDL_TRY(
        ndl_entry_quantity(f, "compute", &compute_range, &peaks.flop_per_sec));
    NDL_TRY(ndl_entry_quantity(f, "bandwidth", &bandwidth_range,
                               &peaks.bytes_per_sec));
    if (ndl_entry_has(f, "overhead"))
        NDL_TRY(ndl_entry_quantity(f, "overhead", &latency_range,
                                   &peaks.overhead_sec));
    return ndl_cost_estimate(cost, r->model, r->mix, r->kv_types, &peaks);
}

static ndl_status read_figures(const reader *r, const ndl_entry *f,
                               ndl_node *node)
{
    double memory = 0.0;
    if (ndl_entry_has(f, "type")) NDL_TRY(read_type(f, &node->type));
    if (ndl_entry_has(f, "count"))
        NDL_TRY(ndl_entry_int(f, "count", 1, NDL_CLUSTER_NODES, &node->count));
    if (ndl_entry_has(f, "threads"))
        NDL_TRY(ndl_entry_int(f, "threads", 1, 4096, &node->n_threads));
    NDL_TRY(ndl_entry_quantity(f, "memory", &memory_range, &memory));
    node->memory_bytes = (uint64_t)memory;
    return ndl_entry_has(f, "like") ? cost_like(r, f, &node->cost)
                                    : cost_of_peaks(r, f, &node->cost);
}

static int find_node(const ndl_cluster *c, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(c->nodes[i].name, name) == 0) return i;
    return -1;
}

static ndl_status read_node(const reader *r, const json_t *j, ndl_cluster *c,
                            int i)
{
    static const char *const known[] = { "name",      "count",    "type",
                                         "memory",    "threads",  "compute",
                                         "bandwidth", "overhead", "like",
                                         "speed",     NULL };
    ndl_node *node = &c->nodes[i];
    char where[NDL_NODE_NAME + 16];
    snprintf(where, sizeof where, "node %d of the list", i + 1);
    const ndl_entry f = { r->what, where, j };
    *node = (ndl_node){ .rank = -1, .count = 1, .type = NDL_NODE_CPU };
    if (json_is_object(j)) {
        NDL_TRY(ndl_entry_text(&f, "name", node->name, sizeof node->name));
        if (node->name[0] == '\0' || strpbrk(node->name, ",="))
            return ndl_entry_fail(&f, "name",
                                  "is empty or has a comma or an equals "
                                  "sign: give letters and digits");
        if (find_node(c, i, node->name) >= 0)
            return ndl_entry_fail(&f, "name",
                                  "a second node of this name: give each its "
                                  "own, or a count");
        snprintf(where, sizeof where, "node %s", node->name);
    }
    NDL_TRY(ndl_entry_check(&f, known));
    return read_figures(r, &f, node);
}

/* Which node a side of a link names. */
static ndl_status read_end(const ndl_entry *f, const char *side,
                           const ndl_cluster *c, int *out)
{
    char name[NDL_NODE_NAME], reason[NDL_NODE_NAME + 64];
    NDL_TRY(ndl_entry_text(f, side, name, sizeof name));
    const int i = find_node(c, c->n, name);
    if (i < 0) {
        snprintf(reason, sizeof reason,
                 "no node is called %s: name one of the list nodes", name);
        return ndl_entry_fail(f, side, reason);
    }
    *out = i;
    return NDL_OK;
}

static ndl_status read_pair(const reader *r, const json_t *j, int i,
                            ndl_cluster *c, bool *given)
{
    static const char *const known[] = { "from", "to", "latency", "bandwidth",
                                         NULL };
    char where[32];
    int a = 0, b = 0;
    snprintf(where, sizeof where, "link %d of the list", i + 1);
    const ndl_entry f = { r->what, where, j };
    NDL_TRY(ndl_entry_check(&f, known));
    NDL_TRY(read_end(&f, "from", c, &a));
    NDL_TRY(read_end(&f, "to", c, &b));
    const size_t there = (size_t)a * (size_t)c->n + (size_t)b;
    const size_t back = (size_t)b * (size_t)c->n + (size_t)a;
    if (given[there])
        return ndl_entry_fail(&f, "to",
                              "this pair has a link already, and a link goes "
                              "both ways: give it once");
    given[there] = given[back] = true;
    NDL_TRY(read_link(&f, &c->links[there]));
    c->links[back] = c->links[there];
    return NDL_OK;
}

static ndl_status read_pairs(const reader *r, const json_t *list,
                             ndl_cluster *c)
{
    const size_t n = (size_t)c->n;
    if (!list) return NDL_OK;
    if (!json_is_array(list))
        return NDL_FAIL(NDL_EDATA, "%s: links: not a list: begin each with -",
                        r->what);
    bool *given = calloc(n * n, sizeof *given);
    if (!given) return NDL_FAIL(NDL_EOS, "%s: out of memory", r->what);
    ndl_status st = NDL_OK;
    for (size_t i = 0; i < json_array_size(list) && st == NDL_OK; i++)
        st = read_pair(r, json_array_get(list, i), (int)i, c, given);
    free(given);
    return st;
}

static ndl_status read_default_link(const reader *r, const json_t *j,
                                    ndl_cluster *c)
{
    static const char *const known[] = { "latency", "bandwidth", NULL };
    const ndl_entry f = { r->what, "link", j };
    ndl_link link = default_link;
    if (j) {
        NDL_TRY(ndl_entry_check(&f, known));
        NDL_TRY(read_link(&f, &link));
    }
    for (int i = 0; i < c->n * c->n; i++) c->links[i] = link;
    for (int i = 0; i < c->n; i++) c->entry[i] = link;
    return NDL_OK;
}

static ndl_status read_all(const reader *r, const json_t *root, ndl_cluster *c)
{
    const json_t *nodes = json_object_get(root, "nodes");
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        NDL_TRY(read_node(r, json_array_get(nodes, (size_t)i), c, i));
        n += c->nodes[i].count;
        if (n > NDL_CLUSTER_NODES)
            return NDL_FAIL(NDL_EDATA,
                            "%s: node %s: count: more than %d nodes in all: "
                            "give fewer",
                            r->what, c->nodes[i].name, NDL_CLUSTER_NODES);
    }
    NDL_TRY(read_default_link(r, json_object_get(root, "link"), c));
    return read_pairs(r, json_object_get(root, "links"), c);
}

static ndl_status read_root(const reader *r, const json_t *root,
                            ndl_cluster *out)
{
    static const char *const known[] = { "nodes", "link", "links", NULL };
    const ndl_entry f = { r->what, "", root };
    ndl_cluster c;
    NDL_TRY(ndl_entry_check(&f, known));
    const json_t *nodes = json_object_get(root, "nodes");
    if (!json_is_array(nodes) || json_array_size(nodes) == 0 ||
        json_array_size(nodes) > MAX_KINDS)
        return NDL_FAIL(NDL_EDATA,
                        "%s: nodes: not a list of 1 to %d kinds of nodes: "
                        "write \"nodes:\" and a line \"- {name: big, ...}\" "
                        "for each",
                        r->what, MAX_KINDS);
    NDL_TRY(ndl_cluster_init(&c, (int)json_array_size(nodes)));
    const ndl_status st = read_all(r, root, &c);
    if (st == NDL_OK)
        *out = c;
    else
        ndl_cluster_fini(&c);
    return st;
}

/* The file's name without its folders. */
static void set_source(ndl_cluster *c, const char *what)
{
    const char *slash = strrchr(what, '/');
    snprintf(c->source, sizeof c->source, "%.63s", slash ? slash + 1 : what);
}

ndl_status ndl_cluster_parse(ndl_cluster *out, const char *text, size_t n,
                             const char *what, const ndl_model *m, ndl_mix mix,
                             ndl_kv_types kv_types, const ndl_profile *profile)
{
    const reader r = { what, m, mix, kv_types, profile };
    json_t *root = NULL;
    NDL_TRY(ndl_yaml_parse(&root, text, n, what));
    const ndl_status st = read_root(&r, root, out);
    json_decref(root);
    if (st == NDL_OK) set_source(out, what);
    return st;
}

ndl_status ndl_cluster_load(ndl_cluster *out, const char *path,
                            const ndl_model *m, ndl_mix mix,
                            ndl_kv_types kv_types, const ndl_profile *profile)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read(&text, &n, path, MAX_FILE_BYTES));
    const ndl_status st =
        ndl_cluster_parse(out, text, n, path, m, mix, kv_types, profile);
    free(text);
    return st;
}
