/*
 * table.h - tables in HDF5: one group a table, one growing dataset a column.
 *
 * Each column is a one-dimensional dataset of its group, so that pandas reads
 * a table in one line; units are attributes.  A file whose tables are all made
 * can be followed by readers while it grows (SWMR), and what was flushed
 * survives the death of the writer.
 */
#ifndef NOODLE_TABLE_H
#define NOODLE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"
#include "noodle/store.h"

typedef enum ndl_column_type {
    NDL_COLUMN_I32,
    NDL_COLUMN_I64,
    NDL_COLUMN_F64,
    NDL_COLUMN_TEXT /* NDL_COLUMN_TEXT_BYTES, zero-padded */
} ndl_column_type;

enum {
    NDL_COLUMN_TEXT_BYTES = 64,
    NDL_TABLE_COLUMNS = 32,
    NDL_TABLE_MAX_ROWS = 1 << 24 /* that a reader takes */
};

/* A column, and where its value lies in the caller's row struct. */
typedef struct ndl_column {
    const char *name;
    ndl_column_type type;
    const char *unit; /* "s", "B", "" */
    size_t offset;    /* of the field in a row */
} ndl_column;

typedef struct ndl_table ndl_table;

/**
 * Make a table in a file that was created: all columns empty, chunked,
 * extendible.
 * @param columns  (n_columns) borrowed for the table's life; static.
 * @param row_bytes  sizeof the caller's row struct.
 * @return NDL_OK; NDL_EIO.
 */
ndl_status ndl_table_make(ndl_table **out, ndl_store *s, const char *group,
                          const ndl_column *columns, int n_columns,
                          size_t row_bytes);

/** Open a table for reading.  Columns of the file that are not asked for are
 * ignored.
 * @return NDL_OK; NDL_EDATA naming group and column: absent, of another type,
 *         of unequal lengths, or more than NDL_TABLE_MAX_ROWS rows. */
ndl_status ndl_table_open(ndl_table **out, ndl_store *s, const char *group,
                          const ndl_column *columns, int n_columns,
                          size_t row_bytes);

/** Free, before the store is closed.  NULL is allowed, *t becomes NULL. */
void ndl_table_close(ndl_table **t);

int64_t ndl_table_n_rows(const ndl_table *t);

/** Append `n` rows; texts end within their field.  @return NDL_OK; NDL_EIO. */
ndl_status ndl_table_append(ndl_table *t, const void *rows, int64_t n);

/** Write over rows first .. first + n - 1, which exist. */
ndl_status ndl_table_put(ndl_table *t, int64_t first, int64_t n,
                         const void *rows);

/** Read rows first .. first + n - 1, which exist.  Texts are zero-terminated.
 * @return NDL_OK; NDL_EDATA: unreadable, a text of the full width or with
 *         control characters; rows may then be partly filled. */
ndl_status ndl_table_get(ndl_table *t, int64_t first, int64_t n, void *rows);

/**
 * Create a file for tables that grow while others read.  Make all groups,
 * tables and attributes, then call ndl_store_follow, which lets the file appear
 * as PATH in place of an older one.  Close before that removes it; later commit
 * and close only close it.  Once a write has failed, both leave the file as a
 * writer that was killed would: what was flushed can be read.
 * ndl_store_open also opens a file that is being written, or whose writer was
 * killed; its tables have the rows that were flushed by then.
 * @return NDL_OK; NDL_ECREATE, NDL_EPERM, NDL_EOS.
 */
ndl_status ndl_store_create_live(ndl_store **out, const char *path);

/** From here on readers may follow (SWMR); nothing new can be made.
 * @return NDL_OK; NDL_EIO and what a rename fails with. */
ndl_status ndl_store_follow(ndl_store *s);

/** What was written is in the file, also after kill -9.
 * @return NDL_OK; NDL_EIO. */
ndl_status ndl_store_flush(ndl_store *s);

#endif /* NOODLE_TABLE_H */
