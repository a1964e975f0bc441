/*
 * weights.c - weights.h: the root of the file, and the part that a stage maps.
 */
#include "noodle/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/layout.h"
#include "noodle/progress.h"
#include "present.h"

/* Address and file offset agree modulo this, so that the system can use huge
 * pages for the mapping. */
static const uint64_t huge_bytes = UINT64_C(2) << 20;

struct ndl_weights {
    ndl_model model;
    ndl_dtype dtype;
    ndl_part part;
    ndl_layer *layers; /* part.n_layers */
    ndl_ends ends;
    void *mapping; /* with the slack that aligning needs; NULL: none */
    size_t mapping_bytes;
};

static ndl_status check_format(ndl_store *s)
{
    char *format = NULL;
    const char *path = ndl_store_path(s);
    if (!ndl_store_has_attr(s, "/", "noodle_format"))
        return NDL_FAIL(NDL_EDATA,
                        "%s: is an HDF5 file, but not one of ours: give a "
                        "file that `import` wrote",
                        path);
    NDL_TRY(ndl_store_get_text(s, "/", "noodle_format", &format));
    const bool weights = strcmp(format, "weights") == 0;
    free(format);
    if (!weights)
        return NDL_FAIL(NDL_EDATA,
                        "%s: holds no weights: give a file that `import` "
                        "wrote",
                        path);
    return NDL_OK;
}

static ndl_status check_version(ndl_store *s)
{
    int64_t v[2];
    NDL_TRY(ndl_store_get_ints(s, "/", "format_version", v, 2));
    if (v[0] > NDL_WEIGHTS_VERSION_MAJOR)
        return NDL_FAIL(NDL_EDATA,
                        "%s: has format version %" PRId64 ".%" PRId64
                        ", this program reads %d: update the program or "
                        "import the model again",
                        ndl_store_path(s), v[0], v[1],
                        NDL_WEIGHTS_VERSION_MAJOR);
    if (v[0] < NDL_WEIGHTS_VERSION_MAJOR || v[1] < 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: has the unknown format version %" PRId64
                        ".%" PRId64 ": import the model again",
                        ndl_store_path(s), v[0], v[1]);
    return NDL_OK;
}

static ndl_status read_dtype(ndl_store *s, ndl_dtype *out)
{
    char *name = NULL;
    NDL_TRY(ndl_store_get_text(s, "/", "dtype", &name));
    const bool known = ndl_dtype_parse(name, out);
    free(name);
    if (known) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: has an unknown dtype: import the model again",
                    ndl_store_path(s));
}

ndl_status ndl_weights_read_model(ndl_store *s, ndl_model *model,
                                  ndl_dtype *dtype)
{
    char *config = NULL, *generation = NULL;
    ndl_dtype t = NDL_F32;
    ndl_status st = NDL_OK;
    NDL_TRY(check_format(s));
    NDL_TRY(check_version(s));
    NDL_TRY(read_dtype(s, &t));
    NDL_TRY_GOTO(done, st, ndl_store_get_text(s, "/", "config", &config));
    if (ndl_store_has_attr(s, "/", "generation_config"))
        NDL_TRY_GOTO(
            done, st,
            ndl_store_get_text(s, "/", "generation_config", &generation));
    NDL_TRY_GOTO(done, st,
                 ndl_model_parse(model, config, strlen(config), generation,
                                 generation ? strlen(generation) : 0,
                                 ndl_store_path(s)));
    *dtype = t;
done:
    free(generation);
    free(config);
    return st;
}

ndl_status ndl_weights_bytes(ndl_store *s, const ndl_part *part,
                             uint64_t *bytes)
{
    ndl_model model;
    ndl_dtype dtype;
    ndl_item *items = NULL;
    int n = 0;
    uint64_t sum = 0;
    NDL_TRY(ndl_weights_read_model(s, &model, &dtype));
    NDL_TRY(ndl_layout_list(&items, &n, &model, dtype, part));
    for (int i = 0; i < n; i++) sum += items[i].bytes;
    free(items);
    *bytes = sum;
    return NDL_OK;
}

/* What mapping works on: the part's datasets and where they lie. */
typedef struct plan {
    const char *path;
    ndl_item *items;
    uint64_t *offsets; /* in the file, one an item */
    int n;
    uint64_t first, end, all; /* span in the file; bytes of the items */
} plan;

static void free_plan(plan *p)
{
    free(p->offsets);
    free(p->items);
}

static ndl_status read_plan(plan *p, ndl_store *s, ndl_weights *w)
{
    NDL_TRY(ndl_weights_read_model(s, &w->model, &w->dtype));
    NDL_TRY(ndl_layout_list(&p->items, &p->n, &w->model, w->dtype, &w->part));
    p->offsets = malloc((size_t)(p->n + 1) * sizeof *p->offsets);
    if (!p->offsets) return NDL_FAIL(NDL_EOS, "%s: out of memory", p->path);
    p->first = UINT64_MAX;
    for (int i = 0; i < p->n; i++) {
        uint64_t at = 0;
        NDL_TRY(ndl_layout_verify(s, &p->items[i], &at));
        p->offsets[i] = at;
        if (at < p->first) p->first = at;
        if (at + p->items[i].bytes > p->end) p->end = at + p->items[i].bytes;
        p->all += p->items[i].bytes;
    }
    p->first -= p->first % huge_bytes;
    return NDL_OK;
}

/* Reserve addresses with slack, then put the file at the aligned one. */
static ndl_status map_span(ndl_weights *w, const plan *p, int fd)
{
    const size_t span = (size_t)(p->end - p->first);
    const size_t reserved = span + huge_bytes;
    void *room = mmap(NULL, reserved, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NDL_FAIL(NDL_EOS,
                        "%s: no room for %zu bytes of addresses: %s: raise "
                        "the limit (ulimit -v)",
                        p->path, reserved, strerror(errno));
    w->mapping = room;
    w->mapping_bytes = reserved;
    const size_t slack = (size_t)(-(uintptr_t)room & (huge_bytes - 1));
    void *at = (uint8_t *)room + slack;
    if (mmap(at, span, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
             (off_t)p->first) == MAP_FAILED)
        return NDL_FAIL(NDL_EOS, "%s: cannot map: %s", p->path,
                        strerror(errno));
    madvise(at, span, MADV_HUGEPAGE); /* a hint; most file systems refuse */
    return NDL_OK;
}

static const uint8_t *file_byte(const ndl_weights *w, const plan *p,
                                uint64_t offset)
{
    const uintptr_t room = (uintptr_t)w->mapping;
    const uintptr_t base = (room + huge_bytes - 1) & ~(huge_bytes - 1);
    return (const uint8_t *)w->mapping + (base - room) + (offset - p->first);
}

/* A page past the end of the file would kill us when read: the size is asked
 * of the very file that gets mapped. */
static ndl_status map_file(ndl_weights *w, const plan *p)
{
    struct stat sb;
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ndl_file_fail(p->path, "open", errno);
    ndl_status st = NDL_OK;
    if (fstat(fd, &sb) != 0)
        st = ndl_file_fail(p->path, "read", errno);
    else if (sb.st_size < 0 || (uint64_t)sb.st_size < p->end)
        st = NDL_FAIL(NDL_EDATA,
                      "%s: is truncated: %" PRIu64 " bytes are needed, %lld "
                      "are there: import the model again",
                      p->path, p->end, (long long)sb.st_size);
    else
        st = map_span(w, p, fd);
    close(fd);
    return st;
}

static ndl_status make_present(const ndl_weights *w, const plan *p,
                               ndl_progress *progress)
{
    for (int i = 0; i < p->n; i++)
        NDL_TRY(ndl_present(file_byte(w, p, p->offsets[i]),
                            (size_t)p->items[i].bytes, p->path, progress));
    return NDL_OK;
}

/* Where an item's matrix goes; NULL if it is a vector. */
static ndl_matrix *matrix_of(ndl_weights *w, ndl_layer *l, ndl_slot slot)
{
    switch (slot) {
    case NDL_SLOT_TOKENS: return &w->ends.tokens;
    case NDL_SLOT_POSITIONS: return &w->ends.positions;
    case NDL_SLOT_QKV: return &l->qkv;
    case NDL_SLOT_OUT: return &l->out;
    case NDL_SLOT_UP: return &l->up;
    case NDL_SLOT_DOWN: return &l->down;
    case NDL_SLOT_HEAD: return &w->ends.head;
    default: return NULL;
    }
}

static const float **vector_of(ndl_weights *w, ndl_layer *l, ndl_slot slot)
{
    switch (slot) {
    case NDL_SLOT_NORM1: return &l->norm1;
    case NDL_SLOT_NORM1_BIAS: return &l->norm1_bias;
    case NDL_SLOT_QKV_BIAS: return &l->qkv_bias;
    case NDL_SLOT_OUT_BIAS: return &l->out_bias;
    case NDL_SLOT_NORM2: return &l->norm2;
    case NDL_SLOT_NORM2_BIAS: return &l->norm2_bias;
    case NDL_SLOT_UP_BIAS: return &l->up_bias;
    case NDL_SLOT_DOWN_BIAS: return &l->down_bias;
    case NDL_SLOT_FINAL_NORM: return &w->ends.norm;
    case NDL_SLOT_FINAL_NORM_BIAS: return &w->ends.norm_bias;
    default: return NULL;
    }
}

static void place_item(ndl_weights *w, const ndl_item *it, const void *data)
{
    /* Items outside the blocks have layer 0, which may be another stage's. */
    ndl_layer none, *layer = &none;
    const int i = it->layer - w->part.first_layer;
    if (i >= 0 && i < w->part.n_layers) layer = &w->layers[i];
    ndl_matrix *m = matrix_of(w, layer, it->slot);
    if (m)
        *m = (ndl_matrix){ data, it->rows, it->cols, it->dtype,
                           it->layout == NDL_LAYOUT_PANELS };
    else
        *vector_of(w, layer, it->slot) = data;
}

static ndl_status place_items(ndl_weights *w, const plan *p)
{
    w->layers = calloc((size_t)w->part.n_layers + 1, sizeof *w->layers);
    if (!w->layers) return NDL_FAIL(NDL_EOS, "%s: out of memory", p->path);
    for (int i = 0; i < p->n; i++)
        place_item(w, &p->items[i], file_byte(w, p, p->offsets[i]));
    if (w->model.tied && w->part.head) w->ends.head = w->ends.tokens;
    if (!w->part.embed) w->ends.tokens = (ndl_matrix){ 0 };
    return NDL_OK;
}

ndl_status ndl_weights_map(ndl_weights **out, const char *path,
                           const ndl_part *part, ndl_progress_fn progress,
                           void *arg)
{
    ndl_store *s = NULL;
    plan p = { .path = path };
    ndl_status st = NDL_OK;
    ndl_weights *w = calloc(1, sizeof *w);
    if (!w) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    w->part = *part;
    NDL_TRY_GOTO(done, st, ndl_store_open(&s, path));
    NDL_TRY_GOTO(done, st, read_plan(&p, s, w));
    ndl_store_close(&s);
    if (p.n > 0) NDL_TRY_GOTO(done, st, map_file(w, &p));
    NDL_TRY_GOTO(done, st,
                 make_present(w, &p,
                              &(ndl_progress){
                                  .fn = progress, .arg = arg, .all = p.all }));
    NDL_TRY_GOTO(done, st, place_items(w, &p));
    *out = w;
    w = NULL;
done:
    ndl_store_close(&s);
    free_plan(&p);
    ndl_weights_destroy(&w);
    return st;
}

void ndl_weights_destroy(ndl_weights **w)
{
    if (!*w) return;
    if ((*w)->mapping) munmap((*w)->mapping, (*w)->mapping_bytes);
    free((*w)->layers);
    free(*w);
    *w = NULL;
}

const ndl_model *ndl_weights_model(const ndl_weights *w)
{
    return &w->model;
}

ndl_dtype ndl_weights_dtype(const ndl_weights *w)
{
    return w->dtype;
}

const ndl_layer *ndl_weights_layer(const ndl_weights *w, int i)
{
    NDL_ASSERT(i >= w->part.first_layer &&
               i - w->part.first_layer < w->part.n_layers);
    return &w->layers[i - w->part.first_layer];
}

const ndl_ends *ndl_weights_ends(const ndl_weights *w)
{
    return &w->ends;
}
