/*
 * bench_report.h - what `bench` measured, as a Markdown table, CSV, JSON, JSON
 * lines or SQL.
 *
 * The columns are those of llama-bench, as far as they mean something here,
 * and our own behind them.  A row can be written when it is there: nothing
 * waits for the last one.
 */
#ifndef NDL_BENCH_REPORT_H
#define NDL_BENCH_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "noodle/status.h"

typedef enum ndl_bench_format {
    NDL_BENCH_MD,
    NDL_BENCH_CSV,
    NDL_BENCH_JSON,
    NDL_BENCH_JSONL,
    NDL_BENCH_SQL
} ndl_bench_format;

/* One test in one place; texts are borrowed, none is NULL. */
typedef struct ndl_bench_row {
    const char *build_commit, *cpu_info, *gpu_info, *backends;
    const char *model_filename, *model_type, *type_k, *type_v, *load;
    const char *test_time; /* when it began, ISO 8601 in UTC */
    int64_t build_number, model_size, model_n_params;
    int64_t n_batch, n_ubatch, n_threads, n_seqs, n_prompt, n_gen, n_depth;
    int64_t avg_ns, stddev_ns;
    double avg_ts, stddev_ts, median_ts; /* tokens of all sequences a second */
    double flop_share, bytes_share;      /* of the peaks, 0 to 1 */
    double peak_gflops, peak_gb_s;
    double gflops, gb_s;            /* of the test: computed, read */
    double gemm_gflops, gemm_share; /* of a large product; of that, 0 to 1 */
    const double *samples_sec;      /* (n_samples) */
    int n_samples;
} ndl_bench_row;

/** @return NDL_OK; NDL_EUSAGE naming the formats that there are. */
ndl_status ndl_bench_format_parse(ndl_bench_format *out, const char *name);

/** Fill what follows from the samples: avg_ns to median_ts. */
void ndl_bench_row_spread(ndl_bench_row *row);

/** What stands before the first row, and behind the last; `n_rows` is how
 * many there were. */
void ndl_bench_report_begin(FILE *out, ndl_bench_format format);
void ndl_bench_report_end(FILE *out, ndl_bench_format format, int n_rows);

/** Row number `index`, from 0.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_bench_report_row(FILE *out, ndl_bench_format format,
                                const ndl_bench_row *row, int index);

/** "pp512", "tg128 @ d4096", "pp512+tg128".  @return buf. */
char *ndl_bench_test_name(const ndl_bench_row *row, char *buf, size_t cap);

#endif /* NDL_BENCH_REPORT_H */
