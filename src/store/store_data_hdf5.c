/*
 * store_data_hdf5.c - datasets: their types, making, writing, reading, and
 * what a foreign one must satisfy.
 */
#include <stdlib.h>
#include <string.h>

#include "noodle/hash.h"
#include "store_hdf5.h"

enum {
    PACKED_CHUNK_BYTES = 256 << 10,
    PACKED_LEVEL = 6, /* of deflate */
    /* HDF5 holds a chunk whole in memory: a hostile one may not be larger. */
    CHUNK_BYTES_MAX = 64 << 20,
    COMPACT_ATTRIBUTES = 32 /* see store_hdf5.c */
};

/* A float of 16 bits cut from the upper half of a 32-bit one.  The fields go
 * before the size, so that they are never outside of it. */
static hid_t make_bf16(void)
{
    const hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    if (t < 0) return t;
    if (H5Tset_fields(t, 15, 7, 8, 0, 7) >= 0 && H5Tset_size(t, 2) >= 0 &&
        H5Tset_ebias(t, 127) >= 0)
        return t;
    ndl_store_drop(t);
    return H5I_INVALID_HID;
}

/* A new type id of ours, the caller drops it; in files and in memory alike,
 * so that the library never converts. */
static hid_t make_type(ndl_store_type type)
{
    switch (type) {
    case NDL_STORE_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case NDL_STORE_BF16: return make_bf16();
    case NDL_STORE_U8: return H5Tcopy(H5T_STD_U8LE);
    case NDL_STORE_U16: return H5Tcopy(H5T_STD_U16LE);
    case NDL_STORE_U32: return H5Tcopy(H5T_STD_U32LE);
    case NDL_STORE_I32: return H5Tcopy(H5T_STD_I32LE);
    }
    return H5I_INVALID_HID;
}

static bool find_type(hid_t file_type, ndl_store_type *out)
{
    for (int i = NDL_STORE_F32; i <= NDL_STORE_I32; i++) {
        const hid_t ours = make_type((ndl_store_type)i);
        const bool same = ours >= 0 && H5Tequal(file_type, ours) > 0;
        ndl_store_drop(ours);
        if (!same) continue;
        *out = (ndl_store_type)i;
        return true;
    }
    return false;
}

static const char *check_type(hid_t set, ndl_store_info *out, size_t *size)
{
    const hid_t type = H5Dget_type(set);
    const bool known = type >= 0 && find_type(type, &out->type);
    *size = known ? H5Tget_size(type) : 0;
    ndl_store_drop(type);
    return known ? NULL : "its element type is not one of this format";
}

/* Fill dims and bytes.  Sizes come from the file: every product is checked. */
static const char *check_shape(hid_t set, ndl_store_info *out, size_t size)
{
    hsize_t dims[NDL_STORE_MAX_DIMS] = { 0 };
    const hid_t space = H5Dget_space(set);
    const int n = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    const bool simple = n >= 0 && n <= NDL_STORE_MAX_DIMS &&
                        H5Sget_simple_extent_type(space) != H5S_NULL &&
                        H5Sget_simple_extent_dims(space, dims, NULL) == n;
    ndl_store_drop(space);
    if (!simple) return "its shape cannot be read or has too many dimensions";
    out->n_dims = n;
    out->bytes = size;
    for (int i = 0; i < n; i++) {
        out->dims[i] = dims[i];
        if (__builtin_mul_overflow(out->bytes, (uint64_t)dims[i],
                                   &out->bytes) ||
            out->bytes > INT64_MAX)
            return "its shape is too large";
    }
    return NULL;
}

/* Only filters that the library itself brings: any other would load code from
 * a plugin folder because a file says so. */
static bool has_plain_filters(hid_t list)
{
    const int n = H5Pget_nfilters(list);
    for (int i = 0; i < n; i++) {
        unsigned flags = 0, config = 0, values[8];
        size_t n_values = sizeof values / sizeof *values;
        const H5Z_filter_t f = H5Pget_filter2(
            list, (unsigned)i, &flags, &n_values, values, 0, NULL, &config);
        if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE &&
            f != H5Z_FILTER_FLETCHER32)
            return false;
    }
    return n >= 0;
}

static const char *check_chunk(hid_t list, size_t size)
{
    hsize_t dims[NDL_STORE_MAX_DIMS];
    const int n = H5Pget_chunk(list, NDL_STORE_MAX_DIMS, dims);
    uint64_t bytes = size;
    for (int i = 0; i < n && i < NDL_STORE_MAX_DIMS; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)dims[i], &bytes))
            bytes = UINT64_MAX;
    if (n < 0 || n > NDL_STORE_MAX_DIMS || bytes > CHUNK_BYTES_MAX)
        return "its chunks are too large";
    if (!has_plain_filters(list))
        return "it is packed by a filter other than deflate";
    return NULL;
}

/* Where the bytes lie.  External files are refused: a file must not make us
 * read another one. */
static const char *judge_layout(const ndl_store *s, hid_t set, hid_t list,
                                ndl_store_info *out, size_t size)
{
    const H5D_layout_t layout = H5Pget_layout(list);
    if (layout == H5D_COMPACT) return NULL;
    if (layout == H5D_CHUNKED) return check_chunk(list, size);
    if (layout != H5D_CONTIGUOUS) return "its layout is not supported";
    if (H5Pget_external_count(list) != 0) return "its data are in another file";
    if (H5Pget_nfilters(list) != 0) return "it is packed, but not in chunks";
    const haddr_t at = H5Dget_offset(set);
    if (at == HADDR_UNDEF || out->bytes == 0) return NULL;
    if (H5Dget_storage_size(set) != out->bytes)
        return "its size in the file does not match its shape";
    /* A file being made may still grow to here. */
    if (!s->writing && (at > s->file_bytes || out->bytes > s->file_bytes - at))
        return "it reaches past the end of the file";
    out->offset = at;
    out->contiguous = true;
    return NULL;
}

const char *ndl_store_check_layout(const ndl_store *s, hid_t set,
                                   ndl_store_info *info, size_t element_bytes)
{
    const hid_t list = H5Dget_create_plist(set);
    const char *cause = "its properties cannot be read";
    if (list >= 0) cause = judge_layout(s, set, list, info, element_bytes);
    ndl_store_drop(list);
    return cause;
}

static ndl_status inspect(const ndl_store *s, hid_t set, const char *name,
                          ndl_store_info *out)
{
    ndl_store_info info = { 0 };
    size_t size = 0;
    const char *cause = check_type(set, &info, &size);
    if (!cause) cause = check_shape(set, &info, size);
    if (!cause) cause = ndl_store_check_layout(s, set, &info, size);
    if (cause) return ndl_store_bad(s, name, cause);
    *out = info;
    return NDL_OK;
}

ndl_status ndl_store_query(ndl_store *s, const char *name, ndl_store_info *out)
{
    hid_t set = H5I_INVALID_HID;
    NDL_TRY(ndl_store_dataset(s, name, &set));
    const ndl_status st = inspect(s, set, name, out);
    ndl_store_drop(set);
    return st;
}

hid_t ndl_store_dataset_list(void)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    if (list < 0) return list;
    if (H5Pset_obj_track_times(list, false) >= 0 &&
        H5Pset_attr_phase_change(list, COMPACT_ATTRIBUTES,
                                 COMPACT_ATTRIBUTES / 2) >= 0)
        return list;
    ndl_store_drop(list);
    return H5I_INVALID_HID;
}

ndl_status ndl_store_make(ndl_store *s, const char *name, ndl_store_type type,
                          int n_dims, const uint64_t *dims)
{
    hsize_t extent[NDL_STORE_MAX_DIMS];
    NDL_ASSERT(s->writing && n_dims >= 1 && n_dims <= NDL_STORE_MAX_DIMS);
    for (int i = 0; i < n_dims; i++) extent[i] = dims[i];
    NDL_TRY(ndl_store_make_parents(s, name));
    const hid_t list = ndl_store_dataset_list();
    const hid_t space = H5Screate_simple(n_dims, extent, NULL);
    const hid_t element = make_type(type);
    hid_t set = H5I_INVALID_HID;
    if (list >= 0 && space >= 0 && element >= 0 &&
        H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        set = H5Dcreate2(s->file, name, element, space, H5P_DEFAULT, list,
                         H5P_DEFAULT);
    const ndl_status st = set < 0 ? ndl_store_fail(s, "make", name) : NDL_OK;
    ndl_store_drop(set);
    ndl_store_drop(element);
    ndl_store_drop(space);
    ndl_store_drop(list);
    return st;
}

static hid_t create_packed(ndl_store *s, const char *name, hsize_t n)
{
    const hsize_t chunk = n < PACKED_CHUNK_BYTES ? n : PACKED_CHUNK_BYTES;
    const hid_t list = ndl_store_dataset_list();
    const hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t set = H5I_INVALID_HID;
    if (list >= 0 && space >= 0 && H5Pset_chunk(list, 1, &chunk) >= 0 &&
        H5Pset_deflate(list, PACKED_LEVEL) >= 0)
        set = H5Dcreate2(s->file, name, H5T_STD_U8LE, space, H5P_DEFAULT, list,
                         H5P_DEFAULT);
    ndl_store_drop(space);
    ndl_store_drop(list);
    return set;
}

ndl_status ndl_store_put_packed(ndl_store *s, const char *name,
                                const void *bytes, size_t n)
{
    NDL_ASSERT(s->writing);
    if (n == 0) { /* a chunk cannot be empty */
        NDL_TRY(ndl_store_make(s, name, NDL_STORE_U8, 1, &(uint64_t){ 0 }));
        return ndl_store_put_u64(s, name, "xxh3_64", ndl_hash_bytes("", 0, 0));
    }
    NDL_TRY(ndl_store_make_parents(s, name));
    const hid_t set = create_packed(s, name, n);
    ndl_status st = set < 0 ? ndl_store_fail(s, "make", name) : NDL_OK;
    if (st == NDL_OK &&
        H5Dwrite(set, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) < 0)
        st = ndl_store_fail(s, "write", name);
    ndl_store_drop(set);
    if (st != NDL_OK) return st;
    return ndl_store_put_u64(s, name, "xxh3_64", ndl_hash_bytes(bytes, n, 0));
}

/* Write into the slices [first, first + n) of an open dataset. */
static herr_t write_slices(hid_t set, const ndl_store_info *info,
                           uint64_t first, uint64_t n, const void *src)
{
    hsize_t start[NDL_STORE_MAX_DIMS] = { first };
    hsize_t count[NDL_STORE_MAX_DIMS] = { n };
    for (int i = 1; i < info->n_dims; i++) count[i] = info->dims[i];
    const hid_t file = H5Dget_space(set);
    const hid_t memory = H5Screate_simple(info->n_dims, count, NULL);
    const hid_t element = make_type(info->type);
    herr_t rc = -1;
    if (file >= 0 && memory >= 0 && element >= 0 &&
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) >=
            0)
        rc = H5Dwrite(set, element, memory, file, H5P_DEFAULT, src);
    ndl_store_drop(element);
    ndl_store_drop(memory);
    ndl_store_drop(file);
    return rc;
}

ndl_status ndl_store_write(ndl_store *s, const char *name, uint64_t first,
                           uint64_t n, const void *src)
{
    hid_t set = H5I_INVALID_HID;
    ndl_store_info info;
    NDL_ASSERT(s->writing);
    NDL_TRY(ndl_store_dataset(s, name, &set));
    ndl_status st = inspect(s, set, name, &info);
    if (st == NDL_OK) {
        NDL_ASSERT(info.n_dims >= 1 && first <= info.dims[0] &&
                   n <= info.dims[0] - first);
        if (n > 0 && info.bytes > 0 &&
            write_slices(set, &info, first, n, src) < 0)
            st = ndl_store_fail(s, "write", name);
    }
    ndl_store_drop(set);
    return st;
}

ndl_status ndl_store_read(ndl_store *s, const char *name, void *dst, size_t cap)
{
    hid_t set = H5I_INVALID_HID, element = H5I_INVALID_HID;
    ndl_store_info info;
    NDL_TRY(ndl_store_dataset(s, name, &set));
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, inspect(s, set, name, &info));
    if (info.bytes > cap) {
        st = ndl_store_bad(s, name, "it is larger than expected");
        goto done;
    }
    if (info.bytes == 0) goto done;
    element = make_type(info.type);
    if (element < 0 ||
        H5Dread(set, element, H5S_ALL, H5S_ALL, H5P_DEFAULT, dst) < 0)
        st = ndl_store_fail(s, "read", name);
done:
    ndl_store_drop(element);
    ndl_store_drop(set);
    return st;
}
