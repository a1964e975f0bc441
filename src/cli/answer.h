/*
 * answer.h - the answer to one request while it is being written: its text up
 * to a stop string, and what was asked for beside it.
 */
#ifndef NDL_ANSWER_H
#define NDL_ANSWER_H

#include "noodle/coordinator.h"
#include "noodle/tokenizer.h"
#include "request_line.h"

/* A token whose probability was asked for. */
typedef struct ndl_answer_token {
    int32_t id;
    float log_p;
    int n_top;
    size_t begin;     /* of its text in that of the answer */
    size_t first_top; /* in ndl_answer.tops */
} ndl_answer_token;

typedef struct ndl_answer {
    const ndl_request_line *request; /* borrowed */
    ndl_detokenizer detokenizer;
    char *text; /* (n_text) zero-terminated; NULL: nothing yet */
    size_t n_text, text_cap;
    int n_out;                /* tokens written, those of a stop string too */
    ndl_answer_token *tokens; /* (n_tokens) */
    size_t n_tokens, tokens_cap;
    ndl_wire_candidate *tops; /* (n_tops) of all tokens */
    size_t n_tops, tops_cap;
    bool is_stopped; /* a stop string was found and cut off */
    double first_sec, last_sec;
} ndl_answer;

/** @param request, tokenizer  borrowed for the answer's life.
 *  @return NULL: out of memory. */
ndl_answer *ndl_answer_create(const ndl_request_line *request,
                              const ndl_tokenizer *tokenizer);
void ndl_answer_destroy(ndl_answer **a);

/** A token has come; nothing happens once the answer is stopped.
 * @param piece  (cap) room for its text, see ndl_detokenizer_next.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_answer_add(ndl_answer *a, const ndl_token *token, char *piece,
                          size_t cap);

/** No more will come: what is held of an unfinished character goes to the text.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_answer_end(ndl_answer *a, char *piece, size_t cap);

#endif /* NDL_ANSWER_H */
