/* progress_line.c - see progress_line.h. */
#include "progress_line.h"

#include <stdio.h>
#include <unistd.h>

#include "noodle/clock.h"
#include "noodle/plan.h"
#include "noodle/session.h"

void ndl_progress_line_begin(ndl_progress_line *p, const char *what,
                             const volatile sig_atomic_t *signal)
{
    const double now = ndl_clock_sec();
    *p = (ndl_progress_line){ .what = what,
                              .is_terminal = isatty(STDERR_FILENO) == 1,
                              .start_sec = now,
                              .last_sec = now,
                              .signal = signal };
}

bool ndl_progress_line_is_due(ndl_progress_line *p)
{
    const double now = ndl_clock_sec();
    if (now - p->last_sec < (p->is_terminal ? 0.1 : 10.0)) return false;
    p->last_sec = now;
    return true;
}

void ndl_progress_line_print(ndl_progress_line *p, const char *text)
{
    fprintf(stderr, "%s%s: %s%s", p->is_terminal ? "\r\033[K" : "", p->what,
            text, p->is_terminal ? "" : "\n");
    fflush(stderr);
    p->is_shown = true;
}

ndl_status ndl_progress_line_show(void *arg, uint64_t done, uint64_t all)
{
    ndl_progress_line *p = arg;
    char have[32], want[32], rate[32], text[128];
    if (*p->signal) return ndl_session_signal_status(*p->signal);
    if (!ndl_progress_line_is_due(p)) return NDL_OK;
    const double sec = p->last_sec - p->start_sec;
    snprintf(
        text, sizeof text, "%s of %s, %.0f %%, %s/s",
        ndl_plan_bytes_text(done, have, sizeof have),
        ndl_plan_bytes_text(all, want, sizeof want),
        all > 0 ? 100.0 * (double)done / (double)all : 100.0,
        ndl_plan_bytes_text((uint64_t)((double)done / sec), rate, sizeof rate));
    ndl_progress_line_print(p, text);
    return NDL_OK;
}

void ndl_progress_line_end(ndl_progress_line *p)
{
    if (p->is_shown && p->is_terminal) fputs("\r\033[K", stderr);
}
