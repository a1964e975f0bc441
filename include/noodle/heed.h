/* heed.h - who is asked whether to go on with what may take long. */
#ifndef NOODLE_HEED_H
#define NOODLE_HEED_H

#include <stddef.h>
#include <sys/types.h>

#include "noodle/status.h"

/** Asked whether to go on; an error ends the work, and is what it returns. */
typedef ndl_status ndl_heed_fn(void *arg);

typedef struct ndl_heed {
    ndl_heed_fn *fn; /* NULL: nobody is asked */
    void *arg;       /* borrowed */
} ndl_heed;

ndl_status ndl_heed_ask(ndl_heed h);

/**
 * As read(2), but waits until there is something to read or its end, and asks
 * before that and several times a second meanwhile: a signal shall not have to
 * wait for the end of a pipe.  Of a file opened with O_NONBLOCK too; a named
 * pipe that nobody has opened for writing yet has no end then.
 *
 * @param[out] got  bytes; 0: the end; -1: errno says why.
 * @return NDL_OK, also where got is -1; what h returns.
 */
ndl_status ndl_heed_read(ndl_heed h, int fd, void *dst, size_t n, ssize_t *got);

#endif /* NOODLE_HEED_H */
