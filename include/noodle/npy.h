/* npy.h - a float32 array in NumPy's format: write its rows in any order, read
 * them back. */
#ifndef NOODLE_NPY_H
#define NOODLE_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"

typedef struct ndl_npy ndl_npy;

/**
 * Create PATH.part for a (rows, cols) array.
 * @return NDL_OK; NDL_ECREATE, NDL_EPERM, NDL_EOS.
 */
ndl_status ndl_npy_create(ndl_npy **out, const char *path, uint64_t rows,
                          uint64_t cols);

/** The file need not survive a power cut: finishing it does not wait for the
 * disk. */
void ndl_npy_scratch(ndl_npy *n);

/** Write row `row` (cols floats).  @return NDL_OK; NDL_EIO, NDL_EDATA. */
ndl_status ndl_npy_write(ndl_npy *n, uint64_t row, const float *values);

/** All rows must have been written.  Renames to PATH and frees; sets NULL. */
ndl_status ndl_npy_commit(ndl_npy **n);

/** Remove the part and free.  NULL is allowed; sets NULL. */
void ndl_npy_discard(ndl_npy **n);

/* An array to read. */
typedef struct ndl_npy_rows ndl_npy_rows;

/**
 * Open a file that must hold exactly a (rows, cols) array as written here.
 * @return NDL_OK; NDL_ENOINPUT, NDL_EPERM, NDL_EOS; NDL_EDATA if it is
 *         something else.
 */
ndl_status ndl_npy_rows_open(ndl_npy_rows **out, const char *path,
                             uint64_t rows, uint64_t cols);

/** @param[out] values  (cols).  @return NDL_OK; NDL_EIO, NDL_EDATA. */
ndl_status ndl_npy_rows_read(ndl_npy_rows *n, uint64_t row, float *values);

/** NULL is allowed; sets NULL. */
void ndl_npy_rows_close(ndl_npy_rows **n);

#endif /* NOODLE_NPY_H */
