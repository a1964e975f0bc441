/*
 * answer_line.h - an answer as one line of JSON, in the form of OpenAI's batch
 * files; and what a later start needs to know of such a line.
 */
#ifndef NDL_ANSWER_LINE_H
#define NDL_ANSWER_LINE_H

#include "answer.h"
#include "noodle/lines.h"

/* How every line begins. */
#define NDL_ANSWER_LINE_BEGIN "{\"id\":\"noodle-"

/* What an answer does not know of itself. */
typedef struct ndl_answer_facts {
    const char *model; /* its name */
    int64_t created;   /* seconds since 1970 */
    int n_prompt;      /* tokens */
    ndl_finish finish;
    double start_sec; /* when the run could begin with it */
    char *piece;      /* (piece_cap) room, see ndl_detokenizer_next */
    size_t piece_cap;
} ndl_answer_facts;

/** @return malloc'ed text without a line end; NULL: out of memory. */
char *ndl_answer_line(const ndl_answer *a, const ndl_answer_facts *facts);

/** The same of a request whose `error` says why it cannot be answered. */
char *ndl_answer_line_refused(const ndl_request_line *request);

/** The same of a request whose answer would have been a line of n bytes, which
 * are more than NDL_LINES_LONGEST. */
char *ndl_answer_line_too_long(const ndl_request_line *request, size_t n);

/**
 * Which request a line of `path` is the answer to; hostile input.
 * @param[out] custom_id  malloc'ed, the caller frees it.
 * @param[out] hash       of the request that was answered.
 * @return NDL_OK; NDL_EDATA; NDL_EOS.
 */
ndl_status ndl_answer_line_read(const ndl_line *line, const char *path,
                                char **custom_id, uint64_t *hash);

#endif /* NDL_ANSWER_LINE_H */
