/*
 * huggingface.c - see huggingface.h.
 *
 * Opening binds every role of the model to a tensor and checks both ways, so
 * that reading later can only fail for the disk's reasons.
 */
#include "huggingface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "huggingface_names.h"
#include "roles.h"
#include "safetensors.h"

enum { BOUNCE_BYTES = 1 << 18, COLUMN_BLOCK = 64 };

/* What a role of one layer is read from. */
typedef struct binding {
    const ndl_tensor *tensor; /* NULL: the model has no such role */
    const ndl_name_rule *rule;
} binding;

struct ndl_huggingface {
    ndl_model model;
    ndl_safetensors *files;
    const ndl_name_family *family;
    const char *prefix; /* the family's, or "" */
    char *dir;
    binding *bindings; /* [n_layers][NDL_N_ROLES] */
    bool *used;        /* one for each tensor of the files */
    unsigned char *bounce;
    const ndl_tensor *cached; /* the transposed tensor in `cache` */
    unsigned char *cache;
};

static ndl_status fail_memory(const ndl_huggingface *h, uint64_t bytes)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory for %llu bytes", h->dir,
                    (unsigned long long)bytes);
}

static binding *binding_of(const ndl_huggingface *h, ndl_role role, int layer)
{
    NDL_ASSERT(layer >= 0 && layer < h->model.n_layers);
    NDL_ASSERT(role >= 0 && role < NDL_N_ROLES);
    return &h->bindings[(size_t)layer * NDL_N_ROLES + role];
}

static void make_name(char name[NDL_NAME_CAP], const ndl_huggingface *h,
                      const ndl_name_rule *rule, int layer)
{
    ndl_role_shape shape = { 0 };
    ndl_role_shape_of(&h->model, rule->role, &shape);
    ndl_name_make(name, h->family, rule, h->prefix, shape.layered ? layer : -1);
}

/* Checkpoints of the bare transformer have names without the prefix. */
static void choose_prefix(ndl_huggingface *h)
{
    char name[NDL_NAME_CAP];
    h->prefix = h->family->prefix;
    make_name(name, h, &h->family->rules[0], 0);
    if (ndl_safetensors_find(h->files, name)) return;
    const char *bare = name + strlen(h->prefix);
    if (ndl_safetensors_find(h->files, bare)) h->prefix = "";
}

static void shape_text(char out[200], const uint64_t *dims, int n_dims)
{
    size_t at = (size_t)snprintf(out, 200, "[");
    for (int i = 0; i < n_dims; i++)
        at += (size_t)snprintf(out + at, 200 - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)dims[i]);
    snprintf(out + at, 200 - at, "]");
}

static ndl_status check_shape(const ndl_huggingface *h, const ndl_tensor *t,
                              const ndl_name_rule *rule)
{
    ndl_role_shape s = { 0 };
    ndl_role_shape_of(&h->model, rule->role, &s);
    const uint64_t parts = (uint64_t)rule->n_parts;
    const uint64_t n = (uint64_t)s.rows * (s.vector ? 1 : parts);
    const uint64_t k = (uint64_t)s.cols * (s.vector ? parts : 1);
    uint64_t want[2] = { rule->transposed ? k : n, rule->transposed ? n : k };
    const int n_dims = s.vector ? 1 : 2;
    if (s.vector) want[0] = k;
    if (t->n_dims == n_dims &&
        memcmp(t->dims, want, (size_t)n_dims * sizeof *want) == 0)
        return NDL_OK;
    char has[200], needs[200];
    shape_text(has, t->dims, t->n_dims);
    shape_text(needs, want, n_dims);
    return NDL_FAIL(NDL_EDATA,
                    "%s: tensor %s has shape %s: config.json asks for %s",
                    ndl_safetensors_path(h->files, t), t->name, has, needs);
}

static ndl_status bind_role(ndl_huggingface *h, const ndl_name_rule *rule,
                            int layer)
{
    char name[NDL_NAME_CAP];
    make_name(name, h, rule, layer);
    const ndl_tensor *t = ndl_safetensors_find(h->files, name);
    if (!t)
        return NDL_FAIL(NDL_EDATA,
                        "%s: no tensor %s: a %s model of %d layers has it; "
                        "take config.json and weights of one model",
                        h->dir, name, h->model.arch, h->model.n_layers);
    NDL_TRY(check_shape(h, t, rule));
    if (t->type == NDL_FLOAT_NONE)
        return NDL_FAIL(NDL_EDATA,
                        "%s: tensor %s has dtype %s: only F32, F16 and BF16 "
                        "can be imported",
                        ndl_safetensors_path(h->files, t), name, t->dtype);
    h->used[t - ndl_safetensors_list(h->files)->items] = true;
    *binding_of(h, rule->role, layer) = (binding){ t, rule };
    return NDL_OK;
}

static ndl_status bind_all(ndl_huggingface *h)
{
    for (size_t i = 0; i < h->family->n_rules; i++) {
        const ndl_name_rule *rule = &h->family->rules[i];
        ndl_role_shape s;
        if (!ndl_role_shape_of(&h->model, rule->role, &s)) continue;
        const int n = s.layered ? h->model.n_layers : 1;
        for (int layer = 0; layer < n; layer++)
            NDL_TRY(bind_role(h, rule, layer));
    }
    return NDL_OK;
}

static bool ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* An untied head is bound by now; a tied one is sometimes stored a second
 * time, and the embedding is the one that counts. */
static bool is_ignored(const ndl_huggingface *h, const char *name)
{
    if (strcmp(name, "lm_head.weight") == 0) return true;
    for (const char *const *tail = h->family->ignored; *tail; tail++)
        if (ends_with(name, *tail)) return true;
    return false;
}

/* A tensor that we would leave out would change what the model computes. */
static ndl_status refuse_unknown(const ndl_huggingface *h)
{
    const ndl_tensor_list *list = ndl_safetensors_list(h->files);
    for (size_t i = 0; i < list->n; i++) {
        const ndl_tensor *t = &list->items[i];
        if (h->used[i] || is_ignored(h, t->name)) continue;
        return NDL_FAIL(NDL_EDATA,
                        "%s: holds tensor %.200s, which a %s model of %d "
                        "layers does not have: take config.json and weights "
                        "of one model",
                        ndl_safetensors_path(h->files, t), t->name,
                        h->model.arch, h->model.n_layers);
    }
    return NDL_OK;
}

static ndl_status open_all(ndl_huggingface *h)
{
    NDL_TRY(ndl_safetensors_open(&h->files, h->dir));
    const size_t n_tensors = ndl_safetensors_list(h->files)->n;
    const size_t n_bindings = (size_t)h->model.n_layers * NDL_N_ROLES;
    h->bindings = calloc(n_bindings, sizeof *h->bindings);
    h->used = calloc(n_tensors + 1, sizeof *h->used);
    h->bounce = malloc(BOUNCE_BYTES);
    if (!h->bindings || !h->used || !h->bounce)
        return fail_memory(h, n_bindings * sizeof *h->bindings);
    choose_prefix(h);
    NDL_TRY(bind_all(h));
    return refuse_unknown(h);
}

ndl_status ndl_huggingface_open(ndl_huggingface **out, const char *dir,
                                const ndl_model *model)
{
    ndl_huggingface *h = calloc(1, sizeof *h);
    if (!h) return NDL_FAIL(NDL_EOS, "%s: out of memory", dir);
    h->model = *model;
    h->dir = strdup(dir);
    h->family = ndl_name_family_of(model->arch);
    ndl_status st = NDL_OK;
    if (!h->dir)
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", dir);
    else if (!h->family)
        st = NDL_FAIL(NDL_EDATA, "%s: no tensor names of %s are known", dir,
                      model->arch);
    else
        st = open_all(h);
    if (st == NDL_OK)
        *out = h;
    else
        ndl_huggingface_close(&h);
    return st;
}

void ndl_huggingface_close(ndl_huggingface **h)
{
    if (!*h) return;
    ndl_safetensors_close(&(*h)->files);
    free((*h)->cache);
    free((*h)->bounce);
    free((*h)->used);
    free((*h)->bindings);
    free((*h)->dir);
    free(*h);
    *h = NULL;
}

/* Elements first .. first + n - 1 of a tensor, as they lie in the file. */
static ndl_status read_range(ndl_huggingface *h, const ndl_tensor *t,
                             uint64_t first, uint64_t n, float *dst)
{
    const size_t size = ndl_float_bytes(t->type);
    const uint64_t most = BOUNCE_BYTES / size;
    if (t->type == NDL_FLOAT_F32)
        return ndl_safetensors_read(h->files, t, first * size, (size_t)n * size,
                                    dst);
    while (n > 0) {
        const size_t now = (size_t)(n < most ? n : most);
        NDL_TRY(ndl_safetensors_read(h->files, t, first * size, now * size,
                                     h->bounce));
        ndl_widen(dst, h->bounce, t->type, now);
        dst += now;
        first += now;
        n -= now;
    }
    return NDL_OK;
}

/* Rows of a transposed tensor are columns of the file: reading them one by
 * one would read the whole tensor each time, so it is kept until the next. */
static ndl_status load_whole(ndl_huggingface *h, const ndl_tensor *t)
{
    if (h->cached == t) return NDL_OK;
    free(h->cache);
    h->cached = NULL;
    h->cache = malloc((size_t)t->bytes);
    if (!h->cache) return fail_memory(h, t->bytes);
    NDL_TRY(ndl_safetensors_read(h->files, t, 0, (size_t)t->bytes, h->cache));
    h->cached = t;
    return NDL_OK;
}

/* Columns first .. first + n - 1 of the cached tensor become rows of dst. */
static void gather(const ndl_huggingface *h, uint64_t first, int n, float *dst)
{
    const ndl_tensor *t = h->cached;
    const size_t size = ndl_float_bytes(t->type);
    const size_t k = (size_t)t->dims[0], stride = (size_t)t->dims[1];
    float line[COLUMN_BLOCK];
    for (int at = 0; at < n; at += COLUMN_BLOCK) {
        const int left = n - at;
        const int now = left < COLUMN_BLOCK ? left : COLUMN_BLOCK;
        for (size_t i = 0; i < k; i++) {
            const size_t element = i * stride + (size_t)first + (size_t)at;
            ndl_widen(line, h->cache + element * size, t->type, (size_t)now);
            for (int r = 0; r < now; r++)
                dst[(size_t)(at + r) * k + i] = line[r];
        }
    }
}

static ndl_status rows(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst)
{
    ndl_huggingface *h = arg;
    const binding *b = binding_of(h, role, layer);
    ndl_role_shape s = { 0 };
    NDL_ASSERT(b->tensor && ndl_role_shape_of(&h->model, role, &s));
    NDL_ASSERT(first >= 0 && n >= 0 && first <= s.rows - n);
    const uint64_t row =
        (uint64_t)b->rule->part * (uint64_t)s.rows + (uint64_t)first;
    if (!b->rule->transposed)
        return read_range(h, b->tensor, row * (uint64_t)s.cols,
                          (uint64_t)n * (uint64_t)s.cols, dst);
    NDL_TRY(load_whole(h, b->tensor));
    gather(h, row, n, dst);
    return NDL_OK;
}

static void origin(void *arg, ndl_role role, int layer, ndl_origin *out)
{
    const binding *b = binding_of(arg, role, layer);
    NDL_ASSERT(b->tensor);
    out->name = b->tensor->name;
    out->dtype = b->tensor->dtype;
    out->transposed = b->rule->transposed;
}

void ndl_huggingface_source(ndl_huggingface *h, ndl_source *out)
{
    *out = (ndl_source){ .arg = h, .rows = rows, .origin = origin };
}

ndl_dtype ndl_huggingface_dtype(const ndl_huggingface *h)
{
    const size_t n = (size_t)h->model.n_layers * NDL_N_ROLES;
    for (size_t i = 0; i < n; i++) {
        const ndl_tensor *t = h->bindings[i].tensor;
        if (t && t->n_dims == 2 && t->type != NDL_FLOAT_BF16) return NDL_F32;
    }
    return NDL_BF16;
}
