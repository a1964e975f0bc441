/* lines.h - a file line by line, however long the file is. */
#ifndef NOODLE_LINES_H
#define NOODLE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/heed.h"
#include "noodle/status.h"

enum { NDL_LINES_LONGEST = 64 << 20 /* bytes of a line, at most */ };

typedef struct ndl_lines ndl_lines;

typedef struct ndl_line {
    const char *text; /* (n) without its end, "\n" or "\r\n"; a zero byte
                         follows; borrowed until the next call; NULL: there is
                         no more */
    size_t n;
    int64_t number; /* the first is 1 */
    uint64_t begin; /* where in what was read */
    bool is_whole;  /* "\n" ends it; false: the file ends in it */
} ndl_line;

/** Does not wait for the writer of a named pipe: the first line does.
 * @return NDL_OK; NDL_ENOINPUT, NDL_EPERM, NDL_EOS, NDL_EIO. */
ndl_status ndl_lines_open(ndl_lines **out, const char *path);

/** Read from an open file where it stands.
 * @param fd, path  borrowed for the object's life; path is for messages. */
ndl_status ndl_lines_open_fd(ndl_lines **out, int fd, const char *path);
void ndl_lines_close(ndl_lines **l);

/** Ask it before every line, and several times a second while one is waited
 * for; at first nobody is asked. */
void ndl_lines_heed(ndl_lines *l, ndl_heed heed);

/** The next line; blocks until there is one.
 * @param[out] line  untouched on error.
 * @return NDL_OK; NDL_EDATA: longer than NDL_LINES_LONGEST; NDL_ENOINPUT: a
 * folder; NDL_EIO, NDL_EOS; what ndl_lines_heed's function returns. */
ndl_status ndl_lines_next(ndl_lines *l, ndl_line *line);

#endif /* NOODLE_LINES_H */
