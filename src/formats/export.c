/*
 * export.c - a weights file becomes a Hugging Face directory again.
 *
 * All files are written under other names first and get their own at the end,
 * the weights before config.json, so that a folder is never taken for a model
 * that is not whole.
 */
#include "export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chat_template.h"
#include "directory.h"
#include "noodle/file.h"
#include "noodle/log.h"
#include "noodle/tokenizer.h"
#include "noodle/weights.h"
#include "origins.h"
#include "safetensors_write.h"
#include "unpack.h"

static const uint64_t shard_bytes_max = 5000000000u;

enum {
    PIECE = 1 << 18, /* elements narrowed at a time */
    MAX_TEXTS = 4
};

/* An export in progress. */
typedef struct job {
    const char *path, *dir;
    ndl_store *store;
    int fd; /* of the weights file */
    ndl_model model;
    ndl_mix mix;
    ndl_item *items;
    uint64_t *offsets; /* (n_items) */
    int n_items;
    ndl_origins origins;
    ndl_tensor_spec *specs; /* (origins.n) */
    ndl_safetensors_writer *writer;
    ndl_file_part texts[MAX_TEXTS]; /* written, not yet named */
    int n_texts;
    bool made_dir;
    ndl_progress progress;
    const ndl_tensor_spec *spec; /* the tensor in work */
    uint64_t done;               /* elements of it */
    unsigned char *piece;        /* PIECE elements, narrowed */
} job;

static ndl_status fail_memory(const job *j)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory", j->path);
}

/* --- what the weights file holds --- */

/* What is quantised is no longer what was imported.  A v of its own is not
 * joined again with the q and k of its source. */
static ndl_status check_mix(const job *j)
{
    char dtype[NDL_MIX_TEXT];
    if (!ndl_mix_is_quantised(j->mix) && ndl_mix_joins_v(j->mix)) return NDL_OK;
    ndl_mix_write(j->mix, dtype);
    return NDL_FAIL(NDL_EDATA,
                    "%s: has weights of %s, which no directory has: export the "
                    "file it was made from",
                    j->path, dtype);
}

static ndl_status read_items(job *j)
{
    NDL_TRY(ndl_weights_read_model(j->store, &j->model, &j->mix));
    NDL_TRY(check_mix(j));
    const ndl_part whole = ndl_layout_whole(&j->model);
    NDL_TRY(ndl_layout_list(&j->items, &j->n_items, &j->model, j->mix, &whole));
    j->offsets = calloc((size_t)j->n_items, sizeof *j->offsets);
    if (!j->offsets) return fail_memory(j);
    for (int i = 0; i < j->n_items; i++)
        NDL_TRY(ndl_layout_verify(j->store, &j->items[i], &j->offsets[i]));
    return ndl_origins_read(&j->origins, j->store, &j->model, j->items,
                            j->n_items);
}

/* Matrices that were stored in another dtype than their source's own choice
 * cannot be given back: all is exported as it is stored. */
static bool is_as_stored(const job *j)
{
    char dtype[NDL_MIX_TEXT];
    const ndl_mix source = ndl_mix_plain(ndl_origins_dtype(&j->origins));
    if (j->origins.invented) return true;
    if (ndl_mix_equal(source, j->mix)) return false;
    ndl_mix_write(j->mix, dtype);
    ndl_log_root(NDL_LOG_WARN, "export",
                 "%s has weights of %s: its matrices are written "
                 "as that, not as their source had them",
                 j->path, dtype);
    return true;
}

static ndl_status make_specs(job *j)
{
    const int n = j->origins.n;
    const bool as_stored = is_as_stored(j);
    j->specs = calloc((size_t)n, sizeof *j->specs);
    if (!j->specs) return fail_memory(j);
    for (int i = 0; i < n; i++) {
        const ndl_origin_tensor *t = &j->origins.tensors[i];
        ndl_tensor_spec *s = &j->specs[i];
        *s = (ndl_tensor_spec){ .name = t->name,
                                .type = t->type,
                                .n_dims = t->n_dims,
                                .dims = { t->dims[0], t->dims[1] },
                                .tag = i };
        if (as_stored)
            s->type = j->items[t->item].dtype == NDL_BF16 ? NDL_FLOAT_BF16
                                                          : NDL_FLOAT_F32;
    }
    return NDL_OK;
}

static ndl_status open_weights(job *j)
{
    NDL_TRY(ndl_store_open(&j->store, j->path));
    j->fd = open(j->path, O_RDONLY | O_CLOEXEC);
    if (j->fd < 0) return ndl_file_fail(j->path, "open", errno);
    NDL_TRY(read_items(j));
    return make_specs(j);
}

/* --- the texts beside the weights --- */

static ndl_status add_text(job *j, const char *name, const char *text, size_t n)
{
    char *path = NULL;
    ndl_file_part *p = &j->texts[j->n_texts];
    NDL_ASSERT(j->n_texts < MAX_TEXTS);
    NDL_TRY(ndl_directory_path(&path, j->dir, name));
    ndl_status st = ndl_file_part_open(p, path);
    free(path);
    NDL_TRY(st);
    j->n_texts++;
    if (fwrite(text, 1, n, p->file) == n && fflush(p->file) == 0) return NDL_OK;
    return ndl_file_fail(p->part_path, "write", errno);
}

/* A file that this model does not have would be read as a part of it. */
static ndl_status expect_none(const job *j, const char *name)
{
    if (!ndl_directory_has(j->dir, name)) return NDL_OK;
    return NDL_FAIL(NDL_ECREATE,
                    "%s/%s: belongs to another model: remove it, or name "
                    "another folder",
                    j->dir, name);
}

static ndl_status add_attribute(job *j, const char *name, const char *attr)
{
    char *text = NULL;
    if (!ndl_store_has_attr(j->store, "/", attr)) return expect_none(j, name);
    NDL_TRY(ndl_store_get_text(j->store, "/", attr, &text));
    const ndl_status st = add_text(j, name, text, strlen(text));
    free(text);
    return st;
}

static ndl_status add_tokenizer(job *j)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_tokenizer_json(j->store, &text, &n));
    const ndl_status st = add_text(j, "tokenizer.json", text, n);
    free(text);
    return st;
}

static ndl_status add_template(job *j)
{
    static const char name[] = "chat_template.jinja";
    char *text = NULL;
    NDL_TRY(ndl_chat_template_read(j->store, j->path, &text));
    if (!text) return expect_none(j, name);
    const ndl_status st = add_text(j, name, text, strlen(text));
    free(text);
    return st;
}

/* config.json is the last: what has none is no model. */
static ndl_status add_texts(job *j)
{
    NDL_TRY(add_tokenizer(j));
    NDL_TRY(add_template(j));
    NDL_TRY(add_attribute(j, "generation_config.json", "generation_config"));
    return add_attribute(j, "config.json", "config");
}

/* --- the weights --- */

static ndl_status fail_narrow(const job *j, uint64_t element)
{
    const ndl_origin_tensor *t = &j->origins.tensors[j->spec->tag];
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: element %llu of %s is no number of its source's "
                    "dtype: the file is damaged: import the model again",
                    j->path, j->items[t->item].name,
                    (unsigned long long)element, t->name);
}

/* An ndl_unpack_fn. */
static ndl_status take(void *arg, const float *x, size_t n)
{
    job *j = arg;
    const size_t size = ndl_float_bytes(j->spec->type);
    while (n > 0) {
        const size_t now = n < PIECE ? n : PIECE;
        const size_t good = ndl_narrow(j->piece, x, j->spec->type, now);
        if (good < now) return fail_narrow(j, j->done + good);
        NDL_TRY(ndl_safetensors_append(j->writer, j->piece, now * size));
        NDL_TRY(ndl_progress_add(&j->progress, now * size));
        j->done += now;
        x += now;
        n -= now;
    }
    return NDL_OK;
}

static ndl_status write_tensor(job *j, const ndl_tensor_spec *s)
{
    const ndl_origin_tensor *t = &j->origins.tensors[s->tag];
    const ndl_unpack u = { .path = j->path,
                           .fd = j->fd,
                           .item = &j->items[t->item],
                           .offset = j->offsets[t->item],
                           .first_role = t->first_role,
                           .n_roles = t->n_roles,
                           .transposed = t->transposed };
    j->spec = s;
    j->done = 0;
    return ndl_unpack_tensor(&u, take, j);
}

static ndl_status write_weights(job *j, uint64_t shard_bytes)
{
    const int n = j->origins.n;
    j->piece = malloc(PIECE * sizeof(float));
    if (!j->piece) return fail_memory(j);
    NDL_TRY(
        ndl_safetensors_create(&j->writer, j->dir, j->specs, n, shard_bytes));
    NDL_TRY(expect_none(j, ndl_safetensors_n_files(j->writer) > 1
                               ? "model.safetensors"
                               : "model.safetensors.index.json"));
    for (int i = 0; i < n; i++) j->progress.all += j->specs[i].bytes;
    for (int i = 0; i < n; i++) NDL_TRY(write_tensor(j, &j->specs[i]));
    return NDL_OK;
}

/* --- the folder --- */

static ndl_status make_folder(job *j)
{
    struct stat st;
    if (mkdir(j->dir, 0777) == 0) {
        j->made_dir = true;
        return NDL_OK;
    }
    const int err = errno;
    if (err == EEXIST && stat(j->dir, &st) == 0 && S_ISDIR(st.st_mode))
        return NDL_OK;
    return NDL_FAIL(err == EACCES || err == EPERM ? NDL_EPERM : NDL_ECREATE,
                    "%s: cannot make the folder: %s: name another", j->dir,
                    strerror(err));
}

static ndl_status commit(job *j)
{
    NDL_TRY(ndl_safetensors_commit(&j->writer));
    for (int i = 0; i < j->n_texts; i++)
        NDL_TRY(ndl_file_part_commit(&j->texts[i]));
    return NDL_OK;
}

static ndl_status export_all(job *j, uint64_t shard_bytes)
{
    NDL_TRY(open_weights(j));
    NDL_TRY(make_folder(j));
    NDL_TRY(add_texts(j));
    NDL_TRY(write_weights(j, shard_bytes));
    return commit(j);
}

static void fini(job *j, ndl_status st)
{
    ndl_safetensors_discard(&j->writer);
    for (int i = 0; i < j->n_texts; i++) ndl_file_part_discard(&j->texts[i]);
    if (st != NDL_OK && j->made_dir) rmdir(j->dir);
    free(j->piece);
    free(j->specs);
    ndl_origins_fini(&j->origins);
    free(j->offsets);
    free(j->items);
    if (j->fd >= 0) close(j->fd);
    ndl_store_close(&j->store);
}

ndl_status ndl_export(const char *weights, const char *dir,
                      uint64_t shard_bytes, ndl_progress_fn progress, void *arg)
{
    job j = { .path = weights,
              .dir = dir,
              .fd = -1,
              .progress = { .fn = progress, .arg = arg } };
    const ndl_status st = export_all(&j, shard_bytes);
    fini(&j, st);
    return st;
}

ndl_status ndl_checkpoint_export(const char *weights, const char *dir,
                                 ndl_progress_fn progress, void *arg)
{
    return ndl_export(weights, dir, shard_bytes_max, progress, arg);
}
