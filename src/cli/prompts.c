/* prompts.c - from the options to prompts, ids and requests. */
#include <stdlib.h>
#include <string.h>

#include "ids.h"
#include "noodle/file.h"
#include "noodle/grow.h"
#include "prompt_ids.h"
#include "reading.h"
#include "texts.h"

enum { MAX_PROMPT_BYTES = 1 << 30 };

static const char own_prompt[] = "ROMEO:\n";

const char *ndl_texts_name(const ndl_texts *t, int i, char *buf, size_t cap)
{
    const ndl_options *o = t->options;
    if (o->prompts)
        snprintf(buf, cap, "%s: prompt %d", o->prompts, i + 1);
    else
        snprintf(buf, cap, "%s", o->file ? o->file : "prompt");
    return buf;
}

static ndl_status add_prompt(ndl_texts *t, const char *text, size_t n)
{
    char name[512];
    ndl_text *more =
        ndl_grow(t->all, &t->all_cap, (size_t)t->n + 1, sizeof *more);
    if (!more) return NDL_FAIL(NDL_EOS, "prompts: out of memory");
    t->all = more;
    ndl_text *x = &t->all[t->n];
    memset(x, 0, sizeof *x);
    t->n++;
    x->prompt = malloc(n + 1);
    if (!x->prompt) return NDL_FAIL(NDL_EOS, "prompts: out of memory");
    memcpy(x->prompt, text, n);
    x->prompt[n] = '\0';
    if (memchr(text, '\0', n))
        return NDL_FAIL(NDL_EDATA,
                        "%s: holds a zero byte: give plain UTF-8 text",
                        ndl_texts_name(t, t->n - 1, name, sizeof name));
    return NDL_OK;
}

/* One prompt a line; an empty line is no prompt. */
static ndl_status add_lines(ndl_texts *t, const char *path, ndl_heed heed)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read_heeding(&text, &n, path, MAX_PROMPT_BYTES, heed));
    ndl_status st = NDL_OK;
    for (size_t at = 0; at < n && st == NDL_OK;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t len = end ? (size_t)(end - text) - at : n - at;
        size_t use = len;
        if (use > 0 && text[at + use - 1] == '\r') use--;
        if (use > 0) st = add_prompt(t, text + at, use);
        at += len + 1;
    }
    free(text);
    if (st == NDL_OK && t->n == 0)
        st = NDL_FAIL(NDL_EDATA, "%s: no prompt in it: write one a line", path);
    return st;
}

static ndl_status add_file(ndl_texts *t, const char *path, ndl_heed heed)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read_heeding(&text, &n, path, MAX_PROMPT_BYTES, heed));
    const ndl_status st = add_prompt(t, text, n);
    free(text);
    return st;
}

static ndl_status add_ids(ndl_texts *t, const ndl_model *model)
{
    int32_t *ids = NULL;
    size_t n = 0, n_text = 0;
    char *text = NULL;
    NDL_TRY(ndl_ids_parse("--prompt-ids", t->options->prompt_ids, model->vocab,
                          &ids, &n));
    ndl_status st =
        ndl_tokenizer_decode(t->tokenizer, ids, n, false, &text, &n_text);
    if (st == NDL_OK) st = add_prompt(t, text, strlen(text));
    free(text);
    if (st != NDL_OK) {
        free(ids);
        return st;
    }
    t->all[0].ids = ids;
    t->all[0].n_ids = n;
    return NDL_OK;
}

static ndl_status collect(ndl_texts *t, const ndl_model *model, ndl_heed heed)
{
    const ndl_options *o = t->options;
    const int sources = (o->prompt != NULL) + (o->file != NULL) +
                        (o->prompts != NULL) + (o->prompt_ids != NULL);
    if (sources > 1)
        return NDL_FAIL(NDL_EUSAGE, "give one of -p, -f, --prompts and "
                                    "--prompt-ids, not several");
    if (o->prompts) return add_lines(t, o->prompts, heed);
    if (o->file) return add_file(t, o->file, heed);
    if (o->prompt_ids) return add_ids(t, model);
    if (o->prompt) return add_prompt(t, o->prompt, strlen(o->prompt));
    if (o->model)
        return NDL_FAIL(NDL_EUSAGE, "no prompt: give -p TEXT, -f FILE, "
                                    "--prompts FILE or --prompt-ids 1,2,3");
    return add_prompt(t, own_prompt, sizeof own_prompt - 1);
}

static ndl_status encode(ndl_texts *t, int i)
{
    ndl_text *x = &t->all[i];
    char name[512];
    if (x->ids) return NDL_OK;
    return ndl_prompt_ids_encode(t->tokenizer,
                                 ndl_texts_name(t, i, name, sizeof name),
                                 x->prompt, &x->ids, &x->n_ids);
}

static ndl_request request_of(const ndl_texts *t, const ndl_text *x,
                              const ndl_model *model)
{
    const ndl_options *o = t->options;
    const bool ends = !o->ignore_eos;
    return (ndl_request){
        .prompt = x->ids,
        .n_prompt = (int)x->n_ids,
        .max_new = o->predict,
        .sampling = { .temperature = (float)o->temperature,
                      .top_k = o->top_k,
                      .top_p = (float)o->top_p,
                      .min_p = (float)o->min_p,
                      .seed = ndl_request_seed((uint64_t)o->seed, x->ids,
                                               (int)x->n_ids) },
        .eos = model->eos,
        .n_eos = ends ? model->n_eos : 0,
    };
}

static ndl_status prepare(ndl_texts *t, const ndl_model *model, ndl_heed heed)
{
    NDL_TRY(collect(t, model, heed));
    t->requests = calloc((size_t)t->n, sizeof *t->requests);
    t->piece_cap = ndl_tokenizer_max_piece(t->tokenizer) + 64;
    t->piece = malloc(t->piece_cap);
    if (!t->requests || !t->piece)
        return NDL_FAIL(NDL_EOS, "prompts: out of memory");
    for (int i = 0; i < t->n; i++) {
        NDL_TRY(ndl_heed_ask(heed));
        NDL_TRY(encode(t, i));
        t->requests[i] = request_of(t, &t->all[i], model);
        ndl_detokenizer_init(&t->all[i].detokenizer, t->tokenizer, false);
        /* The text goes on where the prompt ended: its leading space stays. */
        t->all[i].detokenizer.started = true;
    }
    return NDL_OK;
}

ndl_status ndl_texts_read(ndl_texts *out, const ndl_options *options,
                          const volatile sig_atomic_t *signal,
                          const ndl_tokenizer *tokenizer,
                          const ndl_model *model)
{
    ndl_texts t = { .tokenizer = tokenizer, .options = options };
    ndl_reading reading = { signal, options->prompts ? options->prompts
                                    : options->file  ? options->file
                                                     : "prompt" };
    const ndl_status st = prepare(&t, model, ndl_reading_heed(&reading));
    if (st != NDL_OK)
        ndl_texts_fini(&t);
    else
        *out = t;
    return st;
}
