/*
 * kvcache.h - keys and values of the layers that a stage hosts.
 *
 * In pages of 256 keys: page p of a layer holds them for all its kv heads, laid
 * out as attend.h says; in a page of int8 256 f32 scales, one a key, stand
 * behind the cells.  Each slot has a table that says which page holds its keys
 * 0 .. 255, 256 .. 511 and so on, the same in all layers; slots may share
 * pages that nobody writes to any more.  What is not yet written is zero or
 * what an earlier sequence left: masked either way.
 */
#ifndef NOODLE_KVCACHE_H
#define NOODLE_KVCACHE_H

#include <stddef.h>

#include "noodle/arena.h"
#include "noodle/kv_types.h"
#include "noodle/model.h"

typedef struct ndl_kvcache {
    ndl_kv_types types;
    int n_layers, n_slots, n_kv_heads, head_dim;
    int n_pages;             /* of a layer */
    int n_entries;           /* of a slot's table */
    int *table;              /* (n_slots, n_entries): page, or -1: none */
    size_t k_bytes, v_bytes; /* of one head's part of a page */
    unsigned char *base;
} ndl_kvcache;

/* How large a cache is. */
typedef struct ndl_kvcache_size {
    ndl_kv_types types;
    int n_slots, context;
    int n_pages; /* 0: whole contexts for all slots, and the tables say so */
} ndl_kvcache_size;

/** Pages of a sequence of `context` positions. */
int ndl_kvcache_entries(int context);

/** Bytes for one layer, and for the tables, which all layers share. */
size_t ndl_kvcache_layer_bytes(const ndl_model *m, const ndl_kvcache_size *s);
size_t ndl_kvcache_table_bytes(const ndl_kvcache_size *s);

/**
 * Take the memory for `n_layers` layers out of `arena`.
 * @param table  room for the tables; the cache's for its life.
 * @return NDL_OK; NDL_EOS if the arena is too small.
 */
ndl_status ndl_kvcache_init(ndl_kvcache *kv, ndl_arena *arena,
                            const ndl_model *m, const ndl_kvcache_size *size,
                            int n_layers, int *table);

/** Entry `entry` of a slot's table becomes `page`; all become none. */
void ndl_kvcache_map(ndl_kvcache *kv, int slot, int entry, int page);
void ndl_kvcache_unmap(ndl_kvcache *kv, int slot);

/** Page `to` of a hosted layer becomes what page `from` is. */
void ndl_kvcache_copy(const ndl_kvcache *kv, int layer, int from, int to);

/** What entry `entry` of a slot's table (mapped: asserted) is in hosted layer
 * `layer` (0 is the stage's first). */
void *ndl_kvcache_k(const ndl_kvcache *kv, int layer, int slot, int entry,
                    int head);
void *ndl_kvcache_v(const ndl_kvcache *kv, int layer, int slot, int entry,
                    int head);

/** The scales (256) of a page that one of the two above gave; NULL: its type
 * has none. */
const float *ndl_kvcache_k_scales(const ndl_kvcache *kv, const void *page);
const float *ndl_kvcache_v_scales(const ndl_kvcache *kv, const void *page);

#endif /* NOODLE_KVCACHE_H */
