/*
 * layout.h - the one table of what a weights file holds.
 *
 * Pack writes by it, the map and the check read by it, and the sizes of parts
 * come from it, so that they cannot disagree.  weights.h describes the same in
 * words.
 */
#ifndef NOODLE_LAYOUT_H
#define NOODLE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/status.h"
#include "noodle/store.h"
#include "noodle/weights.h"

/* What a tensor is in a model, whatever a checkpoint calls it. */
typedef enum ndl_role {
    NDL_ROLE_TOKENS,
    NDL_ROLE_POSITIONS,
    NDL_ROLE_NORM1,
    NDL_ROLE_NORM1_BIAS,
    NDL_ROLE_Q,
    NDL_ROLE_K,
    NDL_ROLE_V,
    NDL_ROLE_Q_BIAS,
    NDL_ROLE_K_BIAS,
    NDL_ROLE_V_BIAS,
    NDL_ROLE_OUT,
    NDL_ROLE_OUT_BIAS,
    NDL_ROLE_NORM2,
    NDL_ROLE_NORM2_BIAS,
    NDL_ROLE_GATE,
    NDL_ROLE_UP,
    NDL_ROLE_DOWN,
    NDL_ROLE_GATE_BIAS,
    NDL_ROLE_UP_BIAS,
    NDL_ROLE_DOWN_BIAS,
    NDL_ROLE_FINAL_NORM,
    NDL_ROLE_FINAL_NORM_BIAS,
    NDL_ROLE_HEAD,
    NDL_N_ROLES
} ndl_role;

/* What a dataset is: one field of ndl_layer or ndl_ends. */
typedef enum ndl_slot {
    NDL_SLOT_TOKENS,
    NDL_SLOT_POSITIONS,
    NDL_SLOT_NORM1,
    NDL_SLOT_NORM1_BIAS,
    NDL_SLOT_QKV, /* or q and k alone */
    NDL_SLOT_V,
    NDL_SLOT_QKV_BIAS,
    NDL_SLOT_OUT,
    NDL_SLOT_OUT_BIAS,
    NDL_SLOT_NORM2,
    NDL_SLOT_NORM2_BIAS,
    NDL_SLOT_UP,
    NDL_SLOT_UP_BIAS,
    NDL_SLOT_DOWN,
    NDL_SLOT_DOWN_BIAS,
    NDL_SLOT_FINAL_NORM,
    NDL_SLOT_FINAL_NORM_BIAS,
    NDL_SLOT_HEAD
} ndl_slot;

typedef enum ndl_layout {
    NDL_LAYOUT_PANELS,
    NDL_LAYOUT_ROWS,
    NDL_LAYOUT_VECTOR,
    NDL_LAYOUT_SCALES /* of the panels in the item before */
} ndl_layout;

typedef enum ndl_order {
    NDL_ORDER_NATURAL,
    NDL_ORDER_ROPE16,
    NDL_ORDER_ALTERNATE16
} ndl_order;

enum { NDL_ITEM_ROLES = 3 };

/* One dataset. */
typedef struct ndl_item {
    char name[40]; /* "/layers/0003/qkv" */
    ndl_slot slot;
    int layer; /* 0 outside the blocks */
    ndl_layout layout;
    ndl_order order;
    ndl_dtype dtype; /* of its group; of vectors always f32; of scales that of
                        their quants */
    int block;       /* k that share a scale; 0: not quantised */
    int rows, cols;  /* logical (N, K); a vector (n, 1) */
    int n_roles;
    ndl_role roles[NDL_ITEM_ROLES];
    int role_rows[NDL_ITEM_ROLES]; /* N of each */
    int head_dim;                  /* for NDL_ORDER_ROPE16 */
    int n_dims;
    uint64_t dims[NDL_STORE_MAX_DIMS]; /* in the file */
    uint64_t bytes;
} ndl_item;

/**
 * List the datasets of a part, in the order in which they are written.  A
 * quantised matrix is two items: its quants, and right after them its scales,
 * which have the same slot, shape and roles.
 *
 * @param[out] out  malloc'ed, `n` items; the caller frees it.
 * @return NDL_OK; NDL_EDATA if the model has no such layers, the mix no such
 *         dtype, or a size overflows; NDL_EOS.
 */
ndl_status ndl_layout_list(ndl_item **out, int *n, const ndl_model *m,
                           ndl_mix mix, const ndl_part *part);

/** Bytes of a part's datasets: pure, without a file.
 * @return as ndl_layout_list. */
ndl_status ndl_layout_bytes(const ndl_model *m, ndl_mix mix,
                            const ndl_part *part, uint64_t *bytes);

/** The part that is the whole model. */
ndl_part ndl_layout_whole(const ndl_model *m);

/** Type of the dataset's elements in the file. */
ndl_store_type ndl_layout_type(const ndl_item *it);

/**
 * Which source row is row `row` of the dataset.
 * @return false if none: the row is zero.
 */
bool ndl_layout_source(const ndl_item *it, int row, int *role_index,
                       int *source_row);

/**
 * Check a dataset of an open file against its item: attributes, type, shape,
 * contiguous, 64-byte aligned, inside the file.
 * @param[out] offset  of its first byte in the file.
 * @return NDL_OK; NDL_EDATA naming dataset and cause.
 */
ndl_status ndl_layout_verify(ndl_store *s, const ndl_item *it,
                             uint64_t *offset);

/** "panels", "rows", "vector", "scales"; "natural", "rope16", "alternate16". */
const char *ndl_layout_name(ndl_layout layout);
const char *ndl_layout_order_name(ndl_order order);

#endif /* NOODLE_LAYOUT_H */
