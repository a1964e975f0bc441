/*
 * request.h - what a user asks of the pipeline: a prompt, and how to go on.
 *
 * Plain data.  Whoever makes a request owns its memory and keeps it until the
 * scheduler has finished it.
 */
#ifndef NOODLE_REQUEST_H
#define NOODLE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/sampling.h"

enum { NDL_TOP = 20 /* candidates told with a token, at most */ };

typedef struct ndl_request {
    const int32_t *prompt; /* (n_prompt), >= 1 */
    int n_prompt;
    int max_new; /* tokens to generate at most; 0: only run the prompt */
    ndl_sampling sampling;
    const int32_t *eos; /* ids that end the text; n_eos 0: none */
    int n_eos;
    bool want_log_p;    /* the probability of each token that was drawn,   */
    int n_top;          /* and of so many likeliest beside it, <= NDL_TOP  */
    bool want_logits;   /* the last stage writes the logits of every row */
    int score_from;     /* tokens from this position on are scored; 0: none */
    int64_t logits_row; /* of position 0 in the file of logits; may be below 0
                           where the first rows are not in it */
} ndl_request;

typedef enum ndl_finish {
    NDL_FINISH_NONE,    /* still running                     */
    NDL_FINISH_EOS,     /* the model ended it                */
    NDL_FINISH_LENGTH,  /* max_new tokens                 */
    NDL_FINISH_CONTEXT, /* the context is full            */
    NDL_FINISH_STOPPED  /* cancelled, or the run was ended */
} ndl_finish;

/** "eos", "length", "context", "stopped". */
const char *ndl_finish_name(ndl_finish f);

/** The key of a request that was given no seed of its own: a hash of the run's
 * seed and the prompt's ids, so that it does not depend on its neighbours. */
uint64_t ndl_request_seed(uint64_t run_seed, const int32_t *ids, int n);

#endif /* NOODLE_REQUEST_H */
