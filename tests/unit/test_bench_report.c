/* test_bench_report.c - every format can be read back, also with names that
 * were made to break it. */
#include "../../src/cli/bench_report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/json.h"

enum { N_COLUMNS = 33 };

static const double samples[] = { 0.5, 0.25, 1.0 };

static ndl_bench_row row_of(const char *file)
{
    ndl_bench_row row = {
        .build_commit = "abc",
        .build_number = 100,
        .cpu_info = "a \"fast\" CPU, really",
        .gpu_info = "",
        .backends = "avx2",
        .model_filename = file,
        .model_type = "llama 1.1B bf16",
        .type_k = "bf16",
        .type_v = "bf16",
        .load = "map",
        .test_time = "2030-01-02T03:04:05Z",
        .model_size = INT64_C(2200000000),
        .model_n_params = 1100000000,
        .n_batch = 128,
        .n_ubatch = 128,
        .n_threads = 2,
        .n_seqs = 4,
        .n_prompt = 16,
        .n_depth = 4096,
        .flop_share = 0.5,
        .bytes_share = 0.125,
        .peak_gflops = 200.0,
        .peak_gb_s = 10.5,
        .gflops = 100.0,
        .gb_s = 7.5,
        .gemm_gflops = 160.0,
        .gemm_share = 0.625,
        .samples_sec = samples,
        .n_samples = 3,
    };
    ndl_bench_row_spread(&row);
    return row;
}

/* The report of `n` rows; the caller frees it. */
static char *report(ndl_bench_format format, const char *file, int n)
{
    const ndl_bench_row row = row_of(file);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    ndl_bench_report_begin(out, format);
    for (int i = 0; i < n; i++)
        assert_int_equal(ndl_bench_report_row(out, format, &row, i), NDL_OK);
    ndl_bench_report_end(out, format, n);
    assert_int_equal(fclose(out), 0);
    return text;
}

static int n_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

/* ---- figures ---- */

static void rates_are_those_of_all_sequences(void **state)
{
    (void)state;
    const ndl_bench_row row = row_of("x");
    /* 64 tokens in 0.5, 0.25 and 1 s: 128, 256 and 64 a second. */
    assert_true(fabs(row.avg_ts - 448.0 / 3) < 1e-9);
    assert_true(fabs(row.median_ts - 128.0) < 1e-9);
    assert_true(fabs(row.stddev_ts - 97.7616) < 1e-3);
    assert_int_equal(row.avg_ns, 583333333);
    assert_int_equal(row.stddev_ns, 381881308);
}

static void test_has_a_name_of_its_parts(void **state)
{
    (void)state;
    char text[96];
    ndl_bench_row row = row_of("x");
    assert_string_equal(ndl_bench_test_name(&row, text, sizeof text),
                        "pp16 @ d4096");
    row.n_gen = 8;
    row.n_depth = 0;
    assert_string_equal(ndl_bench_test_name(&row, text, sizeof text),
                        "pp16+tg8");
    row.n_prompt = 0;
    assert_string_equal(ndl_bench_test_name(&row, text, sizeof text), "tg8");
}

static void unknown_format_names_those_that_are(void **state)
{
    (void)state;
    static const char *const names[] = { "md", "csv", "json", "jsonl", "sql" };
    static const char *const bad[] = { "", "JSON", "xml", "json " };
    ndl_bench_format format = NDL_BENCH_SQL;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ndl_bench_format_parse(&format, names[i]), NDL_OK);
        assert_int_equal(format, i);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ndl_bench_format_parse(&format, bad[i]), NDL_EUSAGE);
        assert_int_equal(format, NDL_BENCH_SQL);
        assert_non_null(strstr(ndl_status_message(), "jsonl"));
        ndl_status_clear();
    }
}

/* ---- formats ---- */

static void check_object(const json_t *j, const char *file)
{
    assert_true(json_is_object(j));
    assert_int_equal(json_object_size(j), N_COLUMNS + 2);
    assert_string_equal(json_string_value(json_object_get(j, "model_filename")),
                        file);
    assert_int_equal(json_integer_value(json_object_get(j, "model_size")),
                     INT64_C(2200000000));
    assert_true(json_real_value(json_object_get(j, "flop_share")) == 0.5);
    assert_true(json_real_value(json_object_get(j, "gemm_share")) == 0.625);
    const json_t *ns = json_object_get(j, "samples_ns");
    const json_t *ts = json_object_get(j, "samples_ts");
    assert_int_equal(json_array_size(ns), 3);
    assert_int_equal(json_integer_value(json_array_get(ns, 1)), 250000000);
    assert_int_equal(json_array_size(ts), 3);
    assert_true(json_real_value(json_array_get(ts, 2)) == 64.0);
}

static json_t *parse(const char *text, size_t n)
{
    json_t *j = NULL;
    if (ndl_json_parse(&j, text, n, "report") != NDL_OK)
        fail_msg("%s in: %s", ndl_status_message(), text);
    return j;
}

static void json_is_an_array_of_any_length(void **state)
{
    (void)state;
    const char *file = "a \"b\"\\\n,'c'.h5";
    for (int n = 0; n < 3; n++) {
        char *text = report(NDL_BENCH_JSON, file, n);
        json_t *j = parse(text, strlen(text));
        assert_true(json_is_array(j));
        assert_int_equal(json_array_size(j), n);
        for (int i = 0; i < n; i++)
            check_object(json_array_get(j, (size_t)i), file);
        json_decref(j);
        free(text);
    }
}

static void jsonl_is_one_object_a_line(void **state)
{
    (void)state;
    const char *file = "a\nb";
    char *text = report(NDL_BENCH_JSONL, file, 2);
    assert_int_equal(n_lines(text), 2);
    const char *at = text;
    for (int i = 0; i < 2; i++) {
        const size_t n = strcspn(at, "\n");
        json_t *j = parse(at, n);
        check_object(j, file);
        json_decref(j);
        at += n + 1;
    }
    free(text);
}

static void name_that_is_not_utf8_still_makes_json(void **state)
{
    (void)state;
    char *text = report(NDL_BENCH_JSON, "caf\xe9.h5", 1);
    json_t *j = parse(text, strlen(text));
    check_object(json_array_get(j, 0), "caf?.h5");
    json_decref(j);
    free(text);
}

/* Reads one field at *at into out, and what ends it into *end. */
static void read_field(const char **at, char *out, char *end)
{
    const char *p = *at;
    if (*p == '"') {
        for (p++; *p != '"' || p[1] == '"'; *out++ = *p++) p += *p == '"';
        p++;
    } else {
        while (*p != ',' && *p != '\n') *out++ = *p++;
    }
    *out = '\0';
    *end = *p;
    *at = p + 1;
}

static void csv_has_as_many_fields_in_every_record(void **state)
{
    (void)state;
    const char *file = "a,b \"c\"\nd.h5";
    char *text = report(NDL_BENCH_CSV, file, 2), field[256], end;
    const char *at = text;
    for (int record = 0; record < 3; record++)
        for (int i = 0; i < N_COLUMNS; i++) {
            read_field(&at, field, &end);
            assert_int_equal(end, i + 1 < N_COLUMNS ? ',' : '\n');
            if (i == 5)
                assert_string_equal(field, record ? file : "model_filename");
            if (i == 9 && record) assert_string_equal(field, "128");
        }
    assert_int_equal(*at, '\0');
    free(text);
}

static void sql_quotes_what_would_end_a_text(void **state)
{
    (void)state;
    char *text = report(NDL_BENCH_SQL, "x'); DROP TABLE bench; --", 2);
    assert_ptr_equal(strstr(text, "CREATE TABLE IF NOT EXISTS bench ("), text);
    assert_non_null(strstr(text, "'x''); DROP TABLE bench; --'"));
    assert_non_null(strstr(text, "  model_size INTEGER,\n"));
    assert_non_null(strstr(text, "  avg_ts REAL,\n"));
    assert_non_null(strstr(text, "  gemm_share REAL\n);\n"));
    free(text);
}

/* Columns that a terminal shows: continuation bytes of UTF-8 take none. */
static int width_of(const char *line, size_t n)
{
    int width = 0;
    for (size_t i = 0; i < n; i++) width += ((unsigned char)line[i] >> 6) != 2;
    return width;
}

static void table_lines_up(void **state)
{
    (void)state;
    char *text = report(NDL_BENCH_MD, "x", 2);
    const size_t first = strcspn(text, "\n");
    const char *at = text;
    for (int i = 0; i < 4; i++) {
        const size_t n = strcspn(at, "\n");
        assert_int_equal(at[0], '|');
        assert_int_equal(at[n - 1], '|');
        assert_int_equal(width_of(at, n), width_of(text, first));
        at += n + 1;
    }
    assert_non_null(strstr(text, " 149.33 ± 97.76 |"));
    assert_non_null(strstr(text, " pp16 @ d4096 |"));
    assert_non_null(strstr(text, "|   50.0 |   12.5 |\n"));
    assert_non_null(strstr(text, "\nbuild: "));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_of_all_sequences),
        cmocka_unit_test(test_has_a_name_of_its_parts),
        cmocka_unit_test(unknown_format_names_those_that_are),
        cmocka_unit_test(json_is_an_array_of_any_length),
        cmocka_unit_test(jsonl_is_one_object_a_line),
        cmocka_unit_test(name_that_is_not_utf8_still_makes_json),
        cmocka_unit_test(csv_has_as_many_fields_in_every_record),
        cmocka_unit_test(sql_quotes_what_would_end_a_text),
        cmocka_unit_test(table_lines_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
