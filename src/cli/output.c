/* output.c - see output.h.  write(2) without a buffer in between: a token is
 * to be seen when it comes, and an error is known at once. */
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/grow.h"

static void fail(ndl_output *o, int err)
{
    o->stop.requested = true;
    o->stop.status =
        err == EPIPE ? NDL_OK
                     : NDL_FAIL(NDL_EIO,
                                "stdout: cannot write: %s: send it to a file "
                                "or a pipe that is open",
                                strerror(err));
}

/* Would a write of up to PIPE_BUF bytes return at once?  Errors do. */
static bool is_ready(void)
{
    struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };
    return poll(&p, 1, 0) != 0;
}

/* How many of the bytes went out; less than n if the reader is slow and we may
 * not wait, or after a failure. */
static size_t push(ndl_output *o, const char *bytes, size_t n, bool may_wait)
{
    size_t at = 0;
    while (at < n && !o->stop.requested && (may_wait || is_ready())) {
        const size_t left = n - at;
        const ssize_t done =
            write(STDOUT_FILENO, bytes + at, left < PIPE_BUF ? left : PIPE_BUF);
        if (done >= 0)
            at += (size_t)done;
        else if (errno != EINTR)
            fail(o, errno);
    }
    return at;
}

static void hold(ndl_output *o, const char *bytes, size_t n)
{
    char *more = ndl_grow(o->held, &o->cap, o->n_held + n, 1);
    if (!more) {
        fail(o, ENOMEM);
        return;
    }
    o->held = more;
    memcpy(o->held + o->n_held, bytes, n);
    o->n_held += n;
}

void ndl_output_offer(ndl_output *o, const char *bytes, size_t n)
{
    if (o->n_held > 0) {
        const size_t gone = push(o, o->held, o->n_held, false);
        o->n_held -= gone;
        memmove(o->held, o->held + gone, o->n_held);
    }
    const size_t gone = o->n_held > 0 ? 0 : push(o, bytes, n, false);
    if (gone < n && !o->stop.requested) hold(o, bytes + gone, n - gone);
}

void ndl_output_finish(ndl_output *o)
{
    push(o, o->held, o->n_held, true);
    free(o->held);
    o->held = NULL;
    o->n_held = o->cap = 0;
}

ndl_status ndl_output_text(const char *text)
{
    ndl_output o = { 0 };
    push(&o, text, strlen(text), true);
    return o.stop.status;
}
