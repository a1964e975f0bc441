/* chat_template.c - see chat_template.h. */
#include "chat_template.h"

#include <stdlib.h>
#include <string.h>

static const char dataset[] = "/tokenizer/chat_template";

enum { MAX_BYTES = 1 << 24 };

ndl_status ndl_chat_template_save(ndl_store *s, const char *text)
{
    return ndl_store_put_packed(s, dataset, text, strlen(text));
}

/* A zero byte would end the text before its end. */
static ndl_status read_text(ndl_store *s, const char *path, char *text,
                            size_t n)
{
    NDL_TRY(ndl_store_read(s, dataset, text, n));
    if (strlen(text) == n) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: has a zero byte: import the model again", path,
                    dataset);
}

ndl_status ndl_chat_template_read(ndl_store *s, const char *path, char **out)
{
    ndl_store_info info = { 0 };
    if (!ndl_store_has(s, dataset)) {
        *out = NULL;
        return NDL_OK;
    }
    NDL_TRY(ndl_store_query(s, dataset, &info));
    if (info.type != NDL_STORE_U8 || info.bytes > MAX_BYTES)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s: is no text of at most %d bytes: import the "
                        "model again",
                        path, dataset, MAX_BYTES);
    const size_t n = (size_t)info.bytes;
    char *text = calloc(n + 1, 1);
    if (!text) return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    const ndl_status st = read_text(s, path, text, n);
    if (st == NDL_OK)
        *out = text;
    else
        free(text);
    return st;
}
