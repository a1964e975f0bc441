/*
 * unpack.c - see unpack.h.
 *
 * Where a source row lies is looked up in a table that is filled by asking
 * layout.h where each row of the dataset came from, so the two directions
 * cannot disagree.
 */
#include "unpack.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/file.h"
#include "panels.h"
#include "widen.h"

/* Of f32 in memory at a time, as in pack.c. */
static const size_t batch_bytes = (size_t)4 << 20;

/* A tensor on its way. */
typedef struct work {
    const ndl_unpack *u;
    ndl_unpack_fn fn;
    void *arg;
    int n;           /* rows of the tensor */
    int *place;      /* (n) row of the dataset that holds each */
    uint8_t *in;     /* bytes as the file holds them */
    float *panel;    /* (16, cols) the panel read last */
    int panel_index; /* its number, -1: none */
    float *out;
} work;

static ndl_status fail_memory(const ndl_unpack *u)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory for %s", u->path,
                    u->item->name);
}

int ndl_unpack_rows(const ndl_item *it, int first_role, int n_roles)
{
    int n = 0;
    for (int i = 0; i < n_roles; i++) n += it->role_rows[first_role + i];
    return n;
}

static void find_places(work *w)
{
    const ndl_item *it = w->u->item;
    const int first = w->u->first_role, end = first + w->u->n_roles;
    for (int row = 0; row < it->rows; row++) {
        int role = 0, from = 0;
        if (!ndl_layout_source(it, row, &role, &from)) continue;
        if (role < first || role >= end) continue;
        w->place[ndl_unpack_rows(it, first, role - first) + from] = row;
    }
}

/* Read exactly n bytes of the dataset. */
static ndl_status read_at(const ndl_unpack *u, uint64_t at, size_t n, void *dst)
{
    return ndl_file_read_at(u->fd, u->path, dst, n, u->offset + at);
}

static ndl_status allocate(work *w, size_t in, size_t panel, size_t out)
{
    w->in = malloc(in);
    w->panel = panel ? malloc(panel) : NULL;
    w->out = malloc(out);
    if (!w->in || (panel && !w->panel) || !w->out) return fail_memory(w->u);
    return NDL_OK;
}

static int batch_of(size_t unit_bytes, int most)
{
    const size_t n = batch_bytes / unit_bytes;
    if (n < 1) return 1;
    return n < (size_t)most ? (int)n : most;
}

static void widen(float *dst, const void *src, ndl_dtype t, size_t n)
{
    ndl_widen(dst, src, t == NDL_BF16 ? NDL_FLOAT_BF16 : NDL_FLOAT_F32, n);
}

static ndl_status give_vector(work *w)
{
    const ndl_item *it = w->u->item;
    const float *all = NULL;
    NDL_TRY(allocate(w, (size_t)it->bytes, 0, (size_t)w->n * sizeof *w->out));
    NDL_TRY(read_at(w->u, 0, (size_t)it->bytes, w->in));
    all = (const float *)(const void *)w->in;
    for (int i = 0; i < w->n; i++) w->out[i] = all[w->place[i]];
    return w->fn(w->arg, w->out, (size_t)w->n);
}

/* Rows that lie as the source has them. */
static ndl_status give_rows(work *w)
{
    const ndl_item *it = w->u->item;
    const size_t cols = (size_t)it->cols;
    const size_t row_bytes = cols * ndl_dtype_bytes(it->dtype);
    const int batch = batch_of(cols * sizeof(float), w->n);
    NDL_TRY(allocate(w, (size_t)batch * row_bytes, 0,
                     (size_t)batch * cols * sizeof(float)));
    for (int first = 0; first < w->n; first += batch) {
        const int n = w->n - first < batch ? w->n - first : batch;
        NDL_TRY(read_at(w->u, (uint64_t)first * row_bytes,
                        (size_t)n * row_bytes, w->in));
        widen(w->out, w->in, it->dtype, (size_t)n * cols);
        NDL_TRY(w->fn(w->arg, w->out, (size_t)n * cols));
    }
    return NDL_OK;
}

static size_t panel_bytes(const ndl_item *it)
{
    return (size_t)(it->bytes / it->dims[0]);
}

static ndl_status load_panel(work *w, int index)
{
    const ndl_item *it = w->u->item;
    const size_t n = panel_bytes(it);
    if (index == w->panel_index) return NDL_OK;
    NDL_TRY(read_at(w->u, (uint64_t)index * n, n, w->in));
    ndl_panel_unpack(w->panel, w->in, it->cols, it->dtype);
    w->panel_index = index;
    return NDL_OK;
}

static ndl_status give_panels(work *w)
{
    const ndl_item *it = w->u->item;
    const size_t cols = (size_t)it->cols, row_bytes = cols * sizeof(float);
    const int batch = batch_of(row_bytes, w->n);
    NDL_TRY(allocate(w, panel_bytes(it), NDL_PANEL * row_bytes,
                     (size_t)batch * row_bytes));
    for (int first = 0; first < w->n; first += batch) {
        const int n = w->n - first < batch ? w->n - first : batch;
        for (int i = 0; i < n; i++) {
            const int row = w->place[first + i];
            NDL_TRY(load_panel(w, row / NDL_PANEL));
            memcpy(w->out + (size_t)i * cols,
                   w->panel + (size_t)(row % NDL_PANEL) * cols, row_bytes);
        }
        NDL_TRY(w->fn(w->arg, w->out, (size_t)n * cols));
    }
    return NDL_OK;
}

/* Columns `k` .. `k + n - 1` of one panel, for all rows in it, into rows of
 * the output, which are (n, w->n).  `k` is even, as pairs are read whole. */
static ndl_status read_strip(work *w, int panel, int k, int n)
{
    const ndl_item *it = w->u->item;
    const size_t column = NDL_PANEL * ndl_dtype_bytes(it->dtype);
    const int even = it->dtype == NDL_BF16 ? (n + 1) / 2 * 2 : n;
    NDL_TRY(read_at(w->u,
                    (uint64_t)panel * panel_bytes(it) + (size_t)k * column,
                    (size_t)even * column, w->in));
    ndl_panel_unpack(w->panel, w->in, n, it->dtype);
    return NDL_OK;
}

/* Rows of the transposed tensor are columns of all panels: a strip of each
 * panel at a time, as wide as memory allows. */
static ndl_status give_transposed(work *w)
{
    const ndl_item *it = w->u->item;
    const size_t rows = (size_t)w->n;
    int batch = batch_of(rows * sizeof(float), it->cols);
    batch += batch % 2;
    NDL_TRY(allocate(w, (size_t)batch * NDL_PANEL * sizeof(float),
                     (size_t)batch * NDL_PANEL * sizeof(float),
                     (size_t)batch * rows * sizeof(float)));
    for (int k = 0; k < it->cols; k += batch) {
        const int n = it->cols - k < batch ? it->cols - k : batch;
        w->panel_index = -1;
        for (int r = 0; r < w->n; r++) {
            const int row = w->place[r];
            if (row / NDL_PANEL != w->panel_index)
                NDL_TRY(read_strip(w, row / NDL_PANEL, k, n));
            w->panel_index = row / NDL_PANEL;
            const float *from =
                w->panel + (size_t)(row % NDL_PANEL) * (size_t)n;
            for (int i = 0; i < n; i++)
                w->out[(size_t)i * rows + (size_t)r] = from[i];
        }
        NDL_TRY(w->fn(w->arg, w->out, (size_t)n * rows));
    }
    return NDL_OK;
}

static ndl_status give(work *w)
{
    if (w->u->item->layout == NDL_LAYOUT_VECTOR) return give_vector(w);
    if (w->u->item->layout == NDL_LAYOUT_ROWS) return give_rows(w);
    return w->u->transposed ? give_transposed(w) : give_panels(w);
}

ndl_status ndl_unpack_tensor(const ndl_unpack *u, ndl_unpack_fn fn, void *arg)
{
    work w = { .u = u, .fn = fn, .arg = arg, .panel_index = -1 };
    NDL_ASSERT(!u->transposed || u->item->layout == NDL_LAYOUT_PANELS);
    w.n = ndl_unpack_rows(u->item, u->first_role, u->n_roles);
    w.place = malloc((size_t)w.n * sizeof *w.place);
    if (!w.place) return fail_memory(u);
    find_places(&w);
    const ndl_status st = give(&w);
    free(w.out);
    free(w.panel);
    free(w.in);
    free(w.place);
    return st;
}
