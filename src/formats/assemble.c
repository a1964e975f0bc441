/* assemble.c - see assemble.h. */
#include "assemble.h"

#include <stdlib.h>

#include "chat_template.h"
#include "noodle/file.h"
#include "noodle/store.h"

enum { MAX_TOKENIZER_BYTES = 1 << 28 };

static ndl_status fill(ndl_store *s, const ndl_assembly *a)
{
    NDL_TRY(ndl_pack(s, a->model, a->mix, a->source, a->meta));
    NDL_TRY(ndl_tokenizer_save(a->tokenizer, s));
    if (!a->chat_template || !*a->chat_template) return NDL_OK;
    return ndl_chat_template_save(s, a->chat_template);
}

ndl_status ndl_assemble(const char *out, const ndl_assembly *a)
{
    ndl_store *s = NULL;
    NDL_TRY(ndl_store_create(&s, out));
    ndl_status st = fill(s, a);
    if (st == NDL_OK) st = ndl_store_commit(&s);
    ndl_store_close(&s);
    return st;
}

ndl_status ndl_assemble_tokenizer(ndl_tokenizer **out, const char *path,
                                  int vocab)
{
    char *text = NULL;
    size_t n = 0;
    ndl_tokenizer *t = NULL;
    NDL_TRY(ndl_file_read(&text, &n, path, MAX_TOKENIZER_BYTES));
    ndl_status st = ndl_tokenizer_parse(&t, text, n, path);
    free(text);
    if (st == NDL_OK && ndl_tokenizer_size(t) > vocab)
        st = NDL_FAIL(NDL_EDATA,
                      "%s: its largest id is %d, but the model has %d: take "
                      "the model's own tokenizer",
                      path, ndl_tokenizer_size(t) - 1, vocab);
    if (st == NDL_OK)
        *out = t;
    else
        ndl_tokenizer_destroy(&t);
    return st;
}
