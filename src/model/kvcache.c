/* kvcache.c - see kvcache.h.  Order in memory: layer, page, head, K V: what one
 * attention task reads in turn lies in rows of pages. */
#include "noodle/kvcache.h"

#include <string.h>

#include "kernels.h"

static size_t page_bytes(ndl_dtype t, int lanes)
{
    return (size_t)NDL_PAGE_KEYS * ndl_kv_types_row_bytes(t, lanes);
}

int ndl_kvcache_entries(int context)
{
    return (context + NDL_PAGE_KEYS - 1) / NDL_PAGE_KEYS;
}

static int padded(int head_dim)
{
    return (head_dim + NDL_LANES - 1) / NDL_LANES * NDL_LANES;
}

static int pages_of(const ndl_kvcache_size *s)
{
    return s->n_pages > 0 ? s->n_pages
                          : s->n_slots * ndl_kvcache_entries(s->context);
}

size_t ndl_kvcache_layer_bytes(const ndl_model *m, const ndl_kvcache_size *s)
{
    const size_t both = page_bytes(s->types.k, m->head_dim) +
                        page_bytes(s->types.v, padded(m->head_dim));
    return both * (size_t)m->n_kv_heads * (size_t)pages_of(s);
}

size_t ndl_kvcache_table_bytes(const ndl_kvcache_size *s)
{
    return (size_t)s->n_slots * (size_t)ndl_kvcache_entries(s->context) *
           sizeof(int);
}

ndl_status ndl_kvcache_init(ndl_kvcache *kv, ndl_arena *arena,
                            const ndl_model *m, const ndl_kvcache_size *size,
                            int n_layers, int *table)
{
    const size_t bytes = ndl_kvcache_layer_bytes(m, size) * (size_t)n_layers;
    ndl_kvcache out = {
        .types = size->types,
        .n_layers = n_layers,
        .n_slots = size->n_slots,
        .n_pages = pages_of(size),
        .n_entries = ndl_kvcache_entries(size->context),
        .table = table,
        .n_kv_heads = m->n_kv_heads,
        .head_dim = m->head_dim,
        .k_bytes = page_bytes(size->types.k, m->head_dim),
        .v_bytes = page_bytes(size->types.v, padded(m->head_dim)),
    };
    out.base = bytes ? ndl_arena_alloc(arena, bytes) : NULL;
    if (bytes && !out.base)
        return NDL_FAIL(NDL_EOS, "KV cache: no room for %zu bytes", bytes);
    for (int i = 0; i < out.n_slots * out.n_entries; i++)
        table[i] = size->n_pages > 0 ? -1 : i;
    *kv = out;
    return NDL_OK;
}

void ndl_kvcache_map(ndl_kvcache *kv, int slot, int entry, int page)
{
    NDL_ASSERT(slot >= 0 && slot < kv->n_slots && entry >= 0 &&
               entry < kv->n_entries && page >= 0 && page < kv->n_pages);
    kv->table[slot * kv->n_entries + entry] = page;
}

void ndl_kvcache_unmap(ndl_kvcache *kv, int slot)
{
    NDL_ASSERT(slot >= 0 && slot < kv->n_slots);
    for (int i = 0; i < kv->n_entries; i++)
        kv->table[slot * kv->n_entries + i] = -1;
}

/* All heads of a page of a layer. */
static unsigned char *page_at(const ndl_kvcache *kv, int layer, int page)
{
    NDL_ASSERT(layer >= 0 && layer < kv->n_layers && page >= 0 &&
               page < kv->n_pages);
    const size_t at = (size_t)layer * (size_t)kv->n_pages + (size_t)page;
    return kv->base + at * (size_t)kv->n_kv_heads * (kv->k_bytes + kv->v_bytes);
}

void ndl_kvcache_copy(const ndl_kvcache *kv, int layer, int from, int to)
{
    if (from == to) return;
    memcpy(page_at(kv, layer, to), page_at(kv, layer, from),
           (size_t)kv->n_kv_heads * (kv->k_bytes + kv->v_bytes));
}

static unsigned char *head_at(const ndl_kvcache *kv, int layer, int slot,
                              int entry, int head)
{
    NDL_ASSERT(slot >= 0 && slot < kv->n_slots && entry >= 0 &&
               entry < kv->n_entries && head >= 0 && head < kv->n_kv_heads);
    const int page = kv->table[slot * kv->n_entries + entry];
    return page_at(kv, layer, page) +
           (size_t)head * (kv->k_bytes + kv->v_bytes);
}

void *ndl_kvcache_k(const ndl_kvcache *kv, int layer, int slot, int entry,
                    int head)
{
    return head_at(kv, layer, slot, entry, head);
}

void *ndl_kvcache_v(const ndl_kvcache *kv, int layer, int slot, int entry,
                    int head)
{
    return head_at(kv, layer, slot, entry, head) + kv->k_bytes;
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
