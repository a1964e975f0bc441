/* npy.c - NumPy format version 1.0: magic, header text padded to 64 bytes,
 * little-endian data (NEP 1). */
#include "noodle/npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/file.h"

enum { HEADER = 128 };

struct ndl_npy {
    ndl_file_part part;
    uint64_t rows, cols, n_written;
    unsigned char *written; /* (rows) bits */
};

struct ndl_npy_rows {
    FILE *file;
    char *path;
    uint64_t rows, cols;
};

static void make_header(char head[HEADER], uint64_t rows, uint64_t cols)
{
    memset(head, ' ', HEADER);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)((HEADER - 10) & 255);
    head[9] = (char)((HEADER - 10) >> 8);
    char text[HEADER];
    const int len = snprintf(
        text, sizeof text,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu), }",
        (unsigned long long)rows, (unsigned long long)cols);
    memcpy(head + 10, text, (size_t)len);
    head[HEADER - 1] = '\n';
}

static ndl_status write_header(ndl_npy *n)
{
    char head[HEADER];
    make_header(head, n->rows, n->cols);
    if (fwrite(head, 1, HEADER, n->part.file) != HEADER)
        return ndl_file_fail(n->part.part_path, "write", errno);
    return NDL_OK;
}

ndl_status ndl_npy_create(ndl_npy **out, const char *path, uint64_t rows,
                          uint64_t cols)
{
    ndl_npy *n = calloc(1, sizeof *n);
    if (!n) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    n->rows = rows;
    n->cols = cols;
    n->written = calloc(1, (size_t)(rows / 8 + 1));
    ndl_status st = n->written ? ndl_file_part_open(&n->part, path)
                               : NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    if (st == NDL_OK) st = write_header(n);
    if (st != NDL_OK) {
        ndl_npy_discard(&n);
        return st;
    }
    *out = n;
    return NDL_OK;
}

void ndl_npy_scratch(ndl_npy *n)
{
    n->part.is_scratch = true;
}

ndl_status ndl_npy_write(ndl_npy *n, uint64_t row, const float *values)
{
    if (row >= n->rows)
        return NDL_FAIL(NDL_EDATA, "%s: row %llu of %llu", n->part.path,
                        (unsigned long long)row, (unsigned long long)n->rows);
    const off_t at = (off_t)(HEADER + row * n->cols * sizeof *values);
    if (fseeko(n->part.file, at, SEEK_SET) != 0 ||
        fwrite(values, sizeof *values, n->cols, n->part.file) != n->cols)
        return ndl_file_fail(n->part.part_path, "write", errno);
    const unsigned char bit = (unsigned char)(1u << row % 8);
    if (!(n->written[row / 8] & bit)) n->n_written++;
    n->written[row / 8] |= bit;
    return NDL_OK;
}

ndl_status ndl_npy_commit(ndl_npy **np)
{
    ndl_npy *n = *np;
    *np = NULL;
    ndl_status st = NDL_OK;
    if (n->n_written != n->rows) {
        st = NDL_FAIL(NDL_ESOFTWARE, "%s: %llu of %llu rows were written",
                      n->part.path, (unsigned long long)n->n_written,
                      (unsigned long long)n->rows);
        ndl_file_part_discard(&n->part);
    } else {
        st = ndl_file_part_commit(&n->part);
    }
    free(n->written);
    free(n);
    return st;
}

void ndl_npy_discard(ndl_npy **n)
{
    if (!*n) return;
    ndl_file_part_discard(&(*n)->part);
    free((*n)->written);
    free(*n);
    *n = NULL;
}

/* Of our own files the whole header is known, and with it their length. */
static ndl_status check_array(ndl_npy_rows *n)
{
    char want[HEADER], have[HEADER];
    make_header(want, n->rows, n->cols);
    if (n->cols == 0 || n->rows > (uint64_t)INT64_MAX / 8 / n->cols)
        return NDL_FAIL(NDL_EDATA, "%s: no file has so many rows", n->path);
    const off_t bytes = (off_t)(HEADER + n->rows * n->cols * sizeof(float));
    if (fread(have, 1, HEADER, n->file) != HEADER ||
        memcmp(have, want, HEADER) != 0 || fseeko(n->file, 0, SEEK_END) != 0 ||
        ftello(n->file) != bytes)
        return NDL_FAIL(NDL_EDATA,
                        "%s: is not the whole array of %llu rows of %llu "
                        "numbers that was written: write it again",
                        n->path, (unsigned long long)n->rows,
                        (unsigned long long)n->cols);
    return NDL_OK;
}

ndl_status ndl_npy_rows_open(ndl_npy_rows **out, const char *path,
                             uint64_t rows, uint64_t cols)
{
    ndl_status st = NDL_OK;
    ndl_npy_rows *n = calloc(1, sizeof *n);
    if (!n) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    n->rows = rows;
    n->cols = cols;
    n->path = strdup(path);
    if (!n->path)
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    else if (!(n->file = fopen(path, "rbe")))
        st = ndl_file_fail(path, "open", errno);
    else
        st = check_array(n);
    if (st == NDL_OK)
        *out = n;
    else
        ndl_npy_rows_close(&n);
    return st;
}

ndl_status ndl_npy_rows_read(ndl_npy_rows *n, uint64_t row, float *values)
{
    if (row >= n->rows)
        return NDL_FAIL(NDL_EDATA, "%s: row %llu of %llu", n->path,
                        (unsigned long long)row, (unsigned long long)n->rows);
    const off_t at = (off_t)(HEADER + row * n->cols * sizeof *values);
    errno = 0; /* the end of a file sets none */
    if (fseeko(n->file, at, SEEK_SET) != 0 ||
        fread(values, sizeof *values, n->cols, n->file) != n->cols)
        return ndl_file_fail(n->path, "read", errno ? errno : EIO);
    return NDL_OK;
}

void ndl_npy_rows_close(ndl_npy_rows **n)
{
    if (!*n) return;
    if ((*n)->file) fclose((*n)->file);
    free((*n)->path);
    free(*n);
    *n = NULL;
}
