/*
 * test_block.c - how often the threads of a rank meet in a block, and that the
 * ways to share its work give the same bits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/formats/random_weights.h"
#include "../../src/formats/weights_source.h"
#include "../support/chance.h"
#include "../support/folder.h"
#include "noodle/clock.h"
#include "noodle/forward.h"
#include "noodle/pack.h"
#include "toy.h"

enum { LAYERS = 2, SEQS = 16, ROWS = 64, CONTEXT = 300, MAX_WIDTH = 1280 };

/* Four kv heads: a whole number for each of 1, 2 and 4 threads, not of 3.
 * `wide` has twelve, which last longer than one task where they are f32 and one
 * thread's, and rows of which sixteen are more than one thread prepares. */
static const char narrow[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":96,"
    "\"num_attention_heads\":8,\"num_key_value_heads\":4,\"head_dim\":32,"
    "\"intermediate_size\":200,\"vocab_size\":64,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":300,\"rms_norm_eps\":1e-5}";
static const char wide[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":1280,"
    "\"num_attention_heads\":12,\"num_key_value_heads\":12,\"head_dim\":32,"
    "\"intermediate_size\":400,\"vocab_size\":64,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":300,\"rms_norm_eps\":1e-5}";

/* int4 as it is made where nothing else is said: v has a matrix of its own. */
static const char *const dtypes[] = { "f32", "bf16", "int8", "int4" };
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

typedef struct rig {
    ndl_model model;
    ndl_weights *weights;
    ndl_pool *pool;
    ndl_kernels kernels;
    ndl_forward *forward;
} rig;

static ndl_mix mix_of(const char *dtype, const char *keep)
{
    ndl_mix mix;
    assert_int_equal(ndl_mix_parse(&mix, dtype, keep), NDL_OK);
    return mix;
}

static void open_rig_with(rig *r, const char *config, ndl_mix mix,
                          ndl_kv_types kv, int threads)
{
    const ndl_pool_config pool = { .n_threads = threads,
                                   .thread_init = ndl_fp_setup };
    const ndl_part part = { 0, LAYERS, false, false };
    assert_int_equal(
        ndl_model_parse(&r->model, config, strlen(config), NULL, 0, "config"),
        NDL_OK);
    assert_true(r->model.width <= MAX_WIDTH);
    const ndl_forward_limits limits = { .max_rows = ROWS,
                                        .max_spans = SEQS,
                                        .n_slots = SEQS,
                                        .context = CONTEXT,
                                        .kv_types = kv };
    assert_int_equal(
        ndl_weights_blank(&r->weights, &r->model, mix, &part, NDL_LOAD_COPY),
        NDL_OK);
    assert_int_equal(ndl_pool_create(&r->pool, &pool), NDL_OK);
    ndl_kernels_init(&r->kernels, ndl_cpu_flags());
    assert_int_equal(ndl_forward_create(&r->forward, r->weights, &part, &limits,
                                        &r->kernels, r->pool),
                     NDL_OK);
}

static void open_rig(rig *r, const char *config, ndl_mix mix, int threads)
{
    open_rig_with(r, config, mix, ndl_kv_types_default(mix), threads);
}

static void close_rig(rig *r)
{
    ndl_forward_destroy(&r->forward);
    ndl_pool_destroy(&r->pool);
    ndl_weights_destroy(&r->weights);
}

/* n rows for each of n_seqs sequences, from position pos on. */
static void run_rows(rig *r, int n_seqs, int pos, int n, float *x)
{
    ndl_span spans[SEQS];
    for (int i = 0; i < n_seqs; i++) spans[i] = (ndl_span){ i, pos, n };
    ndl_forward_blocks(r->forward, spans, n_seqs, x);
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)between(-1000, 1000) * 1e-3f;
}

/* Joins of a layer while n_seqs sequences do n rows each. */
static int joins_of(rig *r, int n_seqs, int n)
{
    static float x[ROWS * MAX_WIDTH];
    fill(x, (size_t)(ROWS * r->model.width));
    const int64_t before = ndl_pool_joins(r->pool);
    run_rows(r, n_seqs, 0, n, x);
    const int64_t joins = ndl_pool_joins(r->pool) - before;
    assert_int_equal(joins % LAYERS, 0);
    return (int)(joins / LAYERS);
}

/* Attention, out, up, down. */
static void decode_step_joins_four_times_a_layer(void **state)
{
    (void)state;
    for (int d = 0; d < N_DTYPES; d++) {
        rig r;
        open_rig(&r, narrow, mix_of(dtypes[d], NULL), 2);
        for (int n_seqs = 1; n_seqs <= SEQS; n_seqs *= 4)
            assert_int_equal(joins_of(&r, n_seqs, 1), 4);
        close_rig(&r);
        open_rig(&r, wide, mix_of(dtypes[d], NULL), 2);
        assert_int_equal(joins_of(&r, 1, 1), 4);
        close_rig(&r);
    }
}

/* Heads that are no whole number for each thread: q, k and v are shared out by
 * their panels, and attention is a run of its own. */
static void decode_step_of_odd_heads_joins_five_times(void **state)
{
    (void)state;
    for (int d = 0; d < N_DTYPES; d++) {
        rig r;
        open_rig(&r, narrow, mix_of(dtypes[d], NULL), 3);
        assert_int_equal(joins_of(&r, 1, 1), 5);
        close_rig(&r);
    }
}

/* Twice the preparation of rows after a norm and twice without, four products,
 * store, attention. */
static void prompt_joins_at_most_ten_times_a_layer(void **state)
{
    (void)state;
    for (int d = 0; d < N_DTYPES; d++) {
        rig r;
        open_rig(&r, wide, mix_of(dtypes[d], NULL), 2);
        const int joins = joins_of(&r, 1, ROWS);
        assert_true(joins >= 8 && joins <= 10);
        close_rig(&r);
    }
}

static void one_thread_joins_nobody(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, narrow, mix_of("int8", NULL), 1);
    assert_int_equal(joins_of(&r, 1, ROWS), 0);
    close_rig(&r);
}

/* A prompt of 20 rows of each of three sequences and three steps, the last one
 * of four rows. */
static void run_all(rig *r, const float *from, float *to)
{
    static const int rows[] = { 20, 1, 1, 4 };
    const size_t width = (size_t)r->model.width;
    int pos = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t n = 3 * (size_t)rows[i] * width;
        memcpy(to, from, n * sizeof *to);
        run_rows(r, 3, pos, rows[i], to);
        pos += rows[i];
        from += n;
        to += n;
    }
}

enum { ALL = 3 * 26 * MAX_WIDTH };

/* One shape, dtype and cache by 4, 3, 2 and 1 threads. */
static void check_threads(const char *config, const char *dtype,
                          const ndl_kv_types *kv)
{
    static float x[ALL], truth[ALL], y[ALL];
    const ndl_mix mix = mix_of(dtype, NULL);
    fill(x, ALL);
    for (int threads = 4; threads >= 1; threads--) {
        rig r;
        open_rig_with(&r, config, mix, kv ? *kv : ndl_kv_types_default(mix),
                      threads);
        run_all(&r, x, threads == 4 ? truth : y);
        const size_t n = (size_t)(3 * 26 * r.model.width);
        close_rig(&r);
        for (size_t i = 0; i < n; i++) assert_true(isfinite(truth[i]));
        if (threads < 4 && memcmp(y, truth, n * sizeof *y) != 0)
            fail_msg("%s, %d threads: differs from 4", dtype, threads);
    }
}

static void threads_share_a_block_in_any_way_with_the_same_bits(void **state)
{
    (void)state;
    static const char *const configs[] = { narrow, wide };
    static const ndl_kv_types caches[] = { { NDL_INT8, NDL_INT8 },
                                           { NDL_INT8, NDL_BF16 },
                                           { NDL_BF16, NDL_INT8 } };
    random_state = chance_seed(20261121);
    for (int c = 0; c < 2; c++) {
        for (int d = 0; d < N_DTYPES; d++)
            check_threads(configs[c], dtypes[d], NULL);
        for (int i = 0; i < 3; i++)
            check_threads(configs[c], "int8", &caches[i]);
    }
}

/* ---- v beside q and k ---- */

/* q and k end in the middle of a panel, and so does v. */
static const char odd_heads[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"hidden_size\":48,"
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":20,"
    "\"intermediate_size\":90,\"vocab_size\":301,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":600,\"rms_norm_eps\":1e-5,"
    "\"attention_bias\":true}";

static void pack(const char *path, const ndl_source *source, const ndl_model *m,
                 const char *mix_text)
{
    const ndl_pack_meta meta = { .config = odd_heads };
    ndl_mix mix;
    ndl_store *s = NULL;
    assert_int_equal(ndl_mix_read(&mix, mix_text), NDL_OK);
    assert_int_equal(ndl_store_create(&s, path), NDL_OK);
    assert_int_equal(ndl_pack(s, m, mix, source, &meta), NDL_OK);
    assert_int_equal(ndl_store_commit(&s), NDL_OK);
    ndl_store_close(&s);
}

/* A bf16 number is an f32 number too: only where v lies differs. */
static void v_on_its_own_begins_at_a_whole_panel(void **state)
{
    (void)state;
    enum { N = 41 };
    const toy_how how = { { NDL_BF16, NDL_BF16 },
                          ndl_cpu_flags() & ~(unsigned)NDL_CPU_BF16 };
    ndl_random_weights random = { .seed = 7 };
    ndl_weights_source *w = NULL;
    ndl_source source;
    test_folder folder;
    char joined[320], apart[320];
    float *x = NULL, *y = NULL;
    int32_t ids[N];
    assert_int_equal(test_folder_make(&folder), 0);
    snprintf(joined, sizeof joined, "%s", test_folder_at(&folder, "joined.h5"));
    snprintf(apart, sizeof apart, "%s", test_folder_at(&folder, "apart.h5"));
    assert_int_equal(ndl_model_parse(&random.model, odd_heads,
                                     strlen(odd_heads), NULL, 0, "config"),
                     NDL_OK);
    ndl_random_weights_source(&random, &source);
    pack(joined, &source, &random.model, "bf16");
    assert_int_equal(ndl_weights_source_open(&w, joined), NDL_OK);
    ndl_weights_source_get(w, &source);
    pack(apart, &source, &random.model, "bf16,v=f32");
    ndl_weights_source_close(&w);
    toy_prompt(3, ids, N);
    assert_int_equal(toy_logits(joined, how, ids, N, &x), NDL_OK);
    assert_int_equal(toy_logits(apart, how, ids, N, &y), NDL_OK);
    assert_memory_equal(x, y, N * (size_t)toy_vocab() * sizeof *x);
    free(x);
    free(y);
    assert_int_equal(test_folder_remove(&folder), 0);
}

/* Every other product of bf16 is late. */
static atomic_int n_products;

static void multiply_late(float *y, size_t ldy, const float *x, size_t ldx,
                          const uint16_t *w, int rows, int panels, int k)
{
    ndl_kernels ref;
    ndl_kernels_init(&ref, 0);
    if (n_products++ % 2) ndl_clock_sleep(2e-3);
    ref.matmul_bf16(y, ldy, x, ldx, w, rows, panels, k);
}

static void late_q_and_k_do_not_overwrite_v(void **state)
{
    (void)state;
    enum { N = 20, WIDTH = 48 };
    const ndl_mix mix = mix_of("bf16", "v=f32");
    float x[N * WIDTH], y[N * WIDTH];
    rig r;
    random_state = 5;
    fill(x, N * WIDTH);
    memcpy(y, x, sizeof y);
    open_rig(&r, odd_heads, mix, 1);
    ndl_kernels_init(&r.kernels, 0);
    run_rows(&r, 1, 0, N, x);
    close_rig(&r);
    open_rig(&r, odd_heads, mix, 2);
    ndl_kernels_init(&r.kernels, 0);
    r.kernels.matmul_bf16 = multiply_late;
    float again[N * WIDTH];
    for (int i = 0; i < 8; i++) {
        memcpy(again, y, sizeof again);
        run_rows(&r, 1, 0, N, again);
        assert_memory_equal(again, x, sizeof x);
    }
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_step_joins_four_times_a_layer),
        cmocka_unit_test(decode_step_of_odd_heads_joins_five_times),
        cmocka_unit_test(prompt_joins_at_most_ten_times_a_layer),
        cmocka_unit_test(one_thread_joins_nobody),
        cmocka_unit_test(threads_share_a_block_in_any_way_with_the_same_bits),
        cmocka_unit_test(v_on_its_own_begins_at_a_whole_panel),
        cmocka_unit_test(late_q_and_k_do_not_overwrite_v),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
