/* clock.c - see clock.h. */
#include "noodle/clock.h"

#include <time.h>

static double read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double ndl_clock_sec(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double ndl_clock_cpu_sec(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void ndl_clock_sleep(double sec)
{
    struct timespec t = { .tv_sec = (time_t)sec };
    t.tv_nsec = (long)((sec - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}
