/* progress.c - see progress.h. */
#include "noodle/progress.h"

#include "noodle/clock.h"

static const double interval_sec = 0.1;

ndl_status ndl_progress_add(ndl_progress *p, uint64_t n)
{
    p->done += n;
    if (!p->fn) return NDL_OK;
    const double now = ndl_clock_sec();
    if (p->done < p->all && p->told_sec > 0 && now - p->told_sec < interval_sec)
        return NDL_OK;
    p->told_sec = now;
    return p->fn(p->arg, p->done, p->all);
}
