/*
 * cmd_bench.c - noodle-mpi bench: how fast one rank runs a model.
 *
 * All combinations of threads, rows, sequences and depths are places; in each
 * all tests run, so that the cache is filled once for them.  A row is printed
 * as soon as it is measured.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_report.h"
#include "commands.h"
#include "counts.h"
#include "noodle/benchmark.h"
#include "noodle/clock.h"
#include "noodle/topology.h"
#include "noodle/version.h"
#include "noodle/weights.h"
#include "output.h"
#include "progress_line.h"
#include "session_options.h"

enum {
    MOST_TOKENS = 1 << 24,
    MOST_ROWS = 65536,
    MOST_THREADS = 4096,
    MOST_TESTS = 2 * NDL_COUNTS + NDL_OPTIONS_LIST
};

/* What the options ask for. */
typedef struct wishes {
    ndl_bench_format format;
    ndl_load load;
    ndl_counts threads, rows, seqs, depths;
    ndl_benchmark_test tests[MOST_TESTS];
    int n_tests, room; /* room: positions of the longest test */
} wishes;

typedef struct bench {
    const ndl_cli *cli;
    const char *path;
    wishes want;
    ndl_topology topology;
    ndl_benchmark *benchmark;
    ndl_benchmark_watch watch;
    ndl_kv_types kv_types;
    ndl_output output;
    ndl_progress_line line;
    char now[160], model_type[128];
    ndl_benchmark_result result;
    int n_rows, n_all;
} bench;

/* ---- options ---- */

static void add_test(wishes *w, int n_prompt, int n_gen)
{
    const int n = n_prompt + n_gen;
    if (n == 0) return; /* "-p 0" means: no such test */
    w->tests[w->n_tests++] = (ndl_benchmark_test){ n_prompt, n_gen };
    if (n > w->room) w->room = n;
}

static ndl_status read_tests(wishes *w, const ndl_options *o)
{
    ndl_counts prompts, gens;
    NDL_TRY(ndl_counts_parse(&prompts, "-p", &o->bench_prompt, 512, 0,
                             MOST_TOKENS));
    NDL_TRY(ndl_counts_parse(&gens, "-n", &o->bench_gen, 128, 0, MOST_TOKENS));
    for (int i = 0; i < prompts.n; i++) add_test(w, prompts.at[i], 0);
    for (int i = 0; i < gens.n; i++) add_test(w, 0, gens.at[i]);
    for (int i = 0; i < o->bench_both.n; i++) {
        int pair[2];
        NDL_TRY(ndl_counts_pair(pair, "-pg", o->bench_both.at[i], MOST_TOKENS));
        add_test(w, pair[0], pair[1]);
    }
    if (w->n_tests > 0) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "bench: nothing to measure: give -p, -n or "
                                "-pg with tokens");
}

static ndl_status read_wishes(wishes *w, const ndl_options *o)
{
    NDL_TRY(ndl_bench_format_parse(&w->format, o->bench_format));
    NDL_TRY(ndl_session_options_load(o->load, &w->load));
    /* No thread is all of them, which only the machine knows. */
    NDL_TRY(ndl_counts_parse(&w->threads, "-t", &o->bench_threads, 0, 0,
                             MOST_THREADS));
    NDL_TRY(
        ndl_counts_parse(&w->rows, "-ub", &o->bench_rows, 128, 1, MOST_ROWS));
    NDL_TRY(ndl_counts_parse(&w->seqs, "-b", &o->bench_seqs, 1, 1, MOST_ROWS));
    NDL_TRY(
        ndl_counts_parse(&w->depths, "-d", &o->bench_depth, 0, 0, MOST_TOKENS));
    return read_tests(w, o);
}

/* ---- who watches ---- */

static ndl_status check_signal(const bench *b)
{
    const int signal = *b->cli->signal;
    if (signal == 0) return NDL_OK;
    const ndl_status st = ndl_session_signal_status(signal);
    return NDL_FAIL(st, "bench: %s", ndl_status_text(st));
}

static ndl_status on_load(void *arg, uint64_t done, uint64_t all)
{
    bench *b = arg;
    return ndl_progress_line_show(&b->line, done, all);
}

static ndl_status on_step(void *arg)
{
    bench *b = arg;
    if (ndl_progress_line_is_due(&b->line))
        ndl_progress_line_print(&b->line, b->now);
    return check_signal(b);
}

/* Between two tests, in pieces: a signal ends it. */
static ndl_status rest(const bench *b)
{
    const double end = ndl_clock_sec() + b->cli->options->bench_delay;
    for (double left; (left = end - ndl_clock_sec()) > 0.0;) {
        NDL_TRY(check_signal(b));
        ndl_clock_sleep(left < 0.05 ? left : 0.05);
    }
    return NDL_OK;
}

/* ---- output ---- */

typedef enum piece { BEGIN, ROW, END } piece;

/* Made in memory, so that a failed write is found once.  The line of progress
 * makes room for it: both may be on one terminal. */
static ndl_status put(bench *b, piece what, const ndl_bench_row *row)
{
    char *text = NULL;
    size_t n = 0;
    ndl_status st = NDL_OK;
    FILE *out = open_memstream(&text, &n);
    if (!out) return NDL_FAIL(NDL_EOS, "bench: out of memory");
    switch (what) {
    case BEGIN: ndl_bench_report_begin(out, b->want.format); break;
    case ROW:
        st = ndl_bench_report_row(out, b->want.format, row, b->n_rows++);
        break;
    case END: ndl_bench_report_end(out, b->want.format, b->n_rows); break;
    }
    if (fclose(out) != 0 && st == NDL_OK)
        st = NDL_FAIL(NDL_EOS, "bench: out of memory");
    ndl_progress_line_end(&b->line);
    if (st == NDL_OK) ndl_output_offer(&b->output, text, n);
    free(text);
    return st == NDL_OK ? b->output.stop.status : st;
}

/* 0.1.0 as 100, 1.2.3 as 10203: a number that grows. */
static int64_t build_number(void)
{
    int a = 0, b = 0, c = 0;
    if (sscanf(ndl_version(), "%d.%d.%d", &a, &b, &c) != 3) return 0;
    return (int64_t)a * 10000 + b * 100 + c;
}

static void name_model(bench *b)
{
    const ndl_benchmark_facts *f = ndl_benchmark_facts_of(b->benchmark);
    const double n = (double)f->n_params;
    snprintf(b->model_type, sizeof b->model_type, "%s %.1f%c %s", f->arch,
             n >= 1e9 ? n / 1e9 : n / 1e6, n >= 1e9 ? 'B' : 'M', f->dtype);
}

static ndl_bench_row make_row(const bench *b, const ndl_benchmark_place *p,
                              const ndl_benchmark_test *test)
{
    const ndl_benchmark_facts *f = ndl_benchmark_facts_of(b->benchmark);
    return (ndl_bench_row){
        .build_commit = ndl_version_commit(),
        .build_number = build_number(),
        .cpu_info = b->topology.cpu_model,
        .gpu_info = "",
        .backends = f->kernels,
        .model_filename = b->path,
        .model_type = b->model_type,
        .model_size = (int64_t)f->bytes,
        .model_n_params = f->n_params,
        .n_batch = p->chunk_rows,
        .n_ubatch = p->chunk_rows,
        .n_threads = p->n_threads,
        .n_seqs = p->n_seqs,
        .type_k = ndl_dtype_name(p->kv_types.k),
        .type_v = ndl_dtype_name(p->kv_types.v),
        .load = ndl_load_name(f->load),
        .n_prompt = test->n_prompt,
        .n_gen = test->n_gen,
        .n_depth = p->depth,
    };
}

static void fill_row(ndl_bench_row *row, const ndl_benchmark_result *r)
{
    row->samples_sec = r->sec;
    row->n_samples = r->n;
    ndl_bench_row_spread(row);
    const double sec = ndl_benchmark_spread_of(r->sec, r->n).median;
    row->flop_share = r->flop / sec / r->peak_flop;
    row->bytes_share = r->bytes / sec / r->peak_bytes;
    row->peak_gflops = 1e-9 * r->peak_flop;
    row->peak_gb_s = 1e-9 * r->peak_bytes;
    row->gflops = 1e-9 * r->flop / sec;
    row->gb_s = 1e-9 * r->bytes / sec;
    row->gemm_gflops = 1e-9 * r->gemm_flop;
    row->gemm_share = r->flop / sec / r->gemm_flop;
}

/* ---- measuring ---- */

static void tell(bench *b, const ndl_benchmark_place *p, const char *test)
{
    snprintf(b->now, sizeof b->now, "%d of %d: %s, -t %d -b %d -ub %d",
             b->n_rows + 1, b->n_all, test, p->n_threads, p->n_seqs,
             p->chunk_rows);
}

static ndl_status run_test(bench *b, const ndl_benchmark_place *p,
                           const ndl_benchmark_test *test)
{
    const ndl_options *o = b->cli->options;
    ndl_bench_row row = make_row(b, p, test);
    const time_t now = time(NULL);
    struct tm utc;
    char when[32] = "", name[96];
    if (b->n_rows > 0) NDL_TRY(rest(b));
    if (gmtime_r(&now, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    row.test_time = when;
    tell(b, p, ndl_bench_test_name(&row, name, sizeof name));
    NDL_TRY(ndl_benchmark_run(b->benchmark, test, o->bench_repeats,
                              !o->bench_no_warmup, &b->result));
    fill_row(&row, &b->result);
    return put(b, ROW, &row);
}

static ndl_status run_place(bench *b, const ndl_benchmark_place *p)
{
    char name[96];
    snprintf(name, sizeof name, "filling %d keys", p->depth);
    tell(b, p, name);
    NDL_TRY(ndl_benchmark_set(b->benchmark, p));
    for (int i = 0; i < b->want.n_tests && !b->output.stop.requested; i++)
        NDL_TRY(run_test(b, p, &b->want.tests[i]));
    return NDL_OK;
}

/* Place number i of all: depths vary fastest. */
static ndl_benchmark_place place_of(const bench *b, int i)
{
    const wishes *w = &b->want;
    const ndl_benchmark_facts *f = ndl_benchmark_facts_of(b->benchmark);
    const int depth = w->depths.at[i % w->depths.n];
    i /= w->depths.n;
    const int seqs = w->seqs.at[i % w->seqs.n];
    i /= w->seqs.n;
    const int rows = w->rows.at[i % w->rows.n];
    const int threads = w->threads.at[i / w->rows.n];
    return (ndl_benchmark_place){
        .n_threads = threads > 0 ? threads : f->n_cpus,
        .chunk_rows = rows,
        .n_seqs = seqs,
        .depth = depth,
        .room = w->room,
        .kv_types = b->kv_types,
    };
}

static ndl_status run_places(bench *b)
{
    const wishes *w = &b->want;
    const int n = w->depths.n * w->seqs.n * w->rows.n * w->threads.n;
    if (n > INT_MAX / w->n_tests)
        return NDL_FAIL(NDL_EUSAGE, "bench: more tests than can be counted: "
                                    "give fewer values");
    b->n_all = n * w->n_tests;
    /* An hour of measuring must not end in what could be known before. */
    for (int i = 0; i < n; i++) {
        const ndl_benchmark_place p = place_of(b, i);
        NDL_TRY(ndl_benchmark_check(b->benchmark, &p));
    }
    ndl_status st = put(b, BEGIN, NULL);
    for (int i = 0; i < n && st == NDL_OK && !b->output.stop.requested; i++) {
        const ndl_benchmark_place p = place_of(b, i);
        st = run_place(b, &p);
    }
    /* What was begun is ended, also after a failure: it can be read then. */
    const ndl_status end = put(b, END, NULL);
    return st != NDL_OK ? st : end;
}

/* Before the weights are loaded, which may take minutes. */
static ndl_status read_kv_types(bench *b)
{
    ndl_store *store = NULL;
    ndl_model model;
    ndl_mix mix;
    NDL_TRY(ndl_store_open(&store, b->path));
    ndl_status st = ndl_weights_read_model(store, &model, &mix);
    ndl_store_close(&store);
    NDL_TRY(st);
    return ndl_session_options_kv_types(b->cli->options, mix, &b->kv_types);
}

static ndl_status measure(bench *b)
{
    NDL_TRY(read_kv_types(b));
    NDL_TRY(ndl_topology_read(&b->topology));
    ndl_progress_line_begin(&b->line, "bench", b->cli->signal);
    ndl_status st =
        ndl_benchmark_open(&b->benchmark, b->path, b->want.load, &b->watch);
    if (st == NDL_OK) {
        name_model(b);
        st = run_places(b);
    }
    ndl_progress_line_end(&b->line);
    ndl_output_finish(&b->output);
    return st != NDL_OK ? st : b->output.stop.status;
}

ndl_status ndl_cmd_bench(ndl_cli *cli)
{
    char *path = NULL;
    ndl_status st = NDL_OK;
    if (cli->comm->size > 1)
        return NDL_FAIL(NDL_EUSAGE,
                        "bench: measures one rank, not %d: start it without "
                        "mpirun; run measures pipelines",
                        cli->comm->size);
    bench *b = calloc(1, sizeof *b);
    if (!b) return NDL_FAIL(NDL_EOS, "bench: out of memory");
    b->cli = cli;
    b->watch = (ndl_benchmark_watch){ on_load, on_step, b };
    NDL_TRY_GOTO(done, st, read_wishes(&b->want, cli->options));
    NDL_TRY_GOTO(done, st, ndl_model_path(cli->options->model, &path));
    b->path = path;
    st = measure(b);
done:
    ndl_benchmark_close(&b->benchmark);
    free(b);
    free(path);
    return st;
}
