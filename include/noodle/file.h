/* file.h - whole files in, whole files out, with messages that name them. */
#ifndef NOODLE_FILE_H
#define NOODLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "noodle/heed.h"
#include "noodle/status.h"

/**
 * Read a file whole.  A directory, a device or a pipe is read to its end too,
 * if it can be.
 *
 * @param[out] out  malloc'ed, with a zero byte past the end; caller frees.
 * @param[out] n    bytes, without that zero.
 * @return NDL_OK; NDL_ENOINPUT (missing, a directory), NDL_EPERM, NDL_EIO;
 * NDL_EDATA if it is larger than max_bytes; NDL_EOS out of memory.
 */
ndl_status ndl_file_read(char **out, size_t *n, const char *path,
                         size_t max_bytes);

/** Likewise of what may be a pipe that takes its time: `heed` is asked
 * meanwhile, and its error returned. */
ndl_status ndl_file_read_heeding(char **out, size_t *n, const char *path,
                                 size_t max_bytes, ndl_heed heed);

/**
 * Read exactly n bytes that lie at `offset`.
 *
 * @param path  of fd, for messages.
 * @param dst   after a failure, its contents are undefined.
 * @return NDL_OK; NDL_EDATA if the file ends before; NDL_EPERM, NDL_EOS,
 * NDL_EIO.
 */
ndl_status ndl_file_read_at(int fd, const char *path, void *dst, size_t n,
                            uint64_t offset);

/* A file that appears whole or not at all: written as PATH.part. */
typedef struct ndl_file_part {
    FILE *file; /* write here */
    char *path, *part_path;
    bool is_scratch; /* set after open: need not survive a power cut, and is
                        not worth waiting for the disk */
} ndl_file_part;

/** Create PATH.part.  @return NDL_OK; NDL_ECREATE; NDL_EPERM; NDL_EOS. */
ndl_status ndl_file_part_open(ndl_file_part *p, const char *path);

/** Flush, fsync, rename to PATH, fsync the directory; `p` is then empty.
 * @return NDL_OK; NDL_EIO, and the part is removed. */
ndl_status ndl_file_part_commit(ndl_file_part *p);

/** Remove the part if it was not committed.  Safe on a zeroed struct. */
void ndl_file_part_discard(ndl_file_part *p);

/** Make the names in the folder of `path` survive a power cut, if that can be.
 */
void ndl_file_sync_folder(const char *path);

/**
 * Map errno to a status and store "PATH: cause" with `verb` ("open", "read").
 * @return NDL_ENOINPUT (ENOENT, ENOTDIR), NDL_EPERM (EACCES, EPERM),
 * NDL_EOS (EMFILE, ENOMEM), NDL_EIO otherwise.
 */
ndl_status ndl_file_fail(const char *path, const char *verb, int err);

#endif /* NOODLE_FILE_H */
