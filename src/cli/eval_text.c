/* eval_text.c - see eval_text.h. */
#include "eval_text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/file.h"
#include "reading.h"

enum {
    MAX_BYTES = 1 << 30,
    DEFAULT_CONTEXT = 512, /* of llama.cpp's tool, to compare with */
    MIN_CONTEXT = 16       /* BOS and its like leave room for text */
};

/* The next number at *at: digits, then white space, a comma or the end.
 * @return false if there is none, or something else stands there. */
static bool next_number(const char **at, long *out)
{
    static const char between[] = " \t\r\n,";
    char *end;
    *at += strspn(*at, between);
    if (**at < '0' || **at > '9') return false;
    *out = strtol(*at, &end, 10); /* LONG_MAX if it is larger: no id either */
    if (*end != '\0' && !strchr(between, *end)) return false;
    *at = end;
    return true;
}

static ndl_status parse_ids(ndl_eval_text *t, const char *path,
                            const char *text, size_t n, int vocab)
{
    const char *at = text;
    long id = 0;
    while (next_number(&at, &id)) {
        if (id >= vocab)
            return NDL_FAIL(NDL_EDATA,
                            "%s: number %zu is %ld: the model's ids end at "
                            "%d: was it made with another tokenizer?",
                            path, t->n_ids - (size_t)t->n_prefix + 1, id,
                            vocab - 1);
        t->ids[t->n_ids++] = (int32_t)id;
    }
    if (at != text + n)
        return NDL_FAIL(NDL_EDATA,
                        "%s: byte %zu: no token id: write whole numbers with "
                        "spaces, line ends or commas between them",
                        path, (size_t)(at - text));
    return NDL_OK;
}

/* Room for `n` ids behind those that the tokenizer puts in front. */
static ndl_status begin_ids(ndl_eval_text *t, size_t n)
{
    t->ids = malloc((n + 8) * sizeof *t->ids);
    if (!t->ids) return NDL_FAIL(NDL_EOS, "eval: out of memory");
    memcpy(t->ids, t->prefix, (size_t)t->n_prefix * sizeof *t->ids);
    t->n_ids = (size_t)t->n_prefix;
    return NDL_OK;
}

static ndl_status read_ids(ndl_eval_text *t, const char *path, int vocab,
                           ndl_heed heed)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read_heeding(&text, &n, path, MAX_BYTES, heed));
    ndl_status st = begin_ids(t, n / 2 + 1);
    if (st == NDL_OK) st = parse_ids(t, path, text, n, vocab);
    free(text);
    return st;
}

static ndl_status encode(const ndl_tokenizer *tokenizer, const char *path,
                         ndl_heed heed, int32_t **ids, size_t *n_ids)
{
    char *text = NULL, why[NDL_STATUS_MESSAGE_MAX];
    size_t n = 0;
    NDL_TRY(ndl_file_read_heeding(&text, &n, path, MAX_BYTES, heed));
    ndl_status st = ndl_tokenizer_encode(tokenizer, text, n, false, ids, n_ids);
    free(text);
    if (st == NDL_OK) return NDL_OK;
    memcpy(why, ndl_status_message(), sizeof why);
    ndl_status_clear();
    return NDL_FAIL(st, "%s: %.500s", path, why);
}

static ndl_status read_text(ndl_eval_text *t, const char *path,
                            const ndl_tokenizer *tokenizer, ndl_heed heed)
{
    int32_t *ids = NULL;
    size_t n = 0;
    NDL_TRY(encode(tokenizer, path, heed, &ids, &n));
    const ndl_status st = begin_ids(t, n);
    if (st == NDL_OK && n > 0) {
        memcpy(t->ids + t->n_ids, ids, n * sizeof *ids);
        t->n_ids += n;
    }
    free(ids);
    return st;
}

/* A tokenizer may have more ids than the model has rows for. */
static ndl_status check_ids(const ndl_eval_text *t, int vocab)
{
    for (size_t i = 0; i < t->n_ids; i++)
        if (t->ids[i] < 0 || t->ids[i] >= vocab)
            return NDL_FAIL(NDL_EDATA,
                            "the tokenizer gives id %d, the model's end at %d: "
                            "import the model again",
                            (int)t->ids[i], vocab - 1);
    return NDL_OK;
}

ndl_status ndl_eval_text_read(ndl_eval_text *t, const ndl_options *o,
                              const volatile sig_atomic_t *signal,
                              const ndl_tokenizer *tokenizer,
                              const ndl_model *model)
{
    if (!o->file == !o->ids)
        return NDL_FAIL(NDL_EUSAGE,
                        "eval: give the text as -f TEXT or as --ids FILE%s",
                        o->file ? ", not as both" : "");
    t->n_prefix = ndl_tokenizer_prefix(tokenizer, t->prefix);
    ndl_reading reading = { signal, o->ids ? o->ids : o->file };
    const ndl_heed heed = ndl_reading_heed(&reading);
    NDL_TRY(o->ids ? read_ids(t, o->ids, model->vocab, heed)
                   : read_text(t, o->file, tokenizer, heed));
    return check_ids(t, model->vocab);
}

static ndl_status choose_context(ndl_eval_text *t, const ndl_options *o,
                                 const ndl_model *model)
{
    t->context = o->context > 0                     ? o->context
                 : model->context < DEFAULT_CONTEXT ? model->context
                                                    : DEFAULT_CONTEXT;
    if (t->context < MIN_CONTEXT || t->context > model->context)
        return NDL_FAIL(NDL_EUSAGE,
                        "-c %d: give from %d to %d: the model knows no more "
                        "positions",
                        t->context, MIN_CONTEXT, model->context);
    t->stride = o->stride > 0 ? o->stride : t->context;
    if (t->stride > t->context)
        return NDL_FAIL(NDL_EUSAGE,
                        "--stride %d: would leave tokens out: give at most "
                        "the window's %d",
                        t->stride, t->context);
    /* The token in the middle is the first that knows half a window. */
    t->n_scored = t->context - t->context / 2 - 1;
    if (t->n_scored > t->stride) t->n_scored = t->stride;
    return NDL_OK;
}

static ndl_status count_windows(ndl_eval_text *t, const ndl_options *o)
{
    const char *path = o->ids ? o->ids : o->file;
    const size_t context = (size_t)t->context;
    if (t->n_ids < context)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %zu tokens fill no window of %d: give a longer "
                        "text or a smaller -c",
                        path, t->n_ids, t->context);
    size_t n = (t->n_ids - context) / (size_t)t->stride + 1;
    if (o->windows > 0 && n > (size_t)o->windows) n = (size_t)o->windows;
    if (n * (size_t)t->n_scored < 2)
        return NDL_FAIL(NDL_EDATA,
                        "%s: only one token counts, which tells nothing: give "
                        "a longer text or a larger --stride",
                        path);
    if (n > INT_MAX || n > UINT32_MAX / (size_t)t->n_scored)
        return NDL_FAIL(NDL_EDATA, "%s: %zu windows: limit them by --windows",
                        path, n);
    t->n = (int)n;
    return NDL_OK;
}

ndl_status ndl_eval_text_cut(ndl_eval_text *t, const ndl_options *o,
                             const ndl_model *model)
{
    NDL_TRY(choose_context(t, o, model));
    NDL_TRY(count_windows(t, o));
    const size_t context = (size_t)t->context;
    t->requests = calloc((size_t)t->n, sizeof *t->requests);
    t->windows = calloc((size_t)t->n * context, sizeof *t->windows);
    if (!t->requests || !t->windows)
        return NDL_FAIL(NDL_EOS, "eval: out of memory for %d windows", t->n);
    for (int i = 0; i < t->n; i++) {
        int32_t *ids = t->windows + (size_t)i * context;
        const int from = t->context - t->n_scored;
        memcpy(ids, t->ids + (size_t)i * (size_t)t->stride,
               context * sizeof *ids);
        memcpy(ids, t->prefix, (size_t)t->n_prefix * sizeof *ids);
        /* The row before a token scores it. */
        t->requests[i] = (ndl_request){
            .prompt = ids,
            .n_prompt = t->context,
            .score_from = from,
            .logits_row = (int64_t)i * t->n_scored - (from - 1),
        };
    }
    return NDL_OK;
}

void ndl_eval_text_fini(ndl_eval_text *t)
{
    free(t->ids);
    free(t->requests);
    free(t->windows);
    *t = (ndl_eval_text){ 0 };
}
