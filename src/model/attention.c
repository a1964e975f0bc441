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
#include "forward_parts.h"

typedef struct job {
    ndl_forward *f;
    const ndl_span *spans;
    int layer; /* hosted */
    int n_spans, rows;
    int group; /* heads that share a kv head */
    float scale;
} job;

/* Rows of one task. */
typedef struct tile {
    int first_row; /* of the span in the batch */
    int slot, pos; /* of the span              */
    int kv_head;
    int from, n; /* rows of the (span, kv head) */
} tile;

static void store_row(const job *j, int t)
{
    ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    float *row = f->qkv.at + (size_t)t * f->qkv.ld;
    const size_t hd = (size_t)m->head_dim;
    const int page = f->row_pos[t] / NDL_PAGE_KEYS;
    const int key = f->row_pos[t] % NDL_PAGE_KEYS;

    if (m->rope.kind != NDL_ROPE_NONE)
        f->kernels->rope(row, f->qkv.ld, f->rope + (size_t)t * hd, 1,
                         m->n_heads + m->n_kv_heads, m->head_dim,
                         ndl_model_rope_pair(m));
    for (int h = 0; h < m->n_kv_heads; h++) {
        const float *k = row + hd * (size_t)(m->n_heads + h);
        const float *v = row + hd * (size_t)(m->n_heads + m->n_kv_heads + h);
        void *kp = ndl_kvcache_k(&f->kv, j->layer, f->row_slot[t], page, h);
        void *vp = ndl_kvcache_v(&f->kv, j->layer, f->row_slot[t], page, h);
        if (f->kv.dtype == NDL_F32)
            f->kernels->kv_store_f32(kp, vp, key, k, v, m->head_dim);
        else
            f->kernels->kv_store_bf16(kp, vp, key, k, v, m->head_dim);
    }
}

/* Is row t the odd key of a pair that row t - 1 begins?  In a bf16 page the two
 * share words, which a kernel may write whole. */
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
    for (; t < end; t++) store_row(j, t);
}

static void attend(const job *j, const tile *w, int page, int skip,
                   const ndl_attend_scratch *s, bool first)
{
    ndl_forward *f = j->f;
    const ndl_model *m = f->model;
    const float *q[NDL_ATTEND_ROWS];
    int n_keys[NDL_ATTEND_ROWS];
    const int n = w->n - skip;

    for (int i = 0; i < n; i++) {
        const int row = w->from + skip + i;
        const int t = w->first_row + row / j->group;
        const int head = w->kv_head * j->group + row % j->group;
        const int visible = w->pos + row / j->group + 1 - page * NDL_PAGE_KEYS;
        q[i] = f->qkv.at + (size_t)t * f->qkv.ld +
               (size_t)head * (size_t)m->head_dim;
        n_keys[i] = visible < NDL_PAGE_KEYS ? visible : NDL_PAGE_KEYS;
    }
    const void *kp = ndl_kvcache_k(&f->kv, j->layer, w->slot, page, w->kv_head);
    const void *vp = ndl_kvcache_v(&f->kv, j->layer, w->slot, page, w->kv_head);
    float *o = first ? s->o : s->o2, *mx = first ? s->m : s->m2;
    float *l = first ? s->l : s->l2;
    if (f->kv.dtype == NDL_F32)
        f->kernels->attend_f32(o, mx, l, q, kp, vp, n_keys, n, m->head_dim,
                               j->scale, s->scores);
    else
        f->kernels->attend_bf16(o, mx, l, q, kp, vp, n_keys, n, m->head_dim,
                                j->scale, s->scores);
}

static size_t padded(int head_dim)
{
    return (size_t)((head_dim + NDL_LANES - 1) / NDL_LANES * NDL_LANES);
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
        const float inv = 1.0f / s->l[i];
        for (int d = 0; d < m->head_dim; d++)
            out[d] = s->o[(size_t)i * hp + (size_t)d] * inv;
    }
}

static int tiles_of(const job *j, const ndl_span *s)
{
    return (s->n_rows * j->group + NDL_ATTEND_ROWS - 1) / NDL_ATTEND_ROWS;
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
    const int all = s->n_rows * j->group;
    /* The last tiles see the most keys: start with them, so that the threads
     * end together. */
    const int from = (tiles - 1 - local % tiles) * NDL_ATTEND_ROWS;
    const tile w = {
        first_row, s->slot,
        s->pos,    local / tiles,
        from,      all - from < NDL_ATTEND_ROWS ? all - from : NDL_ATTEND_ROWS
    };
    attend_tile(j, &w, &f->scratch[thread]);
}

void ndl_attention_run(ndl_forward *f, int layer, const ndl_span *spans,
                       int n_spans, int rows)
{
    const ndl_model *m = f->model;
    job j = { f,       spans, layer - f->part.first_layer,
              n_spans, rows,  m->n_heads / m->n_kv_heads,
              0.0f };
    j.scale = 1.0f / __builtin_sqrtf((float)m->head_dim);
    ndl_pool_run(f->pool, (rows + NDL_LANES - 1) / NDL_LANES, store_task, &j);

    f->first_task[0] = 0;
    for (int i = 0; i < n_spans; i++)
        f->first_task[i + 1] =
            f->first_task[i] + tiles_of(&j, &spans[i]) * m->n_kv_heads;
    ndl_pool_run(f->pool, f->first_task[n_spans], attend_task, &j);
}
