/*
 * mixed_file.h - a weights file of any mix, its bytes out of a seed: as the
 * layout says, with attributes and checksums, but of no source.
 */
#ifndef NOODLE_TEST_MIXED_FILE_H
#define NOODLE_TEST_MIXED_FILE_H

#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "noodle/hash.h"
#include "noodle/layout.h"
#include "noodle/weights.h"

/* Bytes of an item that arithmetic can live with. */
static inline void mixed_fill(const ndl_item *it, uint8_t *bytes)
{
    for (uint64_t i = 0; i < it->bytes; i++) {
        const uint8_t any = (uint8_t)random_bits();
        const bool high = i % 2 == 1; /* byte of a 16-bit number */
        if (it->layout == NDL_LAYOUT_SCALES)
            bytes[i] = high ? 0x0c | (any & 3) : any; /* 2^-12 .. 2^-11 */
        else if (it->block)
            bytes[i] = any | 1;
        else if (it->dtype == NDL_BF16)
            bytes[i] = high ? 0x3c | (any & 0x80) : any;
        else
            bytes[i] = i % 4 == 3 ? 0x3c | (any & 0x80) : any;
    }
}

static inline ndl_status mixed_int(ndl_store *s, const ndl_item *it,
                                   const char *name, int value)
{
    return ndl_store_put_ints(s, it->name, name, &(int64_t){ value }, 1);
}

static inline ndl_status mixed_item(ndl_store *s, const ndl_item *it,
                                    const uint8_t *bytes)
{
    NDL_TRY(
        ndl_store_make(s, it->name, ndl_layout_type(it), it->n_dims, it->dims));
    NDL_TRY(ndl_store_write(s, it->name, 0, it->dims[0], bytes));
    NDL_TRY(
        ndl_store_put_text(s, it->name, "layout", ndl_layout_name(it->layout)));
    NDL_TRY(ndl_store_put_text(s, it->name, "order",
                               ndl_layout_order_name(it->order)));
    NDL_TRY(
        ndl_store_put_text(s, it->name, "dtype", ndl_dtype_name(it->dtype)));
    NDL_TRY(mixed_int(s, it, "rows", it->rows));
    NDL_TRY(mixed_int(s, it, "cols", it->cols));
    if (it->block) NDL_TRY(mixed_int(s, it, "block", it->block));
    return ndl_store_put_u64(s, it->name, "xxh3_64",
                             ndl_hash_bytes(bytes, (size_t)it->bytes, 0));
}

static inline ndl_status mixed_root(ndl_store *s, const char *config,
                                    ndl_mix mix)
{
    char text[NDL_MIX_TEXT];
    ndl_mix_write(mix, text);
    NDL_TRY(ndl_store_put_stamp(s, "weights", NDL_WEIGHTS_VERSION_MAJOR,
                                ndl_weights_minor(mix)));
    NDL_TRY(ndl_store_put_text(s, "/", "dtype", text));
    return ndl_store_put_text(s, "/", "config", config);
}

/* @param change  may alter the bytes of an item before they are written, or
 *                the item; false: leave it out.  Or NULL. */
typedef bool mixed_change(void *arg, ndl_item *it, uint8_t *bytes);

static inline ndl_status mixed_items(ndl_store *s, const ndl_model *m,
                                     ndl_mix mix, mixed_change *change,
                                     void *arg)
{
    const ndl_part whole = ndl_layout_whole(m);
    ndl_item *items = NULL;
    int n = 0;
    NDL_TRY(ndl_layout_list(&items, &n, m, mix, &whole));
    ndl_status st = NDL_OK;
    for (int i = 0; i < n && st == NDL_OK; i++) {
        uint8_t *bytes = malloc((size_t)items[i].bytes);
        NDL_ASSERT(bytes);
        mixed_fill(&items[i], bytes);
        if (!change || change(arg, &items[i], bytes))
            st = mixed_item(s, &items[i], bytes);
        free(bytes);
    }
    free(items);
    return st;
}

static inline ndl_status mixed_write(const char *path, const char *config,
                                     ndl_mix mix, mixed_change *change,
                                     void *arg)
{
    ndl_model m;
    ndl_store *s = NULL;
    NDL_TRY(ndl_model_parse(&m, config, strlen(config), NULL, 0, "config"));
    NDL_TRY(ndl_store_create(&s, path));
    ndl_status st = mixed_root(s, config, mix);
    if (st == NDL_OK) st = mixed_items(s, &m, mix, change, arg);
    if (st == NDL_OK) st = ndl_store_commit(&s);
    ndl_store_close(&s);
    return st;
}

#endif /* NOODLE_TEST_MIXED_FILE_H */
