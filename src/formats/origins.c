/*
 * origins.c - see origins.h.
 *
 * What a file says of its sources is compared with the names that its family
 * gives to the roles; only the prefix and the dtypes are news.
 */
#include "origins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/json.h"
#include "random_weights.h"
#include "roles.h"
#include "unpack.h"

/* A reading in progress. */
typedef struct reading {
    ndl_store *store;
    const ndl_model *model;
    const ndl_name_family *family;
    const char *prefix;
    const ndl_item *item; /* the dataset in work */
    ndl_origins *out;
} reading;

static ndl_status mismatch(const reading *r, const char *attr)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: %s is not what a %s model has there: import the "
                    "model again",
                    ndl_store_path(r->store), r->item->name, attr,
                    r->model->arch);
}

static const ndl_name_rule *rule_of(const reading *r, ndl_role role)
{
    for (size_t i = 0; i < r->family->n_rules; i++)
        if (r->family->rules[i].role == role) return &r->family->rules[i];
    return NULL;
}

static void random_name(const reading *r, ndl_role role, const char **name)
{
    ndl_random_weights w = { .model = *r->model };
    ndl_source source;
    ndl_origin o = { 0 };
    ndl_random_weights_source(&w, &source);
    source.origin(source.arg, role, r->item->layer, &o);
    *name = o.name;
}

/* The list of the item's sources; the caller owns it. */
static ndl_status read_list(const reading *r, json_t **out)
{
    char *text = NULL, what[512];
    NDL_TRY(ndl_store_get_text(r->store, r->item->name, "sources", &text));
    snprintf(what, sizeof what, "%s: %s: sources", ndl_store_path(r->store),
             r->item->name);
    const ndl_status st = ndl_json_parse(out, text, strlen(text), what);
    free(text);
    return st;
}

static bool has_name(const json_t *list, size_t i, const char *name)
{
    const char *text = json_string_value(json_array_get(list, i));
    return text && strcmp(text, name) == 0;
}

/* The embedding's name tells which of the three spellings the file has. */
static ndl_status choose_names(reading *r)
{
    const ndl_name_rule *rule = rule_of(r, NDL_ROLE_TOKENS);
    char full[NDL_NAME_CAP];
    const char *invented = NULL;
    json_t *list = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY(read_list(r, &list));
    ndl_name_make(full, r->family, rule, r->family->prefix, -1);
    random_name(r, NDL_ROLE_TOKENS, &invented);
    r->prefix = r->family->prefix;
    if (has_name(list, 0, rule->name))
        r->prefix = "";
    else if (has_name(list, 0, invented))
        r->out->invented = true;
    else if (!has_name(list, 0, full))
        st = mismatch(r, "sources");
    json_decref(list);
    return st;
}

/* Append the tensors that the item's roles come from; joined ones are one.
 * @param[out] first  the first of them. */
static ndl_status list_tensors(reading *r, int item, int *first)
{
    ndl_origins *o = r->out;
    *first = o->n;
    for (int i = 0; i < r->item->n_roles; i++) {
        const ndl_role role = r->item->roles[i];
        const ndl_name_rule *rule = rule_of(r, role);
        ndl_role_shape s = { 0 };
        char name[NDL_NAME_CAP];
        if (!rule || !ndl_role_shape_of(r->model, role, &s))
            return mismatch(r, "its content");
        ndl_name_make(name, r->family, rule, r->prefix,
                      s.layered ? r->item->layer : -1);
        if (o->n > *first && strcmp(o->tensors[o->n - 1].name, name) == 0) {
            o->tensors[o->n - 1].n_roles++;
            continue;
        }
        ndl_origin_tensor *t = &o->tensors[o->n++];
        *t = (ndl_origin_tensor){ .item = item,
                                  .first_role = i,
                                  .n_roles = 1,
                                  .transposed = rule->transposed };
        memcpy(t->name, name, sizeof name);
    }
    return NDL_OK;
}

static void set_shape(ndl_origin_tensor *t, const ndl_item *it)
{
    const uint64_t rows =
        (uint64_t)ndl_unpack_rows(it, t->first_role, t->n_roles);
    const uint64_t cols = (uint64_t)it->cols;
    t->n_dims = it->layout == NDL_LAYOUT_VECTOR ? 1 : 2;
    t->dims[0] = t->transposed ? cols : rows;
    t->dims[1] = t->transposed ? rows : cols;
}

/* Does the file's list name these tensors, or the roles if it is random? */
static bool names_match(const reading *r, const json_t *list, int first)
{
    const ndl_origins *o = r->out;
    const int n = o->invented ? r->item->n_roles : o->n - first;
    if (json_array_size(list) != (size_t)n) return false;
    for (int i = 0; i < n; i++) {
        const char *name = NULL;
        if (o->invented)
            random_name(r, r->item->roles[i], &name);
        else
            name = o->tensors[first + i].name;
        if (!has_name(list, (size_t)i, name)) return false;
    }
    return true;
}

static bool set_type(ndl_origin_tensor *t, const char *name, size_t n)
{
    char text[8] = "";
    if (n >= sizeof text) return false;
    memcpy(text, name, n);
    t->type = ndl_float_type_of(text);
    return t->type != NDL_FLOAT_NONE;
}

/* "BF16", or one for each of the item's tensors: "F32,BF16". */
static bool set_types(const reading *r, const char *text, int first)
{
    const bool is_list = strchr(text, ',') != NULL;
    const char *at = text;
    for (int i = first; i < r->out->n; i++) {
        const size_t n = strcspn(at, ",");
        if (!set_type(&r->out->tensors[i], at, n)) return false;
        if (!is_list) continue;
        if ((at[n] == ',') != (i + 1 < r->out->n)) return false;
        at += n + 1;
    }
    return true;
}

static ndl_status check_attributes(const reading *r, int first)
{
    char *text = NULL;
    int64_t transposed = 0;
    const bool expected =
        !r->out->invented && r->out->tensors[first].transposed;
    NDL_TRY(ndl_store_get_ints(r->store, r->item->name, "transposed",
                               &transposed, 1));
    if (transposed != expected) return mismatch(r, "transposed");
    NDL_TRY(ndl_store_get_text(r->store, r->item->name, "source_dtype", &text));
    const bool good = set_types(r, text, first);
    free(text);
    return good ? NDL_OK : mismatch(r, "source_dtype");
}

static ndl_status read_item(reading *r, int item)
{
    json_t *list = NULL;
    int first = 0;
    NDL_TRY(list_tensors(r, item, &first));
    for (int i = first; i < r->out->n; i++)
        set_shape(&r->out->tensors[i], r->item);
    NDL_TRY(read_list(r, &list));
    const bool good = names_match(r, list, first);
    json_decref(list);
    return good ? check_attributes(r, first) : mismatch(r, "sources");
}

static ndl_status read_all(reading *r, const ndl_item *items, int n)
{
    r->item = &items[0];
    NDL_TRY(choose_names(r));
    for (int i = 0; i < n; i++) {
        r->item = &items[i];
        NDL_TRY(read_item(r, i));
    }
    return NDL_OK;
}

ndl_status ndl_origins_read(ndl_origins *out, ndl_store *s, const ndl_model *m,
                            const ndl_item *items, int n_items)
{
    ndl_origins o = { 0 };
    reading r = { .store = s, .model = m, .out = &o };
    NDL_ASSERT(n_items > 0 && items[0].slot == NDL_SLOT_TOKENS);
    r.family = ndl_name_family_of(m->arch);
    if (!r.family)
        return NDL_FAIL(NDL_EDATA, "%s: no tensor names of %s are known",
                        ndl_store_path(s), m->arch);
    o.tensors = calloc((size_t)n_items * NDL_ITEM_ROLES, sizeof *o.tensors);
    if (!o.tensors)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    const ndl_status st = read_all(&r, items, n_items);
    if (st == NDL_OK)
        *out = o;
    else
        ndl_origins_fini(&o);
    return st;
}

void ndl_origins_fini(ndl_origins *o)
{
    free(o->tensors);
    *o = (ndl_origins){ 0 };
}

ndl_dtype ndl_origins_dtype(const ndl_origins *o)
{
    for (int i = 0; i < o->n; i++)
        if (o->tensors[i].n_dims == 2 && o->tensors[i].type != NDL_FLOAT_BF16)
            return NDL_F32;
    return NDL_BF16;
}
