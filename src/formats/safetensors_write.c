/* safetensors_write.c - see safetensors_write.h. */
#include "safetensors_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "noodle/file.h"
#include "noodle/json.h"

struct ndl_safetensors_writer {
    char *dir;
    ndl_tensor_spec *specs; /* borrowed, in the order of their bytes */
    int n, n_files;
    uint64_t total;
    ndl_file_part *parts; /* (n_files); zeroed: not begun, or committed */
    int at;               /* the tensor whose bytes come next */
    uint64_t written;     /* of it */
};

static ndl_status fail_memory(const char *dir)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory", dir);
}

static uint64_t bytes_of(const ndl_tensor_spec *s)
{
    uint64_t n = ndl_float_bytes(s->type);
    for (int i = 0; i < s->n_dims; i++) n *= s->dims[i];
    return n;
}

/* Wide elements first, so that each is aligned to its own size. */
static int by_place(const void *a, const void *b)
{
    const ndl_tensor_spec *x = a, *y = b;
    const size_t wide = ndl_float_bytes(x->type);
    const size_t other = ndl_float_bytes(y->type);
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    if (wide != other) return wide > other ? -1 : 1;
    if (x->type != y->type) return x->type > y->type ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Give each tensor its file and its place there. */
static void lay_out(ndl_safetensors_writer *w, uint64_t shard_bytes)
{
    uint64_t used = 0;
    w->n_files = 1;
    for (int i = 0; i < w->n; i++) {
        ndl_tensor_spec *s = &w->specs[i];
        s->bytes = bytes_of(s);
        if (used > 0 && (used > shard_bytes || s->bytes > shard_bytes - used)) {
            used = 0;
            w->n_files++;
        }
        s->file = w->n_files - 1;
        used += s->bytes;
        w->total += s->bytes;
    }
    if (w->n) qsort(w->specs, (size_t)w->n, sizeof *w->specs, by_place);
    used = 0;
    for (int i = 0; i < w->n; i++) {
        if (i > 0 && w->specs[i].file != w->specs[i - 1].file) used = 0;
        w->specs[i].offset = used;
        used += w->specs[i].bytes;
    }
}

ndl_status ndl_safetensors_create(ndl_safetensors_writer **out, const char *dir,
                                  ndl_tensor_spec *specs, int n,
                                  uint64_t shard_bytes)
{
    ndl_safetensors_writer *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(dir);
    w->specs = specs;
    w->n = n;
    lay_out(w, shard_bytes);
    w->dir = strdup(dir);
    w->parts = calloc((size_t)w->n_files, sizeof *w->parts);
    if (!w->dir || !w->parts) {
        ndl_safetensors_discard(&w);
        return fail_memory(dir);
    }
    *out = w;
    return NDL_OK;
}

int ndl_safetensors_n_files(const ndl_safetensors_writer *w)
{
    return w->n_files;
}

static void file_name(char name[64], const ndl_safetensors_writer *w, int file)
{
    if (w->n_files == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05d-of-%05d.safetensors", file + 1,
                 w->n_files);
}

static const char *type_name(ndl_float_type t)
{
    static const char *const names[] = { [NDL_FLOAT_F32] = "F32",
                                         [NDL_FLOAT_F16] = "F16",
                                         [NDL_FLOAT_BF16] = "BF16" };
    return names[t];
}

static json_t *entry_of(const ndl_tensor_spec *s)
{
    json_t *shape = json_array();
    for (int i = 0; i < s->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)s->dims[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", type_name(s->type),
                     "shape", shape, "data_offsets", (json_int_t)s->offset,
                     (json_int_t)(s->offset + s->bytes));
}

/* The header's text, NULL if out of memory; the caller frees it.  Loaders ask
 * which framework wrote the file, and refuse one that does not say. */
static char *header_of(const ndl_safetensors_writer *w, int file)
{
    json_t *j = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool good = j != NULL;
    for (int i = 0; i < w->n && good; i++)
        if (w->specs[i].file == file)
            good = json_object_set_new(j, w->specs[i].name,
                                       entry_of(&w->specs[i])) == 0;
    char *text = good ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

static ndl_status put(const ndl_file_part *p, const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, p->file) == n) return NDL_OK;
    return ndl_file_fail(p->part_path, "write", errno);
}

/* Length, JSON, and spaces up to a multiple of 8. */
static ndl_status put_header(const ndl_file_part *p, const char *text)
{
    static const char spaces[] = "       ";
    const size_t n = strlen(text), pad = (8 - n % 8) % 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)(n + pad) >> 8 * i);
    NDL_TRY(put(p, length, sizeof length));
    NDL_TRY(put(p, text, n));
    return put(p, spaces, pad);
}

static ndl_status open_part(ndl_file_part *p, const char *dir, const char *name)
{
    char *path = NULL;
    NDL_TRY(ndl_directory_path(&path, dir, name));
    const ndl_status st = ndl_file_part_open(p, path);
    free(path);
    return st;
}

/* The file's tensors begin: all of it that is not data. */
static ndl_status begin_file(ndl_safetensors_writer *w, int file)
{
    char name[64];
    char *text = header_of(w, file);
    if (!text) return fail_memory(w->dir);
    file_name(name, w, file);
    ndl_status st = open_part(&w->parts[file], w->dir, name);
    if (st == NDL_OK) st = put_header(&w->parts[file], text);
    free(text);
    return st;
}

ndl_status ndl_safetensors_append(ndl_safetensors_writer *w, const void *bytes,
                                  size_t n)
{
    NDL_ASSERT(w->at < w->n);
    const ndl_tensor_spec *s = &w->specs[w->at];
    NDL_ASSERT(n <= s->bytes - w->written);
    if (!w->parts[s->file].file) NDL_TRY(begin_file(w, s->file));
    NDL_TRY(put(&w->parts[s->file], bytes, n));
    w->written += n;
    if (w->written < s->bytes) return NDL_OK;
    w->at++;
    w->written = 0;
    return NDL_OK;
}

/* Names in order, as the loaders' own tools write it. */
static char *index_of(const ndl_safetensors_writer *w)
{
    char name[64];
    json_t *map = json_object();
    bool good = map != NULL;
    for (int i = 0; i < w->n && good; i++) {
        file_name(name, w, w->specs[i].file);
        good =
            json_object_set_new(map, w->specs[i].name, json_string(name)) == 0;
    }
    json_t *j = json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                          (json_int_t)w->total, "weight_map", map);
    char *text =
        good && j ? json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(j);
    return text;
}

static ndl_status write_index(const ndl_safetensors_writer *w)
{
    ndl_file_part p = { 0 };
    char *text = index_of(w);
    if (!text) return fail_memory(w->dir);
    ndl_status st = open_part(&p, w->dir, "model.safetensors.index.json");
    if (st == NDL_OK) st = put(&p, text, strlen(text));
    if (st == NDL_OK) st = put(&p, "\n", 1);
    if (st == NDL_OK) st = ndl_file_part_commit(&p);
    ndl_file_part_discard(&p);
    free(text);
    return st;
}

static ndl_status commit_all(ndl_safetensors_writer *w)
{
    NDL_ASSERT(w->at == w->n && w->written == 0);
    for (int i = 0; i < w->n_files; i++)
        NDL_TRY(ndl_file_part_commit(&w->parts[i]));
    return w->n_files > 1 ? write_index(w) : NDL_OK;
}

ndl_status ndl_safetensors_commit(ndl_safetensors_writer **w)
{
    const ndl_status st = commit_all(*w);
    ndl_safetensors_discard(w);
    return st;
}

void ndl_safetensors_discard(ndl_safetensors_writer **w)
{
    if (!*w) return;
    for (int i = 0; (*w)->parts && i < (*w)->n_files; i++)
        ndl_file_part_discard(&(*w)->parts[i]);
    free((*w)->parts);
    free((*w)->dir);
    free(*w);
    *w = NULL;
}
