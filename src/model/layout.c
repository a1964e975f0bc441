/*
 * layout.c - the table of datasets, and what follows from it: shapes, sizes,
 * and where each row comes from.
 */
#include "noodle/layout.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a dataset belongs. */
typedef enum place { EMBED, LAYER, HEAD } place;

/* On what it depends that a model has it. */
typedef enum need {
    ALWAYS,
    LEARNED_POSITIONS,
    LAYER_NORM,
    QKV_BIAS,
    OUT_BIAS,
    MLP_BIAS,
    UNTIED
} need;

/* A count of rows or columns. */
typedef enum extent {
    ONE,
    WIDTH,
    VOCAB,
    CONTEXT,
    ATTENTION, /* H * hd */
    FFN,
    OF_ROLES /* the sum or alternation of the roles' rows */
} extent;

typedef struct entry {
    ndl_slot slot;
    const char *name;
    place place;
    need need;
    ndl_layout layout;
    extent rows, cols;
    ndl_role role; /* the first one */
} entry;

/* clang-format off */
#define PANELS NDL_LAYOUT_PANELS
#define VECTOR NDL_LAYOUT_VECTOR
static const entry table[] = {
    { NDL_SLOT_TOKENS,          "tokens",    EMBED, ALWAYS,
      NDL_LAYOUT_ROWS, VOCAB, WIDTH, NDL_ROLE_TOKENS },
    { NDL_SLOT_POSITIONS,       "positions", EMBED, LEARNED_POSITIONS,
      NDL_LAYOUT_ROWS, CONTEXT, WIDTH, NDL_ROLE_POSITIONS },
    { NDL_SLOT_NORM1,           "norm1",      LAYER, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM1 },
    { NDL_SLOT_NORM1_BIAS,      "norm1_bias", LAYER, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM1_BIAS },
    { NDL_SLOT_QKV,             "qkv",        LAYER, ALWAYS,
      PANELS, OF_ROLES, WIDTH, NDL_ROLE_Q },
    { NDL_SLOT_QKV_BIAS,        "qkv_bias",   LAYER, QKV_BIAS,
      VECTOR, OF_ROLES, ONE, NDL_ROLE_Q_BIAS },
    { NDL_SLOT_OUT,             "out",        LAYER, ALWAYS,
      PANELS, WIDTH, ATTENTION, NDL_ROLE_OUT },
    { NDL_SLOT_OUT_BIAS,        "out_bias",   LAYER, OUT_BIAS,
      VECTOR, WIDTH, ONE, NDL_ROLE_OUT_BIAS },
    { NDL_SLOT_NORM2,           "norm2",      LAYER, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM2 },
    { NDL_SLOT_NORM2_BIAS,      "norm2_bias", LAYER, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM2_BIAS },
    { NDL_SLOT_UP,              "up",         LAYER, ALWAYS,
      PANELS, OF_ROLES, WIDTH, NDL_ROLE_UP },
    { NDL_SLOT_UP_BIAS,         "up_bias",    LAYER, MLP_BIAS,
      VECTOR, OF_ROLES, ONE, NDL_ROLE_UP_BIAS },
    { NDL_SLOT_DOWN,            "down",       LAYER, ALWAYS,
      PANELS, WIDTH, FFN, NDL_ROLE_DOWN },
    { NDL_SLOT_DOWN_BIAS,       "down_bias",  LAYER, MLP_BIAS,
      VECTOR, WIDTH, ONE, NDL_ROLE_DOWN_BIAS },
    { NDL_SLOT_FINAL_NORM,      "norm",       HEAD, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_FINAL_NORM },
    { NDL_SLOT_FINAL_NORM_BIAS, "norm_bias",  HEAD, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_FINAL_NORM_BIAS },
    { NDL_SLOT_HEAD,            "matrix",     HEAD, UNTIED,
      PANELS, VOCAB, WIDTH, NDL_ROLE_HEAD },
};
#undef PANELS
#undef VECTOR
/* clang-format on */

enum { TABLE_ROWS = sizeof table / sizeof *table };

static bool model_has(const ndl_model *m, need n)
{
    switch (n) {
    case ALWAYS: return true;
    case LEARNED_POSITIONS: return m->rope.kind == NDL_ROPE_NONE;
    case LAYER_NORM: return m->norm == NDL_NORM_LAYER;
    case QKV_BIAS: return m->qkv_bias;
    case OUT_BIAS: return m->out_bias;
    case MLP_BIAS: return m->mlp_bias;
    case UNTIED: return !m->tied;
    }
    return false;
}

/* A tied embedding is the head's matrix too, so a head needs it. */
static bool part_has(const ndl_part *part, const ndl_model *m, const entry *r)
{
    if (r->place == HEAD) return part->head;
    if (r->slot == NDL_SLOT_TOKENS && part->head && m->tied) return true;
    return part->embed;
}

static void add_role(ndl_item *it, ndl_role role, int rows)
{
    it->roles[it->n_roles] = role;
    it->role_rows[it->n_roles++] = rows;
}

/* q, k and v joined; rows permuted if RoPE's pairs can share a lane. */
static void join_qkv(ndl_item *it, const ndl_model *m, ndl_role q)
{
    const int kv_rows = m->n_kv_heads * m->head_dim;
    add_role(it, q, m->n_heads * m->head_dim);
    add_role(it, (ndl_role)(q + 1), kv_rows);
    add_role(it, (ndl_role)(q + 2), kv_rows);
    it->head_dim = m->head_dim;
    if (m->rope.kind != NDL_ROPE_NONE && m->head_dim % (2 * NDL_PANEL) == 0)
        it->order = NDL_ORDER_ROPE16;
}

/* gate and up in alternate panels, so that a lane meets its partner. */
static void join_gate_up(ndl_item *it, const ndl_model *m, ndl_role up)
{
    if (m->mlp == NDL_MLP_SWIGLU) {
        add_role(it, up == NDL_ROLE_UP ? NDL_ROLE_GATE : NDL_ROLE_GATE_BIAS,
                 m->ffn);
        it->order = NDL_ORDER_ALTERNATE16;
    }
    add_role(it, up, m->ffn);
}

static int extent_of(const ndl_model *m, extent e)
{
    switch (e) {
    case ONE: return 1;
    case WIDTH: return m->width;
    case VOCAB: return m->vocab;
    case CONTEXT: return m->context;
    case ATTENTION: return m->n_heads * m->head_dim;
    case FFN: return m->ffn;
    case OF_ROLES: break;
    }
    return 0;
}

static int panels_of(int rows)
{
    return (int)(((int64_t)rows + NDL_PANEL - 1) / NDL_PANEL);
}

static void set_roles(ndl_item *it, const ndl_model *m, const entry *r)
{
    if (r->slot == NDL_SLOT_QKV || r->slot == NDL_SLOT_QKV_BIAS)
        join_qkv(it, m, r->role);
    else if (r->slot == NDL_SLOT_UP || r->slot == NDL_SLOT_UP_BIAS)
        join_gate_up(it, m, r->role);
    else
        add_role(it, r->role, extent_of(m, r->rows));
    if (it->order == NDL_ORDER_ALTERNATE16) {
        it->rows = 2 * NDL_PANEL * panels_of(m->ffn);
        return;
    }
    for (int i = 0; i < it->n_roles; i++) it->rows += it->role_rows[i];
}

static void set_name(ndl_item *it, const ndl_model *m, const entry *r)
{
    const bool gated = m->mlp == NDL_MLP_SWIGLU &&
                       (r->slot == NDL_SLOT_UP || r->slot == NDL_SLOT_UP_BIAS);
    if (r->place != LAYER)
        snprintf(it->name, sizeof it->name, "/%s/%s",
                 r->place == EMBED ? "embed" : "head", r->name);
    else
        snprintf(it->name, sizeof it->name, "/layers/%04d/%s%s", it->layer,
                 gated ? "gate_" : "", r->name);
}

static bool set_dims(ndl_item *it)
{
    const uint64_t rows = (uint64_t)it->rows, cols = (uint64_t)it->cols;
    uint64_t *d = it->dims;
    it->n_dims = 0;
    if (it->layout == NDL_LAYOUT_PANELS) {
        const bool pairs = it->dtype == NDL_BF16;
        d[it->n_dims++] = (uint64_t)panels_of(it->rows);
        d[it->n_dims++] = pairs ? (cols + 1) / 2 : cols;
        d[it->n_dims++] = NDL_PANEL;
        if (pairs) d[it->n_dims++] = 2;
    } else {
        d[it->n_dims++] = rows;
        if (it->layout == NDL_LAYOUT_ROWS) d[it->n_dims++] = cols;
    }
    it->bytes = ndl_dtype_bytes(it->dtype);
    for (int i = 0; i < it->n_dims; i++)
        if (__builtin_mul_overflow(it->bytes, d[i], &it->bytes)) return false;
    return it->bytes <= INT64_MAX;
}

static bool set_item(ndl_item *it, const ndl_model *m, ndl_dtype dtype,
                     const entry *r)
{
    it->slot = r->slot;
    it->layout = r->layout;
    if (r->slot == NDL_SLOT_TOKENS && m->tied) it->layout = NDL_LAYOUT_PANELS;
    it->dtype = r->layout == NDL_LAYOUT_VECTOR ? NDL_F32 : dtype;
    set_roles(it, m, r);
    it->cols = extent_of(m, r->cols);
    set_name(it, m, r);
    return set_dims(it);
}

/* So that whoever adds up some of them need not look. */
static bool sum_fits(const ndl_item *items, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, items[i].bytes, &sum)) return false;
    return sum <= INT64_MAX / 2;
}

/* The largest count that we make from the model's must fit in an int. */
static bool is_countable(const ndl_model *m)
{
    const int64_t heads = (int64_t)m->n_heads + 2 * (int64_t)m->n_kv_heads;
    return m->width > 0 && m->vocab > 0 && m->ffn > 0 && m->context > 0 &&
           m->n_heads > 0 && m->n_kv_heads > 0 && m->head_dim > 0 &&
           m->n_layers > 0 && m->n_layers <= NDL_MAX_LAYERS &&
           heads * m->head_dim <= INT_MAX / 2 && m->ffn <= INT_MAX / 4 &&
           m->vocab <= INT_MAX / 2 && m->context <= INT_MAX / 2;
}

ndl_part ndl_layout_whole(const ndl_model *m)
{
    return (ndl_part){ 0, m->n_layers, true, true };
}

/* Append the rows of the table that belong to `where`. */
static bool list_place(ndl_item *items, int *n, const ndl_model *m,
                       ndl_dtype dtype, const ndl_part *part, place where,
                       int layer)
{
    for (int i = 0; i < TABLE_ROWS; i++) {
        const entry *r = &table[i];
        if (r->place != where || !model_has(m, r->need)) continue;
        if (where != LAYER && !part_has(part, m, r)) continue;
        ndl_item *it = &items[(*n)++];
        it->layer = layer;
        if (!set_item(it, m, dtype, r)) return false;
    }
    return true;
}

ndl_status ndl_layout_list(ndl_item **out, int *n, const ndl_model *m,
                           ndl_dtype dtype, const ndl_part *part)
{
    const int first = part->first_layer;
    if (!is_countable(m))
        return NDL_FAIL(NDL_EDATA, "the model's sizes are out of range: check "
                                   "its config.json");
    if (first < 0 || part->n_layers < 0 ||
        (int64_t)first + part->n_layers > m->n_layers)
        return NDL_FAIL(NDL_EDATA,
                        "the plan puts %d layers from layer %d on a stage, "
                        "but the model has %d: make a new plan",
                        part->n_layers, first, m->n_layers);
    ndl_item *items = calloc((size_t)TABLE_ROWS * (size_t)(part->n_layers + 1),
                             sizeof *items);
    if (!items) return NDL_FAIL(NDL_EOS, "out of memory for the weights' list");
    int count = 0;
    bool fits = list_place(items, &count, m, dtype, part, EMBED, 0);
    for (int i = 0; i < part->n_layers && fits; i++)
        fits = list_place(items, &count, m, dtype, part, LAYER, first + i);
    if (fits) fits = list_place(items, &count, m, dtype, part, HEAD, 0);
    if (!fits || !sum_fits(items, count)) {
        free(items);
        return NDL_FAIL(NDL_EDATA, "the model's matrices are larger than any "
                                   "file: check its config.json");
    }
    *out = items;
    *n = count;
    return NDL_OK;
}

ndl_status ndl_layout_bytes(const ndl_model *m, ndl_dtype dtype,
                            const ndl_part *part, uint64_t *bytes)
{
    ndl_item *items = NULL;
    int n = 0;
    uint64_t sum = 0;
    NDL_TRY(ndl_layout_list(&items, &n, m, dtype, part));
    for (int i = 0; i < n; i++) sum += items[i].bytes;
    free(items);
    *bytes = sum;
    return NDL_OK;
}

ndl_store_type ndl_layout_type(const ndl_item *it)
{
    return it->dtype == NDL_BF16 ? NDL_STORE_BF16 : NDL_STORE_F32;
}

/* Row `row` of a head's permuted rows: panels take turns between the head's
 * halves, so that element l of the first half and its partner have one lane. */
static int rope16_row(const ndl_item *it, int row)
{
    const int head = row / it->head_dim, i = row % it->head_dim;
    const int panel = i / NDL_PANEL, lane = i % NDL_PANEL;
    return head * it->head_dim + (panel % 2) * (it->head_dim / 2) +
           panel / 2 * NDL_PANEL + lane;
}

bool ndl_layout_source(const ndl_item *it, int row, int *role_index,
                       int *source_row)
{
    int i = 0;
    if (it->order == NDL_ORDER_ALTERNATE16) {
        const int panel = row / NDL_PANEL;
        i = panel % 2;
        row = panel / 2 * NDL_PANEL + row % NDL_PANEL;
        if (row >= it->role_rows[i]) return false;
    } else {
        while (i < it->n_roles && row >= it->role_rows[i])
            row -= it->role_rows[i++];
        if (i == it->n_roles) return false;
        const bool rotated = i < 2; /* q and k, not v */
        if (it->order == NDL_ORDER_ROPE16 && rotated) row = rope16_row(it, row);
    }
    *role_index = i;
    *source_row = row;
    return true;
}

const char *ndl_layout_name(ndl_layout layout)
{
    static const char *const names[] = { "panels", "rows", "vector" };
    return names[layout];
}

const char *ndl_layout_order_name(ndl_order order)
{
    static const char *const names[] = { "natural", "rope16", "alternate16" };
    return names[order];
}
