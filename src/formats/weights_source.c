/*
 * weights_source.c - see weights_source.h.
 *
 * Where a role's row lies is looked up in a table that is filled by asking
 * layout.h where each row of the dataset came from.  The panel that was read
 * last is kept: rows that are asked for together lie together.
 */
#include "weights_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/json.h"
#include "noodle/layout.h"
#include "noodle/weights.h"
#include "panels.h"
#include "quant_panels.h"
#include "widen.h"

/* What the attributes of a dataset tell of its sources. */
typedef struct told {
    json_t *names; /* one for each role, or one for all */
    char *dtypes;  /* as above, separated by commas */
    bool transposed;
} told;

struct ndl_weights_source {
    char *path;
    int fd;
    ndl_store *store;
    ndl_model model;
    ndl_mix mix;
    ndl_item *items;
    uint64_t *offsets; /* (n_items) */
    told *told;        /* (n_items) of scales nothing */
    int n_items;
    const ndl_item *item; /* the dataset that rows were last asked of */
    int *place;           /* (its rows) row of it that holds each source row,
                             its roles end to end */
    float *panel;         /* (16, cols) read last */
    int panel_index;      /* its number; -1: none */
    uint8_t *bytes;       /* as the file has them */
    uint16_t *scales;     /* of a panel */
    char dtype[8];        /* of the origin asked for last */
};

static ndl_status fail_memory(const ndl_weights_source *w)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory to read its weights", w->path);
}

static ndl_status mismatch(const ndl_weights_source *w, const ndl_item *it,
                           const char *what)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: %s does not match the model: import the model "
                    "again",
                    w->path, it->name, what);
}

static ndl_status read_at(const ndl_weights_source *w, uint64_t at, size_t n,
                          void *dst)
{
    return ndl_file_read_at(w->fd, w->path, dst, n, at);
}

/* --- the dataset that rows are asked of --- */

static size_t panel_bytes(const ndl_item *it)
{
    return (size_t)(it->bytes / it->dims[0]);
}

static void find_places(ndl_weights_source *w)
{
    const ndl_item *it = w->item;
    for (int row = 0; row < it->rows; row++) {
        int role = 0, from = 0;
        if (!ndl_layout_source(it, row, &role, &from)) continue;
        for (int i = 0; i < role; i++) from += it->role_rows[i];
        w->place[from] = row;
    }
}

static void leave(ndl_weights_source *w)
{
    free(w->scales);
    free(w->bytes);
    free(w->panel);
    free(w->place);
    w->scales = NULL;
    w->bytes = NULL;
    w->panel = NULL;
    w->place = NULL;
    w->item = NULL;
    w->panel_index = -1;
}

static ndl_status enter(ndl_weights_source *w, const ndl_item *it)
{
    const size_t cols = (size_t)it->cols;
    const bool panels = it->layout == NDL_LAYOUT_PANELS;
    leave(w);
    w->place = calloc((size_t)it->rows, sizeof *w->place);
    w->panel = panels ? malloc(NDL_PANEL * cols * sizeof *w->panel) : NULL;
    w->bytes = panels ? malloc(panel_bytes(it)) : NULL;
    w->scales = it->block ? malloc(panel_bytes(it + 1)) : NULL;
    if (!w->place || (panels && (!w->panel || !w->bytes)) ||
        (it->block && !w->scales))
        return fail_memory(w);
    w->item = it;
    find_places(w);
    return NDL_OK;
}

static int role_index(const ndl_item *it, ndl_role role, int layer)
{
    if (it->layer != layer || it->layout == NDL_LAYOUT_SCALES) return -1;
    for (int i = 0; i < it->n_roles; i++)
        if (it->roles[i] == role) return i;
    return -1;
}

/* The dataset that has the role; NULL if none has. */
static const ndl_item *find(const ndl_weights_source *w, ndl_role role,
                            int layer, int *index)
{
    for (int i = 0; i < w->n_items; i++) {
        *index = role_index(&w->items[i], role, layer);
        if (*index >= 0) return &w->items[i];
    }
    return NULL;
}

/* --- rows --- */

static uint64_t offset_of(const ndl_weights_source *w, const ndl_item *it)
{
    return w->offsets[it - w->items];
}

/* Whatever follows from a scale that is no number would not be one. */
static ndl_status check_scales(const ndl_weights_source *w)
{
    const size_t n = panel_bytes(w->item + 1) / sizeof *w->scales;
    for (size_t i = 0; i < n; i++)
        if ((w->scales[i] & 0x7c00) == 0x7c00)
            return NDL_FAIL(NDL_EDATA,
                            "%s: %s: a scale is not finite: the file is "
                            "damaged: make it again",
                            w->path, w->item[1].name);
    return NDL_OK;
}

static ndl_status load_panel(ndl_weights_source *w, int index)
{
    const ndl_item *it = w->item;
    const size_t n = panel_bytes(it);
    if (index == w->panel_index) return NDL_OK;
    w->panel_index = -1;
    NDL_TRY(read_at(w, offset_of(w, it) + (uint64_t)index * n, n, w->bytes));
    if (it->block) {
        const ndl_quant_shape shape = { it->dtype, it->cols, it->block };
        const size_t bytes = panel_bytes(it + 1);
        NDL_TRY(read_at(w, offset_of(w, it + 1) + (uint64_t)index * bytes,
                        bytes, w->scales));
        NDL_TRY(check_scales(w));
        ndl_quant_panel_unpack(w->panel, w->bytes, w->scales, &shape);
    } else {
        ndl_panel_unpack(w->panel, w->bytes, it->cols, it->dtype);
    }
    w->panel_index = index;
    return NDL_OK;
}

static ndl_status give_panels(ndl_weights_source *w, const int *place, int n,
                              float *dst)
{
    const size_t cols = (size_t)w->item->cols;
    for (int i = 0; i < n; i++) {
        NDL_TRY(load_panel(w, place[i] / NDL_PANEL));
        memcpy(dst + (size_t)i * cols,
               w->panel + (size_t)(place[i] % NDL_PANEL) * cols,
               cols * sizeof *dst);
    }
    return NDL_OK;
}

/* Rows that lie as the source had them. */
static ndl_status give_rows(const ndl_weights_source *w, int first, int n,
                            float *dst)
{
    const ndl_item *it = w->item;
    const size_t size = ndl_dtype_bytes(it->dtype);
    const size_t all = (size_t)n * (size_t)it->cols;
    const uint64_t at =
        offset_of(w, it) + (uint64_t)first * (uint64_t)it->cols * size;
    if (it->dtype == NDL_F32) return read_at(w, at, all * size, dst);
    uint8_t *half = malloc(all * size);
    if (!half) return fail_memory(w);
    const ndl_status st = read_at(w, at, all * size, half);
    if (st == NDL_OK) ndl_widen(dst, half, NDL_FLOAT_BF16, all);
    free(half);
    return st;
}

static ndl_status give_vector(const ndl_weights_source *w, const int *place,
                              int n, float *dst)
{
    const size_t bytes = (size_t)w->item->bytes;
    float *all = malloc(bytes);
    if (!all) return fail_memory(w);
    const ndl_status st = read_at(w, offset_of(w, w->item), bytes, all);
    for (int i = 0; st == NDL_OK && i < n; i++) dst[i] = all[place[i]];
    free(all);
    return st;
}

/* ndl_source.rows */
static ndl_status give(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst)
{
    ndl_weights_source *w = arg;
    int index = w->item ? role_index(w->item, role, layer) : -1;
    if (index < 0) {
        const ndl_item *it = find(w, role, layer, &index);
        NDL_ASSERT(it); /* the same model has the same roles */
        NDL_TRY(enter(w, it));
    }
    const int *place = w->place + first;
    for (int i = 0; i < index; i++) place += w->item->role_rows[i];
    switch (w->item->layout) {
    case NDL_LAYOUT_PANELS: return give_panels(w, place, n, dst);
    case NDL_LAYOUT_ROWS: return give_rows(w, first, n, dst);
    default: return give_vector(w, place, w->item->role_rows[index], dst);
    }
}

/* --- where they came from --- */

/* Piece `i` of a list, or all of it if it is no list. */
static void copy_piece(char out[8], const char *list, int i)
{
    while (i-- > 0 && strchr(list, ',')) list = strchr(list, ',') + 1;
    snprintf(out, 8, "%.*s", (int)strcspn(list, ","), list);
}

/* ndl_source.origin */
static void tell(void *arg, ndl_role role, int layer, ndl_origin *out)
{
    ndl_weights_source *w = arg;
    int index = 0;
    const ndl_item *it = find(w, role, layer, &index);
    NDL_ASSERT(it);
    const told *t = &w->told[it - w->items];
    if (json_array_size(t->names) == 1) index = 0;
    copy_piece(w->dtype, t->dtypes, index);
    *out = (ndl_origin){ .name = json_string_value(
                             json_array_get(t->names, (size_t)index)),
                         .dtype = w->dtype,
                         .transposed = t->transposed };
}

static bool is_good_list(const json_t *names, int n_roles)
{
    const size_t n = json_array_size(names);
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(names, i))) return false;
    return n == 1 || n == (size_t)n_roles;
}

static ndl_status read_names(ndl_weights_source *w, const ndl_item *it,
                             json_t **out)
{
    char *text = NULL, what[400];
    NDL_TRY(ndl_store_get_text(w->store, it->name, "sources", &text));
    snprintf(what, sizeof what, "%.300s: %s: sources", w->path, it->name);
    const ndl_status st = ndl_json_parse(out, text, strlen(text), what);
    free(text);
    NDL_TRY(st);
    return is_good_list(*out, it->n_roles) ? NDL_OK
                                           : mismatch(w, it, "sources");
}

static ndl_status read_told(ndl_weights_source *w, const ndl_item *it, told *t)
{
    int64_t transposed = 0;
    NDL_TRY(read_names(w, it, &t->names));
    NDL_TRY(ndl_store_get_text(w->store, it->name, "source_dtype", &t->dtypes));
    NDL_TRY(
        ndl_store_get_ints(w->store, it->name, "transposed", &transposed, 1));
    t->transposed = transposed != 0;
    return NDL_OK;
}

/* --- open and close --- */

static ndl_status read_items(ndl_weights_source *w)
{
    const ndl_part whole = ndl_layout_whole(&w->model);
    NDL_TRY(ndl_layout_list(&w->items, &w->n_items, &w->model, w->mix, &whole));
    w->offsets = calloc((size_t)w->n_items, sizeof *w->offsets);
    w->told = calloc((size_t)w->n_items, sizeof *w->told);
    if (!w->offsets || !w->told) return fail_memory(w);
    for (int i = 0; i < w->n_items; i++) {
        const ndl_item *it = &w->items[i];
        NDL_TRY(ndl_layout_verify(w->store, it, &w->offsets[i]));
        if (it->layout != NDL_LAYOUT_SCALES)
            NDL_TRY(read_told(w, it, &w->told[i]));
    }
    return NDL_OK;
}

static ndl_status open_all(ndl_weights_source *w, const char *path)
{
    w->path = strdup(path);
    if (!w->path) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    NDL_TRY(ndl_store_open(&w->store, path));
    w->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w->fd < 0) return ndl_file_fail(path, "open", errno);
    NDL_TRY(ndl_weights_read_model(w->store, &w->model, &w->mix));
    return read_items(w);
}

ndl_status ndl_weights_source_open(ndl_weights_source **out, const char *path)
{
    ndl_weights_source *w = calloc(1, sizeof *w);
    if (!w) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    w->fd = -1;
    w->panel_index = -1;
    const ndl_status st = open_all(w, path);
    if (st == NDL_OK)
        *out = w;
    else
        ndl_weights_source_close(&w);
    return st;
}

void ndl_weights_source_close(ndl_weights_source **source)
{
    ndl_weights_source *w = *source;
    if (!w) return;
    leave(w);
    for (int i = 0; w->told && i < w->n_items; i++) {
        json_decref(w->told[i].names);
        free(w->told[i].dtypes);
    }
    free(w->told);
    free(w->offsets);
    free(w->items);
    if (w->fd >= 0) close(w->fd);
    ndl_store_close(&w->store);
    free(w->path);
    free(w);
    *source = NULL;
}

void ndl_weights_source_get(ndl_weights_source *w, ndl_source *out)
{
    *out = (ndl_source){ .arg = w, .rows = give, .origin = tell };
}

ndl_store *ndl_weights_source_store(const ndl_weights_source *w)
{
    return w->store;
}

const ndl_model *ndl_weights_source_model(const ndl_weights_source *w)
{
    return &w->model;
}

ndl_mix ndl_weights_source_mix(const ndl_weights_source *w)
{
    return w->mix;
}
