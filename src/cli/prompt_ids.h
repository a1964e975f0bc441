/* prompt_ids.h - the ids that the model gets for a prompt that is text. */
#ifndef NDL_PROMPT_IDS_H
#define NDL_PROMPT_IDS_H

#include "noodle/status.h"
#include "noodle/tokenizer.h"

/**
 * The post-processor's prefix (BOS), then the text; special tokens in it are
 * only text, so that a prompt cannot inject them.
 * @param name  of the prompt, for messages.
 * @param[out] ids  malloc'ed, at least one; the caller frees it.
 * @return NDL_OK; NDL_EDATA: not UTF-8, or empty; NDL_EOS.
 */
ndl_status ndl_prompt_ids_encode(const ndl_tokenizer *tokenizer,
                                 const char *name, const char *text,
                                 int32_t **ids, size_t *n_ids);

#endif /* NDL_PROMPT_IDS_H */
