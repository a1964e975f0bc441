/*
 * origins.h - the source tensors that a weights file came from, as it tells
 * them; checked against what its model must have come from.
 */
#ifndef NOODLE_FORMATS_ORIGINS_H
#define NOODLE_FORMATS_ORIGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "huggingface_names.h"
#include "noodle/layout.h"
#include "noodle/store.h"
#include "widen.h"

/* One source tensor: roles of a dataset that follow each other. */
typedef struct ndl_origin_tensor {
    char name[NDL_NAME_CAP];
    ndl_float_type type; /* as the source had it */
    int item, first_role, n_roles;
    bool transposed; /* stored [K][N] */
    int n_dims;
    uint64_t dims[2];
} ndl_origin_tensor;

typedef struct ndl_origins {
    ndl_origin_tensor *tensors; /* in the order of the items */
    int n;
    bool invented; /* random weights: the names are the family's own */
} ndl_origins;

/**
 * List the source tensors of a file's datasets.
 *
 * @param items  all of the model, verified.
 * @return NDL_OK; NDL_EDATA naming dataset and attribute; NDL_EOS.
 */
ndl_status ndl_origins_read(ndl_origins *out, ndl_store *s, const ndl_model *m,
                            const ndl_item *items, int n_items);
void ndl_origins_fini(ndl_origins *o);

/** The dtype that import chooses for such sources: BF16 if every matrix is. */
ndl_dtype ndl_origins_dtype(const ndl_origins *o);

#endif /* NOODLE_FORMATS_ORIGINS_H */
