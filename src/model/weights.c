/*
 * weights.c - weights.h: the root of the file, which dataset is which field,
 * and the fields of a loaded part.
 */
#include "noodle/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/layout.h"
#include "weights_parts.h"

static ndl_status check_format(ndl_store *s)
{
    char *format = NULL;
    const char *path = ndl_store_path(s);
    if (!ndl_store_has_attr(s, "/", "noodle_format"))
        return NDL_FAIL(NDL_EDATA,
                        "%s: is an HDF5 file, but not one of ours: give a "
                        "file that `import` wrote",
                        path);
    NDL_TRY(ndl_store_get_text(s, "/", "noodle_format", &format));
    const bool weights = strcmp(format, "weights") == 0;
    free(format);
    if (!weights)
        return NDL_FAIL(NDL_EDATA,
                        "%s: holds no weights: give a file that `import` "
                        "wrote",
                        path);
    return NDL_OK;
}

static ndl_status check_version(ndl_store *s)
{
    int64_t v[2];
    NDL_TRY(ndl_store_get_ints(s, "/", "format_version", v, 2));
    if (v[0] > NDL_WEIGHTS_VERSION_MAJOR)
        return NDL_FAIL(NDL_EDATA,
                        "%s: has format version %" PRId64 ".%" PRId64
                        ", this program reads %d: update the program or "
                        "import the model again",
                        ndl_store_path(s), v[0], v[1],
                        NDL_WEIGHTS_VERSION_MAJOR);
    if (v[0] < NDL_WEIGHTS_VERSION_MAJOR || v[1] < 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: has the unknown format version %" PRId64
                        ".%" PRId64 ": import the model again",
                        ndl_store_path(s), v[0], v[1]);
    return NDL_OK;
}

static ndl_status read_mix(ndl_store *s, ndl_mix *out)
{
    char *text = NULL;
    NDL_TRY(ndl_store_get_text(s, "/", "dtype", &text));
    const ndl_status st = ndl_mix_read(out, text);
    free(text);
    if (st == NDL_OK) return NDL_OK;
    ndl_status_clear(); /* it does not name the file */
    return NDL_FAIL(NDL_EDATA,
                    "%s: has an unknown dtype: import the model again",
                    ndl_store_path(s));
}

ndl_status ndl_weights_read_model(ndl_store *s, ndl_model *model, ndl_mix *mix)
{
    char *config = NULL, *generation = NULL;
    ndl_mix read = ndl_mix_plain(NDL_F32);
    ndl_status st = NDL_OK;
    NDL_TRY(check_format(s));
    NDL_TRY(check_version(s));
    NDL_TRY(read_mix(s, &read));
    NDL_TRY_GOTO(done, st, ndl_store_get_text(s, "/", "config", &config));
    if (ndl_store_has_attr(s, "/", "generation_config"))
        NDL_TRY_GOTO(
            done, st,
            ndl_store_get_text(s, "/", "generation_config", &generation));
    NDL_TRY_GOTO(done, st,
                 ndl_model_parse(model, config, strlen(config), generation,
                                 generation ? strlen(generation) : 0,
                                 ndl_store_path(s)));
    *mix = read;
done:
    free(generation);
    free(config);
    return st;
}

int ndl_weights_minor(ndl_mix mix)
{
    return ndl_mix_is_quantised(mix) ? NDL_WEIGHTS_VERSION_MINOR : 0;
}

ndl_status ndl_weights_bytes(ndl_store *s, const ndl_part *part,
                             uint64_t *bytes)
{
    ndl_model model;
    ndl_mix mix;
    NDL_TRY(ndl_weights_read_model(s, &model, &mix));
    return ndl_layout_bytes(&model, mix, part, bytes);
}

/* Where an item's matrix goes; NULL if it is a vector. */
static ndl_matrix *matrix_of(ndl_weights *w, ndl_layer *l, ndl_slot slot)
{
    switch (slot) {
    case NDL_SLOT_TOKENS: return &w->ends.tokens;
    case NDL_SLOT_POSITIONS: return &w->ends.positions;
    case NDL_SLOT_QKV: return &l->qkv;
    case NDL_SLOT_V: return &l->v;
    case NDL_SLOT_OUT: return &l->out;
    case NDL_SLOT_UP: return &l->up;
    case NDL_SLOT_DOWN: return &l->down;
    case NDL_SLOT_HEAD: return &w->ends.head;
    default: return NULL;
    }
}

static const float **vector_of(ndl_weights *w, ndl_layer *l, ndl_slot slot)
{
    switch (slot) {
    case NDL_SLOT_NORM1: return &l->norm1;
    case NDL_SLOT_NORM1_BIAS: return &l->norm1_bias;
    case NDL_SLOT_QKV_BIAS: return &l->qkv_bias;
    case NDL_SLOT_OUT_BIAS: return &l->out_bias;
    case NDL_SLOT_NORM2: return &l->norm2;
    case NDL_SLOT_NORM2_BIAS: return &l->norm2_bias;
    case NDL_SLOT_UP_BIAS: return &l->up_bias;
    case NDL_SLOT_DOWN_BIAS: return &l->down_bias;
    case NDL_SLOT_FINAL_NORM: return &w->ends.norm;
    case NDL_SLOT_FINAL_NORM_BIAS: return &w->ends.norm_bias;
    default: return NULL;
    }
}

static void place_item(ndl_weights *w, const ndl_item *it, const void *data)
{
    /* Items outside the blocks have layer 0, which may be another stage's. */
    ndl_layer none, *layer = &none;
    const int i = it->layer - w->part.first_layer;
    if (i >= 0 && i < w->part.n_layers) layer = &w->layers[i];
    ndl_matrix *m = matrix_of(w, layer, it->slot);
    if (m && it->layout == NDL_LAYOUT_SCALES)
        m->scales = data; /* its quants came right before */
    else if (m)
        *m = (ndl_matrix){ .data = data,
                           .rows = it->rows,
                           .cols = it->cols,
                           .dtype = it->dtype,
                           .block = it->block,
                           .panels = it->layout == NDL_LAYOUT_PANELS };
    else
        *vector_of(w, layer, it->slot) = data;
}

/* Datasets begin as in the file, so that both kinds of memory fall into the
 * same cache sets. */
uint64_t ndl_weights_pack(const ndl_item *items, int n, uint64_t *places)
{
    const uint64_t alignment = 4096;
    uint64_t at = 0;
    for (int i = 0; i < n; i++) {
        places[i] = at;
        at += (items[i].bytes + alignment - 1) / alignment * alignment;
    }
    return at;
}

ndl_status ndl_weights_place(ndl_weights *w, const ndl_item *items, int n,
                             const uint64_t *places)
{
    w->layers = calloc((size_t)w->part.n_layers + 1, sizeof *w->layers);
    if (!w->layers) return NDL_FAIL(NDL_EOS, "weights: out of memory");
    for (int i = 0; i < n; i++)
        place_item(w, &items[i], (const uint8_t *)w->memory.at + places[i]);
    if (w->model.tied && w->part.head) w->ends.head = w->ends.tokens;
    if (!w->part.embed) w->ends.tokens = (ndl_matrix){ 0 };
    return NDL_OK;
}

void ndl_weights_destroy(ndl_weights **w)
{
    if (!*w) return;
    ndl_load_memory_free(&(*w)->memory);
    free((*w)->layers);
    free(*w);
    *w = NULL;
}

const ndl_model *ndl_weights_model(const ndl_weights *w)
{
    return &w->model;
}

ndl_load ndl_weights_load(const ndl_weights *w)
{
    return w->load;
}

ndl_mix ndl_weights_mix(const ndl_weights *w)
{
    return w->mix;
}

const ndl_layer *ndl_weights_layer(const ndl_weights *w, int i)
{
    NDL_ASSERT(i >= w->part.first_layer &&
               i - w->part.first_layer < w->part.n_layers);
    return &w->layers[i - w->part.first_layer];
}

const ndl_ends *ndl_weights_ends(const ndl_weights *w)
{
    return &w->ends;
}
