/* answers.c - tokens become answers, answers become lines; see answers.h. */
#include "answers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer_line.h"

/* The run ends with the first failure. */
static void note(ndl_answers *a, ndl_status st)
{
    if (st == NDL_OK || a->stop.requested) return;
    a->stop.requested = true;
    a->stop.status = st;
}

static void set_time(ndl_answers *a, double now)
{
    if (a->start_sec == 0.0) a->start_sec = now;
    a->last_sec = now;
}

/* The answer to request r; NULL: out of memory, which is noted. */
static ndl_answer *answer_to(ndl_answers *a, int r, double now)
{
    ndl_answer *x = a->writing[r];
    if (x) return x;
    x = ndl_answer_create(&a->list.all[a->lines[r]], a->tokenizer);
    if (!x) {
        note(a, NDL_FAIL(NDL_EOS, "answers: out of memory"));
        return NULL;
    }
    x->first_sec = x->last_sec = now;
    a->writing[r] = x;
    a->ttft[a->n_ttft++] = now - a->start_sec;
    a->tally.prompt_done += a->requests[r].n_prompt;
    return x;
}

static bool on_token(void *arg, int request, const ndl_token *token, double now)
{
    ndl_answers *a = arg;
    set_time(a, now);
    ndl_answer *x = answer_to(a, request, now);
    if (!x) return false;
    x->last_sec = now;
    a->tally.new_done++;
    note(a, ndl_answer_add(x, token, a->piece, a->piece_cap));
    return !a->stop.requested && !x->is_stopped;
}

static ndl_status write_line(ndl_answers *a, int r, ndl_finish why)
{
    ndl_answer *x = a->writing[r];
    NDL_TRY(ndl_answer_end(x, a->piece, a->piece_cap));
    const ndl_answer_facts facts = { .model = a->model,
                                     .created = (int64_t)time(NULL),
                                     .n_prompt = a->requests[r].n_prompt,
                                     .finish = why,
                                     .start_sec = a->start_sec,
                                     .piece = a->piece,
                                     .piece_cap = a->piece_cap };
    char *line = ndl_answer_line(x, &facts);
    const size_t n = line ? strlen(line) : 0;
    const bool is_too_long = n > NDL_LINES_LONGEST;
    if (is_too_long) {
        free(line);
        line = ndl_answer_line_too_long(x->request, n);
    }
    if (!line) return NDL_FAIL(NDL_EOS, "answers: out of memory");
    const ndl_status st = ndl_journal_write(a->journal, line, strlen(line));
    free(line);
    if (st == NDL_OK) a->n_refused += is_too_long;
    return st;
}

/* What was written since is done: it survives a power cut from here. */
static void on_settled(void *arg)
{
    ndl_answers *a = arg;
    if (!a->stop.requested) note(a, ndl_journal_sync(a->journal));
}

static void on_finish(void *arg, int request, ndl_finish why, double now)
{
    ndl_answers *a = arg;
    set_time(a, now);
    const ndl_answer *x = answer_to(a, request, now);
    if (!x || a->stop.requested) return;
    /* What the end of the run has cut short is no answer: it is run again. */
    if (why == NDL_FINISH_STOPPED && !x->is_stopped) return;
    const ndl_status st = write_line(a, request, why);
    note(a, st);
    if (st != NDL_OK) return;
    a->tally.n_finished++;
    a->tally.finished_limit += a->requests[request].max_new;
    a->tally.finished_done += x->n_out;
    ndl_answer_destroy(&a->writing[request]);
}

static void on_progress(void *arg, const ndl_scheduler_counts *counts,
                        double now)
{
    ndl_answers *a = arg;
    ndl_progress_line *p = &a->progress;
    char text[160];
    set_time(a, now);
    a->counts = *counts;
    if (!p->what) ndl_progress_line_begin(p, "run", a->reading.signal);
    if (!ndl_progress_line_is_due(p)) return;
    ndl_progress_line_print(p, ndl_tally_text(&a->tally, counts,
                                              now - a->start_sec, text,
                                              sizeof text));
}

ndl_client ndl_answers_client(ndl_answers *a)
{
    return (ndl_client){ .arg = a,
                         .on_token = on_token,
                         .on_finish = on_finish,
                         .on_settled = on_settled,
                         .on_progress = on_progress };
}

ndl_status ndl_answers_end(ndl_answers *a)
{
    if (a->progress.what) ndl_progress_line_end(&a->progress);
    note(a, ndl_journal_sync(a->journal));
    return a->stop.status;
}
