/* eval_text.h - the text that eval scores: ids, cut into windows.  Private to
 * src/cli. */
#ifndef NDL_EVAL_TEXT_H
#define NDL_EVAL_TEXT_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/model.h"
#include "noodle/request.h"
#include "noodle/tokenizer.h"
#include "options.h"

typedef struct ndl_eval_text {
    int32_t *ids; /* (n_ids) what the tokenizer puts in front, then the text */
    size_t n_ids;
    int32_t prefix[8]; /* (n_prefix) what the tokenizer puts in front */
    int n_prefix;
    int context;           /* tokens of a window */
    int stride;            /* from window to window */
    int n_scored;          /* its last tokens, which count */
    ndl_request *requests; /* (n) one a window */
    int32_t *windows;      /* (n, context) their ids */
    int n;
} ndl_eval_text;

/**
 * Read what -f or --ids names.
 * @param signal  ends the reading when it is set.
 * @return NDL_OK; NDL_EUSAGE (none or both), NDL_ENOINPUT, NDL_EPERM, NDL_EIO;
 *         NDL_EDATA (not UTF-8, no number, an id that the model does not
 *         know); NDL_EOS; a signal's status.  The caller frees it, also after
 * an error.
 */
ndl_status ndl_eval_text_read(ndl_eval_text *t, const ndl_options *o,
                              const volatile sig_atomic_t *signal,
                              const ndl_tokenizer *tokenizer,
                              const ndl_model *model);

/**
 * Cut it.
 * @return NDL_OK; NDL_EUSAGE for a context that the model has not; NDL_EDATA
 *         if the text fills no window, or too few tokens count; NDL_EOS.
 */
ndl_status ndl_eval_text_cut(ndl_eval_text *t, const ndl_options *o,
                             const ndl_model *model);

void ndl_eval_text_fini(ndl_eval_text *t);

#endif /* NDL_EVAL_TEXT_H */
