/* heed.c - see heed.h. */
#include "noodle/heed.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Between two looks at whether to go on: a signal may come just before we
 * sleep, or to another thread. */
enum { WAIT_MS = 100 };

ndl_status ndl_heed_ask(ndl_heed h)
{
    return h.fn ? h.fn(h.arg) : NDL_OK;
}

static ndl_status await(ndl_heed h, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (;;) {
        NDL_TRY(ndl_heed_ask(h));
        const int n = poll(&p, 1, h.fn ? WAIT_MS : -1);
        /* Other failures are told by the read that follows. */
        if (n > 0 || (n < 0 && errno != EINTR)) return NDL_OK;
    }
}

ndl_status ndl_heed_read(ndl_heed h, int fd, void *dst, size_t n, ssize_t *got)
{
    do {
        NDL_TRY(await(h, fd));
        *got = read(fd, dst, n);
    } while (*got < 0 && (errno == EINTR || errno == EAGAIN));
    return NDL_OK;
}
