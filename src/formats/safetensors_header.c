/*
 * safetensors_header.c - the JSON header of a safetensors file, checked.
 *
 * Pure: text in, list of tensors out.  The data must be covered exactly, with
 * no hole and no overlap, so that a file cannot carry bytes nobody names and
 * two tensors cannot share any.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/json.h"
#include "safetensors.h"

typedef struct dtype {
    const char *name;
    int bits;
} dtype;

/* clang-format off */
static const dtype dtypes[] = {
    { "F32", 32 },     { "F16", 16 },     { "BF16", 16 },
    { "F64", 64 },     { "C64", 64 },     { "BOOL", 8 },
    { "I8", 8 },       { "U8", 8 },       { "I16", 16 },
    { "U16", 16 },     { "I32", 32 },     { "U32", 32 },
    { "I64", 64 },     { "U64", 64 },     { "F4", 4 },
    { "F6_E2M3", 6 },  { "F6_E3M2", 6 },  { "F8_E5M2", 8 },
    { "F8_E4M3", 8 },  { "F8_E8M0", 8 },  { "F8_E5M2FNUZ", 8 },
    { "F8_E4M3FNUZ", 8 },
};
/* clang-format on */

static const dtype *find_dtype(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

static ndl_status fail(const char *what, const char *name, const char *cause)
{
    return NDL_FAIL(NDL_EDATA, "%s: tensor %.200s: %s: the file is damaged",
                    what, name, cause);
}

static bool get_u64(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0) return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static ndl_status read_dtype(ndl_tensor *t, const json_t *entry, int *bits,
                             const char *what)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name) return fail(what, t->name, "no dtype");
    const dtype *d = find_dtype(name);
    if (!d) return fail(what, t->name, "unknown dtype");
    t->dtype = d->name;
    t->type = ndl_float_type_of(d->name);
    *bits = d->bits;
    return NDL_OK;
}

/* `count` becomes the number of elements. */
static ndl_status read_shape(ndl_tensor *t, const json_t *entry,
                             uint64_t *count, const char *what)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return fail(what, t->name, "no shape");
    if (json_array_size(shape) > NDL_TENSOR_MAX_DIMS)
        return fail(what, t->name, "more than 8 dimensions");
    t->n_dims = (int)json_array_size(shape);
    *count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        if (!get_u64(json_array_get(shape, (size_t)i), &t->dims[i]))
            return fail(what, t->name, "a dimension is no whole number");
        if (__builtin_mul_overflow(*count, t->dims[i], count))
            return fail(what, t->name, "its shape is too large");
    }
    return NDL_OK;
}

static ndl_status read_offsets(ndl_tensor *t, const json_t *entry,
                               const char *what)
{
    const json_t *v = json_object_get(entry, "data_offsets");
    uint64_t begin = 0, end = 0;
    if (json_array_size(v) != 2 || !get_u64(json_array_get(v, 0), &begin) ||
        !get_u64(json_array_get(v, 1), &end))
        return fail(what, t->name, "data_offsets are not two whole numbers");
    if (begin > end) return fail(what, t->name, "data_offsets run backwards");
    t->offset = begin;
    t->bytes = end - begin;
    return NDL_OK;
}

static ndl_status read_entry(ndl_tensor *t, const json_t *entry,
                             const char *what)
{
    int bits = 0;
    uint64_t count = 0;
    if (!json_is_object(entry)) return fail(what, t->name, "no object");
    NDL_TRY(read_dtype(t, entry, &bits, what));
    NDL_TRY(read_shape(t, entry, &count, what));
    NDL_TRY(read_offsets(t, entry, what));
    uint64_t n_bits = 0;
    if (__builtin_mul_overflow(count, (uint64_t)bits, &n_bits) || n_bits % 8)
        return fail(what, t->name, "its shape is no number of bytes");
    if (n_bits / 8 != t->bytes)
        return fail(what, t->name, "its shape and data_offsets differ");
    return NDL_OK;
}

static ndl_status check_metadata(const json_t *v, const char *what)
{
    const char *key = NULL;
    json_t *text = NULL;
    if (!json_is_object(v))
        return fail(what, "__metadata__", "it is no object");
    json_object_foreach((json_t *)v, key, text)
    {
        if (!json_is_string(text))
            return fail(what, "__metadata__", "a value is no text");
    }
    return NDL_OK;
}

/* A zeroed tensor with its name, at the end of the list. */
static ndl_status append(ndl_tensor_list *list, const char *name,
                         ndl_tensor **out)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 256;
        ndl_tensor *more = realloc(list->items, cap * sizeof *more);
        if (!more) return NDL_FAIL(NDL_EOS, "out of memory for tensor names");
        list->items = more;
        list->cap = cap;
    }
    ndl_tensor *t = &list->items[list->n];
    memset(t, 0, sizeof *t);
    t->name = strdup(name);
    if (!t->name) return NDL_FAIL(NDL_EOS, "out of memory for tensor names");
    list->n++;
    *out = t;
    return NDL_OK;
}

static ndl_status read_entries(ndl_tensor_list *list, const json_t *root,
                               const char *what)
{
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach((json_t *)root, name, entry)
    {
        ndl_tensor *t = NULL;
        if (strcmp(name, "__metadata__") == 0) {
            NDL_TRY(check_metadata(entry, what));
            continue;
        }
        NDL_TRY(append(list, name, &t));
        NDL_TRY(read_entry(t, entry, what));
    }
    return NDL_OK;
}

/* By place; tensors without bytes come before the one that starts there. */
static int by_offset(const void *a, const void *b)
{
    const ndl_tensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The tensors of the list from number `first` on. */
static ndl_status check_cover(ndl_tensor_list *list, size_t first,
                              uint64_t data_bytes, const char *what)
{
    const size_t n = list->n - first;
    ndl_tensor *t = n ? list->items + first : NULL;
    uint64_t at = 0;
    if (n) qsort(t, n, sizeof *t, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (t[i].offset > at)
            return fail(what, t[i].name, "its data follow a hole");
        if (t[i].offset < at)
            return fail(what, t[i].name, "its data overlap another's");
        if (t[i].bytes > data_bytes - at)
            return fail(what, t[i].name, "its data end past the file");
        at += t[i].bytes;
    }
    if (at == data_bytes) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: %llu bytes belong to no tensor: the file is damaged",
                    what, (unsigned long long)(data_bytes - at));
}

ndl_status ndl_tensor_list_parse(ndl_tensor_list *list, const char *text,
                                 size_t n, uint64_t data_bytes,
                                 const char *what)
{
    ndl_status st = NDL_OK;
    json_t *root = NULL;
    const size_t first = list->n;
    if (n == 0 || text[0] != '{')
        return NDL_FAIL(NDL_EDATA,
                        "%s: its header is no JSON object: not a "
                        "safetensors file",
                        what);
    NDL_TRY(ndl_json_parse(&root, text, n, what));
    NDL_TRY_GOTO(done, st, read_entries(list, root, what));
    NDL_TRY_GOTO(done, st, check_cover(list, first, data_bytes, what));
done:
    json_decref(root);
    return st;
}

void ndl_tensor_list_fini(ndl_tensor_list *list)
{
    for (size_t i = 0; i < list->n; i++) free(list->items[i].name);
    free(list->items);
    memset(list, 0, sizeof *list);
}
