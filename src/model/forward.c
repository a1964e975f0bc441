/* forward.c - see forward.h: buffers, embedding, the way through the blocks,
 * and the head. */
#include "noodle/forward.h"

#include <stdlib.h>
#include <string.h>

#include "forward_parts.h"
#include "matmul.h"

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Stride of a buffer: whole panels, and one cache line more when rows would
 * otherwise be a multiple of 4 KiB apart and share cache sets. */
static size_t stride(size_t cols)
{
    const size_t ld = round_up(cols, NDL_PANEL);
    return ld % 1024 == 0 ? ld + NDL_PANEL : ld;
}

static size_t up_cols(const ndl_model *m)
{
    const size_t f = round_up((size_t)m->ffn, NDL_PANEL);
    return m->mlp == NDL_MLP_SWIGLU ? 2 * f : f;
}

/* Where v has panels of its own, they begin at a whole panel, and end up to a
 * panel further. */
static size_t qkv_cols(const ndl_model *m)
{
    return (size_t)(m->n_heads + 2 * m->n_kv_heads) * (size_t)m->head_dim +
           NDL_PANEL;
}

static size_t padded_head(const ndl_model *m)
{
    return round_up((size_t)m->head_dim, NDL_LANES);
}

static size_t floats(size_t n)
{
    return round_up(n * sizeof(float), 64);
}

/* A page of int8 is attended to as bf16. */
static size_t widened_bytes(ndl_dtype t, size_t lanes)
{
    return t == NDL_INT8 ? NDL_PAGE_KEYS * lanes * sizeof(uint16_t) : 0;
}

static size_t scratch_bytes(const ndl_model *m, ndl_kv_types types)
{
    return floats(NDL_ATTEND_ROWS * NDL_PAGE_KEYS) +
           2 * floats(NDL_ATTEND_ROWS * padded_head(m)) +
           4 * floats(NDL_ATTEND_ROWS) +
           widened_bytes(types.k, (size_t)m->head_dim) +
           widened_bytes(types.v, padded_head(m));
}

/* The head uses the buffer of norms too, for its own number of rows. */
static int buffer_rows(const ndl_forward_limits *l)
{
    return l->max_rows > NDL_LOGITS_ROWS ? l->max_rows : NDL_LOGITS_ROWS;
}

static ndl_kvcache_size kv_size(const ndl_forward_limits *l)
{
    return (ndl_kvcache_size){ .types = l->kv_types,
                               .n_slots = l->n_slots,
                               .context = l->context,
                               .n_pages = l->n_pages };
}

static size_t buffer_bytes(const ndl_model *m, const ndl_forward_limits *l,
                           int n_threads)
{
    const size_t rows = (size_t)buffer_rows(l);
    const size_t cols = 2 * stride((size_t)m->width) + stride(qkv_cols(m)) +
                        stride((size_t)m->n_heads * (size_t)m->head_dim) +
                        stride(up_cols(m)) + stride((size_t)m->ffn) +
                        (size_t)m->head_dim;
    const ndl_kvcache_size kv = kv_size(l);
    return floats(rows * cols) + ndl_operand_bytes(m, rows) + 9 * 64 +
           round_up(ndl_kvcache_table_bytes(&kv), 64) +
           2 * round_up(rows * sizeof(int), 64) +
           round_up(((size_t)l->max_spans + 1) * sizeof(int), 64) +
           round_up((size_t)m->head_dim * sizeof(double), 64) +
           (size_t)n_threads *
               (scratch_bytes(m, l->kv_types) + sizeof(ndl_attend_scratch)) +
           64;
}

static size_t logits_bytes(const ndl_model *m)
{
    return NDL_LOGITS_ROWS * (floats(stride((size_t)m->vocab)) +
                              floats(stride((size_t)m->width)));
}

ndl_forward_memory ndl_forward_memory_of(const ndl_model *m,
                                         const ndl_forward_limits *l,
                                         int n_threads)
{
    const ndl_kvcache_size kv = kv_size(l);
    return (ndl_forward_memory){
        .kv_layer = ndl_kvcache_layer_bytes(m, &kv),
        .buffers = buffer_bytes(m, l, n_threads),
        .logits = logits_bytes(m),
    };
}

static bool make_rows(ndl_arena *a, ndl_rows *out, int rows, size_t cols)
{
    out->ld = stride(cols);
    out->at = ndl_arena_alloc(a, (size_t)rows * out->ld * sizeof(float));
    return out->at != NULL;
}

/* A page as bf16, where the cache has pages of int8. */
static bool make_widened(ndl_forward *f, ndl_attend_scratch *s)
{
    const size_t k =
        widened_bytes(f->limits.kv_types.k, (size_t)f->model->head_dim);
    const size_t v = widened_bytes(f->limits.kv_types.v, padded_head(f->model));
    s->k = k ? ndl_arena_alloc(f->arena, k) : NULL;
    s->v = v ? ndl_arena_alloc(f->arena, v) : NULL;
    return (!k || s->k) && (!v || s->v);
}

static bool make_scratch(ndl_forward *f)
{
    const int n = ndl_pool_size(f->pool);
    const size_t row = NDL_ATTEND_ROWS * sizeof(float);
    f->scratch = ndl_arena_alloc(f->arena, (size_t)n * sizeof *f->scratch);
    for (int i = 0; f->scratch && i < n; i++) {
        ndl_attend_scratch *s = &f->scratch[i];
        s->scores = ndl_arena_alloc(f->arena, row * NDL_PAGE_KEYS);
        s->o = ndl_arena_alloc(f->arena, row * padded_head(f->model));
        s->o2 = ndl_arena_alloc(f->arena, row * padded_head(f->model));
        s->m = ndl_arena_alloc(f->arena, row);
        s->l = ndl_arena_alloc(f->arena, row);
        s->m2 = ndl_arena_alloc(f->arena, row);
        s->l2 = ndl_arena_alloc(f->arena, row);
        if (!s->l2 || !make_widened(f, s)) return false;
    }
    return f->scratch != NULL;
}

static bool make_buffers(ndl_forward *f)
{
    const ndl_model *m = f->model;
    const int rows = buffer_rows(&f->limits);
    ndl_arena *a = f->arena;
    const size_t ints = (size_t)rows * sizeof(int);
    f->row_slot = ndl_arena_alloc(a, ints);
    f->row_pos = ndl_arena_alloc(a, ints);
    f->first_task =
        ndl_arena_alloc(a, ((size_t)f->limits.max_spans + 1) * sizeof(int));
    f->inv_freq = ndl_arena_alloc(a, (size_t)m->head_dim * sizeof(double));
    f->rope =
        ndl_arena_alloc(a, (size_t)rows * (size_t)m->head_dim * sizeof(float));
    f->operand = ndl_arena_alloc(a, ndl_operand_bytes(m, (size_t)rows));
    bool ok = f->row_slot && f->row_pos && f->operand && f->first_task &&
              f->inv_freq && f->rope &&
              make_rows(a, &f->norm, rows, (size_t)m->width) &&
              make_rows(a, &f->delta, rows, (size_t)m->width) &&
              make_rows(a, &f->qkv, rows, qkv_cols(m)) &&
              make_rows(a, &f->att, rows, (size_t)(m->n_heads * m->head_dim)) &&
              make_rows(a, &f->up, rows, up_cols(m)) &&
              make_rows(a, &f->hidden, rows, (size_t)m->ffn) && make_scratch(f);
    if (f->part.head)
        ok = ok &&
             make_rows(a, &f->picked, NDL_LOGITS_ROWS, (size_t)m->width) &&
             make_rows(a, &f->logits, NDL_LOGITS_ROWS, (size_t)m->vocab);
    return ok;
}

/* Llama 3's scaling, after its definition in transformers' rope utilities:
 * long waves are slowed down by `factor`, short ones kept, between them a
 * linear mix. */
static void scale_frequencies(const ndl_rope *r, double *inv, int n)
{
    const double two_pi = 6.283185307179586476925;
    for (int i = 0; i < n && r->kind == NDL_ROPE_LINEAR; i++)
        inv[i] /= r->factor;
    for (int i = 0; i < n && r->kind == NDL_ROPE_LLAMA3; i++) {
        const double wave = two_pi / inv[i];
        const double turns = (double)r->original_context / wave;
        if (turns > r->high_freq_factor) continue;
        if (turns < r->low_freq_factor) {
            inv[i] /= r->factor;
            continue;
        }
        const double s = (turns - r->low_freq_factor) /
                         (r->high_freq_factor - r->low_freq_factor);
        inv[i] = (1.0 - s) * inv[i] / r->factor + s * inv[i];
    }
}

/* A stage of the head alone has tables too: who opens a slot need not ask. */
static ndl_status make_kvcache(ndl_forward *f, uint64_t layer_bytes)
{
    const ndl_kvcache_size size = kv_size(&f->limits);
    const int n = f->part.n_layers;
    int *table = ndl_arena_alloc(f->arena, ndl_kvcache_table_bytes(&size));
    if (!table)
        return NDL_FAIL(NDL_EOS, "forward pass: the arena is too small");
    if (n > 0)
        NDL_TRY(ndl_arena_create(&f->kv_arena, "KV cache",
                                 layer_bytes * (uint64_t)n));
    NDL_TRY(ndl_kvcache_init(&f->kv, f->kv_arena, f->model, &size, n, table));
    if (n > 0) ndl_arena_freeze(f->kv_arena);
    return NDL_OK;
}

ndl_status ndl_forward_create(ndl_forward **out, const ndl_weights *weights,
                              const ndl_part *part,
                              const ndl_forward_limits *limits,
                              const ndl_kernels *kernels, ndl_pool *pool)
{
    const ndl_model *m = ndl_weights_model(weights);
    const ndl_forward_memory need =
        ndl_forward_memory_of(m, limits, ndl_pool_size(pool));
    ndl_status st = NDL_OK;
    NDL_ASSERT(ndl_kv_types_is_valid(limits->kv_types.k, limits->kv_types.v));
    ndl_forward *f = calloc(1, sizeof *f);
    if (!f) return NDL_FAIL(NDL_EOS, "forward pass: out of memory");
    f->model = m;
    f->weights = weights;
    f->kernels = kernels;
    f->pool = pool;
    f->part = *part;
    f->limits = *limits;
    f->speed = 1.0;

    NDL_TRY_GOTO(
        done, st,
        ndl_arena_create(&f->arena, "activations",
                         need.buffers + (part->head ? need.logits : 0)));
    if (!make_buffers(f)) {
        st = NDL_FAIL(NDL_EOS, "forward pass: the arena is too small");
        goto done;
    }
    NDL_TRY_GOTO(done, st, make_kvcache(f, need.kv_layer));
    if (m->rope.kind != NDL_ROPE_NONE) {
        ndl_rope_inverse(f->inv_freq, m->rope.theta, m->head_dim);
        scale_frequencies(&m->rope, f->inv_freq, m->head_dim / 2);
    }
    ndl_arena_freeze(f->arena);
    *out = f;
    f = NULL;
done:
    ndl_forward_destroy(&f);
    return st;
}

void ndl_forward_destroy(ndl_forward **f)
{
    if (!*f) return;
    free((*f)->pace);
    ndl_arena_destroy(&(*f)->kv_arena);
    ndl_arena_destroy(&(*f)->arena);
    free(*f);
    *f = NULL;
}

void ndl_forward_map(ndl_forward *f, int slot, int entry, int page)
{
    ndl_kvcache_map(&f->kv, slot, entry, page);
}

void ndl_forward_unmap(ndl_forward *f, int slot)
{
    ndl_kvcache_unmap(&f->kv, slot);
}

typedef struct page_copy {
    const ndl_kvcache *kv;
    int from, to;
} page_copy;

static void copy_task(void *arg, int layer, int thread)
{
    const page_copy *c = arg;
    (void)thread;
    ndl_kvcache_copy(c->kv, layer, c->from, c->to);
}

void ndl_forward_copy_page(ndl_forward *f, int from, int to)
{
    page_copy c = { &f->kv, from, to };
    if (f->part.n_layers > 0)
        ndl_pool_run(f->pool, f->part.n_layers, copy_task, &c);
}

int ndl_forward_page(const ndl_forward *f, int slot, int entry)
{
    NDL_ASSERT(slot >= 0 && slot < f->kv.n_slots && entry >= 0 &&
               entry < f->kv.n_entries);
    return f->kv.table[slot * f->kv.n_entries + entry];
}

bool ndl_forward_has_pages(const ndl_forward *f, int slot, int n_keys)
{
    for (int i = 0; i < ndl_kvcache_entries(n_keys); i++)
        if (ndl_forward_page(f, slot, i) < 0) return false;
    return true;
}

/* Row `row` of a matrix as floats. */
static void look_up(const ndl_forward *f, const ndl_matrix *w, int row,
                    float *y)
{
    const size_t k = (size_t)w->cols;
    NDL_ASSERT(row >= 0 && row < w->rows);
    if (w->dtype == NDL_INT8) {
        f->kernels->gather_int8(y, w->data, w->scales, row, w->cols, w->block);
    } else if (w->dtype == NDL_INT4) {
        f->kernels->gather_int4(y, w->data, w->scales, row, w->cols, w->block);
    } else if (w->panels && w->dtype == NDL_F32) {
        f->kernels->gather_f32(y, w->data, row, w->cols);
    } else if (w->panels) {
        f->kernels->gather_bf16(y, w->data, row, w->cols);
    } else if (w->dtype == NDL_F32) {
        memcpy(y, (const float *)w->data + (size_t)row * k, k * sizeof *y);
    } else {
        const uint16_t *src = (const uint16_t *)w->data + (size_t)row * k;
        for (size_t i = 0; i < k; i++) {
            const uint32_t bits = (uint32_t)src[i] << 16;
            memcpy(&y[i], &bits, sizeof bits);
        }
    }
}

void ndl_forward_embed(ndl_forward *f, const int32_t *ids,
                       const ndl_span *spans, int n_spans, float *x)
{
    const ndl_ends *ends = ndl_weights_ends(f->weights);
    const size_t width = (size_t)f->model->width;
    const double begin = ndl_forward_layer_begin(f);
    int t = 0;
    for (int s = 0; s < n_spans; s++)
        for (int i = 0; i < spans[s].n_rows; i++, t++) {
            float *row = x + (size_t)t * width;
            look_up(f, &ends->tokens, ids[t], row);
            if (!ends->positions.data) continue;
            look_up(f, &ends->positions, spans[s].pos + i, f->delta.at);
            f->kernels->add(row, width, f->delta.at, width, 1, (int)width);
        }
    ndl_forward_layer_end(f, 0, t, begin);
}

/* Where each row is, and its rotation: once a batch for all layers. */
static int place_rows(ndl_forward *f, const ndl_span *spans, int n_spans)
{
    const ndl_model *m = f->model;
    int t = 0;
    f->n_keys = 0;
    f->n_spans = n_spans;
    for (int s = 0; s < n_spans; s++) {
        NDL_ASSERT(t + spans[s].n_rows <= f->limits.max_rows);
        for (int i = 0; i < spans[s].n_rows; i++, t++) {
            f->row_slot[t] = spans[s].slot;
            f->row_pos[t] = spans[s].pos + i;
            f->n_keys += spans[s].pos + i + 1;
            if (m->rope.kind != NDL_ROPE_NONE)
                ndl_rope_table(f->rope + (size_t)t * (size_t)m->head_dim,
                               f->row_pos[t], f->inv_freq, m->head_dim / 2);
        }
    }
    return t;
}

void ndl_forward_blocks(ndl_forward *f, const ndl_span *spans, int n_spans,
                        float *x)
{
    NDL_ASSERT(n_spans <= f->limits.max_spans);
    if (f->part.n_layers == 0) return;
    const int rows = place_rows(f, spans, n_spans);
    for (int i = 0; i < f->part.n_layers; i++) {
        const double begin = ndl_forward_layer_begin(f);
        ndl_block_run(f, f->part.first_layer + i, spans, n_spans, rows, x);
        ndl_forward_layer_end(f, 1 + i, rows, begin);
    }
}

const float *ndl_forward_logits(ndl_forward *f, const float *x, const int *rows,
                                int n, size_t *ld)
{
    const ndl_ends *ends = ndl_weights_ends(f->weights);
    const size_t width = (size_t)f->model->width;
    const double begin = ndl_forward_layer_begin(f);
    NDL_ASSERT(f->part.head && n <= NDL_LOGITS_ROWS);
    for (int i = 0; i < n; i++)
        memcpy(f->picked.at + (size_t)i * f->picked.ld,
               x + (size_t)rows[i] * width, width * sizeof *x);
    const ndl_reading normed = { .x = f->picked,
                                 .gain = ends->norm,
                                 .bias = ends->norm_bias,
                                 .rows = n,
                                 .by = { &ends->head } };
    ndl_product head = { .w = &ends->head, .y = f->logits, .rows = n };
    ndl_operand_prepare(f, &normed, &head.x);
    ndl_product_run(f, &head, 1);
    ndl_forward_layer_end(f, f->part.n_layers + 1, n, begin);
    *ld = f->logits.ld;
    return f->logits.at;
}
