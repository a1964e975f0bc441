/*
 * chat_template.h - how messages become a prompt: a text that is kept beside
 * the tokenizer for those who use it; nothing here reads it.
 */
#ifndef NDL_FORMATS_CHAT_TEMPLATE_H
#define NDL_FORMATS_CHAT_TEMPLATE_H

#include "noodle/status.h"
#include "noodle/store.h"

/** Keep it in a weights file that is being made.
 * @return NDL_OK; what the store returns. */
ndl_status ndl_chat_template_save(ndl_store *s, const char *text);

/**
 * Read it from a weights file.
 *
 * @param path      of `s`, for messages.
 * @param[out] out  malloc'ed text; caller frees; NULL: the file has none.
 * @return NDL_OK; NDL_EDATA: it is no text, or too long a one; NDL_EOS; what
 * the store returns.
 */
ndl_status ndl_chat_template_read(ndl_store *s, const char *path, char **out);

#endif /* NDL_FORMATS_CHAT_TEMPLATE_H */
