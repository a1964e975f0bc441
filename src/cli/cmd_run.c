/* cmd_run.c - noodle-mpi run: prompts in, text out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "noodle/file.h"
#include "noodle/log.h"
#include "noodle/weights.h"
#include "output.h"
#include "progress_line.h"
#include "run_report.h"
#include "session_options.h"
#include "texts.h"

enum { DEFAULT_CONTEXT = 4096, DEFAULT_PARALLEL = 16 };

/* What a run needs of the weights file on rank 0. */
typedef struct model_file {
    char *path;
    ndl_store *store;
    ndl_model model;
    ndl_mix mix;
    ndl_tokenizer *tokenizer;
} model_file;

static ndl_status open_model(model_file *f, const ndl_options *o)
{
    NDL_TRY(ndl_model_path(o->model, &f->path));
    NDL_TRY(ndl_store_open(&f->store, f->path));
    NDL_TRY(ndl_weights_read_model(f->store, &f->model, &f->mix));
    return ndl_tokenizer_load(&f->tokenizer, f->store);
}

static void close_model(model_file *f)
{
    ndl_tokenizer_destroy(&f->tokenizer);
    ndl_store_close(&f->store);
    free(f->path);
}

static ndl_status context_limit(const ndl_options *o, const ndl_model *m,
                                int *limit)
{
    if (o->context > m->context)
        return NDL_FAIL(NDL_EUSAGE,
                        "-c %d: the model knows %d positions: give at most "
                        "that",
                        o->context, m->context);
    *limit = o->context > 0                 ? o->context
             : m->context < DEFAULT_CONTEXT ? m->context
                                            : DEFAULT_CONTEXT;
    return NDL_OK;
}

static void on_probe(void *arg)
{
    (void)arg;
    fprintf(stderr, "measuring layers and links on all ranks ...\n");
}

static void on_plan(void *arg, const ndl_plan *plan)
{
    ndl_progress_line *p = arg;
    ndl_progress_line_begin(p, "load", p->signal);
    ndl_plan_print(plan, stderr);
    fputc('\n', stderr);
}

static void on_ready(void *arg)
{
    ndl_progress_line_end(arg);
}

/* DIR/NNNN.txt for every text, and the report as DIR/run.json. */
static ndl_status write_file(const char *dir, const char *name,
                             const char *bytes, size_t n)
{
    ndl_file_part part;
    char path[4300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    NDL_TRY(ndl_file_part_open(&part, path));
    if (fwrite(bytes, 1, n, part.file) != n) {
        const ndl_status st = ndl_file_fail(path, "write", errno);
        ndl_file_part_discard(&part);
        return st;
    }
    return ndl_file_part_commit(&part);
}

static ndl_status write_files(const char *dir, const ndl_texts *t,
                              const char *json)
{
    for (int i = 0; i < t->n; i++) {
        const ndl_text *x = &t->all[i];
        char name[32];
        snprintf(name, sizeof name, "%04d.txt", i + 1);
        NDL_TRY(write_file(dir, name, x->out ? x->out : "", x->n_bytes));
    }
    return write_file(dir, "run.json", json, strlen(json));
}

static ndl_status deliver(const ndl_options *o, ndl_texts *t,
                          const ndl_session_result *r)
{
    if (!o->json && !o->out) return NDL_OK;
    json_t *report = ndl_run_report_json(t, r);
    char *text = report ? json_dumps(report, JSON_INDENT(1)) : NULL;
    json_decref(report);
    if (!text) return NDL_FAIL(NDL_EOS, "JSON: out of memory");
    ndl_status st = o->out ? write_files(o->out, t, text) : NDL_OK;
    if (o->json) {
        ndl_output_offer(&t->output, text, strlen(text));
        ndl_output_offer(&t->output, "\n", 1);
    }
    free(text);
    return st;
}

static ndl_status make_folder(const char *dir)
{
    if (mkdir(dir, 0777) == 0) return NDL_OK;
    struct stat st;
    const int err = errno;
    if (err == EEXIST && stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
        return NDL_OK;
    return NDL_FAIL(err == EACCES ? NDL_EPERM : NDL_ECREATE,
                    "--out %s: cannot make the folder: %s: check the path", dir,
                    strerror(err));
}

static int sequences(const ndl_options *o, const ndl_texts *t)
{
    int n = o->parallel > 0 ? o->parallel : DEFAULT_PARALLEL;
    if (n > t->n) n = t->n;
    /* A group's decode rows go in one batch. */
    return n > o->rows ? o->rows : n;
}

/* One request as the strategies see it: the mean of all. */
static ndl_workload workload_of(const ndl_texts *t, const ndl_options *o)
{
    int64_t prompt = 0, fresh = 0;
    for (int i = 0; i < t->n; i++) {
        prompt += t->requests[i].n_prompt;
        fresh += t->requests[i].max_new;
    }
    return (ndl_workload){ .prompt_tokens = (int)(prompt / t->n),
                           .new_tokens = (int)(fresh / t->n),
                           .sequences = sequences(o, t),
                           .chunk_rows = o->rows };
}

static ndl_status run(ndl_cli *cli, ndl_texts *t,
                      const ndl_session_setup *setup)
{
    ndl_session_result result = { .start_sec = cli->start_sec };
    cli->session_ran = true;
    ndl_status st = ndl_session_lead(setup, &result);
    if (result.end_sec > 0.0) { /* it ran: nothing that was written is lost */
        ndl_texts_end(t);
        ndl_output_finish(&t->output);
        fputc('\n', stderr);
        ndl_run_report_print(t, &result, stderr);
        const ndl_status delivered = deliver(cli->options, t, &result);
        if (st == NDL_OK) st = delivered;
        ndl_output_finish(&t->output);
        if (st == NDL_OK) st = t->output.stop.status;
    }
    ndl_session_result_fini(&result);
    return st;
}

static ndl_status lead(ndl_cli *cli, const model_file *f, ndl_texts *t,
                       int context)
{
    const ndl_options *o = cli->options;
    ndl_session_options *more = calloc(1, sizeof *more);
    if (!more) return NDL_FAIL(NDL_EOS, "options: out of memory");
    ndl_progress_line loading = { .signal = cli->signal };
    ndl_session_setup setup = {
        .comm = cli->comm,
        .store = f->store,
        .model = &f->model,
        .mix = f->mix,
        .split = o->split,
        .workload = workload_of(t, o),
        .n_threads = o->threads,
        .context = context,
        .n_slots = sequences(o, t),
        .max_rows = o->rows,
        .requests = t->requests,
        .n_requests = t->n,
        .client = ndl_texts_client(t),
        .on_probe = on_probe,
        .on_plan = on_plan,
        .on_ready = on_ready,
        .on_load = ndl_progress_line_show,
        .arg = &loading,
        .stop = &t->output.stop,
        .signal = cli->signal,
    };
    ndl_status st = ndl_session_options_fill(more, o, &setup);
    if (st == NDL_OK) st = run(cli, t, &setup);
    ndl_session_options_fini(more);
    free(more);
    return st;
}

/* -s -1: a seed of this moment, told so that the run can be repeated. */
static void choose_seed(ndl_options *o)
{
    struct timespec now;
    if (o->seed >= 0) return;
    clock_gettime(CLOCK_REALTIME, &now);
    o->seed = ((int64_t)now.tv_sec * 1000003 ^ now.tv_nsec ^ getpid()) &
              INT64_C(0xffffffff);
    fprintf(stderr, "seed %lld\n", (long long)o->seed);
}

ndl_status ndl_cmd_run(ndl_cli *cli)
{
    ndl_options o = *cli->options;
    model_file f = { 0 };
    ndl_texts t = { 0 };
    int limit = 0, context = 0;
    ndl_status st = NDL_OK;
    choose_seed(&o);
    NDL_TRY_GOTO(done, st, open_model(&f, &o));
    NDL_TRY_GOTO(done, st, context_limit(&o, &f.model, &limit));
    NDL_TRY_GOTO(done, st, ndl_texts_read(&t, &o, f.tokenizer, &f.model));
    NDL_TRY_GOTO(done, st, ndl_texts_fit(&t, limit, &context));
    if (o.out) NDL_TRY_GOTO(done, st, make_folder(o.out));
    st = lead(cli, &f, &t, context);
done:
    ndl_texts_fini(&t);
    close_model(&f);
    return st;
}
