/* cmd_eval.c - noodle-mpi eval: how well a model knows a text, and how far it
 * is from another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "eval_report.h"
#include "eval_text.h"
#include "noodle/clock.h"
#include "noodle/session.h"
#include "noodle/weights.h"
#include "output.h"
#include "progress_line.h"
#include "session_options.h"

enum { MAX_PARALLEL = 64 };

typedef struct model_file {
    char *path;
    ndl_store *store;
    ndl_model model;
    ndl_mix mix;
    ndl_kv_types kv_types;
} model_file;

/* One command at work. */
typedef struct eval {
    ndl_cli *cli;
    model_file model, base; /* base.store NULL: nothing to compare with */
    ndl_eval_text text;
    ndl_token_score *scores; /* (n_scores) in the order of the text */
    size_t n_scores;
    char *logits; /* file of the base's */
    ndl_progress_line progress;
    bool of_base;     /* the pass that runs is the base's  */
    double start_sec; /* of the pass */
    double sum;       /* of log_p so far, for the progress */
    size_t n_done;
} eval;

static ndl_status open_file(model_file *f, const char *given)
{
    NDL_TRY(ndl_model_path(given, &f->path));
    NDL_TRY(ndl_store_open(&f->store, f->path));
    NDL_TRY(ndl_weights_read_model(f->store, &f->model, &f->mix));
    f->kv_types = ndl_kv_types_default(f->mix);
    return NDL_OK;
}

static void close_file(model_file *f)
{
    ndl_store_close(&f->store);
    free(f->path);
}

static void show_progress(eval *e)
{
    ndl_progress_line *p = &e->progress;
    char text[128];
    if (!ndl_progress_line_is_due(p)) return;
    const double took = p->last_sec - e->start_sec;
    const double left =
        took * (double)(e->n_scores - e->n_done) / (double)e->n_done;
    snprintf(text, sizeof text,
             "%s%zu of %zu tokens, perplexity %.4f, %.0f:%02d left",
             e->of_base ? "base: " : "", e->n_done, e->n_scores,
             exp(-e->sum / (double)e->n_done), floor(left / 60.0),
             (int)fmod(left, 60.0));
    ndl_progress_line_print(p, text);
}

/* Scores come in the order of the batches; they are kept in that of the text,
 * because sums depend on it. */
static void on_score(void *arg, const ndl_wire_score *s)
{
    eval *e = arg;
    const ndl_eval_text *t = &e->text;
    const size_t at = (size_t)s->sequence * (size_t)t->n_scored +
                      (size_t)s->pos - (size_t)(t->context - t->n_scored);
    ndl_token_score *x = &e->scores[at];
    double *log_p = e->of_base ? &x->base_log_p : &x->log_p;
    e->n_done += isnan(*log_p);
    *log_p = s->log_p;
    x->kl = s->divergence;
    x->max_diff = s->max_diff;
    x->same_top = s->same_top;
    e->sum += s->log_p;
    show_progress(e);
}

static bool on_token(void *arg, int request, const ndl_token *token, double now)
{
    (void)arg, (void)request, (void)token, (void)now;
    return true;
}

static void on_finish(void *arg, int request, ndl_finish why, double now)
{
    (void)arg, (void)request, (void)why, (void)now;
}

static void on_ready(void *arg)
{
    eval *e = arg;
    ndl_progress_line_end(&e->progress);
    ndl_progress_line_begin(&e->progress, "eval", e->cli->signal);
    e->start_sec = e->progress.start_sec;
}

static ndl_status on_load(void *arg, uint64_t done, uint64_t all)
{
    eval *e = arg;
    return ndl_progress_line_show(&e->progress, done, all);
}

/* A window leaves its slot when its last batch has left the pipeline: so many
 * that the next ones fill all stages meanwhile. */
static int count_slots(const eval *e)
{
    const int64_t rows =
        ((int64_t)e->cli->comm->size + 2) * e->cli->options->rows;
    const int64_t n = 1 + (rows + e->text.context - 1) / e->text.context;
    const int most = e->cli->options->rows < MAX_PARALLEL
                         ? e->cli->options->rows
                         : MAX_PARALLEL;
    const int fit = n < most ? (int)n : most;
    return fit < e->text.n ? fit : e->text.n;
}

static ndl_status run_pass(eval *e, const model_file *f, bool is_base)
{
    const ndl_options *o = e->cli->options;
    ndl_session_result result = { .start_sec = e->cli->start_sec };
    const ndl_session_setup setup = {
        .comm = e->cli->comm,
        .store = f->store,
        .model = &f->model,
        .mix = f->mix,
        .kv_types = f->kv_types,
        .split = o->split,
        .n_threads = o->threads,
        .context = e->text.context,
        .n_slots = count_slots(e),
        .max_rows = o->rows,
        .logits = e->logits,
        .compare = !is_base && e->logits,
        .more = is_base,
        .requests = e->text.requests,
        .n_requests = e->text.n,
        .client = { .on_token = on_token, .on_finish = on_finish },
        .on_score = on_score,
        .score_arg = e,
        .on_ready = on_ready,
        .on_load = on_load,
        .arg = e,
        .signal = e->cli->signal,
    };
    e->of_base = is_base;
    e->sum = 0.0;
    e->n_done = 0;
    ndl_progress_line_begin(&e->progress, is_base ? "load base" : "load",
                            e->cli->signal);
    e->cli->session_ran = true;
    const ndl_status st = ndl_session_lead(&setup, &result);
    ndl_progress_line_end(&e->progress);
    ndl_session_result_fini(&result);
    /* After the base's pass the other ranks wait for the next job, or to be
     * sent home. */
    if (st == NDL_OK && is_base) e->cli->session_ran = false;
    if (st != NDL_OK || e->n_done == e->n_scores) return st;
    return NDL_FAIL(NDL_EPROTO, "eval: %zu of %zu tokens were scored",
                    e->n_done, e->n_scores);
}

static ndl_status run_passes(eval *e)
{
    if (e->base.store) NDL_TRY(run_pass(e, &e->base, true));
    return run_pass(e, &e->model, false);
}

static bool is_same_shape(const ndl_model *a, const ndl_model *b)
{
    return strcmp(a->arch, b->arch) == 0 && a->n_layers == b->n_layers &&
           a->width == b->width && a->n_heads == b->n_heads &&
           a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim &&
           a->ffn == b->ffn && a->context == b->context;
}

/* Does the other file's tokenizer make the same ids of the text? */
static ndl_status check_tokenizer(const eval *e)
{
    const ndl_options *o = e->cli->options;
    ndl_tokenizer *tokenizer = NULL;
    ndl_eval_text other = { 0 };
    NDL_TRY(ndl_tokenizer_load(&tokenizer, e->base.store));
    ndl_status st = ndl_eval_text_read(&other, o, e->cli->signal, tokenizer,
                                       &e->base.model);
    if (st == NDL_OK &&
        (other.n_ids != e->text.n_ids ||
         memcmp(other.ids, e->text.ids, other.n_ids * sizeof *other.ids) != 0))
        st = NDL_FAIL(NDL_EDATA,
                      "--against %s: its tokenizer makes other tokens of the "
                      "text: compare files of the same model",
                      e->base.path);
    ndl_eval_text_fini(&other);
    ndl_tokenizer_destroy(&tokenizer);
    return st;
}

static ndl_status check_base(const eval *e)
{
    const ndl_model *a = &e->model.model, *b = &e->base.model;
    if (a->vocab != b->vocab)
        return NDL_FAIL(NDL_EDATA,
                        "--against %s: has a vocabulary of %d, the model one "
                        "of %d: compare files of the same model",
                        e->base.path, b->vocab, a->vocab);
    if (!is_same_shape(a, b))
        return NDL_FAIL(NDL_EDATA,
                        "--against %s: has another shape (%s, %d blocks, width "
                        "%d) than the model (%s, %d blocks, width %d): compare "
                        "files of the same model",
                        e->base.path, b->arch, b->n_layers, b->width, a->arch,
                        a->n_layers, a->width);
    return check_tokenizer(e);
}

/* What is there already is not ours to write over and remove. */
static ndl_status choose_logits(eval *e)
{
    const char *given = e->cli->options->logits_file;
    char name[64];
    snprintf(name, sizeof name, "eval-logits-%ld.npy", (long)getpid());
    if (access(given ? given : name, F_OK) == 0)
        return NDL_FAIL(NDL_ECREATE,
                        "--logits-file %s: is there already: remove it or give "
                        "another name",
                        given ? given : name);
    e->logits = strdup(given ? given : name);
    return e->logits ? NDL_OK : NDL_FAIL(NDL_EOS, "eval: out of memory");
}

static ndl_status prepare_base(eval *e)
{
    const ndl_options *o = e->cli->options;
    if (!o->against && o->logits_file)
        return NDL_FAIL(NDL_EUSAGE, "--logits-file: is for --against FILE");
    if (!o->against) return NDL_OK;
    NDL_TRY(open_file(&e->base, o->against));
    NDL_TRY(check_base(e));
    return choose_logits(e);
}

static ndl_status prepare(eval *e)
{
    const ndl_options *o = e->cli->options;
    ndl_tokenizer *tokenizer = NULL;
    NDL_TRY(open_file(&e->model, o->model));
    NDL_TRY(ndl_session_options_kv_types(o, e->model.mix, &e->model.kv_types));
    NDL_TRY(ndl_tokenizer_load(&tokenizer, e->model.store));
    const ndl_status st = ndl_eval_text_read(&e->text, o, e->cli->signal,
                                             tokenizer, &e->model.model);
    ndl_tokenizer_destroy(&tokenizer);
    NDL_TRY(st);
    NDL_TRY(ndl_eval_text_cut(&e->text, o, &e->model.model));
    NDL_TRY(prepare_base(e));
    e->n_scores = (size_t)e->text.n * (size_t)e->text.n_scored;
    e->scores = malloc(e->n_scores * sizeof *e->scores);
    if (!e->scores) return NDL_FAIL(NDL_EOS, "eval: out of memory");
    for (size_t i = 0; i < e->n_scores; i++)
        e->scores[i] = (ndl_token_score){ .log_p = NAN, .base_log_p = NAN };
    return NDL_OK;
}

static ndl_status write_report(const ndl_eval_report *r, bool as_json,
                               FILE *out)
{
    if (!as_json) {
        ndl_eval_report_print(r, out);
        return NDL_OK;
    }
    json_t *j = ndl_eval_report_json(r);
    const bool ok =
        j && json_dumpf(j, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) == 0;
    json_decref(j);
    fputc('\n', out);
    return ok ? NDL_OK : NDL_FAIL(NDL_EOS, "eval: out of memory");
}

/* Made in memory, so that a failed write is found once. */
static ndl_status report(const eval *e)
{
    ndl_eval_report r = { .text = &e->text,
                          .model = e->model.path,
                          .against = e->base.path,
                          .kv_types = e->model.kv_types,
                          .base_kv_types = e->base.kv_types,
                          .n_tokens = e->n_scores };
    char *text = NULL;
    size_t n = 0;
    r.perplexity = ndl_evaluation_perplexity(e->scores, e->n_scores);
    if (r.against)
        NDL_TRY(ndl_evaluation_compare(&r.comparison, e->scores, e->n_scores));
    FILE *out = open_memstream(&text, &n);
    if (!out) return NDL_FAIL(NDL_EOS, "eval: out of memory");
    ndl_status st = write_report(&r, e->cli->options->json, out);
    if (fclose(out) != 0 && st == NDL_OK)
        st = NDL_FAIL(NDL_EOS, "eval: out of memory");
    if (st == NDL_OK) st = ndl_output_text(text);
    free(text);
    return st;
}

ndl_status ndl_cmd_eval(ndl_cli *cli)
{
    eval e = { .cli = cli };
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, prepare(&e));
    NDL_TRY_GOTO(done, st, run_passes(&e));
    st = report(&e);
done:
    /* The last stage has removed it already, if it came so far. */
    if (e.logits) (void)unlink(e.logits);
    free(e.logits);
    free(e.scores);
    ndl_eval_text_fini(&e.text);
    close_file(&e.base);
    close_file(&e.model);
    return st;
}
