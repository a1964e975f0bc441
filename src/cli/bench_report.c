/* bench_report.c - see bench_report.h: one table of columns makes CSV, JSON and
 * SQL; people get a narrower one. */
#include "bench_report.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/benchmark.h"
#include "noodle/json.h"
#include "noodle/units.h"
#include "noodle/version.h"

typedef enum column_kind { TEXT, INTEGER, REAL } column_kind;

typedef struct column {
    const char *name;
    column_kind kind;
    size_t offset;
} column;

#define COLUMN(kind, name)                                                     \
    {                                                                          \
#name, kind, offsetof(ndl_bench_row, name)                             \
    }

/* clang-format off */
static const column columns[] = {
    COLUMN(TEXT, build_commit),
    COLUMN(INTEGER, build_number),
    COLUMN(TEXT, cpu_info),
    COLUMN(TEXT, gpu_info),
    COLUMN(TEXT, backends),
    COLUMN(TEXT, model_filename),
    COLUMN(TEXT, model_type),
    COLUMN(INTEGER, model_size),
    COLUMN(INTEGER, model_n_params),
    COLUMN(INTEGER, n_batch),
    COLUMN(INTEGER, n_ubatch),
    COLUMN(INTEGER, n_threads),
    COLUMN(TEXT, type_k),
    COLUMN(TEXT, type_v),
    COLUMN(INTEGER, n_prompt),
    COLUMN(INTEGER, n_gen),
    COLUMN(INTEGER, n_depth),
    COLUMN(TEXT, test_time),
    COLUMN(INTEGER, avg_ns),
    COLUMN(INTEGER, stddev_ns),
    COLUMN(REAL, avg_ts),
    COLUMN(REAL, stddev_ts),
    COLUMN(REAL, median_ts),
    COLUMN(INTEGER, n_seqs),
    COLUMN(TEXT, load),
    COLUMN(REAL, flop_share),
    COLUMN(REAL, bytes_share),
    COLUMN(REAL, peak_gflops),
    COLUMN(REAL, peak_gb_s),
    COLUMN(REAL, gflops),
    COLUMN(REAL, gb_s),
    COLUMN(REAL, gemm_gflops),
    COLUMN(REAL, gemm_share),
};
/* clang-format on */
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static const char *const format_names[] = { [NDL_BENCH_MD] = "md",
                                            [NDL_BENCH_CSV] = "csv",
                                            [NDL_BENCH_JSON] = "json",
                                            [NDL_BENCH_JSONL] = "jsonl",
                                            [NDL_BENCH_SQL] = "sql" };

ndl_status ndl_bench_format_parse(ndl_bench_format *out, const char *name)
{
    for (int i = NDL_BENCH_MD; i <= NDL_BENCH_SQL; i++) {
        if (strcmp(name, format_names[i]) != 0) continue;
        *out = (ndl_bench_format)i;
        return NDL_OK;
    }
    return NDL_FAIL(NDL_EUSAGE, "-o %.60s: give md, csv, json, jsonl or sql",
                    name);
}

static double tokens_of(const ndl_bench_row *row)
{
    return (double)row->n_seqs * (double)(row->n_prompt + row->n_gen);
}

void ndl_bench_row_spread(ndl_bench_row *row)
{
    double rates[NDL_BENCHMARK_REPEATS];
    const int n = row->n_samples;
    const ndl_benchmark_spread sec =
        ndl_benchmark_spread_of(row->samples_sec, n);
    for (int i = 0; i < n; i++) rates[i] = tokens_of(row) / row->samples_sec[i];
    const ndl_benchmark_spread rate = ndl_benchmark_spread_of(rates, n);
    row->avg_ns = llround(1e9 * sec.mean);
    row->stddev_ns = llround(1e9 * sec.stddev);
    row->avg_ts = rate.mean;
    row->stddev_ts = rate.stddev;
    row->median_ts = rate.median;
}

static const void *value_of(const ndl_bench_row *row, int i)
{
    return (const char *)row + columns[i].offset;
}

/* A text between quotes, those inside twice. */
static void print_quoted(FILE *out, const char *text, char quote)
{
    fputc(quote, out);
    for (; *text; text++) {
        if (*text == quote) fputc(quote, out);
        fputc(*text, out);
    }
    fputc(quote, out);
}

static void print_value(FILE *out, const ndl_bench_row *row, int i, char quote)
{
    const void *v = value_of(row, i);
    switch (columns[i].kind) {
    case TEXT: print_quoted(out, *(const char *const *)v, quote); break;
    case INTEGER: fprintf(out, "%" PRId64, *(const int64_t *)v); break;
    case REAL: fprintf(out, "%.6f", *(const double *)v); break;
    }
}

static void print_names(FILE *out, const char *between)
{
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(out, "%s%s", i ? between : "", columns[i].name);
}

static void print_values(FILE *out, const ndl_bench_row *row,
                         const char *between, char quote)
{
    for (int i = 0; i < N_COLUMNS; i++) {
        fputs(i ? between : "", out);
        print_value(out, row, i, quote);
    }
}

/* ---- SQL ---- */

static void begin_sql(FILE *out)
{
    static const char *const types[] = { "TEXT", "INTEGER", "REAL" };
    fputs("CREATE TABLE IF NOT EXISTS bench (\n", out);
    for (int i = 0; i < N_COLUMNS; i++)
        fprintf(out, "  %s %s%s\n", columns[i].name, types[columns[i].kind],
                i + 1 < N_COLUMNS ? "," : "");
    fputs(");\n\n", out);
}

static void print_sql(FILE *out, const ndl_bench_row *row)
{
    fputs("INSERT INTO bench (", out);
    print_names(out, ", ");
    fputs(") VALUES (", out);
    print_values(out, row, ", ", '\'');
    fputs(");\n", out);
}

/* ---- JSON ---- */

static json_t *value_json(const ndl_bench_row *row, int i)
{
    const void *v = value_of(row, i);
    switch (columns[i].kind) {
    case TEXT: return ndl_json_text(*(const char *const *)v);
    case INTEGER: return json_integer((json_int_t) * (const int64_t *)v);
    case REAL: return json_real(*(const double *)v);
    }
    return NULL;
}

static json_t *samples_json(const ndl_bench_row *row, bool as_rates)
{
    json_t *list = json_array();
    for (int i = 0; i < row->n_samples; i++) {
        const double sec = row->samples_sec[i];
        json_array_append_new(list, as_rates
                                        ? json_real(tokens_of(row) / sec)
                                        : json_integer(llround(1e9 * sec)));
    }
    return list;
}

static ndl_status print_json(FILE *out, const ndl_bench_row *row, size_t flags)
{
    json_t *j = json_object();
    bool ok = j != NULL;
    for (int i = 0; i < N_COLUMNS && ok; i++)
        ok = json_object_set_new(j, columns[i].name, value_json(row, i)) == 0;
    ok = ok &&
         json_object_set_new(j, "samples_ns", samples_json(row, false)) == 0 &&
         json_object_set_new(j, "samples_ts", samples_json(row, true)) == 0 &&
         json_dumpf(j, out, flags | JSON_REAL_PRECISION(12)) == 0;
    json_decref(j);
    return ok ? NDL_OK : NDL_FAIL(NDL_EOS, "bench: JSON: out of memory");
}

/* ---- Markdown ---- */

char *ndl_bench_test_name(const ndl_bench_row *row, char *buf, size_t cap)
{
    char prompt[24] = "", gen[24] = "", depth[28] = "";
    if (row->n_prompt > 0)
        snprintf(prompt, sizeof prompt, "pp%" PRId64, row->n_prompt);
    if (row->n_gen > 0) snprintf(gen, sizeof gen, "tg%" PRId64, row->n_gen);
    if (row->n_depth > 0)
        snprintf(depth, sizeof depth, " @ d%" PRId64, row->n_depth);
    snprintf(buf, cap, "%s%s%s%s", prompt, prompt[0] && gen[0] ? "+" : "", gen,
             depth);
    return buf;
}

static void begin_md(FILE *out)
{
    fprintf(out,
            "| %-20s | %10s | %9s | %-7s | %7s | %5s | %15s | %20s | %6s | "
            "%6s |\n",
            "model", "size", "params", "backend", "threads", "batch", "test",
            "t/s", "flop %", "read %");
    fputs("| -------------------- | ---------: | --------: | ------- | "
          "------: | ----: | --------------: | -------------------: | -----: "
          "| -----: |\n",
          out);
}

static void print_md(FILE *out, const ndl_bench_row *row)
{
    char size[32], params[32], test[96], rate[64];
    const double n = (double)row->model_n_params;
    ndl_units_text((double)row->model_size, NDL_UNIT_BYTES, size, sizeof size);
    snprintf(params, sizeof params, "%.2f %c", n >= 1e9 ? n / 1e9 : n / 1e6,
             n >= 1e9 ? 'B' : 'M');
    snprintf(rate, sizeof rate, "%.2f ± %.2f", row->avg_ts, row->stddev_ts);
    /* The sign takes two bytes and one column. */
    fprintf(out,
            "| %-20s | %10s | %9s | %-7s | %7" PRId64 " | %5" PRId64
            " | %15s | %21s | %6.1f | %6.1f |\n",
            row->model_type, size, params, row->backends, row->n_threads,
            row->n_seqs, ndl_bench_test_name(row, test, sizeof test), rate,
            100.0 * row->flop_share, 100.0 * row->bytes_share);
}

static void end_md(FILE *out)
{
    fprintf(out,
            "\nflop %%, read %%: of what these threads could calculate and "
            "read at most, measured\nbetween the repeats.\nbuild: %s%s%s\n",
            ndl_version_commit(), ndl_version_commit()[0] ? ", " : "",
            ndl_version());
}

/* ---- all of them ---- */

void ndl_bench_report_begin(FILE *out, ndl_bench_format format)
{
    switch (format) {
    case NDL_BENCH_MD: begin_md(out); break;
    case NDL_BENCH_CSV:
        print_names(out, ",");
        fputc('\n', out);
        break;
    case NDL_BENCH_JSON: fputc('[', out); break;
    case NDL_BENCH_JSONL: break;
    case NDL_BENCH_SQL: begin_sql(out); break;
    }
}

ndl_status ndl_bench_report_row(FILE *out, ndl_bench_format format,
                                const ndl_bench_row *row, int index)
{
    ndl_status st = NDL_OK;
    switch (format) {
    case NDL_BENCH_MD: print_md(out, row); break;
    case NDL_BENCH_CSV:
        print_values(out, row, ",", '"');
        fputc('\n', out);
        break;
    case NDL_BENCH_JSON:
        fputs(index > 0 ? ",\n" : "\n", out);
        st = print_json(out, row, JSON_INDENT(2));
        break;
    case NDL_BENCH_JSONL:
        st = print_json(out, row, JSON_COMPACT);
        fputc('\n', out);
        break;
    case NDL_BENCH_SQL: print_sql(out, row); break;
    }
    return st;
}

void ndl_bench_report_end(FILE *out, ndl_bench_format format, int n_rows)
{
    if (format == NDL_BENCH_MD) end_md(out);
    if (format == NDL_BENCH_JSON) fputs(n_rows > 0 ? "\n]\n" : "]\n", out);
}
