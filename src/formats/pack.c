/*
 * pack.c - pack.h: walks the table of datasets and writes each from the
 * source's rows, in batches of a few MiB.
 */
#include "noodle/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "kernels.h"
#include "noodle/hash.h"
#include "noodle/json.h"
#include "noodle/pool.h"
#include "noodle/progress.h"
#include "panels.h"
#include "processors.h"
#include "quant_panels.h"

/* Of f32 rows in memory at a time: enough for writes of more than 1 MiB, and
 * for a transposed source to read wide strips. */
static const size_t batch_bytes = (size_t)4 << 20;

/* A pack in progress. */
typedef struct packer {
    ndl_store *store;
    const ndl_source *source;
    const ndl_item *item; /* the dataset being written */
    ndl_hash *hash;       /* of its bytes so far */
    ndl_hash *scale_hash; /* of its scales' */
    ndl_pool *pool;       /* NULL: nothing to quantise, or alone */
    float *rows;          /* staging: rows as the source gives them */
    void *out;            /* staging: bytes as the file holds them */
    void *scales;         /* staging: scales of a quantised matrix */
    size_t rows_cap, out_cap, scales_cap;
    ndl_progress progress;
} packer;

static ndl_status reserve(void **buf, size_t *cap, size_t need)
{
    if (need <= *cap) return NDL_OK;
    free(*buf);
    *cap = 0;
    *buf = malloc(need);
    if (!*buf)
        return NDL_FAIL(NDL_EOS, "out of memory: %zu bytes to pack a matrix",
                        need);
    *cap = need;
    return NDL_OK;
}

static ndl_status reserve_both(packer *p, size_t rows_bytes, size_t out_bytes)
{
    void *rows = p->rows;
    const ndl_status st = reserve(&rows, &p->rows_cap, rows_bytes);
    p->rows = rows;
    return st == NDL_OK ? reserve(&p->out, &p->out_cap, out_bytes) : st;
}

/* Ask the source for rows first .. first + n - 1 of the dataset; those that
 * follow each other in the source are one call, those that have no source are
 * zero. */
static ndl_status fetch(packer *p, int first, int n)
{
    const ndl_item *it = p->item;
    const size_t cols = (size_t)it->cols;
    int run = 0;
    for (int i = 0; i < n; i += run) {
        float *dst = p->rows + (size_t)i * cols;
        int role = 0, from = 0, next_role = 0, next = 0;
        run = 1;
        if (!ndl_layout_source(it, first + i, &role, &from)) {
            memset(dst, 0, cols * sizeof *dst);
            continue;
        }
        while (i + run < n &&
               ndl_layout_source(it, first + i + run, &next_role, &next) &&
               next_role == role && next == from + run)
            run++;
        NDL_TRY(p->source->rows(p->source->arg, it->roles[role], it->layer,
                                from, run, dst));
    }
    return NDL_OK;
}

/* Append `n` slices of the dataset, `bytes` in all. */
static ndl_status put(packer *p, const void *src, uint64_t first, uint64_t n,
                      size_t bytes)
{
    NDL_TRY(ndl_store_write(p->store, p->item->name, first, n, src));
    ndl_hash_add(p->hash, src, bytes);
    return ndl_progress_add(&p->progress, bytes);
}

static int batch_of(size_t unit_bytes, int most)
{
    const size_t n = batch_bytes / unit_bytes;
    if (n < 1) return 1;
    return n < (size_t)most ? (int)n : most;
}

static ndl_status pack_panels(packer *p)
{
    const ndl_item *it = p->item;
    const int panels = (int)it->dims[0];
    const size_t cols = (size_t)it->cols;
    const size_t rows_bytes = NDL_PANEL * cols * sizeof(float);
    const size_t panel_bytes = (size_t)(it->bytes / it->dims[0]);
    const int batch = batch_of(rows_bytes, panels);
    NDL_TRY(reserve_both(p, (size_t)batch * rows_bytes,
                         (size_t)batch * panel_bytes));
    for (int first = 0; first < panels; first += batch) {
        const int n = panels - first < batch ? panels - first : batch;
        NDL_TRY(fetch(p, first * NDL_PANEL, n * NDL_PANEL));
        for (int i = 0; i < n; i++)
            ndl_panel_pack((uint8_t *)p->out + (size_t)i * panel_bytes,
                           p->rows + (size_t)i * NDL_PANEL * cols, it->cols,
                           it->dtype);
        NDL_TRY(put(p, p->out, (uint64_t)first, (uint64_t)n,
                    (size_t)n * panel_bytes));
    }
    return NDL_OK;
}

/* A batch whose panels are quantised, one a task. */
typedef struct quant_batch {
    const packer *p;
    ndl_quant_shape shape;
    int n;
} quant_batch;

static void quantise_panel(void *arg, int task, int thread)
{
    const quant_batch *b = arg;
    const size_t i = (size_t)task, cols = (size_t)b->shape.cols;
    (void)thread;
    ndl_quant_panel_pack(
        (uint8_t *)b->p->out + i * ndl_quant_panel_bytes(&b->shape),
        (uint16_t *)b->p->scales + i * ndl_quant_panel_scales(&b->shape),
        b->p->rows + i * NDL_PANEL * cols, &b->shape);
}

static void quantise_batch(quant_batch *b)
{
    if (b->p->pool) {
        ndl_pool_run(b->p->pool, b->n, quantise_panel, b);
        return;
    }
    for (int i = 0; i < b->n; i++) quantise_panel(b, i, 0);
}

static ndl_status put_scales(packer *p, const ndl_item *it, int first, int n)
{
    const size_t bytes = (size_t)(it->bytes / it->dims[0]) * (size_t)n;
    NDL_TRY(ndl_store_write(p->store, it->name, (uint64_t)first, (uint64_t)n,
                            p->scales));
    ndl_hash_add(p->scale_hash, p->scales, bytes);
    return ndl_progress_add(&p->progress, bytes);
}

/* A panel a thread at least, so that none is idle. */
static int quant_batch_of(const packer *p, size_t rows_bytes, int panels)
{
    const int threads = p->pool ? ndl_pool_size(p->pool) : 1;
    const int batch = batch_of(rows_bytes, panels);
    const int most = threads < panels ? threads : panels;
    return batch < most ? most : batch;
}

/* The item's panels, and its scales, which are the next item. */
static ndl_status pack_quants(packer *p)
{
    const ndl_item *it = p->item, *scales = it + 1;
    const int panels = (int)it->dims[0];
    const size_t rows_bytes = NDL_PANEL * (size_t)it->cols * sizeof(float);
    const size_t panel_bytes = (size_t)(it->bytes / it->dims[0]);
    const size_t scale_bytes = (size_t)(scales->bytes / scales->dims[0]);
    const int batch = quant_batch_of(p, rows_bytes, panels);
    quant_batch b = { .p = p, .shape = { it->dtype, it->cols, it->block } };
    NDL_ASSERT(scales->layout == NDL_LAYOUT_SCALES &&
               panel_bytes == ndl_quant_panel_bytes(&b.shape) &&
               scale_bytes == 2 * ndl_quant_panel_scales(&b.shape));
    NDL_TRY(reserve_both(p, (size_t)batch * rows_bytes,
                         (size_t)batch * panel_bytes));
    NDL_TRY(reserve(&p->scales, &p->scales_cap, (size_t)batch * scale_bytes));
    NDL_TRY(ndl_store_make(p->store, scales->name, ndl_layout_type(scales),
                           scales->n_dims, scales->dims));
    ndl_hash_reset(p->scale_hash);
    for (int first = 0; first < panels; first += batch) {
        b.n = panels - first < batch ? panels - first : batch;
        NDL_TRY(fetch(p, first * NDL_PANEL, b.n * NDL_PANEL));
        quantise_batch(&b);
        NDL_TRY(put(p, p->out, (uint64_t)first, (uint64_t)b.n,
                    (size_t)b.n * panel_bytes));
        NDL_TRY(put_scales(p, scales, first, b.n));
    }
    return NDL_OK;
}

static ndl_status pack_rows(packer *p)
{
    const ndl_item *it = p->item;
    const size_t cols = (size_t)it->cols;
    const size_t out_bytes = cols * ndl_dtype_bytes(it->dtype);
    const int batch = batch_of(cols * sizeof(float), it->rows);
    NDL_TRY(reserve_both(p, (size_t)batch * cols * sizeof(float),
                         (size_t)batch * out_bytes));
    for (int first = 0; first < it->rows; first += batch) {
        const int n = it->rows - first < batch ? it->rows - first : batch;
        const void *src = p->rows;
        NDL_TRY(fetch(p, first, n));
        if (it->dtype == NDL_BF16) {
            ndl_bf16_round(p->out, p->rows, (size_t)n * cols);
            src = p->out;
        }
        NDL_TRY(
            put(p, src, (uint64_t)first, (uint64_t)n, (size_t)n * out_bytes));
    }
    return NDL_OK;
}

/* A vector is one row of its source, so each is fetched whole. */
static ndl_status pack_vector(packer *p)
{
    const ndl_item *it = p->item;
    float *starts[NDL_ITEM_ROLES];
    size_t all = 0;
    for (int i = 0; i < it->n_roles; i++) all += (size_t)it->role_rows[i];
    NDL_TRY(reserve_both(p, all * sizeof(float), (size_t)it->bytes));
    float *at = p->rows, *out = p->out;
    for (int i = 0; i < it->n_roles; i++) {
        starts[i] = at;
        NDL_TRY(
            p->source->rows(p->source->arg, it->roles[i], it->layer, 0, 1, at));
        at += it->role_rows[i];
    }
    for (int i = 0; i < it->rows; i++) {
        int role = 0, from = 0;
        const bool has = ndl_layout_source(it, i, &role, &from);
        out[i] = has ? starts[role][from] : 0.0f;
    }
    return put(p, out, 0, (uint64_t)it->rows, (size_t)it->bytes);
}

/* The names of the item's sources as a JSON list; a fused one that gives
 * several roles (GPT-2's c_attn) is named once. */
static ndl_status put_sources(packer *p)
{
    const ndl_item *it = p->item;
    json_t *list = json_array();
    ndl_status st = NDL_OK;
    for (int i = 0; i < it->n_roles; i++) {
        ndl_origin o = { 0 };
        p->source->origin(p->source->arg, it->roles[i], it->layer, &o);
        const size_t n = json_array_size(list);
        const char *last =
            n ? json_string_value(json_array_get(list, n - 1)) : NULL;
        if (!last || strcmp(last, o.name) != 0)
            json_array_append_new(list, json_string(o.name));
    }
    char *text = json_dumps(list, 0);
    json_decref(list);
    if (!text) return NDL_FAIL(NDL_EOS, "out of memory for the sources' names");
    st = ndl_store_put_text(p->store, it->name, "sources", text);
    free(text);
    return st;
}

/* The dtype of the item's sources; where they differ, one for each of them. */
static ndl_status put_source_dtype(packer *p)
{
    const ndl_item *it = p->item;
    char list[8 * NDL_ITEM_ROLES] = "", first[8] = "", last[256] = "";
    size_t at = 0;
    bool differ = false;
    for (int i = 0; i < it->n_roles; i++) {
        ndl_origin o = { 0 };
        p->source->origin(p->source->arg, it->roles[i], it->layer, &o);
        if (i == 0) snprintf(first, sizeof first, "%s", o.dtype);
        if (i > 0 && strcmp(last, o.name) == 0) continue;
        differ |= strcmp(first, o.dtype) != 0;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%.6s",
                               i ? "," : "", o.dtype);
        snprintf(last, sizeof last, "%s", o.name);
    }
    return ndl_store_put_text(p->store, it->name, "source_dtype",
                              differ ? list : first);
}

static ndl_status put_int(packer *p, const char *attr, int value)
{
    return ndl_store_put_ints(p->store, p->item->name, attr,
                              &(int64_t){ value }, 1);
}

static ndl_status put_attributes(packer *p)
{
    const ndl_item *it = p->item;
    const bool scales = it->layout == NDL_LAYOUT_SCALES;
    ndl_origin o = { 0 };
    NDL_TRY(ndl_store_put_text(p->store, it->name, "layout",
                               ndl_layout_name(it->layout)));
    NDL_TRY(put_int(p, "rows", it->rows));
    NDL_TRY(put_int(p, "cols", it->cols));
    if (it->block) NDL_TRY(put_int(p, "block", it->block));
    NDL_TRY(ndl_store_put_text(p->store, it->name, "dtype",
                               ndl_dtype_name(it->dtype)));
    NDL_TRY(ndl_store_put_text(p->store, it->name, "order",
                               ndl_layout_order_name(it->order)));
    NDL_TRY(put_sources(p));
    p->source->origin(p->source->arg, it->roles[0], it->layer, &o);
    NDL_TRY(put_source_dtype(p));
    NDL_TRY(put_int(p, "transposed", o.transposed));
    return ndl_store_put_u64(p->store, it->name, "xxh3_64",
                             ndl_hash_value(scales ? p->scale_hash : p->hash));
}

static ndl_status pack_bytes(packer *p)
{
    switch (p->item->layout) {
    case NDL_LAYOUT_PANELS:
        return p->item->block ? pack_quants(p) : pack_panels(p);
    case NDL_LAYOUT_ROWS: return pack_rows(p);
    case NDL_LAYOUT_VECTOR: return pack_vector(p);
    case NDL_LAYOUT_SCALES: break; /* were written with their panels */
    }
    return NDL_OK;
}

static ndl_status pack_item(packer *p, const ndl_item *it)
{
    p->item = it;
    if (it->layout != NDL_LAYOUT_SCALES) {
        ndl_hash_reset(p->hash);
        NDL_TRY(ndl_store_make(p->store, it->name, ndl_layout_type(it),
                               it->n_dims, it->dims));
    }
    NDL_TRY(pack_bytes(p));
    return put_attributes(p);
}

static ndl_status put_root(ndl_store *s, const ndl_model *m, ndl_mix mix,
                           const ndl_pack_meta *meta)
{
    char dtype[NDL_MIX_TEXT];
    NDL_ASSERT(meta->config);
    ndl_mix_write(mix, dtype);
    NDL_TRY(ndl_store_put_stamp(s, "weights", NDL_WEIGHTS_VERSION_MAJOR,
                                ndl_weights_minor(mix)));
    if (meta->source)
        NDL_TRY(ndl_store_put_text(s, "/", "source", meta->source));
    NDL_TRY(ndl_store_put_text(s, "/", "arch", m->arch));
    NDL_TRY(ndl_store_put_text(s, "/", "dtype", dtype));
    NDL_TRY(ndl_store_put_text(s, "/", "config", meta->config));
    if (meta->generation)
        NDL_TRY(
            ndl_store_put_text(s, "/", "generation_config", meta->generation));
    return NDL_OK;
}

/* What a quantised mix needs besides: threads, as the search takes much longer
 * than the file. */
static ndl_status begin(packer *p, ndl_mix mix)
{
    p->hash = ndl_hash_create();
    p->scale_hash = ndl_hash_create();
    if (!p->hash || !p->scale_hash)
        return NDL_FAIL(NDL_EOS, "out of memory for a checksum");
    if (!ndl_mix_is_quantised(mix)) return NDL_OK;
    return ndl_pool_create(&p->pool,
                           &(ndl_pool_config){ .n_threads = ndl_processors(),
                                               .thread_init = ndl_fp_setup });
}

ndl_status ndl_pack(ndl_store *s, const ndl_model *model, ndl_mix mix,
                    const ndl_source *source, const ndl_pack_meta *meta)
{
    packer p = { .store = s, .source = source };
    ndl_balance balance = { 0 };
    ndl_source balanced;
    ndl_item *items = NULL;
    int n = 0;
    ndl_status st = NDL_OK;
    const ndl_part whole = ndl_layout_whole(model);
    NDL_TRY_GOTO(done, st, ndl_layout_list(&items, &n, model, mix, &whole));
    NDL_TRY_GOTO(done, st, put_root(s, model, mix, meta));
    NDL_TRY_GOTO(done, st, begin(&p, mix));
    NDL_TRY_GOTO(done, st, ndl_balance_init(&balance, source, model, mix));
    ndl_balance_source(&balance, &balanced);
    p.source = &balanced;
    p.progress.fn = meta->progress;
    p.progress.arg = meta->progress_arg;
    for (int i = 0; i < n; i++) p.progress.all += items[i].bytes;
    for (int i = 0; i < n; i++)
        NDL_TRY_GOTO(done, st, pack_item(&p, &items[i]));
done:
    ndl_balance_fini(&balance);
    ndl_pool_destroy(&p.pool);
    free(p.scales);
    free(p.out);
    free(p.rows);
    ndl_hash_destroy(&p.scale_hash);
    ndl_hash_destroy(&p.hash);
    free(items);
    return st;
}
