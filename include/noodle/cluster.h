/*
 * cluster.h - the nodes that a plan may use: ranks that were measured, or
 * virtual ones from a file.
 */
#ifndef NOODLE_CLUSTER_H
#define NOODLE_CLUSTER_H

#include <stdint.h>

#include "noodle/costmodel.h"
#include "noodle/model.h"
#include "noodle/profile.h"
#include "noodle/status.h"

typedef enum ndl_node_type {
    NDL_NODE_CPU,
    NDL_NODE_GPU,
    NDL_NODE_IGPU,
    NDL_NODE_ANY
} ndl_node_type;

enum { NDL_NODE_NAME = 64, NDL_CLUSTER_NODES = 4096 };

/* A node, or `count` exactly alike. */
typedef struct ndl_node {
    char name[NDL_NODE_NAME]; /* of a rank: its host */
    ndl_node_type type;
    int rank;              /* -1: virtual */
    int count;             /* 1 for a rank */
    int n_threads;         /* 0: unknown */
    uint64_t memory_bytes; /* free for weights, KV cache and buffers */
    ndl_cost cost;
} ndl_node;

typedef struct ndl_cluster {
    int n;           /* kinds of nodes */
    ndl_node *nodes; /* (n) */
    ndl_link *links; /* (n, n) from, to; [i][i]: between two of kind i */
    ndl_link *entry; /* (n) between rank 0 and the node, either way */
    char source[64]; /* "measured", "nodes.yaml", ... */
} ndl_cluster;

/**
 * Virtual nodes from a YAML or JSON file:
 *
 *   link: {latency: 2us, bandwidth: 12 GB/s}     # default of all pairs
 *   nodes:
 *     - {name: big, count: 4, type: cpu, memory: 512 GiB, threads: 64,
 *        compute: 4 TFLOP/s, bandwidth: 400 GB/s}
 *     - {name: old, count: 8, memory: 128 GiB, like: node17, speed: 0.5}
 *   links:
 *     - {from: big, to: old, latency: 5us, bandwidth: 3 GB/s}  # both ways
 *
 * compute is per second in the dtype that most weights have; `like` takes the
 * times of a host of the profile, divided by `speed`.  type "any" matches every
 * type. Defaults: count 1, type cpu, threads unknown, speed 1, overhead of a
 * layer 10 us (field `overhead`), links of 10 Gbit/s Ethernet (20 us, 1.25
 * GB/s). Unknown fields, negative, absurd or missing figures are refused by
 * name.
 *
 * @param profile  or NULL; needed by `like`.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA naming node and field; NDL_EOS.
 */
ndl_status ndl_cluster_load(ndl_cluster *out, const char *path,
                            const ndl_model *m, ndl_mix mix,
                            ndl_kv_types kv_types, const ndl_profile *profile);

/** The same from text of `n` bytes; `what` names it in messages. */
ndl_status ndl_cluster_parse(ndl_cluster *out, const char *text, size_t n,
                             const char *what, const ndl_model *m, ndl_mix mix,
                             ndl_kv_types kv_types, const ndl_profile *profile);

/** The ranks of a profile that may host a stage, in rank order.
 * @return NDL_OK; what ndl_cost_fit returns. */
ndl_status ndl_cluster_measured(ndl_cluster *out, const ndl_profile *p);

void ndl_cluster_fini(ndl_cluster *c);

/** Nodes in all: sum of the counts. */
int ndl_cluster_size(const ndl_cluster *c);

/** "cpu", "gpu", "igpu", "any". */
const char *ndl_node_type_name(ndl_node_type t);

/** Seconds of a message of `bytes` over a link. */
double ndl_link_sec(const ndl_link *l, double bytes);

#endif /* NOODLE_CLUSTER_H */
