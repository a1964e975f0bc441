/*
 * safetensors.h - named tensors in one file or in shards with an index.
 *
 * Knows the container, not what the tensors mean.  Headers are hostile until
 * checked; bytes are read with pread, so memory holds only what was asked for.
 */
#ifndef NOODLE_FORMATS_SAFETENSORS_H
#define NOODLE_FORMATS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"
#include "widen.h"

enum { NDL_TENSOR_MAX_DIMS = 8 };

typedef struct ndl_tensor {
    char *name;
    const char *dtype;   /* as the file spells it, static */
    ndl_float_type type; /* NONE: a dtype that we do not read */
    int n_dims;
    uint64_t dims[NDL_TENSOR_MAX_DIMS];
    uint64_t offset; /* in the data of its file */
    uint64_t bytes;
    int file; /* index of its shard */
} ndl_tensor;

typedef struct ndl_tensor_list {
    ndl_tensor *items;
    size_t n, cap;
} ndl_tensor_list;

/**
 * Check a header and append its tensors, in the order of their data.
 *
 * @param[in,out] list  may have grown even on error; the caller frees it.
 * @param[in]     text  `n` bytes of JSON.
 * @param data_bytes    what follows the header: must be covered exactly.
 * @return NDL_OK; NDL_EDATA naming the tensor; NDL_EOS.
 */
ndl_status ndl_tensor_list_parse(ndl_tensor_list *list, const char *text,
                                 size_t n, uint64_t data_bytes,
                                 const char *what);
void ndl_tensor_list_fini(ndl_tensor_list *list);

typedef struct ndl_safetensors ndl_safetensors;

/**
 * Open DIR/model.safetensors, or the shards of its index.
 * @return NDL_OK; NDL_ENOINPUT naming the fix; NDL_EDATA; NDL_EIO; NDL_EOS.
 */
ndl_status ndl_safetensors_open(ndl_safetensors **out, const char *dir);
void ndl_safetensors_close(ndl_safetensors **s);

/** All tensors, sorted by name; borrowed until close. */
const ndl_tensor_list *ndl_safetensors_list(const ndl_safetensors *s);

/** NULL if there is none of that name. */
const ndl_tensor *ndl_safetensors_find(const ndl_safetensors *s,
                                       const char *name);

/** Path of the file that holds a tensor; borrowed until close. */
const char *ndl_safetensors_path(const ndl_safetensors *s, const ndl_tensor *t);

/** Read `n` bytes of a tensor from its byte `first`. */
ndl_status ndl_safetensors_read(const ndl_safetensors *s, const ndl_tensor *t,
                                uint64_t first, size_t n, void *dst);

#endif /* NOODLE_FORMATS_SAFETENSORS_H */
