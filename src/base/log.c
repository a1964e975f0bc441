/* log.c - lines to stderr, each written with one call so that the lines of
 * several ranks do not mix. */
#include "noodle/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "noodle/clock.h"

static ndl_log_level max_level = NDL_LOG_WARN;
static int my_rank;
static double start_sec;

void ndl_log_init(int rank, ndl_log_level level)
{
    my_rank = rank;
    max_level = level;
    start_sec = ndl_clock_sec();
}

bool ndl_log_parse(const char *name, ndl_log_level *out)
{
    static const char *const names[] = { "error", "warn", "info", "debug",
                                         "trace" };
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (ndl_log_level)i;
            return true;
        }
    return false;
}

bool ndl_log_is_on(ndl_log_level level)
{
    return level <= max_level;
}

static void print_line(const char *where, const char *fmt, va_list ap)
{
    char line[1200];
    const double sec = start_sec > 0.0 ? ndl_clock_sec() - start_sec : 0.0;
    int n =
        snprintf(line, sizeof line, "[%7.3f] r%02d %s: ", sec, my_rank, where);
    const int got = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    if (got < 0) return;
    n += got;
    if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
    line[n++] = '\n';
    /* A log line that cannot be written has nowhere to complain. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0) return;
}

void ndl_log(ndl_log_level level, const char *where, const char *fmt, ...)
{
    va_list ap;
    if (!ndl_log_is_on(level)) return;
    va_start(ap, fmt);
    print_line(where, fmt, ap);
    va_end(ap);
}

void ndl_log_root(ndl_log_level level, const char *where, const char *fmt, ...)
{
    va_list ap;
    if (my_rank != 0 || !ndl_log_is_on(level)) return;
    va_start(ap, fmt);
    print_line(where, fmt, ap);
    va_end(ap);
}
