/*
 * kvcache.h - keys and values of the layers that a stage hosts.
 *
 * In pages of 256 keys per (layer, slot, kv head), laid out as attend.h says;
 * in a page of int8 256 f32 scales, one a key, stand behind the cells.
 * A page is the unit in which attention works, so that a block table can take
 * the place of the fixed slots later.  What is not yet written is zero or what
 * an earlier sequence left: masked either way.
 */
#ifndef NOODLE_KVCACHE_H
#define NOODLE_KVCACHE_H

#include <stddef.h>

#include "noodle/arena.h"
#include "noodle/kv_types.h"
#include "noodle/model.h"

typedef struct ndl_kvcache {
    ndl_kv_types types;
    int n_layers, n_slots, n_pages, n_kv_heads, head_dim;
    size_t k_bytes, v_bytes; /* of one page */
    unsigned char *base;
} ndl_kvcache;

/** Bytes for one layer: n_slots sequences of `context` positions. */
size_t ndl_kvcache_layer_bytes(const ndl_model *m, ndl_kv_types types,
                               int n_slots, int context);

/**
 * Take the memory for `n_layers` layers out of `arena`.
 * @return NDL_OK; NDL_EOS if the arena is too small.
 */
ndl_status ndl_kvcache_init(ndl_kvcache *kv, ndl_arena *arena,
                            const ndl_model *m, ndl_kv_types types,
                            int n_layers, int n_slots, int context);

/** Page `page` of hosted layer `layer` (0 is the stage's first). */
void *ndl_kvcache_k(const ndl_kvcache *kv, int layer, int slot, int page,
                    int head);
void *ndl_kvcache_v(const ndl_kvcache *kv, int layer, int slot, int page,
                    int head);

/** The scales (256) of a page that one of the two above gave; NULL: its type
 * has none. */
const float *ndl_kvcache_k_scales(const ndl_kvcache *kv, const void *page);
const float *ndl_kvcache_v_scales(const ndl_kvcache *kv, const void *page);

#endif /* NOODLE_KVCACHE_H */
