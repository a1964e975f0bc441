/*
 * request_line.h - one line of a file of requests: JSON in, what to run out.
 *
 * Three forms: a line of OpenAI's batch files ("custom_id", "url", "body"), an
 * object with a "prompt", or a string that is the prompt.  Hostile input; what
 * is wrong with a line is a fact about it and stops nobody else.
 */
#ifndef NDL_REQUEST_LINE_H
#define NDL_REQUEST_LINE_H

#include "noodle/request.h"
#include "noodle/status.h"
#include "options.h"

enum {
    NDL_REQUEST_STOPS = 4,         /* stop strings of a request, at most */
    NDL_REQUEST_STOP_BYTES = 1024, /* of one of them */
    NDL_REQUEST_ID_BYTES = 512     /* of a custom_id */
};

typedef struct ndl_request_line {
    int64_t number;  /* of the line in its file */
    uint64_t hash;   /* of the line, its custom_id, and the options that speak
                        where it does not */
    char *custom_id; /* its own; "line-17" if it has none */
    char *error;     /* "line 17: what is wrong: how to mend it", or NULL: then
                        there is a prompt */
    char *text;      /* the prompt; NULL: it is given as ids */
    int32_t *ids;    /* (n_ids) not negative, or NULL */
    int n_ids;
    char *stops[NDL_REQUEST_STOPS]; /* (n_stops) not empty */
    int n_stops;
    int max_new;           /* -1: until the context is full */
    ndl_sampling sampling; /* seed: not yet mixed with the prompt's ids */
    bool ignore_eos, want_log_p;
    int n_top;
    bool is_answered; /* for those who keep a list */
} ndl_request_line;

/**
 * Read a line.
 * @param text    (n), without its end.
 * @param options  what a line does not say is as in these.
 * @param[out] out  the caller frees it with ndl_request_line_fini.
 * @return NDL_OK, also for a bad line; NDL_EOS.
 */
ndl_status ndl_request_line_parse(ndl_request_line *out, const char *text,
                                  size_t n, int64_t number,
                                  const ndl_options *options);
void ndl_request_line_fini(ndl_request_line *x);

/** Free the prompt and the stop strings: the request is answered. */
void ndl_request_line_forget(ndl_request_line *x);

/** The line cannot be run.
 * @param why  what is wrong and how to mend it; "line N: " is put in front.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_request_line_refuse(ndl_request_line *x, const char *why);

#endif /* NDL_REQUEST_LINE_H */
