/* file.c - see file.h. */
#define _GNU_SOURCE
#include "noodle/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noodle/grow.h"

enum { CHUNK = 1 << 16 };

ndl_status ndl_file_fail(const char *path, const char *verb, int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
        return NDL_FAIL(NDL_ENOINPUT, "%s: cannot %s: %s: check the path", path,
                        verb, strerror(err));
    case EACCES:
    case EPERM:
        return NDL_FAIL(NDL_EPERM, "%s: cannot %s: %s: check its permissions",
                        path, verb, strerror(err));
    case ENOSPC:
    case EDQUOT:
        return NDL_FAIL(NDL_EIO,
                        "%s: cannot %s: %s: free space there or write "
                        "elsewhere",
                        path, verb, strerror(err));
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return NDL_FAIL(NDL_EOS, "%s: cannot %s: %s: raise the limit (ulimit)",
                        path, verb, strerror(err));
    default:
        return NDL_FAIL(NDL_EIO, "%s: cannot %s: %s", path, verb,
                        strerror(err));
    }
}

/* Read until the end, growing: what a pipe or a device holds nobody tells. */
static ndl_status read_all(int fd, char **out, size_t *n, const char *path,
                           size_t max_bytes, ndl_heed heed)
{
    size_t len = 0, cap = 0;
    char *buf = NULL;
    for (;;) {
        char *more = ndl_grow(buf, &cap, len + CHUNK, 1);
        if (!more) break;
        buf = more;
        ssize_t got;
        const ndl_status st =
            ndl_heed_read(heed, fd, buf + len, cap - len - 1, &got);
        if (st != NDL_OK) {
            free(buf);
            return st;
        }
        if (got < 0) {
            free(buf);
            if (errno == EISDIR)
                return NDL_FAIL(NDL_ENOINPUT, "%s: is a directory: give a file",
                                path);
            return ndl_file_fail(path, "read", errno);
        }
        if (got == 0) {
            buf[len] = '\0';
            *out = buf;
            *n = len;
            return NDL_OK;
        }
        len += (size_t)got;
        if (len > max_bytes) {
            free(buf);
            return NDL_FAIL(NDL_EDATA,
                            "%s: larger than %zu bytes: not a file of this "
                            "kind",
                            path, max_bytes);
        }
    }
    free(buf);
    return NDL_FAIL(NDL_EOS, "%s: out of memory after %zu bytes", path, len);
}

ndl_status ndl_file_read_heeding(char **out, size_t *n, const char *path,
                                 size_t max_bytes, ndl_heed heed)
{
    /* O_NONBLOCK: a named pipe is waited for where `heed` is asked. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ndl_file_fail(path, "open", errno);
    const ndl_status st = read_all(fd, out, n, path, max_bytes, heed);
    close(fd);
    return st;
}

ndl_status ndl_file_read(char **out, size_t *n, const char *path,
                         size_t max_bytes)
{
    return ndl_file_read_heeding(out, n, path, max_bytes, (ndl_heed){ 0 });
}

ndl_status ndl_file_read_at(int fd, const char *path, void *dst, size_t n,
                            uint64_t offset)
{
    for (size_t done = 0; done < n;) {
        const ssize_t got =
            pread(fd, (uint8_t *)dst + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return ndl_file_fail(path, "read", errno);
        if (got == 0)
            return NDL_FAIL(NDL_EDATA,
                            "%s: is truncated: it ends %zu bytes before what "
                            "is to be read: copy or import it again",
                            path, n - done);
        done += (size_t)got;
    }
    return NDL_OK;
}

ndl_status ndl_file_part_open(ndl_file_part *p, const char *path)
{
    memset(p, 0, sizeof *p);
    p->path = strdup(path);
    if (!p->path || asprintf(&p->part_path, "%s.part", path) < 0) {
        free(p->path);
        memset(p, 0, sizeof *p);
        return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    }
    p->file = fopen(p->part_path, "wbe");
    if (p->file) return NDL_OK;
    const int err = errno;
    const ndl_status st = NDL_FAIL(
        err == EACCES || err == EPERM ? NDL_EPERM : NDL_ECREATE,
        "%s: cannot create: %s: check the folder", p->part_path, strerror(err));
    free(p->path);
    free(p->part_path);
    memset(p, 0, sizeof *p);
    return st;
}

void ndl_file_sync_folder(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return;
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

ndl_status ndl_file_part_commit(ndl_file_part *p)
{
    ndl_status st = NDL_OK;
    if (fflush(p->file) != 0 || (!p->is_scratch && fsync(fileno(p->file)) != 0))
        st = ndl_file_fail(p->part_path, "write", errno);
    if (fclose(p->file) != 0 && st == NDL_OK)
        st = ndl_file_fail(p->part_path, "write", errno);
    p->file = NULL;
    if (st == NDL_OK && rename(p->part_path, p->path) != 0)
        st = ndl_file_fail(p->path, "rename the finished file to it", errno);
    if (st == NDL_OK) {
        /* The rename itself must survive a power cut. */
        ndl_file_sync_folder(p->path);
        free(p->part_path);
        p->part_path = NULL;
    }
    ndl_file_part_discard(p);
    return st;
}

void ndl_file_part_discard(ndl_file_part *p)
{
    if (p->file) fclose(p->file);
    if (p->part_path) unlink(p->part_path);
    free(p->part_path);
    free(p->path);
    memset(p, 0, sizeof *p);
}
