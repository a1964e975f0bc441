/*
 * store_hdf5.h - what the files of the store share, and nobody else sees.
 *
 * Rules of the folder: an id is released on every path (ndl_store_drop), and
 * a name from outside is walked link by link before it is opened, so that a
 * soft or external link in a hostile file never leads to another file.
 */
#ifndef NOODLE_STORE_HDF5_H
#define NOODLE_STORE_HDF5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "noodle/file.h"
#include "noodle/store.h"

struct ndl_store {
    char *path;
    hid_t file;
    bool writing;
    bool live;     /* of ndl_store_create_live */
    bool followed; /* of ndl_store_follow; of open: somebody writes, or did */
    bool broken;   /* a write to a followed file failed: left as it is */
    ndl_file_part part;  /* of create: owns PATH.part until commit */
    uint64_t file_bytes; /* of open: size when opened */
};

/** Release an id of any kind; a negative one (a failed call) is allowed. */
void ndl_store_drop(hid_t id);

/**
 * Store "PATH: cannot VERB NAME: reason", the reason being HDF5's innermost.
 * @return NDL_EIO for a file being made, NDL_EDATA for one being read.
 */
ndl_status ndl_store_fail(const ndl_store *s, const char *verb,
                          const char *name);

/** The innermost reason of HDF5's last failure, on one line. */
void ndl_store_reason(char *out, size_t cap);

/** Store "PATH: NAME: cause: import the model again".  @return NDL_EDATA. */
ndl_status ndl_store_bad(const ndl_store *s, const char *name,
                         const char *cause);

/** Open a group or dataset; "/" is the root.  @return NDL_OK; NDL_EDATA. */
ndl_status ndl_store_object(const ndl_store *s, const char *name, hid_t *out);

/** Same, and it must be a dataset. */
ndl_status ndl_store_dataset(const ndl_store *s, const char *name, hid_t *out);

/** Why the layout of an open dataset is refused, or NULL: filters that would
 * be loaded, other files, huge chunks, bytes outside the file.
 * @param info  with the bytes in memory; where they lie is filled in. */
const char *ndl_store_check_layout(const ndl_store *s, hid_t set,
                                   ndl_store_info *info, size_t element_bytes);

/** Properties of every dataset of ours; the caller drops the list. */
hid_t ndl_store_dataset_list(void);

/** Make the groups above `name`, those that are not there yet. */
ndl_status ndl_store_make_parents(ndl_store *s, const char *name);

#endif /* NOODLE_STORE_HDF5_H */
