/*
 * texts.h - the prompts of a run and what the model makes of them.
 *
 * Reads prompts, keeps one text for each, and writes them to stdout in order:
 * the first that is not finished streams, later ones wait for their turn.
 */
#ifndef NDL_TEXTS_H
#define NDL_TEXTS_H

#include <signal.h>

#include "noodle/coordinator.h"
#include "noodle/model.h"
#include "noodle/session.h"
#include "noodle/tokenizer.h"
#include "options.h"
#include "output.h"
#include "progress_line.h"

typedef struct ndl_text {
    char *prompt; /* as the user gave it, or decoded ids; zero-terminated */
    int32_t *ids; /* (n_ids) of the prompt */
    size_t n_ids;
    int32_t *out_ids; /* (n_out) written so far; room for max_new */
    int n_out;
    char *out; /* (n_bytes) text of out_ids, grows */
    size_t n_bytes, cap;
    ndl_detokenizer detokenizer;
    ndl_finish finish;
    double first_sec, last_sec; /* when tokens came; 0: none */
    double gap_sec;             /* longest between two of them */
} ndl_text;

typedef struct ndl_texts {
    const ndl_tokenizer *tokenizer;
    const ndl_options *options;
    ndl_text *all; /* (n) */
    int n;
    size_t all_cap;
    ndl_request *requests; /* (n) */
    int front;             /* the one that is being written to stdout */
    bool started;          /* its prompt has been written             */
    char *piece;           /* room for one decoded token              */
    size_t piece_cap;
    ndl_output output;
    ndl_progress_line progress; /* what NULL: not begun */
    int n_finished;
    size_t n_tokens;
} ndl_texts;

/**
 * Read what the options name, encode it, and make a request of each.
 * @param tokenizer, options  borrowed for the object's life.
 * @param signal  ends the reading when it is set.
 * @return NDL_OK; NDL_EUSAGE (none or several sources), NDL_ENOINPUT,
 *         NDL_EDATA (not UTF-8, empty), NDL_EOS; a signal's status.
 */
ndl_status ndl_texts_read(ndl_texts *out, const ndl_options *options,
                          const volatile sig_atomic_t *signal,
                          const ndl_tokenizer *tokenizer,
                          const ndl_model *model);
void ndl_texts_fini(ndl_texts *t);

/**
 * Fix the context: the most that any sequence will need, within `limit`.
 * @return NDL_OK; NDL_EDATA if a prompt is longer than the limit.
 */
ndl_status ndl_texts_fit(ndl_texts *t, int limit, int *context);

/** How to call text `i` in a message: by its file, if it came from one.
 * @return buf. */
const char *ndl_texts_name(const ndl_texts *t, int i, char *buf, size_t cap);

/** The callbacks that a coordinator needs. */
ndl_client ndl_texts_client(ndl_texts *t);

/** Write what an early end has left unwritten. */
void ndl_texts_end(ndl_texts *t);

#endif /* NDL_TEXTS_H */
