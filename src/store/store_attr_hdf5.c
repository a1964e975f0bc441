/*
 * store_attr_hdf5.c - attributes: texts and integers on groups and datasets.
 *
 * We write fixed-length UTF-8 and 64-bit integers; we also read what h5py
 * writes (variable-length texts, other widths).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store_hdf5.h"

/* An object header holds no message of 64 KiB or more. */
enum { TEXT_MAX_BYTES = 60 << 10 };

static ndl_status bad_attr(const ndl_store *s, const char *object,
                           const char *name, const char *cause)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: attribute %s of %s: %s: import the model again",
                    s->path, name, object, cause);
}

static ndl_status fail_attr(const ndl_store *s, const char *verb,
                            const char *object, const char *name)
{
    char what[256];
    snprintf(what, sizeof what, "attribute %s of %s", name, object);
    return ndl_store_fail(s, verb, what);
}

/* Where an attribute goes, and as what. */
typedef struct place {
    const char *object, *name;
    hid_t type;
    int n; /* 1 is a scalar */
} place;

static ndl_status put(ndl_store *s, const place *p, const void *value)
{
    hid_t id = H5I_INVALID_HID, attr = H5I_INVALID_HID;
    NDL_ASSERT(s->writing);
    NDL_TRY(ndl_store_object(s, p->object, &id));
    const hid_t space = p->n == 1
                            ? H5Screate(H5S_SCALAR)
                            : H5Screate_simple(1, &(hsize_t){ p->n }, NULL);
    if (space >= 0)
        attr =
            H5Acreate2(id, p->name, p->type, space, H5P_DEFAULT, H5P_DEFAULT);
    ndl_status st = NDL_OK;
    if (attr < 0 || H5Awrite(attr, p->type, value) < 0)
        st = fail_attr(s, "write", p->object, p->name);
    ndl_store_drop(attr);
    ndl_store_drop(space);
    ndl_store_drop(id);
    return st;
}

ndl_status ndl_store_put_text(ndl_store *s, const char *object,
                              const char *name, const char *text)
{
    const size_t n = strlen(text);
    if (n > TEXT_MAX_BYTES)
        return NDL_FAIL(NDL_EDATA,
                        "%s: the text %s has %zu bytes: at most %d can be "
                        "stored",
                        s->path, name, n, TEXT_MAX_BYTES);
    const hid_t type = H5Tcopy(H5T_C_S1);
    ndl_status st = NDL_OK;
    if (type < 0 || H5Tset_size(type, n + 1) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        st = fail_attr(s, "write", object, name);
    else
        st = put(s, &(place){ object, name, type, 1 }, text);
    ndl_store_drop(type);
    return st;
}

ndl_status ndl_store_put_ints(ndl_store *s, const char *object,
                              const char *name, const int64_t *v, int n)
{
    NDL_ASSERT(n >= 1);
    return put(s, &(place){ object, name, H5T_STD_I64LE, n }, v);
}

ndl_status ndl_store_put_u64(ndl_store *s, const char *object, const char *name,
                             uint64_t v)
{
    return put(s, &(place){ object, name, H5T_STD_U64LE, 1 }, &v);
}

ndl_status ndl_store_put_f64(ndl_store *s, const char *object, const char *name,
                             double v)
{
    return put(s, &(place){ object, name, H5T_IEEE_F64LE, 1 }, &v);
}

/* Now, or the time that a reproducible build asks for. */
static time_t creation_time(void)
{
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    const long long sec = fixed ? strtoll(fixed, &end, 10) : 0;
    return fixed && end != fixed && *end == '\0' ? (time_t)sec : time(NULL);
}

ndl_status ndl_store_put_stamp(ndl_store *s, const char *format, int major,
                               int minor)
{
    char created[32];
    struct tm utc;
    const time_t t = creation_time();
    if (!gmtime_r(&t, &utc) ||
        strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        return NDL_FAIL(NDL_ECONFIG,
                        "SOURCE_DATE_EPOCH is not a time: unset it");
    const int64_t version[2] = { major, minor };
    NDL_TRY(ndl_store_put_text(s, "/", "noodle_format", format));
    NDL_TRY(ndl_store_put_ints(s, "/", "format_version", version, 2));
    NDL_TRY(ndl_store_put_text(s, "/", "writer", "noodle-mpi"));
    return ndl_store_put_text(s, "/", "created", created);
}

/* An attribute open for reading. */
typedef struct view {
    hid_t attr, type;
    H5T_class_t class;
    size_t size; /* of an element */
    hssize_t n;
} view;

static void close_view(view *v)
{
    ndl_store_drop(v->type);
    ndl_store_drop(v->attr);
}

static ndl_status open_view(const ndl_store *s, const char *object,
                            const char *name, view *out)
{
    hid_t id = H5I_INVALID_HID;
    view v = { .attr = H5I_INVALID_HID, .type = H5I_INVALID_HID, .n = -1 };
    NDL_TRY(ndl_store_object(s, object, &id));
    const htri_t there = H5Aexists(id, name);
    if (there > 0) v.attr = H5Aopen(id, name, H5P_DEFAULT);
    ndl_store_drop(id);
    if (there == 0) return bad_attr(s, object, name, "is missing");
    if (v.attr >= 0) v.type = H5Aget_type(v.attr);
    if (v.type >= 0) {
        const hid_t space = H5Aget_space(v.attr);
        v.class = H5Tget_class(v.type);
        v.size = H5Tget_size(v.type);
        if (space >= 0 && H5Sget_simple_extent_type(space) != H5S_NULL)
            v.n = H5Sget_simple_extent_npoints(space);
        ndl_store_drop(space);
    }
    if (v.n >= 0 && v.size > 0) {
        *out = v;
        return NDL_OK;
    }
    close_view(&v);
    return bad_attr(s, object, name, "cannot be read");
}

static ndl_status read_fixed(const ndl_store *s, const view *v, char *buf,
                             const char *object, const char *name)
{
    if (H5Aread(v->attr, v->type, buf) < 0)
        return fail_attr(s, "read", object, name);
    buf[v->size] = '\0';
    if (H5Tget_strpad(v->type) != H5T_STR_SPACEPAD) return NDL_OK;
    for (size_t n = strlen(buf); n > 0 && buf[n - 1] == ' '; n--)
        buf[n - 1] = '\0';
    return NDL_OK;
}

static ndl_status get_fixed(const ndl_store *s, const view *v, char **out,
                            const char *object, const char *name)
{
    if (v->size > TEXT_MAX_BYTES + 1)
        return bad_attr(s, object, name, "the text is too long");
    char *buf = malloc(v->size + 1);
    if (!buf) return NDL_FAIL(NDL_EOS, "%s: out of memory", s->path);
    const ndl_status st = read_fixed(s, v, buf, object, name);
    if (st == NDL_OK)
        *out = buf;
    else
        free(buf);
    return st;
}

/* The character set must be that of the file, else HDF5 finds no conversion. */
static herr_t read_variable(const view *v, char **text)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    herr_t rc = -1;
    if (type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
        H5Tset_cset(type, H5Tget_cset(v->type)) >= 0)
        rc = H5Aread(v->attr, type, text);
    ndl_store_drop(type);
    return rc;
}

static ndl_status get_variable(const ndl_store *s, const view *v, char **out,
                               const char *object, const char *name)
{
    char *text = NULL; /* the library's; NULL is an empty text */
    if (read_variable(v, &text) < 0) return fail_attr(s, "read", object, name);
    ndl_status st = NDL_OK;
    char *copy = NULL;
    if (text && strlen(text) > TEXT_MAX_BYTES)
        st = bad_attr(s, object, name, "the text is too long");
    else if (!(copy = strdup(text ? text : "")))
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", s->path);
    else
        *out = copy;
    if (text) H5free_memory(text);
    return st;
}

ndl_status ndl_store_get_text(ndl_store *s, const char *object,
                              const char *name, char **out)
{
    view v;
    NDL_TRY(open_view(s, object, name, &v));
    ndl_status st = NDL_OK;
    if (v.class != H5T_STRING || v.n != 1)
        st = bad_attr(s, object, name, "is not one text");
    else if (H5Tis_variable_str(v.type) > 0)
        st = get_variable(s, &v, out, object, name);
    else
        st = get_fixed(s, &v, out, object, name);
    close_view(&v);
    return st;
}

/* Integers of any width and sign; a value that does not fit is cut to the
 * nearest by HDF5, and refused by whoever checks its range. */
static ndl_status get_numbers(const ndl_store *s, const char *object,
                              const char *name, int n, hid_t as, void *dst)
{
    view v;
    NDL_TRY(open_view(s, object, name, &v));
    ndl_status st = NDL_OK;
    if (v.class != H5T_INTEGER || v.size > sizeof(int64_t) || v.n != n)
        st = NDL_FAIL(NDL_EDATA,
                      "%s: attribute %s of %s: is not %d integer%s: import "
                      "the model again",
                      s->path, name, object, n, n == 1 ? "" : "s");
    else if (H5Aread(v.attr, as, dst) < 0)
        st = fail_attr(s, "read", object, name);
    close_view(&v);
    return st;
}

ndl_status ndl_store_get_ints(ndl_store *s, const char *object,
                              const char *name, int64_t *v, int n)
{
    enum { MANY = 16 };
    int64_t values[MANY]; /* so that v is untouched on error */
    NDL_ASSERT(n >= 1 && n <= MANY);
    NDL_TRY(get_numbers(s, object, name, n, H5T_NATIVE_INT64, values));
    memcpy(v, values, (size_t)n * sizeof *values);
    return NDL_OK;
}

ndl_status ndl_store_get_u64(ndl_store *s, const char *object, const char *name,
                             uint64_t *out)
{
    uint64_t value = 0;
    NDL_TRY(get_numbers(s, object, name, 1, H5T_NATIVE_UINT64, &value));
    *out = value;
    return NDL_OK;
}

bool ndl_store_has_attr(ndl_store *s, const char *object, const char *name)
{
    hid_t id = H5I_INVALID_HID;
    if (!ndl_store_has(s, object)) return false;
    id = H5Oopen(s->file, object, H5P_DEFAULT);
    const bool there = id >= 0 && H5Aexists(id, name) > 0;
    ndl_store_drop(id);
    return there;
}
