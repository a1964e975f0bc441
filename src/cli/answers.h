/*
 * answers.h - the requests of a file and their answers: the client of a run
 * that writes each answer to a journal as soon as it is there, so that whatever
 * ends the run, the next start goes on with the rest.
 */
#ifndef NDL_ANSWERS_H
#define NDL_ANSWERS_H

#include "answer.h"
#include "noodle/journal.h"
#include "noodle/model.h"
#include "noodle/session.h"
#include "progress_line.h"
#include "reading.h"
#include "request_list.h"
#include "tally.h"

typedef struct ndl_answers {
    const ndl_options *options;
    ndl_reading reading; /* of the requests */
    ndl_request_list list;
    ndl_journal *journal;
    char *model;             /* its name */
    int n_before, n_refused; /* answered by earlier starts; errors of this */

    const ndl_tokenizer *tokenizer;
    ndl_request *requests; /* (n) those that are run */
    int *lines;            /* (n) where they are in the list */
    ndl_answer **writing;  /* (n) NULL: not begun, or over */
    int n;
    char *piece; /* (piece_cap) room for decoded tokens */
    size_t piece_cap;
    ndl_stop stop; /* what a failure means for the run */

    double start_sec, last_sec; /* when the pipeline began, and spoke last */
    double *ttft;               /* (n_ttft) of those that have a first token */
    int n_ttft;
    ndl_tally tally;
    ndl_scheduler_counts counts; /* the last that were told */
    ndl_progress_line progress;
} ndl_answers;

/**
 * Read the requests and what of them is answered, and lock the file of results.
 * @param options  with `requests` and `results`; borrowed for the object's life
 * @param signal   ends long work when it is set; likewise.
 * @param[out] out  the caller ends it with ndl_answers_fini, also after an
 *                  error.
 * @return NDL_OK; NDL_EDATA: two requests of one name, or the results are those
 * of other requests; what reading files and the journal return; a signal's
 * status; NDL_EOS.
 */
ndl_status ndl_answers_begin(ndl_answers *out, const ndl_options *options,
                             const volatile sig_atomic_t *signal);
void ndl_answers_fini(ndl_answers *a);

/** Requests that have no answer yet. */
int ndl_answers_left(const ndl_answers *a);

/**
 * Make requests of what is left, and answer those that cannot be run.
 * @param limit  positions of a context, at most
 * @param[out] context  the most that any request needs.
 * @return NDL_OK; NDL_EIO (the journal); a signal's status; NDL_EOS.
 */
ndl_status ndl_answers_prepare(ndl_answers *a, const ndl_tokenizer *tokenizer,
                               const ndl_model *model, int limit, int *context);

/** The callbacks that a coordinator needs. */
ndl_client ndl_answers_client(ndl_answers *a);

/** The run is over: all that was written shall survive a power cut.
 * @return NDL_OK; the failure that has ended the run; NDL_EIO. */
ndl_status ndl_answers_end(ndl_answers *a);

/** What this start has done, for people. */
void ndl_answers_print(const ndl_answers *a, FILE *out);

#endif /* NDL_ANSWERS_H */
