/* test_benchmark.c - what a benchmark runs and how its work is counted. */
#include "noodle/benchmark.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/run/benchmark_work.h"
#include "folder.h"
#include "noodle/layout.h"
#include "toy.h"

static test_folder folder;
static char path[320];

static int make_file(void **state)
{
    (void)state;
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "toy.h5"));
    return toy_write(TOY_LLAMA_F32, path) == NDL_OK ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static ndl_benchmark *open_toy(const ndl_benchmark_watch *watch)
{
    ndl_benchmark *b = NULL;
    if (ndl_benchmark_open(&b, path, NDL_LOAD_MAP, watch) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return b;
}

static ndl_model toy_model(void)
{
    ndl_model m;
    ndl_mix mix;
    ndl_store *s = NULL;
    assert_int_equal(ndl_store_open(&s, path), NDL_OK);
    assert_int_equal(ndl_weights_read_model(s, &m, &mix), NDL_OK);
    ndl_store_close(&s);
    return m;
}

/* ---- statistics ---- */

static void spread_is_that_of_a_sample(void **state)
{
    (void)state;
    const double v[] = { 4.0, 1.0, 10.0, 5.0 };
    const ndl_benchmark_spread s = ndl_benchmark_spread_of(v, 4);
    assert_true(fabs(s.mean - 5.0) < 1e-12);
    assert_true(fabs(s.median - 4.5) < 1e-12);
    assert_true(fabs(s.stddev - sqrt(42.0 / 3.0)) < 1e-12);
    const ndl_benchmark_spread odd = ndl_benchmark_spread_of(v, 3);
    assert_true(fabs(odd.median - 4.0) < 1e-12);
}

static void one_sample_has_no_deviation(void **state)
{
    (void)state;
    const double v = 3.5;
    const ndl_benchmark_spread s = ndl_benchmark_spread_of(&v, 1);
    assert_true(s.mean == 3.5 && s.median == 3.5 && s.stddev == 0.0);
}

/* ---- work ---- */

static void work_of_a_step_is_the_sum_of_its_rows(void **state)
{
    (void)state;
    const ndl_benchmark_prices p = { .row_flop = 1e12,
                                     .head_flop = 1e9,
                                     .key_flop = 1.0,
                                     .block_bytes = 1e12,
                                     .head_bytes = 1e9,
                                     .key_bytes = 1.0 };
    const ndl_span spans[] = { { 0, 7, 3 }, { 1, 0, 2 } };
    ndl_benchmark_work w = { 0.0, 0.0 };
    double seen = 0.0;
    for (int i = 0; i < 2; i++)
        for (int r = 0; r < spans[i].n_rows; r++) seen += spans[i].pos + r + 1;
    ndl_benchmark_work_add(&w, &p, spans, 2, 2);
    assert_true(w.flop == 5e12 + 2e9 + seen);
    assert_true(w.bytes == 1e12 + 1e9 + 10.0 + 2.0);
    /* Weights are read again by a step that wants no logits, the head not. */
    ndl_benchmark_work_add(&w, &p, spans, 1, 0);
    assert_true(w.bytes == 2e12 + 1e9 + 22.0);
}

static void prices_count_every_matrix_twice_and_keys_by_dtype(void **state)
{
    (void)state;
    const ndl_model m = toy_model();
    const ndl_benchmark_prices f =
        ndl_benchmark_prices_of(&m, (ndl_kv_types){ NDL_F32, NDL_F32 });
    const ndl_benchmark_prices h =
        ndl_benchmark_prices_of(&m, (ndl_kv_types){ NDL_BF16, NDL_INT8 });
    const double block =
        48.0 * 32 * (6 + 2 * 2) + 48.0 * 192 + 3.0 * 48 * 100 + 2 * 48;
    assert_true(f.row_flop == 2.0 * TOY_BLOCKS * block);
    assert_true(f.head_flop == 2.0 * (toy_vocab() * 48 + 48));
    assert_true(f.key_flop == TOY_BLOCKS * 4.0 * 6 * 32);
    assert_true(f.key_bytes == TOY_BLOCKS * 2.0 * 2 * 32 * 4);
    assert_true(h.key_bytes == TOY_BLOCKS * 2.0 * (32 * 2 + 32 + 4));
}

/* ---- runs ---- */

static const ndl_benchmark_place place = { .n_threads = 2,
                                           .chunk_rows = 8,
                                           .n_seqs = 3,
                                           .depth = 20,
                                           .room = 14,
                                           .kv_types = { NDL_F32, NDL_F32 } };

/* 3 prompts of 10 in chunks of 8, then 4 tokens each: 4 + 4 steps. */
static void all_rows_and_no_others_are_run(void **state)
{
    (void)state;
    const ndl_benchmark_test test = { 10, 4 };
    const ndl_model m = toy_model();
    const ndl_benchmark_prices p = ndl_benchmark_prices_of(&m, place.kv_types);
    static ndl_benchmark_result r;
    ndl_benchmark *b = open_toy(NULL);
    double seen = 0.0;
    for (int i = 20; i < 34; i++) seen += 3.0 * (i + 1);
    for (int warm = 0; warm < 2; warm++) {
        assert_int_equal(ndl_benchmark_set(b, &place), NDL_OK);
        assert_int_equal(ndl_benchmark_run(b, &test, 2, warm, &r), NDL_OK);
        assert_int_equal(r.n, 2);
        assert_true(r.sec[0] > 0.0 && r.sec[1] > 0.0);
        const double flop =
            3.0 * 14 * p.row_flop + 3.0 * 5 * p.head_flop + seen * p.key_flop;
        assert_true(fabs(r.flop / flop - 1.0) < 1e-12);
        assert_true(r.peak_flop > 1e6 && r.peak_bytes > 1e6);
        assert_true(r.gemm_flop > 1e6 && r.gemm_flop < 1e15);
        /* 8 steps read the blocks, and those with a prompt's end the head. */
        const double weights = (double)ndl_benchmark_facts_of(b)->bytes;
        assert_true(r.bytes > 7.0 * weights && r.bytes < 60.0 * weights);
    }
    ndl_benchmark_close(&b);
    assert_null(b);
}

static void facts_are_those_of_the_file(void **state)
{
    (void)state;
    const ndl_model m = toy_model();
    ndl_benchmark *b = open_toy(NULL);
    const ndl_benchmark_facts *f = ndl_benchmark_facts_of(b);
    assert_string_equal(f->arch, "llama");
    assert_string_equal(f->dtype, "f32");
    assert_int_equal(f->n_params, ndl_model_params(&m));
    assert_true(f->bytes >= (uint64_t)f->n_params * 4);
    assert_int_equal(f->context, TOY_CONTEXT);
    assert_int_equal(f->load, NDL_LOAD_MAP);
    assert_true(f->n_cpus >= 1);
    ndl_benchmark_close(&b);
}

static void refuse(const ndl_benchmark *b, ndl_benchmark_place p,
                   const char *says)
{
    assert_int_equal(ndl_benchmark_check(b, &p), NDL_EUSAGE);
    if (!strstr(ndl_status_message(), says))
        fail_msg("\"%s\" is not in: %s", says, ndl_status_message());
    ndl_status_clear();
}

static void places_that_cannot_be_are_refused(void **state)
{
    (void)state;
    ndl_benchmark *b = open_toy(NULL);
    ndl_benchmark_place p = place;
    p.n_seqs = 9;
    refuse(b, p, "raise -ub");
    p = place;
    p.depth = TOY_CONTEXT - 13;
    refuse(b, p, "600 positions");
    p.depth = 1 << 24;
    p.room = INT32_MAX - 1;
    refuse(b, p, "600 positions");
    p = place;
    p.depth = TOY_CONTEXT - 14;
    assert_int_equal(ndl_benchmark_check(b, &p), NDL_OK);
    assert_int_equal(ndl_benchmark_set(b, &p), NDL_OK);
    ndl_benchmark_close(&b);
}

static void file_that_is_not_there_is_enoinput(void **state)
{
    (void)state;
    ndl_benchmark *b = NULL;
    assert_int_equal(ndl_benchmark_open(&b, test_folder_at(&folder, "gone.h5"),
                                        NDL_LOAD_MAP, NULL),
                     NDL_ENOINPUT);
    assert_null(b);
    ndl_status_clear();
}

static ndl_status count_down(void *arg)
{
    int *left = arg;
    return --*left < 0 ? NDL_EINT : NDL_OK;
}

/* Filling 20 keys of 3 sequences takes 8 steps of 8 rows. */
static void pulse_ends_filling_and_tests(void **state)
{
    (void)state;
    const ndl_benchmark_test test = { 10, 4 };
    static ndl_benchmark_result r;
    int left = 7;
    const ndl_benchmark_watch watch = { NULL, count_down, &left };
    ndl_benchmark *b = open_toy(&watch);
    assert_int_equal(ndl_benchmark_set(b, &place), NDL_EINT);
    left = 8;
    assert_int_equal(ndl_benchmark_set(b, &place), NDL_OK);
    assert_int_equal(left, 0);
    left = 7;
    assert_int_equal(ndl_benchmark_run(b, &test, 1, false, &r), NDL_EINT);
    left = 8;
    assert_int_equal(ndl_benchmark_run(b, &test, 1, false, &r), NDL_OK);
    ndl_benchmark_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread_is_that_of_a_sample),
        cmocka_unit_test(one_sample_has_no_deviation),
        cmocka_unit_test(work_of_a_step_is_the_sum_of_its_rows),
        cmocka_unit_test(prices_count_every_matrix_twice_and_keys_by_dtype),
        cmocka_unit_test(all_rows_and_no_others_are_run),
        cmocka_unit_test(facts_are_those_of_the_file),
        cmocka_unit_test(places_that_cannot_be_are_refused),
        cmocka_unit_test(file_that_is_not_there_is_enoinput),
        cmocka_unit_test(pulse_ends_filling_and_tests),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
