/* tally.c - see tally.h. */
#include "tally.h"

#include <stdio.h>

double ndl_tally_left_sec(const ndl_tally *t, double sec)
{
    const int64_t done = t->prompt_done + t->new_done;
    if (done == 0 || !(sec > 0.0)) return -1.0;
    const double share = t->finished_limit > 0 ? (double)t->finished_done /
                                                     (double)t->finished_limit
                                               : 1.0;
    const double others = (double)(t->new_limit - t->finished_limit) * share;
    double fresh = others + (double)(t->finished_done - t->new_done);
    if (fresh < 0.0) fresh = 0.0;
    const double left = (double)(t->prompt_tokens - t->prompt_done) + fresh;
    return left * sec / (double)done;
}

static int put_left(char *buf, size_t cap, double sec)
{
    if (sec < 0.0 || sec > 1e7) return 0;
    const long all = (long)(sec + 0.5);
    const long hours = all / 3600, minutes = all / 60 % 60, rest = all % 60;
    if (hours > 0)
        return snprintf(buf, cap, ", %ld:%02ld:%02ld left", hours, minutes,
                        rest);
    return snprintf(buf, cap, ", %ld:%02ld left", minutes, rest);
}

const char *ndl_tally_text(const ndl_tally *t,
                           const ndl_scheduler_counts *counts, double sec,
                           char *buf, size_t cap)
{
    const double per_sec = sec > 0.0 ? 1.0 / sec : 0.0;
    const double prompt = (double)t->prompt_done * per_sec;
    const double fresh = (double)t->new_done * per_sec;
    const int n_pages = counts->pages.n_pages > 0 ? counts->pages.n_pages : 1;
    char left[40] = "";
    put_left(left, sizeof left, ndl_tally_left_sec(t, sec));
    snprintf(buf, cap,
             "%d of %d requests, %d running, %.0f tokens/s (%.0f prompt, %.0f "
             "new), KV %.0f %%%s",
             t->n_finished, t->n_requests, counts->n_running, prompt + fresh,
             prompt, fresh, 100.0 * counts->pages.n_used / n_pages, left);
    return buf;
}
