/* weights_open.c - get a part of a weights file into memory: mapped, or copied
 * into huge pages, after its datasets were checked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noodle/file.h"
#include "pieces.h"
#include "present.h"
#include "room.h"
#include "stage_in.h"
#include "weights_parts.h"

/* The part's datasets, where they lie in the file, and where they go. */
typedef struct parcel {
    const char *path;
    int fd;
    ndl_item *items;
    uint64_t *offsets; /* in the file, one an item   */
    uint64_t *places;  /* in memory, from its begin  */
    int n;
    uint64_t first, end, all; /* span in the file; bytes of the items */
} parcel;

static void free_parcel(parcel *p)
{
    if (p->fd >= 0) close(p->fd);
    free(p->places);
    free(p->offsets);
    free(p->items);
    *p = (parcel){ .fd = -1 };
}

static ndl_status read_places(parcel *p, ndl_store *s)
{
    p->offsets = malloc(((size_t)p->n + 1) * sizeof *p->offsets);
    p->places = malloc(((size_t)p->n + 1) * sizeof *p->places);
    if (!p->offsets || !p->places)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", p->path);
    p->first = p->n > 0 ? UINT64_MAX : 0;
    for (int i = 0; i < p->n; i++) {
        uint64_t at = 0;
        NDL_TRY(ndl_layout_verify(s, &p->items[i], &at));
        p->offsets[i] = at;
        if (at < p->first) p->first = at;
        if (at + p->items[i].bytes > p->end) p->end = at + p->items[i].bytes;
        p->all += p->items[i].bytes;
    }
    return NDL_OK;
}

/* A page past the end of the file would kill us when read: the size is asked
 * of the very file that gets mapped. */
static ndl_status open_file(parcel *p)
{
    struct stat sb;
    p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (p->fd < 0) return ndl_file_fail(p->path, "open", errno);
    if (fstat(p->fd, &sb) != 0) return ndl_file_fail(p->path, "read", errno);
    if (sb.st_size < 0 || (uint64_t)sb.st_size < p->end)
        return NDL_FAIL(NDL_EDATA,
                        "%s: is truncated: %" PRIu64 " bytes are needed, "
                        "%lld are there: import the model again",
                        p->path, p->end, (long long)sb.st_size);
    /* We say ourselves what is read ahead (pieces.h): the system would also
     * read what follows, which is another stage's. */
    posix_fadvise(p->fd, 0, 0, POSIX_FADV_RANDOM);
    return NDL_OK;
}

/* Everything that is known of the part before a byte of it is read. */
static ndl_status read_parcel(parcel *p, ndl_weights *w, const char *path)
{
    ndl_store *s = NULL;
    ndl_status st = NDL_OK;
    p->path = path;
    NDL_TRY(ndl_store_open(&s, path));
    NDL_TRY_GOTO(done, st, ndl_weights_read_model(s, &w->model, &w->mix));
    NDL_TRY_GOTO(
        done, st,
        ndl_layout_list(&p->items, &p->n, &w->model, w->mix, &w->part));
    NDL_TRY_GOTO(done, st, read_places(p, s));
    st = open_file(p);
done:
    ndl_store_close(&s);
    return st;
}

/* Addresses and file offsets agree modulo the alignment, so that a system that
 * has huge pages for files can use them. */
static ndl_status map(ndl_weights *w, parcel *p, ndl_progress *progress)
{
    const uint64_t from = p->first - p->first % NDL_ROOM_ALIGNMENT;
    const ndl_room_fill fill = { .fd = p->fd, .offset = from };
    NDL_TRY(ndl_room_take(&w->memory, (size_t)(p->end - from), &fill));
    ndl_present_alone(w->memory.at, w->memory.bytes, true);
    for (int i = 0; i < p->n; i++) {
        p->places[i] = p->offsets[i] - from;
        const ndl_present_range range = {
            .path = p->path,
            .fd = p->fd,
            .offset = p->offsets[i],
            .bytes = (const uint8_t *)w->memory.at + p->places[i],
            .n = (size_t)p->items[i].bytes,
        };
        NDL_TRY(ndl_present(&range, progress));
    }
    ndl_present_alone(w->memory.at, w->memory.bytes, false);
    return NDL_OK;
}

typedef struct copying {
    const parcel *p;
    uint8_t *to;
} copying;

static ndl_status copy_piece(void *arg, const ndl_piece *piece)
{
    const copying *c = arg;
    return ndl_file_read_at(c->p->fd, c->p->path,
                            c->to + c->p->places[piece->range] + piece->at,
                            piece->n, piece->offset);
}

static ndl_status copy(ndl_weights *w, parcel *p, ndl_pool *pool,
                       ndl_progress *progress)
{
    const uint64_t bytes = ndl_weights_pack(p->items, p->n, p->places);
    ndl_range *ranges = malloc(((size_t)p->n + 1) * sizeof *ranges);
    ndl_status st = NDL_OK;
    if (!ranges) return NDL_FAIL(NDL_EOS, "%s: out of memory", p->path);
    for (int i = 0; i < p->n; i++)
        ranges[i] = (ndl_range){ p->offsets[i], p->items[i].bytes };
    NDL_TRY_GOTO(
        done, st,
        ndl_load_memory_take(&w->memory, (size_t)bytes, NDL_LOAD_COPY));
    copying c = { p, w->memory.at };
    st = ndl_pieces_run(&(ndl_pieces){ .path = p->path,
                                       .fd = p->fd,
                                       .ranges = ranges,
                                       .n_ranges = p->n,
                                       .take = copy_piece,
                                       .arg = &c,
                                       .pool = pool,
                                       .progress = progress });
done:
    free(ranges);
    return st;
}

/* A copy needs memory of its own, which pages of a file do not: they can be
 * given back at any time. */
static ndl_status choose(ndl_load *out, const ndl_weights_how *how,
                         const parcel *p)
{
    const uint64_t room = how->free_bytes;
    if (how->load == NDL_LOAD_COPY && room > 0 && p->all > room)
        return NDL_FAIL(NDL_EUNAVAIL,
                        "%s: a copy of this part takes %" PRIu64 " bytes, "
                        "%" PRIu64 " are free: use --load map or more ranks",
                        p->path, p->all, room);
    *out = how->load;
    if (how->load != NDL_LOAD_AUTO) return NDL_OK;
    *out = NDL_LOAD_MAP;
    /* What is smaller than the measurement is not worth it: a step reads such a
     * part in milliseconds, and measuring takes a tenth of a second. */
    if (p->all < NDL_LOAD_MEASURE_BYTES) return NDL_OK;
    if (p->all + p->all / 20 > room || NDL_LOAD_MEASURE_BYTES > room)
        return NDL_OK;
    ndl_load_facts facts;
    NDL_TRY(ndl_load_measure(&facts, how->pool));
    *out = ndl_load_choose(&facts);
    return NDL_OK;
}

static ndl_status load(ndl_weights *w, parcel *p, const ndl_weights_how *how,
                       ndl_progress *progress)
{
    NDL_TRY(choose(&w->load, how, p));
    if (w->load == NDL_LOAD_COPY)
        NDL_TRY(copy(w, p, how->pool, progress));
    else
        NDL_TRY(map(w, p, progress));
    return ndl_weights_place(w, p->items, p->n, p->places);
}

/* From now on the part comes from the copy. */
static ndl_status stage_in(char **copy, parcel *p, ndl_weights *w,
                           const ndl_weights_how *how, ndl_progress *progress)
{
    const ndl_stage_in_job job = {
        .path = p->path,
        .folder = how->stage_in,
        .part = &w->part,
        .pool = how->pool,
        .progress = progress,
    };
    NDL_TRY(ndl_stage_in(copy, &job));
    free_parcel(p);
    return read_parcel(p, w, *copy);
}

ndl_status ndl_weights_open(ndl_weights **out, const char *path,
                            const ndl_part *part, const ndl_weights_how *how)
{
    static const ndl_weights_how plain = { .load = NDL_LOAD_MAP };
    if (!how) how = &plain;
    parcel p = { .fd = -1 };
    ndl_progress progress = { .fn = how->progress, .arg = how->arg };
    char *copied = NULL;
    ndl_status st = NDL_OK;
    ndl_weights *w = calloc(1, sizeof *w);
    if (!w) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    w->part = *part;
    NDL_TRY_GOTO(done, st, read_parcel(&p, w, path));
    progress.all = p.all;
    if (how->stage_in && p.n > 0)
        NDL_TRY_GOTO(done, st, stage_in(&copied, &p, w, how, &progress));
    NDL_TRY_GOTO(done, st, load(w, &p, how, &progress));
    *out = w;
    w = NULL;
done:
    free_parcel(&p);
    free(copied);
    ndl_weights_destroy(&w);
    return st;
}
