/* stage_in.c - see stage_in.h. */
#define _GNU_SOURCE
#include "stage_in.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/hash.h"
#include "noodle/log.h"
#include "pieces.h"
#include "stage_in_ranges.h"

typedef struct staging {
    const ndl_stage_in_job *job;
    int from, to;       /* files */
    struct stat source; /* of `from` */
    ndl_ranges keep;
    char *copy, *part; /* paths: of the finished copy, of the one at work */
    uint8_t *buffers;  /* NDL_PIECE_BYTES a thread */
} staging;

static ndl_status out_of_memory(const staging *s)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory", s->job->path);
}

/* NAME-HASH.h5, the hash being of all that tells one copy from another. */
static ndl_status set_copy_path(staging *s)
{
    const ndl_part *p = s->job->part;
    const char *slash = strrchr(s->job->path, '/');
    const char *name = slash ? slash + 1 : s->job->path;
    const char *dot = strrchr(name, '.');
    int n_name = (int)(dot ? dot - name : (ptrdiff_t)strlen(name));
    char *real = realpath(s->job->path, NULL), *key = NULL;
    if (n_name > 100) n_name = 100; /* short enough for any file system */
    if (!real) return ndl_file_fail(s->job->path, "read", errno);
    const int n_key =
        asprintf(&key, "%s %lld %lld.%09ld %d+%d %d %d", real,
                 (long long)s->source.st_size, (long long)s->source.st_mtime,
                 (long)s->source.st_mtim.tv_nsec, p->first_layer, p->n_layers,
                 p->embed, p->head);
    free(real);
    if (n_key < 0) return out_of_memory(s);
    const uint64_t hash = ndl_hash_bytes(key, (size_t)n_key, 0);
    free(key);
    if (asprintf(&s->copy, "%s/%.*s-%016" PRIx64 ".h5", s->job->folder, n_name,
                 name, hash) < 0) {
        s->copy = NULL;
        return out_of_memory(s);
    }
    return NDL_OK;
}

static bool read_both(const staging *s, int copy, uint64_t offset, size_t n)
{
    uint8_t a[4096], b[sizeof a];
    return n <= sizeof a && pread(s->from, a, n, (off_t)offset) == (ssize_t)n &&
           pread(copy, b, n, (off_t)offset) == (ssize_t)n &&
           memcmp(a, b, n) == 0;
}

/* A copy gets its name when it is complete.  What may happen to it later is
 * looked for where it costs little: its size, and both ends of each range. */
static bool is_intact(const staging *s, int copy)
{
    struct stat sb;
    if (fstat(copy, &sb) != 0 || !S_ISREG(sb.st_mode) ||
        sb.st_uid != geteuid() || sb.st_size != s->source.st_size)
        return false;
    for (int i = 0; i < s->keep.n; i++) {
        const ndl_range *r = &s->keep.at[i];
        const uint64_t n = r->n < 4096 ? r->n : 4096;
        if (!read_both(s, copy, r->offset, (size_t)n) ||
            !read_both(s, copy, r->offset + r->n - n, (size_t)n))
            return false;
    }
    return true;
}

/* Another user's file or link of that name is none of ours. */
static bool has_copy(const staging *s)
{
    const int fd = open(s->copy, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const bool intact = fd >= 0 && is_intact(s, fd);
    if (fd >= 0) close(fd);
    return intact;
}

static uint64_t mib(uint64_t bytes)
{
    return (bytes >> 20) + (bytes % (1 << 20) != 0);
}

static ndl_status no_space(const staging *s)
{
    return NDL_FAIL(NDL_ECREATE,
                    "--stage-in %s: the copy of %s takes %" PRIu64 " MiB, "
                    "which are not free: make room or choose another folder",
                    s->job->folder, s->job->path, mib(s->keep.bytes));
}

/* Some file systems do not know how much they can take. */
static ndl_status check_space(const staging *s)
{
    struct statvfs v;
    if (statvfs(s->job->folder, &v) != 0 || v.f_blocks == 0) return NDL_OK;
    return (uint64_t)v.f_bavail < s->keep.bytes / v.f_frsize ? no_space(s)
                                                             : NDL_OK;
}

/* A name of its own, since another job may be making the same copy. */
static ndl_status open_part(staging *s)
{
    const char *end = ".part";
    if (asprintf(&s->part, "%s.XXXXXX%s", s->copy, end) < 0) {
        s->part = NULL;
        return out_of_memory(s);
    }
    s->to = mkostemps(s->part, (int)strlen(end), O_CLOEXEC);
    if (s->to >= 0) return NDL_OK;
    const int err = errno;
    free(s->part);
    s->part = NULL;
    return NDL_FAIL(err == EACCES || err == EPERM ? NDL_EPERM : NDL_ECREATE,
                    "--stage-in %s: cannot create a file: %s: give a folder on "
                    "every node that can be written to",
                    s->job->folder, strerror(err));
}

static ndl_status write_failed(const staging *s)
{
    if (errno == ENOSPC || errno == EDQUOT) return no_space(s);
    return NDL_FAIL(NDL_EIO,
                    "--stage-in %s: cannot write: %s: choose another folder",
                    s->job->folder, strerror(errno));
}

static ndl_status copy_piece(void *arg, const ndl_piece *piece)
{
    const staging *s = arg;
    uint8_t *buffer = s->buffers + (size_t)piece->thread * NDL_PIECE_BYTES;
    NDL_TRY(ndl_file_read_at(s->from, s->job->path, buffer, piece->n,
                             piece->offset));
    for (size_t done = 0; done < piece->n;) {
        const ssize_t put = pwrite(s->to, buffer + done, piece->n - done,
                                   (off_t)(piece->offset + done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return write_failed(s);
        done += (size_t)put;
    }
    return NDL_OK;
}

static ndl_status copy_ranges(staging *s)
{
    const ndl_stage_in_job *job = s->job;
    const int n_threads = job->pool ? ndl_pool_size(job->pool) : 1;
    s->buffers = malloc((size_t)n_threads * NDL_PIECE_BYTES);
    if (!s->buffers) return out_of_memory(s);
    if (ftruncate(s->to, s->source.st_size) != 0) return write_failed(s);
    return ndl_pieces_run(&(ndl_pieces){ .path = job->path,
                                         .fd = s->from,
                                         .ranges = s->keep.at,
                                         .n_ranges = s->keep.n,
                                         .take = copy_piece,
                                         .arg = s,
                                         .pool = job->pool,
                                         .progress = job->progress });
}

static ndl_status make_copy(staging *s)
{
    s->job->progress->all += s->keep.bytes;
    NDL_TRY(check_space(s));
    NDL_TRY(open_part(s));
    NDL_TRY(copy_ranges(s));
    if (fsync(s->to) != 0) return write_failed(s);
    if (rename(s->part, s->copy) != 0)
        return ndl_file_fail(s->copy, "rename the finished copy to it", errno);
    free(s->part);
    s->part = NULL;
    return NDL_OK;
}

static ndl_status open_source(staging *s)
{
    const char *path = s->job->path;
    s->from = open(path, O_RDONLY | O_CLOEXEC);
    if (s->from < 0) return ndl_file_fail(path, "open", errno);
    if (fstat(s->from, &s->source) != 0)
        return ndl_file_fail(path, "read", errno);
    posix_fadvise(s->from, 0, 0, POSIX_FADV_RANDOM); /* as weights_open.c */
    return ndl_stage_in_ranges(&s->keep, path, s->job->part,
                               (uint64_t)s->source.st_size);
}

static void finish(staging *s)
{
    if (s->from >= 0) close(s->from);
    if (s->to >= 0) close(s->to);
    if (s->part) unlink(s->part);
    free(s->part);
    free(s->copy);
    free(s->buffers);
    free(s->keep.at);
}

ndl_status ndl_stage_in(char **copy, const ndl_stage_in_job *job)
{
    staging s = { .job = job, .from = -1, .to = -1 };
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, open_source(&s));
    NDL_TRY_GOTO(done, st, set_copy_path(&s));
    const bool found = has_copy(&s);
    if (!found) NDL_TRY_GOTO(done, st, make_copy(&s));
    ndl_log(NDL_LOG_INFO, "stage-in", "%s: %" PRIu64 " MiB %s %s", job->path,
            mib(s.keep.bytes),
            found ? "are there already:" : "copied, to stay:", s.copy);
    *copy = s.copy;
    s.copy = NULL;
done:
    finish(&s);
    return st;
}
