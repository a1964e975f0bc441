/* lines.c - see lines.h. */
#include "noodle/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/grow.h"

enum { CHUNK = 1 << 16 };

struct ndl_lines {
    int fd;
    bool is_ours; /* fd is closed with us */
    char *path, *bytes;
    size_t from, to, cap; /* bytes[from .. to) is read and not yet given */
    uint64_t begin;       /* of bytes[from] in what was read */
    int64_t number;
    bool is_at_end;
    ndl_heed heed;
};

ndl_status ndl_lines_open_fd(ndl_lines **out, int fd, const char *path)
{
    ndl_lines *l = calloc(1, sizeof *l);
    if (l) l->path = strdup(path);
    if (!l || !l->path) {
        free(l);
        return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    }
    l->fd = fd;
    *out = l;
    return NDL_OK;
}

ndl_status ndl_lines_open(ndl_lines **out, const char *path)
{
    /* O_NONBLOCK: a named pipe is waited for where heed() is asked. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ndl_file_fail(path, "open", errno);
    const ndl_status st = ndl_lines_open_fd(out, fd, path);
    if (st == NDL_OK)
        (*out)->is_ours = true;
    else
        close(fd);
    return st;
}

void ndl_lines_heed(ndl_lines *l, ndl_heed heed)
{
    l->heed = heed;
}

void ndl_lines_close(ndl_lines **l)
{
    if (!*l) return;
    if ((*l)->is_ours) close((*l)->fd);
    free((*l)->path);
    free((*l)->bytes);
    free(*l);
    *l = NULL;
}

static ndl_status too_long(const ndl_lines *l)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: line %lld: longer than %d MiB: is it a file of "
                    "lines?",
                    l->path, (long long)l->number + 1, NDL_LINES_LONGEST >> 20);
}

/* Room for a chunk and a zero behind it. */
static ndl_status make_room(ndl_lines *l)
{
    if (l->from > 0) {
        memmove(l->bytes, l->bytes + l->from, l->to - l->from);
        l->to -= l->from;
        l->from = 0;
    }
    if (l->to + CHUNK < l->cap) return NDL_OK;
    char *more = ndl_grow(l->bytes, &l->cap, l->to + 2 * CHUNK, 1);
    if (!more)
        return NDL_FAIL(NDL_EOS, "%s: line %lld: out of memory", l->path,
                        (long long)l->number + 1);
    l->bytes = more;
    return NDL_OK;
}

static ndl_status read_more(ndl_lines *l)
{
    if (l->to - l->from > NDL_LINES_LONGEST) return too_long(l);
    NDL_TRY(make_room(l));
    ssize_t got;
    NDL_TRY(ndl_heed_read(l->heed, l->fd, l->bytes + l->to, CHUNK, &got));
    if (got < 0 && errno == EISDIR)
        return NDL_FAIL(NDL_ENOINPUT, "%s: is a directory: give a file",
                        l->path);
    if (got < 0) return ndl_file_fail(l->path, "read", errno);
    l->is_at_end = got == 0;
    l->to += (size_t)got;
    return NDL_OK;
}

ndl_status ndl_lines_next(ndl_lines *l, ndl_line *line)
{
    size_t seen = 0;
    char *end = NULL;
    NDL_TRY(ndl_heed_ask(l->heed));
    for (;;) {
        const size_t n = l->to - l->from - seen;
        if (n) end = memchr(l->bytes + l->from + seen, '\n', n);
        if (end || l->is_at_end) break;
        seen += n;
        NDL_TRY(read_more(l));
    }
    const size_t n = end ? (size_t)(end - l->bytes) - l->from : l->to - l->from;
    if (n > NDL_LINES_LONGEST) return too_long(l);
    char *text = l->bytes + l->from;
    ndl_line x = { .n = n, .begin = l->begin, .is_whole = end != NULL };
    text[n] = '\0';
    if (end && x.n > 0 && text[x.n - 1] == '\r') text[--x.n] = '\0';
    if (end || n > 0) {
        x.text = text;
        x.number = ++l->number;
    }
    l->from += n + (end != NULL);
    l->begin += n + (end != NULL);
    *line = x;
    return NDL_OK;
}
