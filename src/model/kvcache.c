/* kvcache.c - see kvcache.h.  Order in memory: layer, slot, page, head, K V:
 * what one attention task reads in turn lies in a row. */
#include "noodle/kvcache.h"

#include "kernels.h"

static size_t page_bytes(ndl_dtype t, int lanes)
{
    return (size_t)NDL_PAGE_KEYS * ndl_kv_types_row_bytes(t, lanes);
}

static int n_pages(int context)
{
    return (context + NDL_PAGE_KEYS - 1) / NDL_PAGE_KEYS;
}

static int padded(int head_dim)
{
    return (head_dim + NDL_LANES - 1) / NDL_LANES * NDL_LANES;
}

size_t ndl_kvcache_layer_bytes(const ndl_model *m, ndl_kv_types types,
                               int n_slots, int context)
{
    const size_t both = page_bytes(types.k, m->head_dim) +
                        page_bytes(types.v, padded(m->head_dim));
    return both * (size_t)m->n_kv_heads * (size_t)n_pages(context) *
           (size_t)n_slots;
}

ndl_status ndl_kvcache_init(ndl_kvcache *kv, ndl_arena *arena,
                            const ndl_model *m, ndl_kv_types types,
                            int n_layers, int n_slots, int context)
{
    const size_t bytes =
        ndl_kvcache_layer_bytes(m, types, n_slots, context) * (size_t)n_layers;
    ndl_kvcache out = {
        .types = types,
        .n_layers = n_layers,
        .n_slots = n_slots,
        .n_pages = n_pages(context),
        .n_kv_heads = m->n_kv_heads,
        .head_dim = m->head_dim,
        .k_bytes = page_bytes(types.k, m->head_dim),
        .v_bytes = page_bytes(types.v, padded(m->head_dim)),
    };
    out.base = bytes ? ndl_arena_alloc(arena, bytes) : NULL;
    if (bytes && !out.base)
        return NDL_FAIL(NDL_EOS, "KV cache: no room for %zu bytes", bytes);
    *kv = out;
    return NDL_OK;
}

static unsigned char *page_at(const ndl_kvcache *kv, int layer, int slot,
                              int page, int head)
{
    NDL_ASSERT(layer >= 0 && layer < kv->n_layers && slot >= 0 &&
               slot < kv->n_slots && page >= 0 && page < kv->n_pages &&
               head >= 0 && head < kv->n_kv_heads);
    size_t at = (size_t)layer;
    at = at * (size_t)kv->n_slots + (size_t)slot;
    at = at * (size_t)kv->n_pages + (size_t)page;
    at = at * (size_t)kv->n_kv_heads + (size_t)head;
    return kv->base + at * (kv->k_bytes + kv->v_bytes);
}

void *ndl_kvcache_k(const ndl_kvcache *kv, int layer, int slot, int page,
                    int head)
{
    return page_at(kv, layer, slot, page, head);
}

void *ndl_kvcache_v(const ndl_kvcache *kv, int layer, int slot, int page,
                    int head)
{
    return page_at(kv, layer, slot, page, head) + kv->k_bytes;
}

/* The last of a page's bytes. */
static const float *scales_of(ndl_dtype t, const void *page, size_t bytes)
{
    const size_t scales = NDL_PAGE_KEYS * sizeof(float);
    if (t != NDL_INT8) return NULL;
    return (const float *)((const unsigned char *)page + bytes - scales);
}

const float *ndl_kvcache_k_scales(const ndl_kvcache *kv, const void *page)
{
    return scales_of(kv->types.k, page, kv->k_bytes);
}

const float *ndl_kvcache_v_scales(const ndl_kvcache *kv, const void *page)
{
    return scales_of(kv->types.v, page, kv->v_bytes);
}
