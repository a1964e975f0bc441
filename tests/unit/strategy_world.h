/* strategy_world.h - a small model on a small cluster, made by hand. */
#ifndef NOODLE_TESTS_STRATEGY_WORLD_H
#define NOODLE_TESTS_STRATEGY_WORLD_H

#include <stdio.h>
#include <string.h>

#include "noodle/strategy.h"

enum { WORLD_KINDS = 8 };

typedef struct world {
    ndl_cluster cluster;
    ndl_node nodes[WORLD_KINDS];
    ndl_link links[WORLD_KINDS * WORLD_KINDS];
    ndl_link entry[WORLD_KINDS];
    ndl_plan_costs costs;
    ndl_workload work;
    ndl_strategy_setup setup;
    ndl_pin pins[4];
} world;

/** Seconds of a layer that takes `sec` for each row, whatever its keys. */
static inline void world_time(ndl_node *n, ndl_layer_kind kind, double sec)
{
    for (int crowded = 0; crowded < 2; crowded++)
        n->cost.curve[kind][crowded] =
            (ndl_cost_curve){ .n = 1, .rows = { 1.0 }, .sec = { sec } };
}

/** `n` kinds of `count` nodes each: speed 1, memory for everything, links that
 * cost nothing; 8 blocks of a second a row, head and embedding of none. */
static inline void world_init(world *w, int n, int count)
{
    *w = (world){
        .cluster = { .n = n },
        .costs = { .n_blocks = 8,
                   .width = 16,
                   .block_params = 100,
                   .head_params = 50,
                   .embed_params = 50,
                   .block_bytes = 100,
                   .head_bytes = 50,
                   .embed_bytes = 50 },
        .work = { .prompt_tokens = 4,
                  .new_tokens = 0,
                  .sequences = 1,
                  .chunk_rows = 4 },
        .setup = { .strategy = NDL_STRATEGY_THROUGHPUT },
    };
    w->cluster.nodes = w->nodes;
    w->cluster.links = w->links;
    w->cluster.entry = w->entry;
    w->setup.pins = w->pins;
    snprintf(w->cluster.source, sizeof w->cluster.source, "%s", "nodes.yaml");
    for (int k = 0; k < n; k++) {
        ndl_node *node = &w->nodes[k];
        snprintf(node->name, sizeof node->name, "kind%d", k);
        node->rank = -1;
        node->count = count;
        node->memory_bytes = 1 << 20;
        world_time(node, NDL_LAYER_EMBED, 0.0);
        world_time(node, NDL_LAYER_BLOCK, 1.0);
        world_time(node, NDL_LAYER_HEAD, 0.0);
    }
}

/** The kinds are measured ranks 10, 11, ... */
static inline void world_measure(world *w)
{
    snprintf(w->cluster.source, sizeof w->cluster.source, "%s", "measured");
    for (int k = 0; k < w->cluster.n; k++) {
        snprintf(w->nodes[k].name, sizeof w->nodes[k].name, "host%d", k);
        w->nodes[k].rank = 10 + k;
        w->nodes[k].count = 1;
    }
}

#endif /* NOODLE_TESTS_STRATEGY_WORLD_H */
