/*
 * safetensors_write.h - named tensors into one safetensors file, or into
 * shards with an index.
 *
 * Knows the container, not what the tensors mean.  Bytes are streamed; nothing
 * has its final name before all is written.
 */
#ifndef NOODLE_FORMATS_SAFETENSORS_WRITE_H
#define NOODLE_FORMATS_SAFETENSORS_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"
#include "widen.h"

/* A tensor to write. */
typedef struct ndl_tensor_spec {
    const char *name; /* borrowed until the writer's end */
    ndl_float_type type;
    int n_dims;
    uint64_t dims[2];
    int tag;        /* the caller's own */
    uint64_t bytes; /* the writer's from here on: */
    uint64_t offset;
    int file;
} ndl_tensor_spec;

typedef struct ndl_safetensors_writer ndl_safetensors_writer;

/**
 * Start a checkpoint in an existing folder.
 *
 * Shards are filled in the order given; inside a shard the wider elements come
 * first, then names in order, as other writers of the format have it.
 *
 * @param[in,out] specs   sorted into the order in which bytes must come, and
 *                        borrowed until the end.
 * @param shard_bytes     most data of one file, unless one tensor has more.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_safetensors_create(ndl_safetensors_writer **out, const char *dir,
                                  ndl_tensor_spec *specs, int n,
                                  uint64_t shard_bytes);

/** How many files there will be, without the index. */
int ndl_safetensors_n_files(const ndl_safetensors_writer *w);

/**
 * Append the next bytes of the tensors joined end to end; a call must not
 * reach past the end of a tensor.
 * @return NDL_OK; NDL_ECREATE, NDL_EPERM, NDL_EIO.
 */
ndl_status ndl_safetensors_append(ndl_safetensors_writer *w, const void *bytes,
                                  size_t n);

/** Give the files their names, all bytes being there, and write the index of
 * several.  Frees and sets *w to NULL in every case. */
ndl_status ndl_safetensors_commit(ndl_safetensors_writer **w);

/** Free, and remove what was not committed.  NULL is allowed. */
void ndl_safetensors_discard(ndl_safetensors_writer **w);

#endif /* NOODLE_FORMATS_SAFETENSORS_WRITE_H */
