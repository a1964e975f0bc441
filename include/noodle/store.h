/*
 * store.h - HDF5 files as trees of named arrays with attributes.
 *
 * The only module that knows HDF5.  Serial: every rank opens for itself, file
 * locking off for reading (network file systems).  Paths are absolute inside
 * the file ("/layers/0003/qkv").  Files are hostile until checked: every query
 * verifies type class, rank, sizes and that the bytes lie inside the file.
 */
#ifndef NOODLE_STORE_H
#define NOODLE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"

typedef struct ndl_store ndl_store;

typedef enum ndl_store_type {
    NDL_STORE_F32,
    NDL_STORE_BF16, /* custom 16-bit float, readable by h5py as float32 */
    NDL_STORE_U8,
    NDL_STORE_U16,
    NDL_STORE_U32,
    NDL_STORE_I32
} ndl_store_type;

enum { NDL_STORE_MAX_DIMS = 5 };

/* What is known of a dataset without reading it. */
typedef struct ndl_store_info {
    ndl_store_type type;
    int n_dims;
    uint64_t dims[NDL_STORE_MAX_DIMS];
    uint64_t offset; /* of the first byte in the file; 0 if not contiguous */
    uint64_t bytes;  /* of the whole dataset in memory */
    bool contiguous; /* bytes lie in the file as they are in memory */
} ndl_store_info;

/**
 * Open for reading.  @return NDL_OK; NDL_ENOINPUT, NDL_EPERM; NDL_EDATA if it
 * is no HDF5 file, empty or truncated.
 */
ndl_status ndl_store_open(ndl_store **out, const char *path);

/**
 * Create PATH.part for writing; commit renames it to PATH.
 * Objects are aligned to 4096 bytes (threshold 1).
 * @return NDL_OK; NDL_ECREATE, NDL_EPERM, NDL_EOS.
 */
ndl_status ndl_store_create(ndl_store **out, const char *path);

/** Close the file, fsync, rename, and free.  Only after create.
 * Sets *s to NULL in every case; on failure the part is removed. */
ndl_status ndl_store_commit(ndl_store **s);

/** Free; a created file that was not committed is removed.  NULL is allowed,
 * *s becomes NULL. */
void ndl_store_close(ndl_store **s);

/** Path as given to open or create; borrowed until close. */
const char *ndl_store_path(const ndl_store *s);

/** Make a group and its missing parents. */
ndl_status ndl_store_make_group(ndl_store *s, const char *name);

/** Make a contiguous dataset, early allocated, not filled; parents made. */
ndl_status ndl_store_make(ndl_store *s, const char *name, ndl_store_type type,
                          int n_dims, const uint64_t *dims);

/** Make a chunked, deflated dataset of bytes and write it whole. */
ndl_status ndl_store_put_packed(ndl_store *s, const char *name,
                                const void *bytes, size_t n);

/**
 * Write `n` slices of the first dimension, from slice `first`.
 * @param[in] src  borrowed; elements in memory as the dataset's type.
 */
ndl_status ndl_store_write(ndl_store *s, const char *name, uint64_t first,
                           uint64_t n, const void *src);

/** Read a dataset whole into `dst` (cap bytes); info->bytes must be <= cap. */
ndl_status ndl_store_read(ndl_store *s, const char *name, void *dst,
                          size_t cap);

/** @return NDL_OK; NDL_EDATA if absent, of a foreign type, or outside the
 * file. */
ndl_status ndl_store_query(ndl_store *s, const char *name, ndl_store_info *out);

/** True if a group or dataset of that name exists. */
bool ndl_store_has(ndl_store *s, const char *name);

/** Attributes of an object ("/" for the root).  Text is UTF-8, <= 60 KiB. */
ndl_status ndl_store_put_text(ndl_store *s, const char *object,
                              const char *name, const char *text);
ndl_status ndl_store_put_ints(ndl_store *s, const char *object,
                              const char *name, const int64_t *v, int n);
ndl_status ndl_store_put_u64(ndl_store *s, const char *object, const char *name,
                             uint64_t v);
ndl_status ndl_store_put_f64(ndl_store *s, const char *object, const char *name,
                             double v);

/**
 * Write what every file of ours has at its root: noodle_format, format_version
 * (major, minor), writer, created.  "created" honours SOURCE_DATE_EPOCH.
 * @return NDL_OK; NDL_EIO; NDL_ECONFIG if that variable is no time.
 */
ndl_status ndl_store_put_stamp(ndl_store *s, const char *format, int major,
                               int minor);

/** @param[out] out  malloc'ed, zero-terminated; the caller frees it. */
ndl_status ndl_store_get_text(ndl_store *s, const char *object,
                              const char *name, char **out);
/** Reads exactly `n` integers; any other count is NDL_EDATA. */
ndl_status ndl_store_get_ints(ndl_store *s, const char *object,
                              const char *name, int64_t *v, int n);
ndl_status ndl_store_get_u64(ndl_store *s, const char *object, const char *name,
                             uint64_t *out);
bool ndl_store_has_attr(ndl_store *s, const char *object, const char *name);

/**
 * Call `fn` for every dataset below `group`, in name order, with its absolute
 * name; stop at the first status that is not NDL_OK and return it.
 */
ndl_status ndl_store_each(ndl_store *s, const char *group,
                          ndl_status (*fn)(void *arg, const char *name),
                          void *arg);

/** "HDF5 1.10.8", static. */
const char *ndl_store_library(void);

#endif /* NOODLE_STORE_H */
