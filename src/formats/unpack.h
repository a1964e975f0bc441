/*
 * unpack.h - the tensors of a checkpoint out of a weights file: what pack.h
 * did, undone.
 */
#ifndef NOODLE_FORMATS_UNPACK_H
#define NOODLE_FORMATS_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/layout.h"
#include "noodle/status.h"

/* One tensor: roles of a dataset that follow each other, joined end to end. */
typedef struct ndl_unpack {
    const char *path; /* of the weights file */
    int fd;           /* of it */
    const ndl_item *item;
    uint64_t offset; /* of the dataset in the file */
    int first_role, n_roles;
    bool transposed; /* give it as [K][N] */
} ndl_unpack;

/** Takes `n` elements of a tensor, borrowed for the call. */
typedef ndl_status (*ndl_unpack_fn)(void *arg, const float *x, size_t n);

/**
 * Give the tensor's elements to `fn`, in order, as f32.  Memory: a few MiB and
 * 4 bytes a row.
 * @return NDL_OK; what fn returned; NDL_EDATA, NDL_EIO, NDL_EOS.
 */
ndl_status ndl_unpack_tensor(const ndl_unpack *u, ndl_unpack_fn fn, void *arg);

/** Elements of one role's rows, all roles of the tensor together: N. */
int ndl_unpack_rows(const ndl_item *it, int first_role, int n_roles);

#endif /* NOODLE_FORMATS_UNPACK_H */
