/* processors.c - see processors.h. */
#define _GNU_SOURCE
#include "processors.h"

#include <sched.h>
#include <unistd.h>

/* A launcher may have bound us to few of them.  More than the set can name are
 * as many as it can. */
int ndl_processors(void)
{
    cpu_set_t set;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    if (online < 1) return 1;
    return online < CPU_SETSIZE ? (int)online : CPU_SETSIZE;
}
