/*
 * store_table_hdf5.c - table.h: rows of the caller's structs against columns
 * in the file.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/table.h"
#include "store_hdf5.h"

enum {
    /* A run of seconds leaves one chunk a column, and a flush writes the last
     * chunk of each again: small.  512 doubles need no index beyond the first
     * level for hours of steps. */
    CHUNK_BYTES = 8 << 10,
    BLOCK_ROWS = 1024, /* that go through the scratch at once */
    NAME_BYTES = 128   /* of "GROUP/COLUMN", with the final zero */
};

struct ndl_table {
    ndl_store *s;
    char group[NAME_BYTES];
    const ndl_column *columns;
    int n_columns;
    size_t row_bytes;
    int64_t n_rows;
    hid_t sets[NDL_TABLE_COLUMNS];
    char *scratch; /* (BLOCK_ROWS) values of one column */
};

static size_t value_bytes(ndl_column_type type)
{
    switch (type) {
    case NDL_COLUMN_I32: return sizeof(int32_t);
    case NDL_COLUMN_I64: return sizeof(int64_t);
    case NDL_COLUMN_F64: return sizeof(double);
    case NDL_COLUMN_TEXT: return NDL_COLUMN_TEXT_BYTES;
    }
    return 0;
}

static hid_t make_text(void)
{
    const hid_t t = H5Tcopy(H5T_C_S1);
    if (t >= 0 && H5Tset_size(t, NDL_COLUMN_TEXT_BYTES) >= 0 &&
        H5Tset_strpad(t, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(t, H5T_CSET_UTF8) >= 0)
        return t;
    ndl_store_drop(t);
    return H5I_INVALID_HID;
}

/* A new type id, in the file and in memory alike. */
static hid_t make_type(ndl_column_type type)
{
    switch (type) {
    case NDL_COLUMN_I32: return H5Tcopy(H5T_STD_I32LE);
    case NDL_COLUMN_I64: return H5Tcopy(H5T_STD_I64LE);
    case NDL_COLUMN_F64: return H5Tcopy(H5T_IEEE_F64LE);
    case NDL_COLUMN_TEXT: return make_text();
    }
    return H5I_INVALID_HID;
}

static ndl_status bad(const ndl_table *t, int column, const char *cause)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: table %s, column %s: %s: let noodle-mpi make the "
                    "file again",
                    t->s->path, t->group, t->columns[column].name, cause);
}

/* The same with HDF5's reason, or a failed write. */
static ndl_status fail(const ndl_table *t, int column, const char *verb)
{
    char why[256];
    ndl_store_reason(why, sizeof why);
    if (!t->s->writing) return bad(t, column, why);
    t->s->broken = t->s->followed;
    return NDL_FAIL(NDL_EIO,
                    "%s: cannot %s table %s, column %s: %s: check the free "
                    "space",
                    t->s->path, verb, t->group, t->columns[column].name, why);
}

static ndl_status create_table(ndl_table **out, ndl_store *s, const char *group,
                               const ndl_column *columns, int n_columns)
{
    NDL_ASSERT(n_columns >= 1 && n_columns <= NDL_TABLE_COLUMNS &&
               strlen(group) < NAME_BYTES);
    ndl_table *t = calloc(1, sizeof *t);
    if (t) t->scratch = malloc((size_t)BLOCK_ROWS * NDL_COLUMN_TEXT_BYTES);
    if (!t || !t->scratch) {
        free(t);
        return NDL_FAIL(NDL_EOS, "%s: out of memory", s->path);
    }
    t->s = s;
    t->columns = columns;
    t->n_columns = n_columns;
    memcpy(t->group, group, strlen(group) + 1);
    for (int c = 0; c < NDL_TABLE_COLUMNS; c++) t->sets[c] = H5I_INVALID_HID;
    *out = t;
    return NDL_OK;
}

void ndl_table_close(ndl_table **t)
{
    if (!*t) return;
    /* Closing the columns of a broken file would write to it. */
    for (int c = 0; c < (*t)->n_columns && !(*t)->s->broken; c++)
        ndl_store_drop((*t)->sets[c]);
    free((*t)->scratch);
    free(*t);
    *t = NULL;
}

int64_t ndl_table_n_rows(const ndl_table *t)
{
    return t->n_rows;
}

/* "GROUP/COLUMN". */
static void name_column(const ndl_table *t, int column, char name[NAME_BYTES])
{
    const int n =
        snprintf(name, NAME_BYTES, "%s/%s", t->group, t->columns[column].name);
    NDL_ASSERT(n < NAME_BYTES);
}

/* A chunk of a live file is written again and again while it fills.  With a
 * checksum a writer killed inside such a write would take with it the rows
 * that were flushed before, and a reader could meet it half-written; without,
 * the rows that are there stay what they are.  A file that appears whole has
 * checksums. */
static herr_t set_layout(const ndl_table *t, int column, hid_t list)
{
    const hsize_t chunk = CHUNK_BYTES / value_bytes(t->columns[column].type);
    if (H5Pset_chunk(list, 1, &chunk) < 0) return -1;
    return t->s->live ? 0 : H5Pset_fletcher32(list);
}

static ndl_status make_column(ndl_table *t, int column)
{
    char name[NAME_BYTES];
    const ndl_column *c = &t->columns[column];
    const hid_t type = make_type(c->type);
    const hid_t list = ndl_store_dataset_list();
    const hid_t space =
        H5Screate_simple(1, &(hsize_t){ 0 }, &(hsize_t){ H5S_UNLIMITED });
    name_column(t, column, name);
    if (type >= 0 && list >= 0 && space >= 0 &&
        set_layout(t, column, list) >= 0)
        t->sets[column] = H5Dcreate2(t->s->file, name, type, space, H5P_DEFAULT,
                                     list, H5P_DEFAULT);
    ndl_status st = NDL_OK;
    if (t->sets[column] < 0)
        st = fail(t, column, "make");
    else if (*c->unit)
        st = ndl_store_put_text(t->s, name, "units", c->unit);
    ndl_store_drop(space);
    ndl_store_drop(list);
    ndl_store_drop(type);
    return st;
}

ndl_status ndl_table_make(ndl_table **out, ndl_store *s, const char *group,
                          const ndl_column *columns, int n_columns,
                          size_t row_bytes)
{
    ndl_table *t = NULL;
    NDL_ASSERT(s->writing && !s->followed);
    NDL_TRY(ndl_store_make_group(s, group));
    NDL_TRY(create_table(&t, s, group, columns, n_columns));
    t->row_bytes = row_bytes;
    ndl_status st = NDL_OK;
    for (int c = 0; c < n_columns && st == NDL_OK; c++) st = make_column(t, c);
    if (st == NDL_OK)
        *out = t;
    else
        ndl_table_close(&t);
    return st;
}

/* Of texts the size counts, however the rest is padded. */
static bool is_type(hid_t set, ndl_column_type type)
{
    const hid_t ours = make_type(type), theirs = H5Dget_type(set);
    bool same = false;
    if (ours >= 0 && theirs >= 0 && type == NDL_COLUMN_TEXT)
        same = H5Tget_class(theirs) == H5T_STRING &&
               H5Tis_variable_str(theirs) == 0 &&
               H5Tget_size(theirs) == NDL_COLUMN_TEXT_BYTES &&
               H5Tget_strpad(theirs) == H5T_STR_NULLPAD &&
               H5Tget_cset(theirs) == H5T_CSET_UTF8;
    else if (ours >= 0 && theirs >= 0)
        same = H5Tequal(ours, theirs) > 0;
    ndl_store_drop(theirs);
    ndl_store_drop(ours);
    return same;
}

/* Rows of a one-dimensional dataset, -1 if it is not one. */
static int64_t count_rows(hid_t set)
{
    const hid_t space = H5Dget_space(set);
    hsize_t n = 0;
    const bool flat = space >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                      H5Sget_simple_extent_dims(space, &n, NULL) == 1;
    ndl_store_drop(space);
    if (!flat) return -1;
    return n > NDL_TABLE_MAX_ROWS ? (int64_t)NDL_TABLE_MAX_ROWS + 1
                                  : (int64_t)n;
}

static const char *check_column(const ndl_table *t, int column, int64_t *rows)
{
    const hid_t set = t->sets[column];
    const size_t size = value_bytes(t->columns[column].type);
    if (!is_type(set, t->columns[column].type)) return "is of another type";
    const int64_t n = count_rows(set);
    if (n < 0) return "has not one dimension";
    if (n > NDL_TABLE_MAX_ROWS) return "has too many rows";
    ndl_store_info info = { .n_dims = 1, .dims = { (uint64_t)n } };
    info.bytes = (uint64_t)n * size;
    const char *cause = ndl_store_check_layout(t->s, set, &info, size);
    if (cause) return cause;
    /* The lengths in a file that somebody writes are not of one moment: its
     * rows are those that every column has. */
    if (column > 0 && n != *rows && !t->s->followed)
        return "has another length than the columns before it";
    if (column == 0 || n < *rows) *rows = n;
    return NULL;
}

static ndl_status open_column(ndl_table *t, int column)
{
    char name[NAME_BYTES];
    name_column(t, column, name);
    if (!ndl_store_has(t->s, name)) return bad(t, column, "is missing");
    NDL_TRY(ndl_store_object(t->s, name, &t->sets[column]));
    if (H5Iget_type(t->sets[column]) != H5I_DATASET)
        return bad(t, column, "is not a dataset");
    const char *cause = check_column(t, column, &t->n_rows);
    return cause ? bad(t, column, cause) : NDL_OK;
}

ndl_status ndl_table_open(ndl_table **out, ndl_store *s, const char *group,
                          const ndl_column *columns, int n_columns,
                          size_t row_bytes)
{
    ndl_table *t = NULL;
    NDL_ASSERT(!s->writing);
    NDL_TRY(create_table(&t, s, group, columns, n_columns));
    t->row_bytes = row_bytes;
    ndl_status st = NDL_OK;
    for (int c = 0; c < n_columns && st == NDL_OK; c++) st = open_column(t, c);
    if (st == NDL_OK)
        *out = t;
    else
        ndl_table_close(&t);
    return st;
}

/* Rows to move between the scratch and a place in a column. */
typedef struct span {
    int64_t first, n; /* n <= BLOCK_ROWS */
} span;

typedef herr_t (*mover)(hid_t set, hid_t type, hid_t memory, hid_t file,
                        void *values);

static herr_t put_values(hid_t set, hid_t type, hid_t memory, hid_t file,
                         void *values)
{
    return H5Dwrite(set, type, memory, file, H5P_DEFAULT, values);
}

static herr_t get_values(hid_t set, hid_t type, hid_t memory, hid_t file,
                         void *values)
{
    return H5Dread(set, type, memory, file, H5P_DEFAULT, values);
}

static herr_t move_span(ndl_table *t, int column, span at, mover move)
{
    const hsize_t start = (hsize_t)at.first, count = (hsize_t)at.n;
    const hid_t type = make_type(t->columns[column].type);
    const hid_t memory = H5Screate_simple(1, &count, NULL);
    const hid_t file = H5Dget_space(t->sets[column]);
    herr_t rc = -1;
    if (type >= 0 && memory >= 0 && file >= 0 &&
        H5Sselect_hyperslab(file, H5S_SELECT_SET, &start, NULL, &count, NULL) >=
            0)
        rc = move(t->sets[column], type, memory, file, t->scratch);
    ndl_store_drop(file);
    ndl_store_drop(memory);
    ndl_store_drop(type);
    return rc;
}

/* Fields of n rows into the scratch.  Behind the end of a text the file gets
 * zeros, whatever the caller's memory holds. */
static void gather(ndl_table *t, int column, const char *rows, int64_t n)
{
    const ndl_column *c = &t->columns[column];
    const size_t size = value_bytes(c->type);
    char *to = t->scratch;
    rows += c->offset;
    for (int64_t i = 0; i < n; i++, to += size, rows += t->row_bytes) {
        size_t used = size;
        if (c->type == NDL_COLUMN_TEXT) used = strnlen(rows, size);
        NDL_ASSERT(c->type != NDL_COLUMN_TEXT || used < size);
        memcpy(to, rows, used);
        memset(to + used, 0, size - used);
    }
}

static ndl_status put_span(ndl_table *t, span at, const char *rows)
{
    for (int c = 0; c < t->n_columns; c++) {
        gather(t, c, rows, at.n);
        if (move_span(t, c, at, put_values) < 0) return fail(t, c, "write");
    }
    return NDL_OK;
}

static ndl_status put_rows(ndl_table *t, int64_t first, int64_t n,
                           const char *rows)
{
    for (int64_t i = 0; i < n; i += BLOCK_ROWS) {
        const int64_t left = n - i;
        const span at = { first + i, left < BLOCK_ROWS ? left : BLOCK_ROWS };
        NDL_TRY(put_span(t, at, rows + (size_t)i * t->row_bytes));
    }
    return NDL_OK;
}

ndl_status ndl_table_append(ndl_table *t, const void *rows, int64_t n)
{
    const int64_t first = t->n_rows;
    NDL_ASSERT(t->s->writing && n >= 0);
    if (n == 0) return NDL_OK;
    const hsize_t extent = (hsize_t)(first + n);
    for (int c = 0; c < t->n_columns; c++)
        if (H5Dset_extent(t->sets[c], &extent) < 0)
            return fail(t, c, "lengthen");
    NDL_TRY(put_rows(t, first, n, rows));
    t->n_rows = first + n;
    return NDL_OK;
}

ndl_status ndl_table_put(ndl_table *t, int64_t first, int64_t n,
                         const void *rows)
{
    NDL_ASSERT(t->s->writing && first >= 0 && n >= 0 && n <= t->n_rows &&
               first <= t->n_rows - n);
    return put_rows(t, first, n, rows);
}

/* Fields of n rows from the scratch; texts go to terminals and may not steer
 * them.  @return false: a text that no field of ours can be. */
static bool scatter(const ndl_table *t, int column, char *rows, int64_t n)
{
    const ndl_column *c = &t->columns[column];
    const size_t size = value_bytes(c->type);
    const char *from = t->scratch;
    rows += c->offset;
    for (int64_t i = 0; i < n; i++, from += size, rows += t->row_bytes) {
        size_t used = size;
        if (c->type == NDL_COLUMN_TEXT) {
            used = strnlen(from, size);
            if (used == size) return false;
            for (size_t k = 0; k < used; k++)
                if (iscntrl((unsigned char)from[k])) return false;
        }
        memcpy(rows, from, used);
        memset(rows + used, 0, size - used);
    }
    return true;
}

static ndl_status get_span(ndl_table *t, span at, char *rows)
{
    for (int c = 0; c < t->n_columns; c++) {
        if (move_span(t, c, at, get_values) < 0) return fail(t, c, "read");
        if (!scatter(t, c, rows, at.n))
            return bad(t, c,
                       "a text without an end or with control characters");
    }
    return NDL_OK;
}

ndl_status ndl_table_get(ndl_table *t, int64_t first, int64_t n, void *rows)
{
    NDL_ASSERT(first >= 0 && n >= 0 && n <= t->n_rows &&
               first <= t->n_rows - n);
    for (int64_t i = 0; i < n; i += BLOCK_ROWS) {
        const int64_t left = n - i;
        const span at = { first + i, left < BLOCK_ROWS ? left : BLOCK_ROWS };
        NDL_TRY(get_span(t, at, (char *)rows + (size_t)i * t->row_bytes));
    }
    return NDL_OK;
}
