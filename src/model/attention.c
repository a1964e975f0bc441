/*
 * attention.c - rotate, store, attend.
 *
 * A task is up to NDL_ATTEND_ROWS query rows of one sequence that share a kv
 * head: row i of a (sequence, kv head) is position i / g, head i % g of the
 * group of g = H / K heads, so that a page of keys is read once for all heads
 * that use it.  Pages are 256 absolute keys, each with its own maximum, sum and
 * output, merged in order: prompt and decode, whatever the chunking, give the
 * same bits.
 */
#include "attention.h"

/*
 * A decode step is one run of the pool up to f->att, whose tasks are kv heads:
 * their columns of q, k and v, rotation, store, attention of all spans.  That
 * saves joins, and what a task makes is in its cache.
 *
 * A thread takes all its heads as one task: their panels lie in a row in each
 * of q, k and v, and a stream of weights that begins anew costs 0.6 us (one
 * head at a time: 8 % of gpt2-124m's int8 step on Zen 4).
 *
 * It is the wrong way where the heads are no whole number for each thread
 * (threads would idle through a part of the products); where the rows are many
 * (a head's few panels are less than the tiles of the products want, and joins
 * count for nothing beside them); and where a head would last: the progress
 * hook is due every millisecond.
 */
enum { HEAD_ROWS = 16 };
static const double HEAD_SEC = 0.5e-3;

typedef struct job {
    ndl_forward *f;
    const ndl_span *spans;
    const ndl_product *qkv;
    int n_qkv;
    int layer; /* hosted */
    int n_spans, rows;
    int group; /* heads that share a kv head */
    float scale;
    size_t v_at; /* columns of f->qkv before v */
    int heads_per_task;
} job;

/* Rows of one task. */
typedef struct tile {
    int first_row; /* of the span in the batch */
    int slot, pos; /* of the span              */
    int kv_head;
    int from, n; /* rows of the (span, kv head) */
} tile;

/* Heads first .. first + n - 1 of row t, those of k behind those of q. */
static void rotate(const job *j, int t, int first, int n)
{
    const ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    const size_t hd = (size_t)m->head_dim;
    if (m->rope.kind == NDL_ROPE_NONE) return;
    f->kernels->rope(f->qkv.at + (size_t)t * f->qkv.ld + hd * (size_t)first,
                     f->qkv.ld, f->rope + (size_t)t * hd, 1, n, m->head_dim,
                     ndl_model_rope_pair(m));
}

/* Rows of a task that see a page, and where their results go. */
typedef struct page_rows {
    const float *q[NDL_ATTEND_ROWS];
    int n_keys[NDL_ATTEND_ROWS];
    float *o, *m, *l;
    int n;
} page_rows;

static void store_key(const ndl_forward *f, void *page, int key, const float *k)
{
    const int hd = f->model->head_dim;
    switch (f->kv.types.k) {
    case NDL_F32: f->kernels->k_store_f32(page, key, k, hd); break;
    case NDL_BF16: f->kernels->k_store_bf16(page, key, k, hd); break;
    default: f->kernels->k_store_int8(page, key, k, hd); break;
    }
}

static void store_value(const ndl_forward *f, void *page, int key,
                        const float *v)
{
    const int hd = f->model->head_dim;
    switch (f->kv.types.v) {
    case NDL_F32: f->kernels->v_store_f32(page, key, v, hd); break;
    case NDL_BF16: f->kernels->v_store_bf16(page, key, v, hd); break;
    default: f->kernels->v_store_int8(page, key, v, hd); break;
    }
}

/* Keys and values of the kv heads first .. first + n - 1. */
static void store_row(const job *j, int t, int first, int n)
{
    ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    float *row = f->qkv.at + (size_t)t * f->qkv.ld;
    const size_t hd = (size_t)m->head_dim;
    const int page = f->row_pos[t] / NDL_PAGE_KEYS;
    const int key = f->row_pos[t] % NDL_PAGE_KEYS;

    for (int h = first; h < first + n; h++) {
        const float *k = row + hd * (size_t)(m->n_heads + h);
        const float *v = row + j->v_at + hd * (size_t)h;
        const int slot = f->row_slot[t];
        store_key(f, ndl_kvcache_k(&f->kv, j->layer, slot, page, h), key, k);
        store_value(f, ndl_kvcache_v(&f->kv, j->layer, slot, page, h), key, v);
    }
}

/* Is row t the odd key of a pair that row t - 1 begins?  In a page of bf16 or
 * int8 the two share words, which a kernel may write whole. */
static bool ends_pair(const ndl_forward *f, int t)
{
    return t > 0 && f->row_pos[t] % 2 == 1 &&
           f->row_pos[t - 1] == f->row_pos[t] - 1 &&
           f->row_slot[t - 1] == f->row_slot[t];
}

/* About 16 rows: those that share a word belong to one task. */
static void store_task(void *arg, int task, int thread)
{
    const job *j = arg;
    int t = task * NDL_LANES, end = t + NDL_LANES;
    (void)thread;
    if (end > j->rows) end = j->rows;
    if (ends_pair(j->f, t)) t++;
    if (end < j->rows && ends_pair(j->f, end)) end++;
    const ndl_model *m = j->f->model;
    for (; t < end; t++) {
        rotate(j, t, 0, m->n_heads + m->n_kv_heads);
        store_row(j, t, 0, m->n_kv_heads);
    }
}

/* One page for n rows, of which the last sees the most keys.  What is int8 is
 * widened once for all of them: exactly, so that one kernel serves all types
 * but f32. */
static void attend_page(const job *j, const tile *w, int page,
                        const ndl_attend_scratch *s, const page_rows *r)
{
    const ndl_forward *f = j->f;
    const int hd = f->model->head_dim, most = r->n_keys[r->n - 1];
    const void *k = ndl_kvcache_k(&f->kv, j->layer, w->slot, page, w->kv_head);
    const void *v = ndl_kvcache_v(&f->kv, j->layer, w->slot, page, w->kv_head);
    const float *ks = ndl_kvcache_k_scales(&f->kv, k);
    const float *vs = ndl_kvcache_v_scales(&f->kv, v);
    if (f->kv.types.k == NDL_F32) {
        f->kernels->attend_f32(r->o, r->m, r->l, r->q, k, v, NULL, NULL,
                               r->n_keys, r->n, hd, j->scale, s->scores);
        return;
    }
    if (ks) f->kernels->k_widen(s->k, k, most, hd);
    if (vs) f->kernels->v_widen(s->v, v, most, hd);
    f->kernels->attend_bf16(r->o, r->m, r->l, r->q, ks ? s->k : k,
                            vs ? s->v : v, ks, vs, r->n_keys, r->n, hd,
                            j->scale, s->scores);
}

static void attend(const job *j, const tile *w, int page, int skip,
                   const ndl_attend_scratch *s, bool first)
{
    const ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    page_rows r = { .o = first ? s->o : s->o2,
                    .m = first ? s->m : s->m2,
                    .l = first ? s->l : s->l2,
                    .n = w->n - skip };

    for (int i = 0; i < r.n; i++) {
        const int row = w->from + skip + i;
        const int t = w->first_row + row / j->group;
        const int head = w->kv_head * j->group + row % j->group;
        const int visible = w->pos + row / j->group + 1 - page * NDL_PAGE_KEYS;
        r.q[i] = f->qkv.at + (size_t)t * f->qkv.ld +
                 (size_t)head * (size_t)m->head_dim;
        r.n_keys[i] = visible < NDL_PAGE_KEYS ? visible : NDL_PAGE_KEYS;
    }
    attend_page(j, w, page, s, &r);
}

static size_t padded(int head_dim)
{
    return (size_t)((head_dim + NDL_LANES - 1) / NDL_LANES * NDL_LANES);
}

/* The two do not overlap: said, so that the compiler uses wide registers. */
static void divide(float *restrict out, const float *restrict o, float l, int n)
{
    const float inv = 1.0f / l;
    for (int d = 0; d < n; d++) out[d] = o[d] * inv;
}

static void attend_tile(const job *j, const tile *w,
                        const ndl_attend_scratch *s)
{
    ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    const size_t hp = padded(m->head_dim);
    const int last_pos = w->pos + (w->from + w->n - 1) / j->group;

    attend(j, w, 0, 0, s, true);
    for (int page = 1; page <= last_pos / NDL_PAGE_KEYS; page++) {
        /* Rows whose position lies before the page do not see it. */
        int skip = 0;
        while (w->pos + (w->from + skip) / j->group < page * NDL_PAGE_KEYS)
            skip++;
        attend(j, w, page, skip, s, false);
        f->kernels->attend_merge(s->o + (size_t)skip * hp, s->m + skip,
                                 s->l + skip, s->o2, s->m2, s->l2, w->n - skip,
                                 m->head_dim);
    }
    for (int i = 0; i < w->n; i++) {
        const int row = w->from + i;
        const int t = w->first_row + row / j->group;
        const int head = w->kv_head * j->group + row % j->group;
        float *out = f->att.at + (size_t)t * f->att.ld +
                     (size_t)head * (size_t)m->head_dim;
        divide(out, s->o + (size_t)i * hp, s->l[i], m->head_dim);
    }
}

static int tiles_of(const job *j, const ndl_span *s)
{
    return (s->n_rows * j->group + NDL_ATTEND_ROWS - 1) / NDL_ATTEND_ROWS;
}

/* Tile i of a span, without its place in the batch and its head. */
static tile tile_of(const job *j, const ndl_span *s, int i)
{
    const int from = i * NDL_ATTEND_ROWS;
    const int left = s->n_rows * j->group - from;
    return (tile){ .slot = s->slot,
                   .pos = s->pos,
                   .from = from,
                   .n = left < NDL_ATTEND_ROWS ? left : NDL_ATTEND_ROWS };
}

static void attend_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const ndl_forward *f = j->f;
    int span = 0, first_row = 0;
    while (f->first_task[span + 1] <= task)
        first_row += j->spans[span++].n_rows;
    const ndl_span *s = &j->spans[span];
    const int tiles = tiles_of(j, s), local = task - f->first_task[span];
    /* The last tiles see the most keys: start with them, so that the threads
     * end together. */
    tile w = tile_of(j, s, tiles - 1 - local % tiles);
    w.first_row = first_row;
    w.kv_head = local / tiles;
    attend_tile(j, &w, &f->scratch[thread]);
}

/* Rotate and store rows of all heads, then attend tile by tile. */
static void run_by_rows(job *j)
{
    ndl_forward *f = j->f;
    ndl_product_run(f, j->qkv, j->n_qkv);
    ndl_pool_run(f->pool, (j->rows + NDL_LANES - 1) / NDL_LANES, store_task, j);

    f->first_task[0] = 0;
    for (int i = 0; i < j->n_spans; i++)
        f->first_task[i + 1] =
            f->first_task[i] + tiles_of(j, &j->spans[i]) * f->model->n_kv_heads;
    ndl_pool_run(f->pool, f->first_task[j->n_spans], attend_task, j);
}

/* The columns of kv heads first .. first + n - 1, in whole panels. */
static void project_heads(const job *j, int first, int n)
{
    const ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    const ndl_product *qk = j->qkv, *v = &j->qkv[j->n_qkv - 1];
    const int size = m->head_dim / NDL_PANEL; /* of a head */
    const int v_first = j->n_qkv > 1 ? 0 : m->n_heads + m->n_kv_heads;
    ndl_product_panels(f, qk, first * j->group * size, n * j->group * size);
    ndl_product_panels(f, qk, (m->n_heads + first) * size, n * size);
    ndl_product_panels(f, v, (v_first + first) * size, n * size);
}

static void attend_head(const job *j, int h, const ndl_attend_scratch *s)
{
    int first_row = 0;
    for (int i = 0; i < j->n_spans; first_row += j->spans[i++].n_rows)
        for (int k = 0; k < tiles_of(j, &j->spans[i]); k++) {
            tile w = tile_of(j, &j->spans[i], k);
            w.first_row = first_row;
            w.kv_head = h;
            attend_tile(j, &w, s);
        }
}

static void heads_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const int n = j->heads_per_task, first = task * n;
    project_heads(j, first, n);
    for (int t = 0; t < j->rows; t++) {
        rotate(j, t, first * j->group, n * j->group);
        rotate(j, t, j->f->model->n_heads + first, n);
        store_row(j, t, first, n);
    }
    for (int h = first; h < first + n; h++)
        attend_head(j, h, &j->f->scratch[thread]);
}

/* About how long a head takes: its columns, and its keys. */
static double head_sec(const job *j)
{
    const ndl_forward *f = j->f;
    const int n = f->model->head_dim / NDL_PANEL;
    const double key_bytes =
        (double)(f->kv.k_bytes + f->kv.v_bytes) / NDL_PAGE_KEYS;
    return ndl_product_panel_sec(j->qkv) * n * (j->group + 1) +
           ndl_product_panel_sec(&j->qkv[j->n_qkv - 1]) * n +
           (double)f->n_keys * key_bytes / 20e9;
}

/* Heads of a task: as many as a thread has, fewer if it would last; 0: not by
 * heads. */
static int heads_per_task(const job *j)
{
    const ndl_model *m = j->f->model;
    const int threads = ndl_pool_size(j->f->pool);
    if (j->rows > HEAD_ROWS || m->head_dim % NDL_PANEL != 0 ||
        m->n_kv_heads % threads != 0)
        return 0;
    const int each = m->n_kv_heads / threads;
    const double sec = head_sec(j);
    int n = each;
    while (n > 0 && (each % n != 0 || n * sec > HEAD_SEC)) n--;
    return n;
}

void ndl_attention_run(ndl_forward *f, const ndl_attention *a)
{
    const ndl_model *m = f->model;
    job j = { .f = f,
              .spans = a->spans,
              .qkv = a->qkv,
              .n_qkv = a->n_qkv,
              .layer = a->layer - f->part.first_layer,
              .n_spans = a->n_spans,
              .rows = a->rows,
              .group = m->n_heads / m->n_kv_heads,
              .scale = 1.0f / __builtin_sqrtf((float)m->head_dim) };
    j.v_at = a->n_qkv > 1
                 ? (size_t)(a->qkv[1].y.at - f->qkv.at)
                 : (size_t)(m->n_heads + m->n_kv_heads) * (size_t)m->head_dim;
    j.heads_per_task = heads_per_task(&j);
    if (j.heads_per_task > 0)
        ndl_pool_run(f->pool, m->n_kv_heads / j.heads_per_task, heads_task, &j);
    else
        run_by_rows(&j);
}
