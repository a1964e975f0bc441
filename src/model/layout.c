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
    V_JOINED, /* q, k and v of one dtype and block */
    V_APART,
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
    ndl_group group; /* of matrices */
    ndl_layout layout;
    extent rows, cols;
    ndl_role role; /* the first one */
} entry;

/* clang-format off */
#define PANELS NDL_LAYOUT_PANELS
#define VECTOR 0, NDL_LAYOUT_VECTOR
static const entry table[] = {
    { NDL_SLOT_TOKENS,          "tokens",    EMBED, ALWAYS,
      NDL_GROUP_EMBED, NDL_LAYOUT_ROWS, VOCAB, WIDTH, NDL_ROLE_TOKENS },
    { NDL_SLOT_POSITIONS,       "positions", EMBED, LEARNED_POSITIONS,
      NDL_GROUP_EMBED, NDL_LAYOUT_ROWS, CONTEXT, WIDTH, NDL_ROLE_POSITIONS },
    { NDL_SLOT_NORM1,           "norm1",      LAYER, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM1 },
    { NDL_SLOT_NORM1_BIAS,      "norm1_bias", LAYER, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM1_BIAS },
    { NDL_SLOT_QKV,             "qkv",        LAYER, V_JOINED,
      NDL_GROUP_QK, PANELS, OF_ROLES, WIDTH, NDL_ROLE_Q },
    { NDL_SLOT_QKV,             "qk",         LAYER, V_APART,
      NDL_GROUP_QK, PANELS, OF_ROLES, WIDTH, NDL_ROLE_Q },
    { NDL_SLOT_V,               "v",          LAYER, V_APART,
      NDL_GROUP_V, PANELS, OF_ROLES, WIDTH, NDL_ROLE_V },
    { NDL_SLOT_QKV_BIAS,        "qkv_bias",   LAYER, QKV_BIAS,
      VECTOR, OF_ROLES, ONE, NDL_ROLE_Q_BIAS },
    { NDL_SLOT_OUT,             "out",        LAYER, ALWAYS,
      NDL_GROUP_OUT, PANELS, WIDTH, ATTENTION, NDL_ROLE_OUT },
    { NDL_SLOT_OUT_BIAS,        "out_bias",   LAYER, OUT_BIAS,
      VECTOR, WIDTH, ONE, NDL_ROLE_OUT_BIAS },
    { NDL_SLOT_NORM2,           "norm2",      LAYER, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM2 },
    { NDL_SLOT_NORM2_BIAS,      "norm2_bias", LAYER, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_NORM2_BIAS },
    { NDL_SLOT_UP,              "up",         LAYER, ALWAYS,
      NDL_GROUP_UP, PANELS, OF_ROLES, WIDTH, NDL_ROLE_UP },
    { NDL_SLOT_UP_BIAS,         "up_bias",    LAYER, MLP_BIAS,
      VECTOR, OF_ROLES, ONE, NDL_ROLE_UP_BIAS },
    { NDL_SLOT_DOWN,            "down",       LAYER, ALWAYS,
      NDL_GROUP_DOWN, PANELS, WIDTH, FFN, NDL_ROLE_DOWN },
    { NDL_SLOT_DOWN_BIAS,       "down_bias",  LAYER, MLP_BIAS,
      VECTOR, WIDTH, ONE, NDL_ROLE_DOWN_BIAS },
    { NDL_SLOT_FINAL_NORM,      "norm",       HEAD, ALWAYS,
      VECTOR, WIDTH, ONE, NDL_ROLE_FINAL_NORM },
    { NDL_SLOT_FINAL_NORM_BIAS, "norm_bias",  HEAD, LAYER_NORM,
      VECTOR, WIDTH, ONE, NDL_ROLE_FINAL_NORM_BIAS },
    { NDL_SLOT_HEAD,            "matrix",     HEAD, UNTIED,
      NDL_GROUP_HEAD, PANELS, VOCAB, WIDTH, NDL_ROLE_HEAD },
};
#undef PANELS
#undef VECTOR
/* clang-format on */

enum { TABLE_ROWS = sizeof table / sizeof *table };

static bool model_has(const ndl_model *m, ndl_mix mix, need n)
{
    switch (n) {
    case ALWAYS: return true;
    case LEARNED_POSITIONS: return m->rope.kind == NDL_ROPE_NONE;
    case LAYER_NORM: return m->norm == NDL_NORM_LAYER;
    case QKV_BIAS: return m->qkv_bias;
    case OUT_BIAS: return m->out_bias;
    case MLP_BIAS: return m->mlp_bias;
    case V_JOINED: return ndl_mix_joins_v(mix);
    case V_APART: return !ndl_mix_joins_v(mix);
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

/* q, k and v joined, unless v is a matrix of its own; rows permuted if RoPE's
 * pairs can share a lane. */
static void join_qkv(ndl_item *it, const ndl_model *m, const entry *r)
{
    const int kv_rows = m->n_kv_heads * m->head_dim;
    add_role(it, r->role, m->n_heads * m->head_dim);
    add_role(it, (ndl_role)(r->role + 1), kv_rows);
    if (r->need != V_APART) add_role(it, (ndl_role)(r->role + 2), kv_rows);
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

static int pieces_of(int n, int size)
{
    return (int)(((int64_t)n + size - 1) / size);
}

static int panels_of(int rows)
{
    return pieces_of(rows, NDL_PANEL);
}

static void set_roles(ndl_item *it, const ndl_model *m, const entry *r)
{
    if (r->slot == NDL_SLOT_QKV || r->slot == NDL_SLOT_QKV_BIAS)
        join_qkv(it, m, r);
    else if (r->slot == NDL_SLOT_V)
        add_role(it, r->role, m->n_kv_heads * m->head_dim);
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

static void add_dim(ndl_item *it, uint64_t n)
{
    it->dims[it->n_dims++] = n;
}

/* Of a panel without its number: cols in lines of 64 bytes (kernels.h). */
static void add_panel_dims(ndl_item *it)
{
    const uint64_t cols = (uint64_t)it->cols;
    const uint64_t blocks =
        it->block ? (uint64_t)pieces_of(it->cols, it->block) : 0;
    const uint64_t padded = blocks * (uint64_t)it->block;
    switch (it->dtype) {
    case NDL_BF16: add_dim(it, (cols + 1) / 2); break;
    case NDL_INT8: add_dim(it, padded / 4); break;
    case NDL_INT4:
        add_dim(it, blocks);
        add_dim(it, 4);
        break;
    default: add_dim(it, cols); break;
    }
    add_dim(it, NDL_PANEL);
    if (it->dtype == NDL_BF16) add_dim(it, 2);
    if (it->block) add_dim(it, 4);
}

static size_t element_bytes(const ndl_item *it)
{
    switch (ndl_layout_type(it)) {
    case NDL_STORE_U8: return 1;
    case NDL_STORE_U16:
    case NDL_STORE_BF16: return 2;
    default: return 4;
    }
}

static bool set_dims(ndl_item *it)
{
    it->n_dims = 0;
    switch (it->layout) {
    case NDL_LAYOUT_PANELS:
        add_dim(it, (uint64_t)panels_of(it->rows));
        add_panel_dims(it);
        break;
    case NDL_LAYOUT_SCALES:
        add_dim(it, (uint64_t)panels_of(it->rows));
        add_dim(it, (uint64_t)pieces_of(it->cols, it->block));
        add_dim(it, NDL_PANEL);
        break;
    case NDL_LAYOUT_ROWS:
        add_dim(it, (uint64_t)it->rows);
        add_dim(it, (uint64_t)it->cols);
        break;
    case NDL_LAYOUT_VECTOR: add_dim(it, (uint64_t)it->rows); break;
    }
    it->bytes = element_bytes(it);
    for (int i = 0; i < it->n_dims; i++)
        if (__builtin_mul_overflow(it->bytes, it->dims[i], &it->bytes))
            return false;
    return it->bytes <= INT64_MAX;
}

/* A tied embedding is the head's.  Positions are looked up and added once a
 * row: blocks would save little there. */
static void set_dtype(ndl_item *it, const ndl_model *m, ndl_mix mix,
                      const entry *r)
{
    const bool is_head = r->slot == NDL_SLOT_TOKENS && m->tied;
    const ndl_group group = is_head ? NDL_GROUP_HEAD : r->group;
    it->dtype = (ndl_dtype)mix.of[group];
    it->block = ndl_mix_block(mix, group);
    if (r->layout == NDL_LAYOUT_VECTOR)
        it->dtype = NDL_F32;
    else if (r->slot == NDL_SLOT_POSITIONS && it->dtype != NDL_F32)
        it->dtype = NDL_BF16;
    if (it->dtype == NDL_F32 || it->dtype == NDL_BF16) it->block = 0;
}

static bool set_item(ndl_item *it, const ndl_model *m, ndl_mix mix,
                     const entry *r)
{
    it->slot = r->slot;
    set_dtype(it, m, mix, r);
    it->layout = r->layout;
    if (r->slot == NDL_SLOT_TOKENS && (m->tied || it->block))
        it->layout = NDL_LAYOUT_PANELS;
    set_roles(it, m, r);
    it->cols = extent_of(m, r->cols);
    set_name(it, m, r);
    return set_dims(it);
}

/* The scales of the quants in `q`. */
static bool set_scales(ndl_item *it, const ndl_item *q)
{
    static const char end[] = "_scale";
    *it = *q;
    it->layout = NDL_LAYOUT_SCALES;
    const size_t n = strlen(it->name);
    NDL_ASSERT(n + sizeof end <= sizeof it->name);
    memcpy(it->name + n, end, sizeof end);
    memset(it->dims, 0, sizeof it->dims);
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
static bool list_place(ndl_item *items, int *n, const ndl_model *m, ndl_mix mix,
                       const ndl_part *part, place where, int layer)
{
    for (int i = 0; i < TABLE_ROWS; i++) {
        const entry *r = &table[i];
        if (r->place != where || !model_has(m, mix, r->need)) continue;
        if (where != LAYER && !part_has(part, m, r)) continue;
        ndl_item *it = &items[(*n)++];
        it->layer = layer;
        if (!set_item(it, m, mix, r)) return false;
        if (it->block && !set_scales(&items[(*n)++], it)) return false;
    }
    return true;
}

ndl_status ndl_layout_list(ndl_item **out, int *n, const ndl_model *m,
                           ndl_mix mix, const ndl_part *part)
{
    const int first = part->first_layer;
    if (!ndl_mix_is_valid(mix))
        return NDL_FAIL(NDL_EDATA, "the weights' dtypes are none that there "
                                   "are: import the model again");
    if (!is_countable(m))
        return NDL_FAIL(NDL_EDATA, "the model's sizes are out of range: check "
                                   "its config.json");
    if (first < 0 || part->n_layers < 0 ||
        (int64_t)first + part->n_layers > m->n_layers)
        return NDL_FAIL(NDL_EDATA,
                        "the plan puts %d layers from layer %d on a stage, "
                        "but the model has %d: make a new plan",
                        part->n_layers, first, m->n_layers);
    /* Each twice, since it may have scales. */
    ndl_item *items = calloc(
        2 * (size_t)TABLE_ROWS * (size_t)(part->n_layers + 1), sizeof *items);
    if (!items) return NDL_FAIL(NDL_EOS, "out of memory for the weights' list");
    int count = 0;
    bool fits = list_place(items, &count, m, mix, part, EMBED, 0);
    for (int i = 0; i < part->n_layers && fits; i++)
        fits = list_place(items, &count, m, mix, part, LAYER, first + i);
    if (fits) fits = list_place(items, &count, m, mix, part, HEAD, 0);
    if (!fits || !sum_fits(items, count)) {
        free(items);
        return NDL_FAIL(NDL_EDATA, "the model's matrices are larger than any "
                                   "file: check its config.json");
    }
    *out = items;
    *n = count;
    return NDL_OK;
}

ndl_status ndl_layout_bytes(const ndl_model *m, ndl_mix mix,
                            const ndl_part *part, uint64_t *bytes)
{
    ndl_item *items = NULL;
    int n = 0;
    uint64_t sum = 0;
    NDL_TRY(ndl_layout_list(&items, &n, m, mix, part));
    for (int i = 0; i < n; i++) sum += items[i].bytes;
    free(items);
    *bytes = sum;
    return NDL_OK;
}

ndl_store_type ndl_layout_type(const ndl_item *it)
{
    if (it->layout == NDL_LAYOUT_SCALES) return NDL_STORE_U16;
    if (it->block) return NDL_STORE_U8;
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
    static const char *const names[] = { "panels", "rows", "vector", "scales" };
    return names[layout];
}

const char *ndl_layout_order_name(ndl_order order)
{
    static const char *const names[] = { "natural", "rope16", "alternate16" };
    return names[order];
}
