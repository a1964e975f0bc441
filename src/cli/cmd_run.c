/* cmd_run.c - noodle-mpi run: prompts in, text out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"
#include "commands.h"
#include "noodle/file.h"
#include "noodle/log.h"
#include "noodle/weights.h"
#include "output.h"
#include "progress_line.h"
#include "run_report.h"
#include "session_options.h"
#include "texts.h"

enum {
    DEFAULT_CONTEXT = 4096,
    DEFAULT_PARALLEL = 16,
    DEFAULT_PARALLEL_REQUESTS = 32
};

/* What a session is to do, and who hears of it. */
typedef struct work {
    const ndl_request *requests; /* (n) */
    int n, context;
    ndl_client client;
    const ndl_stop *stop;
} work;

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

static int sequences(const ndl_options *o, int n_requests)
{
    int n = o->parallel > 0 ? o->parallel
            : o->requests   ? DEFAULT_PARALLEL_REQUESTS
                            : DEFAULT_PARALLEL;
    if (n > n_requests) n = n_requests;
    /* A group's decode rows go in one batch. */
    return n > o->rows ? o->rows : n;
}

/* One request as the strategies see it: the mean of all. */
static ndl_workload workload_of(const work *w, const ndl_options *o)
{
    int64_t prompt = 0, fresh = 0;
    for (int i = 0; i < w->n; i++) {
        prompt += w->requests[i].n_prompt;
        fresh += w->requests[i].max_new;
    }
    return (ndl_workload){ .prompt_tokens = (int)(prompt / w->n),
                           .new_tokens = (int)(fresh / w->n),
                           .sequences = sequences(o, w->n),
                           .chunk_rows = o->rows };
}

static ndl_status lead(ndl_cli *cli, const model_file *f, const work *w,
                       ndl_session_result *result)
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
        .workload = workload_of(w, o),
        .n_threads = o->threads,
        .context = w->context,
        .n_slots = sequences(o, w->n),
        .max_rows = o->rows,
        .requests = w->requests,
        .n_requests = w->n,
        .client = w->client,
        .on_probe = on_probe,
        .on_plan = on_plan,
        .on_ready = on_ready,
        .on_load = ndl_progress_line_show,
        .arg = &loading,
        .stop = w->stop,
        .signal = cli->signal,
    };
    ndl_status st = ndl_session_options_fill(more, o, &setup);
    if (st == NDL_OK) {
        cli->session_ran = true;
        st = ndl_session_lead(&setup, result);
    }
    ndl_session_options_fini(more);
    free(more);
    return st;
}

/* It ran: nothing that was written is lost. */
static ndl_status show_texts(const ndl_options *o, ndl_texts *t,
                             const ndl_session_result *r)
{
    ndl_texts_end(t);
    ndl_output_finish(&t->output);
    fputc('\n', stderr);
    ndl_run_report_print(t, r, stderr);
    const ndl_status delivered = deliver(o, t, r);
    ndl_output_finish(&t->output);
    return delivered == NDL_OK ? t->output.stop.status : delivered;
}

static ndl_status run_texts(ndl_cli *cli, const model_file *f, ndl_texts *t,
                            int context)
{
    const work w = { .requests = t->requests,
                     .n = t->n,
                     .context = context,
                     .client = ndl_texts_client(t),
                     .stop = &t->output.stop };
    ndl_session_result r = { .start_sec = cli->start_sec };
    ndl_status st = lead(cli, f, &w, &r);
    const ndl_status shown =
        r.end_sec > 0.0 ? show_texts(cli->options, t, &r) : NDL_OK;
    ndl_session_result_fini(&r);
    return st == NDL_OK ? shown : st;
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

static ndl_status run_prompts(ndl_cli *cli)
{
    ndl_options o = *cli->options;
    model_file f = { 0 };
    ndl_texts t = { 0 };
    int limit = 0, context = 0;
    ndl_status st = NDL_OK;
    choose_seed(&o);
    NDL_TRY_GOTO(done, st, open_model(&f, &o));
    NDL_TRY_GOTO(done, st, context_limit(&o, &f.model, &limit));
    NDL_TRY_GOTO(done, st,
                 ndl_texts_read(&t, &o, cli->signal, f.tokenizer, &f.model));
    NDL_TRY_GOTO(done, st, ndl_texts_fit(&t, limit, &context));
    if (o.out) NDL_TRY_GOTO(done, st, make_folder(o.out));
    st = run_texts(cli, &f, &t, context);
done:
    ndl_texts_fini(&t);
    close_model(&f);
    return st;
}

/* The files that there are for requests and results; that of the results may
 * not be there yet. */
static ndl_status check_files(const ndl_options *o)
{
    struct stat in, out;
    if (strcmp(o->requests, "-") == 0 || o->requests[0] == '\0')
        return NDL_FAIL(NDL_EUSAGE,
                        "--requests %s: give the name of a file: a pipe is "
                        "/dev/stdin",
                        o->requests);
    if (strcmp(o->results, "-") == 0 || o->results[0] == '\0')
        return NDL_FAIL(NDL_EUSAGE,
                        "-o %s: give the name of a file: a later start reads "
                        "there what is done",
                        o->results);
    if (stat(o->requests, &in) == 0 && stat(o->results, &out) == 0 &&
        in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return NDL_FAIL(NDL_EUSAGE,
                        "-o %s: is the file of the requests: give another one",
                        o->results);
    return NDL_OK;
}

static ndl_status check_requests(const ndl_options *o)
{
    if (!o->requests)
        return NDL_FAIL(NDL_EUSAGE, "-o: is where the answers to --requests "
                                    "go: texts go to stdout, or with --out "
                                    "into a folder");
    if (!o->results)
        return NDL_FAIL(NDL_EUSAGE, "--requests: give -o OUT.jsonl too, where "
                                    "the answers go");
    if (o->prompt || o->file || o->prompts || o->prompt_ids || o->out ||
        o->json)
        return NDL_FAIL(NDL_EUSAGE, "--requests: give it without -p, -f, "
                                    "--prompts, --prompt-ids, --out and "
                                    "--json");
    if (o->seed < 0)
        return NDL_FAIL(NDL_EUSAGE, "-s -1: another start could not go on with "
                                    "--requests: give a number");
    return check_files(o);
}

/* The model is not needed if all is answered already. */
static ndl_status run_rest(ndl_cli *cli, model_file *f, ndl_answers *a)
{
    ndl_session_result r = { .start_sec = cli->start_sec };
    int limit = 0, context = 0;
    if (ndl_answers_left(a) == 0) return NDL_OK;
    NDL_TRY(open_model(f, cli->options));
    NDL_TRY(context_limit(cli->options, &f->model, &limit));
    NDL_TRY(ndl_answers_prepare(a, f->tokenizer, &f->model, limit, &context));
    const work w = { .requests = a->requests,
                     .n = a->n,
                     .context = context,
                     .client = ndl_answers_client(a),
                     .stop = &a->stop };
    if (w.n == 0) return NDL_OK;
    const ndl_status st = lead(cli, f, &w, &r);
    if (r.end_sec > 0.0) {
        fputc('\n', stderr);
        ndl_run_report_stages(&r, stderr);
    }
    ndl_session_result_fini(&r);
    return st;
}

static ndl_status run_requests(ndl_cli *cli)
{
    ndl_answers a = { 0 };
    model_file f = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, check_requests(cli->options));
    NDL_TRY_GOTO(done, st, ndl_session_options_check(cli->options, cli->comm));
    NDL_TRY_GOTO(done, st, ndl_answers_begin(&a, cli->options, cli->signal));
    st = run_rest(cli, &f, &a);
    const ndl_status ended = ndl_answers_end(&a);
    if (st == NDL_OK) st = ended;
    ndl_answers_print(&a, stderr);
done:
    ndl_answers_fini(&a);
    close_model(&f);
    return st;
}

ndl_status ndl_cmd_run(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    return o->requests || o->results ? run_requests(cli) : run_prompts(cli);
}
