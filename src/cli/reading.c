/* reading.c - see reading.h. */
#include "reading.h"

#include "noodle/session.h"

static ndl_status go_on(void *arg)
{
    const ndl_reading *r = arg;
    if (!*r->signal) return NDL_OK;
    const ndl_status st = ndl_session_signal_status(*r->signal);
    return NDL_FAIL(st, "%s: %s: it was still being read, and nothing has run",
                    r->path, ndl_status_text(st));
}

ndl_heed ndl_reading_heed(ndl_reading *r)
{
    return (ndl_heed){ go_on, r };
}
