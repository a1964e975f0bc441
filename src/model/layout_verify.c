/* layout_verify.c - does a dataset of a file match its item of the table? */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/layout.h"

enum { DATA_ALIGNMENT = 64 }; /* what weights.h promises of data */

static ndl_status mismatch(ndl_store *s, const ndl_item *it, const char *what)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: %s does not match the model: import the model "
                    "again",
                    ndl_store_path(s), it->name, what);
}

static ndl_status verify_text(ndl_store *s, const ndl_item *it,
                              const char *attr, const char *expected)
{
    char *text = NULL;
    NDL_TRY(ndl_store_get_text(s, it->name, attr, &text));
    const bool same = strcmp(text, expected) == 0;
    free(text);
    return same ? NDL_OK : mismatch(s, it, attr);
}

static ndl_status verify_int(ndl_store *s, const ndl_item *it, const char *attr,
                             int expected)
{
    int64_t v = 0;
    NDL_TRY(ndl_store_get_ints(s, it->name, attr, &v, 1));
    return v == expected ? NDL_OK : mismatch(s, it, attr);
}

static ndl_status verify_shape(ndl_store *s, const ndl_item *it,
                               const ndl_store_info *info)
{
    if (info->type != ndl_layout_type(it))
        return mismatch(s, it, "the element type");
    if (info->n_dims != it->n_dims || info->bytes != it->bytes ||
        memcmp(info->dims, it->dims, sizeof it->dims) != 0)
        return mismatch(s, it, "the shape");
    if (!info->contiguous)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s: is packed or in chunks and cannot be mapped: "
                        "import the model again",
                        ndl_store_path(s), it->name);
    if (info->offset % DATA_ALIGNMENT != 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s: begins at byte %" PRIu64 ", which is not a "
                        "multiple of %d: import the model again",
                        ndl_store_path(s), it->name, info->offset,
                        DATA_ALIGNMENT);
    return NDL_OK;
}

ndl_status ndl_layout_verify(ndl_store *s, const ndl_item *it, uint64_t *offset)
{
    ndl_store_info info;
    NDL_TRY(ndl_store_query(s, it->name, &info));
    NDL_TRY(verify_text(s, it, "layout", ndl_layout_name(it->layout)));
    NDL_TRY(verify_text(s, it, "order", ndl_layout_order_name(it->order)));
    NDL_TRY(verify_text(s, it, "dtype", ndl_dtype_name(it->dtype)));
    NDL_TRY(verify_int(s, it, "rows", it->rows));
    NDL_TRY(verify_int(s, it, "cols", it->cols));
    if (it->block) NDL_TRY(verify_int(s, it, "block", it->block));
    NDL_TRY(verify_shape(s, it, &info));
    *offset = info.offset;
    return NDL_OK;
}
