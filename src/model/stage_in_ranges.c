/* stage_in_ranges.c - see stage_in_ranges.h. */
#include "stage_in_ranges.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/layout.h"

/* Datasets of the model that the part does not have. */
typedef struct others {
    ndl_store *store;
    ndl_item *all, *part; /* both in the order of the table */
    int n_all, n_part;
    ndl_range *at;
    int n;
} others;

static ndl_status list(others *o, const ndl_part *part)
{
    ndl_model model;
    ndl_mix mix;
    NDL_TRY(ndl_weights_read_model(o->store, &model, &mix));
    const ndl_part whole = ndl_layout_whole(&model);
    NDL_TRY(ndl_layout_list(&o->part, &o->n_part, &model, mix, part));
    NDL_TRY(ndl_layout_list(&o->all, &o->n_all, &model, mix, &whole));
    o->at = malloc(((size_t)o->n_all + 1) * sizeof *o->at);
    if (!o->at)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(o->store));
    return NDL_OK;
}

static int by_offset(const void *a, const void *b)
{
    const ndl_range *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* What is not contiguous has no place of its own and counts as the index. */
static ndl_status locate(others *o)
{
    int n_ours = 0;
    for (int i = 0; i < o->n_all; i++) {
        const char *name = o->all[i].name;
        ndl_store_info info;
        if (n_ours < o->n_part && !strcmp(name, o->part[n_ours].name)) {
            n_ours++;
            continue;
        }
        if (!ndl_store_has(o->store, name)) continue; /* another's trouble */
        NDL_TRY(ndl_store_query(o->store, name, &info));
        if (info.contiguous && info.bytes > 0)
            o->at[o->n++] = (ndl_range){ info.offset, info.bytes };
    }
    qsort(o->at, (size_t)o->n, sizeof *o->at, by_offset);
    return NDL_OK;
}

static void add(ndl_ranges *out, uint64_t from, uint64_t to)
{
    if (to <= from) return;
    out->at[out->n++] = (ndl_range){ from, to - from };
    out->bytes += to - from;
}

/* What lies between the others. */
static ndl_status keep(ndl_ranges *out, const others *o, uint64_t file_bytes)
{
    uint64_t end = 0; /* of the others so far */
    out->at = malloc(((size_t)o->n + 1) * sizeof *out->at);
    if (!out->at)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(o->store));
    for (int i = 0; i < o->n; i++) {
        const ndl_range *r = &o->at[i];
        add(out, end, r->offset);
        if (r->offset + r->n > end) end = r->offset + r->n;
    }
    add(out, end, file_bytes);
    return NDL_OK;
}

ndl_status ndl_stage_in_ranges(ndl_ranges *out, const char *path,
                               const ndl_part *part, uint64_t file_bytes)
{
    others o = { 0 };
    ndl_ranges r = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_store_open(&o.store, path));
    NDL_TRY_GOTO(done, st, list(&o, part));
    NDL_TRY_GOTO(done, st, locate(&o));
    NDL_TRY_GOTO(done, st, keep(&r, &o, file_bytes));
    *out = r;
done:
    free(o.at);
    free(o.all);
    free(o.part);
    ndl_store_close(&o.store);
    return st;
}
