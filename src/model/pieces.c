/* pieces.c - see pieces.h. */
#include "pieces.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Linux takes a hint for no more than its read-ahead window, which is 128 KiB
 * unless somebody changed it; the rest of a longer one would be forgotten. */
void ndl_pieces_expect(int fd, uint64_t offset, uint64_t n)
{
    const uint64_t window = 128 << 10;
    for (uint64_t done = 0; done < n; done += window) {
        const uint64_t left = n - done;
        posix_fadvise(fd, (off_t)(offset + done),
                      (off_t)(left < window ? left : window),
                      POSIX_FADV_WILLNEED);
    }
}

typedef struct work {
    const ndl_pieces *job;
    ndl_piece *pieces;
    int n;
    atomic_int status; /* the first failure */
    _Atomic uint64_t done;
} work;

static void fail(work *w, ndl_status st)
{
    int none = NDL_OK;
    if (st != NDL_OK) atomic_compare_exchange_strong(&w->status, &none, st);
}

/* Only the calling thread, which may have its own ideas of who listens. */
static void tell(work *w)
{
    ndl_progress *p = w->job->progress;
    const uint64_t before = p->done, done = atomic_load(&w->done);
    if (done > before) fail(w, ndl_progress_add(p, done - before));
}

static void take_task(void *arg, int task, int thread)
{
    work *w = arg;
    const ndl_pieces *job = w->job;
    if (atomic_load(&w->status) != NDL_OK) return;
    ndl_piece *piece = &w->pieces[task];
    piece->thread = thread;
    ndl_pieces_expect(job->fd, piece->offset, piece->n);
    const ndl_status st = job->take(job->arg, piece);
    fail(w, st);
    if (st == NDL_OK) atomic_fetch_add(&w->done, piece->n);
    if (thread == 0 && atomic_load(&w->status) == NDL_OK) tell(w);
}

static ndl_status cut(work *w)
{
    const ndl_pieces *job = w->job;
    uint64_t n = 0;
    for (int i = 0; i < job->n_ranges; i++)
        n += (job->ranges[i].n + NDL_PIECE_BYTES - 1) / NDL_PIECE_BYTES;
    w->pieces = n < INT_MAX ? malloc((size_t)(n + 1) * sizeof *w->pieces) : 0;
    if (!w->pieces) return NDL_FAIL(NDL_EOS, "%s: out of memory", job->path);
    for (int i = 0; i < job->n_ranges; i++) {
        const ndl_range *r = &job->ranges[i];
        for (uint64_t at = 0; at < r->n; at += NDL_PIECE_BYTES) {
            const uint64_t left = r->n - at;
            w->pieces[w->n++] = (ndl_piece){
                .range = i,
                .offset = r->offset + at,
                .at = at,
                .n = left < NDL_PIECE_BYTES ? (size_t)left : NDL_PIECE_BYTES,
            };
        }
    }
    return NDL_OK;
}

ndl_status ndl_pieces_run(const ndl_pieces *p)
{
    work w = { .job = p };
    atomic_init(&w.done, p->progress->done);
    NDL_TRY(cut(&w));
    if (p->pool)
        ndl_pool_run(p->pool, w.n, take_task, &w);
    else
        for (int i = 0; i < w.n; i++) take_task(&w, i, 0);
    if (atomic_load(&w.status) == NDL_OK) tell(&w);
    free(w.pieces);
    return atomic_load(&w.status);
}
