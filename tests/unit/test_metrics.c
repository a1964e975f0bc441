/* test_metrics.c - facts about metrics.h, read back through table.h. */
#include "noodle/metrics.h"

#include "../support/metrics_kit.h"
#include "../support/store_test.h"
#include "noodle/table.h"

static ndl_metrics *start(void)
{
    ndl_metrics *m = NULL;
    ok(kit_create(&m, path, NULL, 0));
    return m;
}

static ndl_store *finish(ndl_metrics *m)
{
    ndl_store *s = NULL;
    ok(ndl_metrics_close(&m));
    assert_null(m);
    ok(ndl_store_open(&s, path));
    return s;
}

/* Values of one column; how many there are. */
static int64_t column(ndl_store *s, const char *group, const char *name,
                      ndl_column_type type, void *out)
{
    const size_t sizes[] = { 4, 8, 8, NDL_COLUMN_TEXT_BYTES };
    ndl_table *t = NULL;
    ok(ndl_table_open(&t, s, group, &(ndl_column){ name, type, "", 0 }, 1,
                      sizes[type]));
    const int64_t n = ndl_table_n_rows(t);
    ok(ndl_table_get(t, 0, n, out));
    ndl_table_close(&t);
    return n;
}

static void check_text(ndl_store *s, const char *object, const char *name,
                       const char *want)
{
    char *text = NULL;
    ok(ndl_store_get_text(s, object, name, &text));
    assert_string_equal(text, want);
    free(text);
}

enum { MANY = 7001 }; /* several times what is kept in memory */

static void steps_come_back_in_order(void **state)
{
    (void)state;
    static ndl_metrics_step rows[MANY];
    static int64_t batch[MANY];
    static int32_t stage[MANY];
    static double busy[MANY], end[MANY];
    for (int i = 0; i < MANY; i++) rows[i] = kit_step(i);
    ndl_metrics *m = start();
    ok(ndl_metrics_steps(m, rows, 3));
    ok(ndl_metrics_steps(m, rows + 3, 0));
    ok(ndl_metrics_steps(m, rows + 3, 5000));
    ok(ndl_metrics_steps(m, rows + 5003, MANY - 5003));
    ndl_store *s = finish(m);
    assert_int_equal(column(s, "/steps", "batch", NDL_COLUMN_I64, batch), MANY);
    assert_int_equal(column(s, "/steps", "stage", NDL_COLUMN_I32, stage), MANY);
    column(s, "/steps", "busy_sec", NDL_COLUMN_F64, busy);
    column(s, "/steps", "end_sec", NDL_COLUMN_F64, end);
    for (int i = 0; i < MANY; i++) {
        assert_true(batch[i] == rows[i].batch);
        assert_int_equal(stage[i], rows[i].stage);
        assert_true(busy[i] == rows[i].busy_sec && end[i] == rows[i].end_sec);
    }
    ndl_store_close(&s);
}

static void layers_and_requests_come_back(void **state)
{
    (void)state;
    int32_t layer[30], tokens[30];
    double sum[30];
    char finished[30][NDL_COLUMN_TEXT_BYTES];
    ndl_metrics *m = start();
    for (int i = 0; i < 30; i++) {
        const ndl_metrics_layer l = kit_layer(i);
        const ndl_metrics_request r = kit_request(i);
        ok(ndl_metrics_layers(m, &l, 1));
        ok(ndl_metrics_finish(m, &r));
        ok(ndl_metrics_flush(m, i, 7));
    }
    ndl_store *s = finish(m);
    assert_int_equal(column(s, "/layers", "layer", NDL_COLUMN_I32, layer), 30);
    column(s, "/layers", "sum_sec", NDL_COLUMN_F64, sum);
    column(s, "/requests", "new_tokens", NDL_COLUMN_I32, tokens);
    assert_int_equal(
        column(s, "/requests", "finish", NDL_COLUMN_TEXT, finished), 30);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(layer[i], i % 14);
        assert_true(sum[i] == (double)i / 3);
        assert_int_equal(tokens[i], i + 1);
        assert_string_equal(finished[i], i % 2 ? "length" : "stop");
    }
    ndl_store_close(&s);
}

static void plan_has_the_measured_means_in_the_end(void **state)
{
    (void)state;
    int64_t steps[3], rows[3];
    int32_t rank[3];
    double busy[3], mean[3], expected[3], ratio[3], bubble[3], decode[3];
    ndl_metrics *m = start();
    /* Stage 1: of two steps one has an expected time; stage 2: one without;
     * stage 3: none at all. */
    ndl_metrics_step step[3] = { kit_step(0), kit_step(0), kit_step(1) };
    step[1].expected_sec = 0.25;
    step[1].busy_sec = 1.5;
    step[1].rows = 9;
    step[2].expected_sec = 0;
    ok(ndl_metrics_steps(m, step, 3));
    ndl_store *s = finish(m);
    assert_int_equal(column(s, "/plan", "steps", NDL_COLUMN_I64, steps), 3);
    column(s, "/plan", "rows", NDL_COLUMN_I64, rows);
    column(s, "/plan", "rank", NDL_COLUMN_I32, rank);
    column(s, "/plan", "busy_sec", NDL_COLUMN_F64, busy);
    column(s, "/plan", "bubble_sec", NDL_COLUMN_F64, bubble);
    column(s, "/plan", "step_busy_sec", NDL_COLUMN_F64, mean);
    column(s, "/plan", "step_expected_sec", NDL_COLUMN_F64, expected);
    column(s, "/plan", "ratio", NDL_COLUMN_F64, ratio);
    column(s, "/plan", "decode_sec", NDL_COLUMN_F64, decode);
    assert_true(steps[0] == 2 && steps[1] == 1 && steps[2] == 0);
    assert_true(rows[0] == 9 && rows[1] == 1 && rows[2] == 0);
    assert_true(rank[0] == 1 && rank[1] == 2 && rank[2] == 3);
    assert_true(busy[0] == 2.0 && mean[0] == 1.0 && bubble[0] == 0.5);
    assert_true(expected[0] == 0.25 && ratio[0] == 6.0);
    assert_true(mean[1] == 1.5 && expected[1] == 0 && ratio[1] == 0);
    assert_true(mean[2] == 0 && ratio[2] == 0 && decode[2] == 0.25);
    ndl_store_close(&s);
}

static void plan_and_ranks_are_told(void **state)
{
    (void)state;
    int64_t memory[KIT_RANKS], stages = 0;
    char host[KIT_RANKS][NDL_COLUMN_TEXT_BYTES];
    ndl_store *s = finish(start());
    check_text(s, "/", "noodle_format", "metrics");
    check_text(s, "/plan", "strategy", "exact");
    check_text(s, "/plan", "source", "measured");
    check_text(s, "/plan", "note_1", "a note");
    check_text(s, "/plan", "why_3", "reason 3");
    check_text(s, "/system", "cpu", "avx2");
    ok(ndl_store_get_ints(s, "/plan", "n_stages", &stages, 1));
    assert_int_equal(stages, KIT_STAGES);
    assert_int_equal(column(s, "/ranks", "host", NDL_COLUMN_TEXT, host),
                     KIT_RANKS);
    column(s, "/ranks", "memory_bytes", NDL_COLUMN_I64, memory);
    for (int i = 0; i < KIT_RANKS; i++) {
        assert_true(memory[i] == (int64_t)i << 40);
        assert_string_equal(host[i], i < 2 ? "node0" : "node1");
    }
    ndl_store_close(&s);
}

static void options_are_kept_and_long_ones_cut_between_characters(void **state)
{
    (void)state;
    static char lengthy[3][70000];
    ndl_metrics *m = NULL;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k + 4 < (int)sizeof lengthy[i]; k += 2)
            memcpy(lengthy[i] + i + k, "\xc3\xa9", 3);
    lengthy[1][0] = lengthy[2][0] = lengthy[2][1] = 'x';
    const ndl_metrics_fact config[] = { { "threads", "4" },
                                        { "prompt", lengthy[0] },
                                        { "prompt_1", lengthy[1] },
                                        { "empty", "" } };
    ok(kit_create(&m, path, config, 4));
    ndl_store *s = finish(m);
    check_text(s, "/config", "threads", "4");
    check_text(s, "/config", "empty", "");
    for (int i = 0; i < 2; i++) {
        char *text = NULL;
        ok(ndl_store_get_text(s, "/config", config[i + 1].name, &text));
        const size_t n = strlen(text);
        assert_in_range(n, 4000, 4096);
        assert_memory_equal(text, lengthy[i], n);
        assert_int_equal((unsigned char)text[n - 1], 0xa9);
        free(text);
    }
    ndl_store_close(&s);
}

static void of_the_environment_only_the_job_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool told;
    } vars[] = { { "SLURM_JOB_ID", true },
                 { "SLURM_JOB_NODELIST_HET_GROUP_1", true },
                 { "OMPI_COMM_WORLD_SIZE", true },
                 { "PMIX_RANK", true },
                 { "SLURM_JWT", false },
                 { "SLURM_JOB_ID_HET_GROUP_", false },
                 { "SLURM_JWT_HET_GROUP_1", false },
                 { "SLURM_JOB_IDX", false },
                 { "AWS_SECRET_ACCESS_KEY", false } };
    const int n = sizeof vars / sizeof *vars;
    for (int i = 0; i < n; i++) setenv(vars[i].name, "a value", 1);
    ndl_store *s = finish(start());
    for (int i = 0; i < n; i++) {
        if (vars[i].told)
            check_text(s, "/slurm", vars[i].name, "a value");
        else
            assert_false(ndl_store_has_attr(s, "/slurm", vars[i].name));
        unsetenv(vars[i].name);
    }
    ndl_store_close(&s);
}

static void a_path_that_cannot_be_written_says_how_to_go_on(void **state)
{
    (void)state;
    ndl_metrics *m = NULL;
    char nowhere[400];
    failed(kit_create(&m, folder.path, NULL, 0), NDL_ECREATE, "--metrics off");
    snprintf(nowhere, sizeof nowhere, "%s/none/m.h5", folder.path);
    failed(kit_create(&m, nowhere, NULL, 0), NDL_ECREATE, "No such file");
    assert_null(m);
    ok(ndl_metrics_close(&m));
}

static void an_old_file_is_replaced(void **state)
{
    (void)state;
    static int64_t batch[10];
    FILE *old = fopen(path, "w");
    fputs("what was here", old);
    fclose(old);
    for (int i = 1; i <= 2; i++) {
        const ndl_metrics_step step = kit_step(i);
        ndl_metrics *m = start();
        ok(ndl_metrics_steps(m, &step, 1));
        ndl_store *s = finish(m);
        assert_int_equal(column(s, "/steps", "batch", NDL_COLUMN_I64, batch),
                         1);
        ndl_store_close(&s);
        assert_int_equal(test_folder_count(&folder), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(steps_come_back_in_order),
        T(layers_and_requests_come_back),
        T(plan_has_the_measured_means_in_the_end),
        T(plan_and_ranks_are_told),
        T(options_are_kept_and_long_ones_cut_between_characters),
        T(of_the_environment_only_the_job_is_told),
        T(a_path_that_cannot_be_written_says_how_to_go_on),
        T(an_old_file_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
