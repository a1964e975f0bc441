/* prompt_ids.c - see prompt_ids.h. */
#include "prompt_ids.h"

#include <stdlib.h>
#include <string.h>

static ndl_status join(const ndl_tokenizer *tokenizer, const char *name,
                       const int32_t *text, size_t n_text, int32_t **ids,
                       size_t *n_ids)
{
    int32_t prefix[8];
    const size_t n_prefix = (size_t)ndl_tokenizer_prefix(tokenizer, prefix);
    const size_t n = n_prefix + n_text;
    if (n == 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: is empty: the model needs at least one token to "
                        "start from",
                        name);
    int32_t *all = malloc(n * sizeof *all);
    if (!all) return NDL_FAIL(NDL_EOS, "%s: out of memory", name);
    memcpy(all, prefix, n_prefix * sizeof *all);
    if (n_text) memcpy(all + n_prefix, text, n_text * sizeof *all);
    *ids = all;
    *n_ids = n;
    return NDL_OK;
}

ndl_status ndl_prompt_ids_encode(const ndl_tokenizer *tokenizer,
                                 const char *name, const char *text,
                                 int32_t **ids, size_t *n_ids)
{
    int32_t *own = NULL;
    size_t n = 0;
    ndl_status_clear();
    ndl_status st =
        ndl_tokenizer_encode(tokenizer, text, strlen(text), false, &own, &n);
    if (st != NDL_OK) {
        char why[NDL_STATUS_MESSAGE_MAX];
        memcpy(why, ndl_status_message(), sizeof why);
        ndl_status_clear();
        return NDL_FAIL(st, "%s: %.500s", name, why);
    }
    st = join(tokenizer, name, own, n, ids, n_ids);
    free(own);
    return st;
}
