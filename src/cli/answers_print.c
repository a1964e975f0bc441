/* answers_print.c - what a start of a run of many requests has done. */
#include <stdlib.h>

#include "answers.h"
#include "noodle/doubles.h"

static double per_sec(int64_t n, double sec)
{
    return sec > 0.0 ? (double)n / sec : 0.0;
}

static void print_ttft(const ndl_answers *a, FILE *out)
{
    const size_t n = (size_t)a->n_ttft;
    double *sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted || n == 0) {
        free(sorted);
        return;
    }
    for (size_t i = 0; i < n; i++) sorted[i] = a->ttft[i];
    ndl_doubles_sort(sorted, n);
    /* The smallest that at least 95 of 100 do not exceed. */
    const double p95 = sorted[(95 * n + 99) / 100 - 1];
    fprintf(out,
            "TTFT      median %.3f s, 95 %% within %.3f s, waiting in the "
            "queue included\n",
            ndl_doubles_median(sorted, n), p95);
    free(sorted);
}

static void print_rates(const ndl_answers *a, FILE *out)
{
    const ndl_tally *t = &a->tally;
    const double sec = a->last_sec - a->start_sec;
    const int n = t->n_finished - a->n_before - a->n_refused;
    fprintf(out, "prompt    %lld tokens", (long long)t->prompt_done);
    if (a->counts.pages.hit_tokens > 0)
        fprintf(out, ", %lld of them not computed anew",
                (long long)a->counts.pages.hit_tokens);
    fprintf(out, "\nnew       %lld tokens\n", (long long)t->new_done);
    fprintf(out,
            "together  %.1f tokens/s (%.1f prompt, %.1f new), %.2f requests/s, "
            "%.3f s\n",
            per_sec(t->prompt_done + t->new_done, sec),
            per_sec(t->prompt_done, sec), per_sec(t->new_done, sec),
            per_sec(n, sec), sec);
    print_ttft(a, out);
}

void ndl_answers_print(const ndl_answers *a, FILE *out)
{
    const ndl_tally *t = &a->tally;
    if (t->n_requests == 0)
        fprintf(out, "%s has no request: write one a line\n",
                a->options->requests);
    fprintf(out, "requests  %d, answered %d", t->n_requests, t->n_finished);
    if (a->n_before > 0) fprintf(out, ", %d by earlier starts", a->n_before);
    if (a->n_refused > 0)
        fprintf(out, ", %d with an error (see \"error\" in %s)", a->n_refused,
                a->options->results);
    if (t->n_finished < t->n_requests)
        fprintf(out, "; %d left for the next start",
                t->n_requests - t->n_finished);
    fputc('\n', out);
    if (a->n_ttft > 0) print_rates(a, out);
}
