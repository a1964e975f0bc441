/* journal.c - see journal.h. */
#include "noodle/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/grow.h"
#include "noodle/log.h"

struct ndl_journal {
    int fd;
    char *path;
    char *bytes; /* (cap) a line and its end, so that one write has both */
    size_t cap;
    off_t size;    /* of the whole lines */
    bool is_dirty; /* written since the last sync */
    bool has_failed;
};

static ndl_status open_file(ndl_journal *j)
{
    struct stat st;
    /* O_NONBLOCK: a pipe without a reader is refused below, not waited for. */
    j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
                 0666);
    if (j->fd < 0 && errno == EISDIR)
        return NDL_FAIL(NDL_ECREATE, "%s: is a directory: give a file",
                        j->path);
    if (j->fd < 0)
        return NDL_FAIL(errno == EACCES || errno == EPERM ? NDL_EPERM
                                                          : NDL_ECREATE,
                        "%s: cannot open for writing: %s: check the path and "
                        "its permissions",
                        j->path, strerror(errno));
    if (fstat(j->fd, &st) != 0) return ndl_file_fail(j->path, "look", errno);
    if (!S_ISREG(st.st_mode))
        return NDL_FAIL(NDL_ECREATE,
                        "%s: is not a plain file: results go to one, from "
                        "which a later start reads what is done",
                        j->path);
    /* Also of a file that is there: who made it may have died before. */
    ndl_file_sync_folder(j->path);
    return NDL_OK;
}

/* Some parallel file systems are mounted without locks; to refuse to work
 * there would help nobody. */
static ndl_status lock(const ndl_journal *j)
{
    if (flock(j->fd, LOCK_EX | LOCK_NB) == 0) return NDL_OK;
    if (errno == EWOULDBLOCK)
        return NDL_FAIL(NDL_ETEMP,
                        "%s: another run is writing to it: wait until that "
                        "ends, or give another file",
                        j->path);
    ndl_log(NDL_LOG_WARN, "journal",
            "%s: cannot be locked here (%s): see to it that only one run "
            "writes to it",
            j->path, strerror(errno));
    return NDL_OK;
}

static ndl_status not_ours(const ndl_journal *j, const ndl_line *line)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: line %lld: this program has not written it: the file "
                    "stays as it is: give another one for the results",
                    j->path, (long long)line->number);
}

static bool begins(const ndl_line *line, const char *with)
{
    const size_t n = strlen(with);
    /* A torn line may end in the middle of its begin. */
    const size_t have = !line->is_whole && line->n < n ? line->n : n;
    return line->n >= have && memcmp(line->text, with, have) == 0;
}

static ndl_status read_lines(ndl_journal *j, const ndl_journal_setup *setup,
                             ndl_lines *lines)
{
    ndl_line line;
    for (;;) {
        NDL_TRY(ndl_lines_next(lines, &line));
        j->size = (off_t)line.begin;
        if (!line.text) return NDL_OK;
        if (!begins(&line, setup->begin)) return not_ours(j, &line);
        if (!line.is_whole) return NDL_OK;
        NDL_TRY(setup->on_line(setup->arg, &line));
    }
}

static ndl_status drop_torn_line(ndl_journal *j)
{
    struct stat st;
    if (fstat(j->fd, &st) != 0) return ndl_file_fail(j->path, "look", errno);
    if (st.st_size == j->size) return NDL_OK;
    if (ftruncate(j->fd, j->size) != 0 || fsync(j->fd) != 0)
        return ndl_file_fail(j->path, "remove the torn last line", errno);
    return NDL_OK;
}

static ndl_status begin(ndl_journal *j, const ndl_journal_setup *setup)
{
    ndl_lines *lines = NULL;
    NDL_TRY(open_file(j));
    NDL_TRY(lock(j));
    NDL_TRY(ndl_lines_open_fd(&lines, j->fd, j->path));
    ndl_lines_heed(lines, setup->heed);
    const ndl_status st = read_lines(j, setup, lines);
    ndl_lines_close(&lines);
    NDL_TRY(st);
    /* Who wrote these lines may have died before they were on the disk. */
    j->is_dirty = j->size > 0;
    return drop_torn_line(j);
}

static void destroy(ndl_journal **j)
{
    if ((*j)->fd >= 0) close((*j)->fd); /* gives the lock back */
    free((*j)->path);
    free((*j)->bytes);
    free(*j);
    *j = NULL;
}

ndl_status ndl_journal_open(ndl_journal **out, const ndl_journal_setup *setup)
{
    ndl_journal *j = calloc(1, sizeof *j);
    if (!j) return NDL_FAIL(NDL_EOS, "%s: out of memory", setup->path);
    j->fd = -1;
    j->path = strdup(setup->path);
    const ndl_status st =
        j->path ? begin(j, setup)
                : NDL_FAIL(NDL_EOS, "%s: out of memory", setup->path);
    if (st == NDL_OK)
        *out = j;
    else
        destroy(&j);
    return st;
}

ndl_status ndl_journal_close(ndl_journal **j)
{
    if (!*j) return NDL_OK;
    const ndl_status st = ndl_journal_sync(*j);
    destroy(j);
    return st;
}

/* Half a line would be torn for ever if another came behind it. */
static ndl_status fail(ndl_journal *j, const char *verb, int err)
{
    j->has_failed = true;
    if (ftruncate(j->fd, j->size) == 0) (void)fsync(j->fd);
    return ndl_file_fail(j->path, verb, err);
}

static ndl_status put(ndl_journal *j, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t done = write(j->fd, bytes + at, n - at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(j, "write", errno);
        at += (size_t)done;
    }
    j->size += (off_t)n;
    j->is_dirty = true;
    return NDL_OK;
}

ndl_status ndl_journal_write(ndl_journal *j, const char *line, size_t n)
{
    NDL_ASSERT(!memchr(line, '\n', n));
    if (j->has_failed) return NDL_EIO;
    if (n > NDL_LINES_LONGEST) return fail(j, "write a line that long", EFBIG);
    char *bytes = ndl_grow(j->bytes, &j->cap, n + 1, 1);
    if (!bytes) return fail(j, "write", ENOMEM);
    j->bytes = bytes;
    memcpy(j->bytes, line, n);
    j->bytes[n] = '\n';
    return put(j, j->bytes, n + 1);
}

ndl_status ndl_journal_sync(ndl_journal *j)
{
    if (j->has_failed) return NDL_EIO;
    if (!j->is_dirty) return NDL_OK;
    j->is_dirty = false;
    if (fdatasync(j->fd) == 0) return NDL_OK;
    j->has_failed = true;
    return ndl_file_fail(j->path, "write", errno);
}
