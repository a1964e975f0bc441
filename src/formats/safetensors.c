/*
 * safetensors.c - the files behind safetensors.h: shards, index, reading.
 *
 *   bytes 0..7      N, little-endian
 *   bytes 8..8+N-1  header, JSON (safetensors_header.c)
 *   the rest        data; 8 + N is aligned to nothing
 */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "noodle/file.h"
#include "noodle/json.h"

enum {
    MAX_HEADER = 100000000, /* the format's own limit */
    MAX_INDEX = 1 << 28,
    MAX_SHARDS = 1000 /* each stays open; the usual limit is 1024 */
};

typedef struct shard {
    char *path;
    int fd;        /* -1: not open */
    uint64_t data; /* where the data start in the file */
} shard;

struct ndl_safetensors {
    shard *shards;
    int n_shards;
    ndl_tensor_list list; /* sorted by name after open */
};

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

static ndl_status fail_memory(const char *path)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
}

/* Read exactly n bytes; files that shrink while we read are errors. */
static ndl_status read_at(const shard *s, uint64_t at, size_t n, void *dst)
{
    return ndl_file_read_at(s->fd, s->path, dst, n, at);
}

/* Non-blocking, so that a named pipe is refused instead of waited for. */
static ndl_status open_regular(shard *s, uint64_t *size)
{
    struct stat st;
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0) return ndl_file_fail(s->path, "open", errno);
    if (fstat(s->fd, &st) != 0) return ndl_file_fail(s->path, "open", errno);
    if (!S_ISREG(st.st_mode))
        return NDL_FAIL(NDL_EDATA,
                        "%s: not a regular file: give a "
                        "safetensors file",
                        s->path);
    *size = (uint64_t)st.st_size;
    return NDL_OK;
}

static ndl_status read_length(const shard *s, uint64_t size, uint64_t *out)
{
    unsigned char b[8];
    uint64_t n = 0;
    if (size < sizeof b)
        return NDL_FAIL(NDL_EDATA,
                        "%s: only %llu bytes: not a safetensors file", s->path,
                        (unsigned long long)size);
    NDL_TRY(read_at(s, 0, sizeof b, b));
    for (int i = 7; i >= 0; i--) n = n << 8 | b[i];
    if (n > MAX_HEADER)
        return NDL_FAIL(NDL_EDATA,
                        "%s: a header of %llu bytes: not a safetensors file",
                        s->path, (unsigned long long)n);
    if (n > size - sizeof b)
        return NDL_FAIL(NDL_EDATA,
                        "%s: its header ends past the file: download it again",
                        s->path);
    *out = n;
    return NDL_OK;
}

/* Open shard number i and append its tensors to the list. */
static ndl_status open_shard(ndl_safetensors *s, int i)
{
    shard *h = &s->shards[i];
    const size_t first = s->list.n;
    uint64_t size = 0, n = 0;
    NDL_TRY(open_regular(h, &size));
    NDL_TRY(read_length(h, size, &n));
    h->data = 8 + n;
    char *text = malloc((size_t)n + 1);
    if (!text) return fail_memory(h->path);
    ndl_status st = read_at(h, 8, (size_t)n, text);
    if (st == NDL_OK)
        st = ndl_tensor_list_parse(&s->list, text, (size_t)n, size - h->data,
                                   h->path);
    free(text);
    for (size_t k = first; k < s->list.n; k++) s->list.items[k].file = i;
    return st;
}

/* Space for one more shard, of that name in that folder. */
static ndl_status add_shard(ndl_safetensors *s, const char *dir,
                            const char *name)
{
    shard *more =
        realloc(s->shards, ((size_t)s->n_shards + 1) * sizeof *s->shards);
    if (!more) return fail_memory(dir);
    s->shards = more;
    shard *h = &s->shards[s->n_shards];
    *h = (shard){ NULL, -1, 0 };
    NDL_TRY(ndl_directory_path(&h->path, dir, name));
    s->n_shards++;
    return NDL_OK;
}

/* The index may name only files beside it. */
static bool is_plain(const char *name)
{
    if (!*name || strchr(name, '/')) return false;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static const char *base_name(const shard *h)
{
    return strrchr(h->path, '/') + 1;
}

static int shard_of(const ndl_safetensors *s, const char *name)
{
    for (int i = 0; i < s->n_shards; i++)
        if (strcmp(base_name(&s->shards[i]), name) == 0) return i;
    return -1;
}

static ndl_status add_listed(ndl_safetensors *s, const char *dir,
                             const json_t *map)
{
    const char *tensor = NULL;
    json_t *v = NULL;
    json_object_foreach((json_t *)map, tensor, v)
    {
        const char *name = json_string_value(v);
        if (!name || !is_plain(name))
            return NDL_FAIL(NDL_EDATA,
                            "%s/%s: tensor %.200s is not placed in a file of "
                            "the same folder: download it again",
                            dir, index_name, tensor);
        if (shard_of(s, name) >= 0) continue;
        if (s->n_shards == MAX_SHARDS)
            return NDL_FAIL(NDL_EDATA, "%s/%s: more than %d files: join them",
                            dir, index_name, MAX_SHARDS);
        NDL_TRY(add_shard(s, dir, name));
    }
    return NDL_OK;
}

/* What the index does not place in this shard is not part of the model. */
static void drop_unlisted(ndl_safetensors *s, const json_t *map)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->list.n; i++) {
        ndl_tensor *t = &s->list.items[i];
        const char *in = json_string_value(json_object_get(map, t->name));
        if (in && strcmp(in, base_name(&s->shards[t->file])) == 0)
            s->list.items[kept++] = *t;
        else
            free(t->name);
    }
    s->list.n = kept;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ndl_tensor *)a)->name, ((const ndl_tensor *)b)->name);
}

static void sort(ndl_safetensors *s)
{
    if (s->list.n)
        qsort(s->list.items, s->list.n, sizeof *s->list.items, by_name);
}

static ndl_status check_listed(const ndl_safetensors *s, const char *dir,
                               const json_t *map)
{
    const char *tensor = NULL;
    json_t *v = NULL;
    json_object_foreach((json_t *)map, tensor, v)
    {
        if (!ndl_safetensors_find(s, tensor))
            return NDL_FAIL(NDL_EDATA,
                            "%s/%s: no tensor %.200s, which %s lists: download "
                            "it again",
                            dir, json_string_value(v), tensor, index_name);
    }
    return NDL_OK;
}

static ndl_status open_listed(ndl_safetensors *s, const char *dir,
                              const json_t *map)
{
    if (!json_is_object(map))
        return NDL_FAIL(NDL_EDATA, "%s/%s: no weight_map: download it again",
                        dir, index_name);
    NDL_TRY(add_listed(s, dir, map));
    for (int i = 0; i < s->n_shards; i++) {
        if (!ndl_directory_has(dir, base_name(&s->shards[i])))
            return NDL_FAIL(NDL_ENOINPUT,
                            "%s: missing, but %s lists it: "
                            "download it",
                            s->shards[i].path, index_name);
        NDL_TRY(open_shard(s, i));
    }
    drop_unlisted(s, map);
    sort(s);
    return check_listed(s, dir, map);
}

static ndl_status open_index(ndl_safetensors *s, const char *dir,
                             const char *path)
{
    json_t *root = NULL;
    NDL_TRY(ndl_json_load(&root, path, MAX_INDEX));
    const ndl_status st =
        open_listed(s, dir, json_object_get(root, "weight_map"));
    json_decref(root);
    return st;
}

static ndl_status open_single(ndl_safetensors *s, const char *dir)
{
    NDL_TRY(add_shard(s, dir, single_name));
    NDL_TRY(open_shard(s, 0));
    sort(s);
    return NDL_OK;
}

static ndl_status fail_nothing(const char *dir)
{
    if (ndl_directory_has(dir, "pytorch_model.bin") ||
        ndl_directory_has(dir, "pytorch_model.bin.index.json"))
        return NDL_FAIL(NDL_ENOINPUT,
                        "%s: only pytorch_model.bin: convert it to safetensors "
                        "(load it with transformers, then save_pretrained)",
                        dir);
    return NDL_FAIL(NDL_ENOINPUT,
                    "%s: no %s: give a complete Hugging Face model directory",
                    dir, single_name);
}

static ndl_status open_any(ndl_safetensors *s, const char *dir)
{
    char *path = NULL;
    if (ndl_directory_has(dir, single_name)) return open_single(s, dir);
    if (!ndl_directory_has(dir, index_name)) return fail_nothing(dir);
    NDL_TRY(ndl_directory_path(&path, dir, index_name));
    const ndl_status st = open_index(s, dir, path);
    free(path);
    return st;
}

ndl_status ndl_safetensors_open(ndl_safetensors **out, const char *dir)
{
    ndl_safetensors *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(dir);
    const ndl_status st = open_any(s, dir);
    if (st == NDL_OK)
        *out = s;
    else
        ndl_safetensors_close(&s);
    return st;
}

void ndl_safetensors_close(ndl_safetensors **s)
{
    if (!*s) return;
    for (int i = 0; i < (*s)->n_shards; i++) {
        if ((*s)->shards[i].fd >= 0) close((*s)->shards[i].fd);
        free((*s)->shards[i].path);
    }
    free((*s)->shards);
    ndl_tensor_list_fini(&(*s)->list);
    free(*s);
    *s = NULL;
}

const ndl_tensor_list *ndl_safetensors_list(const ndl_safetensors *s)
{
    return &s->list;
}

const ndl_tensor *ndl_safetensors_find(const ndl_safetensors *s,
                                       const char *name)
{
    const ndl_tensor key = { .name = (char *)name };
    if (!s->list.n) return NULL;
    return bsearch(&key, s->list.items, s->list.n, sizeof key, by_name);
}

const char *ndl_safetensors_path(const ndl_safetensors *s, const ndl_tensor *t)
{
    return s->shards[t->file].path;
}

ndl_status ndl_safetensors_read(const ndl_safetensors *s, const ndl_tensor *t,
                                uint64_t first, size_t n, void *dst)
{
    NDL_ASSERT(first <= t->bytes && n <= t->bytes - first);
    const shard *h = &s->shards[t->file];
    return read_at(h, h->data + t->offset + first, n, dst);
}
