/* answers_prepare.c - what is asked, what is answered, and what is left to run;
 * see answers.h. */
#include <stdlib.h>
#include <string.h>

#include "answer_line.h"
#include "answers.h"
#include "commands.h"
#include "prompt_ids.h"

static ndl_status other_request(const ndl_options *o, const char *id,
                                const char *why)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: the result of \"%.100s\" %s %s: go on with the "
                    "requests, the model and the options of the first start, "
                    "or give another file for the results",
                    o->results, id, why, o->requests);
}

static ndl_status take(ndl_answers *a, const char *id, uint64_t hash)
{
    const int i = ndl_name_index_find(&a->list.by_id, id);
    if (i < 0) return other_request(a->options, id, "is to no request of");
    ndl_request_line *x = &a->list.all[i];
    if (x->hash != hash)
        return other_request(a->options, id, "is to another request than in");
    if (x->is_answered)
        return other_request(a->options, id, "is there twice, but once in");
    x->is_answered = true;
    ndl_request_line_forget(x);
    a->n_before++;
    return NDL_OK;
}

static ndl_status on_line(void *arg, const ndl_line *line)
{
    ndl_answers *a = arg;
    char *id = NULL;
    uint64_t hash = 0;
    NDL_TRY(ndl_answer_line_read(line, a->options->results, &id, &hash));
    const ndl_status st = take(a, id, hash);
    free(id);
    return st;
}

ndl_status ndl_answers_begin(ndl_answers *out, const ndl_options *options,
                             const volatile sig_atomic_t *signal)
{
    *out = (ndl_answers){ .options = options,
                          .reading = { signal, options->requests } };
    /* Thousands of requests take seconds, and a pipe as long as it likes. */
    const ndl_heed heed = ndl_reading_heed(&out->reading);
    NDL_TRY(
        ndl_request_list_read(&out->list, options->requests, options, heed));
    out->tally.n_requests = out->list.n;
    const ndl_journal_setup setup = { .path = options->results,
                                      .begin = NDL_ANSWER_LINE_BEGIN,
                                      .on_line = on_line,
                                      .arg = out,
                                      .heed = heed };
    NDL_TRY(ndl_journal_open(&out->journal, &setup));
    out->tally.n_finished = out->n_before;
    return NDL_OK;
}

void ndl_answers_fini(ndl_answers *a)
{
    for (int i = 0; i < a->n && a->writing; i++)
        ndl_answer_destroy(&a->writing[i]);
    (void)ndl_journal_close(&a->journal); /* end() has told failures */
    ndl_request_list_fini(&a->list);
    free(a->model);
    free(a->requests);
    free(a->lines);
    free(a->writing);
    free(a->ttft);
    free(a->piece);
    *a = (ndl_answers){ 0 };
}

int ndl_answers_left(const ndl_answers *a)
{
    return a->list.n - a->tally.n_finished;
}

static ndl_status refuse(ndl_request_line *x)
{
    char why[NDL_STATUS_MESSAGE_MAX];
    snprintf(why, sizeof why, "%s", ndl_status_message());
    ndl_status_clear();
    return ndl_request_line_refuse(x, why);
}

static ndl_status encode(const ndl_answers *a, ndl_request_line *x)
{
    size_t n = 0;
    if (x->ids) return NDL_OK;
    NDL_TRY(
        ndl_prompt_ids_encode(a->tokenizer, "prompt", x->text, &x->ids, &n));
    free(x->text);
    x->text = NULL;
    x->n_ids = (int)n;
    return NDL_OK;
}

static ndl_status check(const ndl_request_line *x, const ndl_model *model,
                        int limit)
{
    if (x->n_ids > limit)
        return NDL_FAIL(NDL_EDATA,
                        "prompt: has %d tokens, the context holds %d: shorten "
                        "it, or give a larger -c if the model knows more",
                        x->n_ids, limit);
    for (int i = 0; i < x->n_ids; i++)
        if (x->ids[i] >= model->vocab)
            return NDL_FAIL(NDL_EDATA,
                            "prompt: id %d is none of the model's %d: give "
                            "smaller ones",
                            x->ids[i], model->vocab);
    return NDL_OK;
}

/* An error is a fact about the line; it is EOS alone that ends the run. */
static ndl_status judge(const ndl_answers *a, ndl_request_line *x,
                        const ndl_model *model, int limit)
{
    if (x->error) return NDL_OK;
    ndl_status_clear();
    ndl_status st = encode(a, x);
    if (st == NDL_OK) st = check(x, model, limit);
    return st == NDL_EDATA ? refuse(x) : st;
}

static ndl_status answer_refused(ndl_answers *a, ndl_request_line *x)
{
    char *line = ndl_answer_line_refused(x);
    if (!line) return NDL_FAIL(NDL_EOS, "answers: out of memory");
    const ndl_status st = ndl_journal_write(a->journal, line, strlen(line));
    free(line);
    if (st != NDL_OK) return st;
    x->is_answered = true;
    a->n_refused++;
    a->tally.n_finished++;
    return NDL_OK;
}

/* @param limit  positions of the context */
static ndl_request request_of(ndl_request_line *x, const ndl_model *model,
                              int limit)
{
    /* The last token of a full context is drawn, but takes no place. */
    const int room = limit - x->n_ids + 1;
    /* One more than fits: the context ends such a text, not its length. */
    if (x->max_new < 0 || x->max_new > room) x->max_new = room + 1;
    ndl_request r = { .prompt = x->ids,
                      .n_prompt = x->n_ids,
                      .max_new = x->max_new,
                      .sampling = x->sampling,
                      .eos = model->eos,
                      .n_eos = x->ignore_eos ? 0 : model->n_eos,
                      .want_log_p = x->want_log_p,
                      .n_top = x->n_top };
    r.sampling.seed = ndl_request_seed(x->sampling.seed, r.prompt, r.n_prompt);
    return r;
}

static void enter(ndl_answers *a, int i, const ndl_request *r)
{
    a->requests[a->n] = *r;
    a->lines[a->n] = i;
    a->n++;
    a->tally.prompt_tokens += r->n_prompt;
    a->tally.new_limit += r->max_new;
}

static ndl_status allocate(ndl_answers *a)
{
    const size_t n = (size_t)ndl_answers_left(a) + 1;
    char *path = NULL;
    NDL_TRY(ndl_model_path(a->options->model, &path));
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const size_t len = strlen(name);
    const bool has_end = len > 3 && strcmp(name + len - 3, ".h5") == 0;
    a->model = strndup(name, has_end ? len - 3 : len);
    free(path);
    a->requests = calloc(n, sizeof *a->requests);
    a->lines = calloc(n, sizeof *a->lines);
    a->writing = calloc(n, sizeof *a->writing);
    a->ttft = calloc(n, sizeof *a->ttft);
    a->piece_cap = ndl_tokenizer_max_piece(a->tokenizer) + 128;
    a->piece = malloc(a->piece_cap);
    if (a->model && a->requests && a->lines && a->writing && a->ttft &&
        a->piece)
        return NDL_OK;
    return NDL_FAIL(NDL_EOS, "requests: out of memory");
}

ndl_status ndl_answers_prepare(ndl_answers *a, const ndl_tokenizer *tokenizer,
                               const ndl_model *model, int limit, int *context)
{
    int most = 1;
    a->tokenizer = tokenizer;
    NDL_TRY(allocate(a));
    for (int i = 0; i < a->list.n; i++) {
        ndl_request_line *x = &a->list.all[i];
        if (x->is_answered) continue;
        NDL_TRY(ndl_heed_ask(ndl_reading_heed(&a->reading)));
        NDL_TRY(judge(a, x, model, limit));
        if (x->error) {
            NDL_TRY(answer_refused(a, x));
            continue;
        }
        const ndl_request r = request_of(x, model, limit);
        enter(a, i, &r);
        if (r.n_prompt + r.max_new > most) most = r.n_prompt + r.max_new;
    }
    *context = most < limit ? most : limit;
    return ndl_journal_sync(a->journal);
}
