/* test_synth.c - facts about random weights, shapes and the byte tokenizer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/formats/byte_tokenizer.h"
#include "../../src/formats/random_weights.h"
#include "../../src/formats/roles.h"
#include "noodle/checkpoint.h"
#include "noodle/tokenizer.h"

static const char tiny[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":8,\"hidden_size\":256,"
    "\"num_attention_heads\":4,\"intermediate_size\":512,\"vocab_size\":300,"
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6,"
    "\"attention_bias\":true}";

static ndl_model model_of(const char *config)
{
    ndl_model m;
    ndl_status_clear();
    if (ndl_model_parse(&m, config, strlen(config), NULL, 0, "config") !=
        NDL_OK)
        fail_msg("%s", ndl_status_message());
    return m;
}

static void draw(float *dst, uint64_t seed, ndl_role role, int layer, int first,
                 int n)
{
    ndl_random_weights w = { model_of(tiny), seed };
    ndl_source s;
    ndl_random_weights_source(&w, &s);
    assert_int_equal(s.rows(s.arg, role, layer, first, n, dst), NDL_OK);
}

static float whole[512 * 256], other[512 * 256];

static void weights_do_not_depend_on_the_order_of_calls(void **state)
{
    (void)state;
    draw(whole, 1, NDL_ROLE_UP, 3, 0, 512);
    for (int step = 1; step < 600; step = step * 2 + 1)
        for (int first = 512 - 512 % step; first >= 0; first -= step) {
            const int n = first + step > 512 ? 512 - first : step;
            draw(other, 1, NDL_ROLE_UP, 3, first, n);
            assert_memory_equal(other, whole + first * 256,
                                (size_t)n * 256 * sizeof *other);
        }
}

/* How many of the first 256 elements of two tensors are equal. */
static int n_equal(void)
{
    int n = 0;
    for (int i = 0; i < 256; i++) n += whole[i] == other[i];
    return n;
}

static void weights_differ_by_seed_role_and_layer(void **state)
{
    (void)state;
    draw(whole, 1, NDL_ROLE_Q, 3, 0, 1);
    draw(other, 1, NDL_ROLE_Q, 3, 0, 1);
    assert_int_equal(n_equal(), 256);
    draw(other, 2, NDL_ROLE_Q, 3, 0, 1);
    assert_in_range(n_equal(), 0, 4);
    draw(other, 1, NDL_ROLE_Q, 4, 0, 1);
    assert_in_range(n_equal(), 0, 4);
    draw(other, 1, NDL_ROLE_K, 3, 0, 1);
    assert_in_range(n_equal(), 0, 4);
    draw(other, 1, NDL_ROLE_Q, 3, 1, 1);
    assert_in_range(n_equal(), 0, 4);
}

static void check_moments(ndl_role role, int n, double mean, double spread)
{
    ndl_role_shape s = { 0 };
    const ndl_model m = model_of(tiny);
    assert_true(ndl_role_shape_of(&m, role, &s));
    double sum = 0, squares = 0;
    draw(whole, 7, role, 0, 0, n);
    const double count = (double)n * s.cols;
    for (int i = 0; i < n * s.cols; i++) {
        sum += whole[i];
        squares += (whole[i] - mean) * (whole[i] - mean);
        assert_true(fabs(whole[i] - mean) < 3.5 * spread);
    }
    /* Five standard errors of the mean and of the spread. */
    assert_true(fabs(sum / count - mean) < 5 * spread / sqrt(count));
    assert_true(fabs(sqrt(squares / count) / spread - 1) < 5 / sqrt(count));
}

static void weights_keep_the_size_of_what_they_multiply(void **state)
{
    (void)state;
    check_moments(NDL_ROLE_TOKENS, 300, 0, 2 / sqrt(256));
    check_moments(NDL_ROLE_Q, 256, 0, 1.5 / sqrt(256));
    check_moments(NDL_ROLE_V, 256, 0, 1 / sqrt(256));
    check_moments(NDL_ROLE_OUT, 256, 0, 2 / sqrt(256 * 16));
    check_moments(NDL_ROLE_DOWN, 256, 0, 2 / sqrt(512 * 16));
    check_moments(NDL_ROLE_NORM1, 1, 1, 0.1);
    check_moments(NDL_ROLE_Q_BIAS, 1, 0, 0.1);
}

static void weights_are_the_same_on_every_machine(void **state)
{
    (void)state;
    /* Computed apart from this code: equal seeds give equal files for ever. */
    static const float first[] = {
        -0x1.10fcc80000000p-3f, 0x1.a62ff80000000p-7f, -0x1.1156da0000000p-4f,
        0x1.6dbbbc0000000p-4f,  0x1.b0bdf80000000p-6f, 0x1.03b6800000000p-3f
    };
    draw(whole, 1, NDL_ROLE_TOKENS, 0, 0, 1);
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        assert_true(whole[i] == first[i]);
}

static void weights_have_an_origin(void **state)
{
    (void)state;
    ndl_random_weights w = { model_of(tiny), 1 };
    ndl_source s;
    ndl_random_weights_source(&w, &s);
    for (int role = 0; role < NDL_N_ROLES; role++) {
        ndl_origin o = { NULL, NULL, true };
        s.origin(s.arg, (ndl_role)role, 0, &o);
        assert_non_null(o.name);
        assert_string_equal(o.dtype, "F32");
        assert_false(o.transposed);
    }
}

static void shapes_are_those_of_the_known_models(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t params;
        int layers, context;
        bool tied;
    } known[] = { { "gpt2-124m", 124439808, 12, 1024, true },
                  { "gpt2-774m", 774030080, 36, 1024, true },
                  { "tinyllama-1.1b", 1100048384, 22, 2048, false },
                  { "llama-3.2-1b", 1235814400, 16, 131072, true },
                  { "llama-3.1-8b", 8030261248, 32, 131072, false },
                  { "llama-3.1-70b", 70553706496, 80, 131072, false },
                  { "qwen2.5-7b", 7615616512, 28, 32768, false } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *config = ndl_checkpoint_shape_config(known[i].name);
        assert_non_null(config);
        const ndl_model m = model_of(config);
        assert_true(ndl_model_params(&m) == known[i].params);
        assert_int_equal(m.n_layers, known[i].layers);
        assert_int_equal(m.context, known[i].context);
        assert_int_equal(m.tied, known[i].tied);
    }
}

static void shapes_all_have_a_name_and_a_valid_config(void **state)
{
    (void)state;
    int n = 0;
    for (; ndl_checkpoint_shape_name(n); n++)
        model_of(ndl_checkpoint_shape_config(ndl_checkpoint_shape_name(n)));
    assert_int_equal(n, 7);
    assert_null(ndl_checkpoint_shape_name(-1));
    assert_null(ndl_checkpoint_shape_name(n + 1));
    assert_null(ndl_checkpoint_shape_config("gpt2"));
}

static void synth_unknown_shape_is_refused_with_the_known(void **state)
{
    (void)state;
    ndl_status_clear();
    assert_int_equal(ndl_checkpoint_synth("gpt5", "w.h5",
                                          ndl_mix_plain(NDL_F32), NULL, 1, NULL,
                                          NULL),
                     NDL_EUSAGE);
    assert_non_null(strstr(ndl_status_message(), "gpt5"));
    assert_non_null(
        strstr(ndl_status_message(),
               "gpt2-124m, gpt2-774m, tinyllama-1.1b, llama-3.2-1b, "
               "llama-3.1-8b, llama-3.1-70b, qwen2.5-7b"));
    assert_int_not_equal(access("w.h5", F_OK), 0);
    assert_int_not_equal(access("w.h5.part", F_OK), 0);
}

static void synth_missing_tokenizer_is_refused_before_writing(void **state)
{
    (void)state;
    ndl_status_clear();
    assert_int_equal(ndl_checkpoint_synth("gpt2-124m", "w.h5",
                                          ndl_mix_plain(NDL_F32),
                                          "no/tokenizer.json", 1, NULL, NULL),
                     NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), "no/tokenizer.json"));
    assert_int_not_equal(access("w.h5.part", F_OK), 0);
}

/* Valid text with each byte that UTF-8 can have. */
static size_t every_utf8_byte(char *out)
{
    static const char wide[] =
        "\xe0\xa0\x80\xef\xbf\xbd\xf0\x9f\x98\x80\xf4\x8f"
        "\xbf\xbf\xdf\xbf";
    size_t n = 0;
    for (int c = 1; c < 0x80; c++) out[n++] = (char)c;
    for (int c = 0x80; c < 0x100; c++) {
        out[n++] = (char)(0xc0 | c >> 6);
        out[n++] = (char)(0x80 | (c & 0x3f));
    }
    memcpy(out + n, wide, sizeof wide - 1);
    return n + sizeof wide - 1;
}

static void byte_tokenizer_ids_are_the_bytes(void **state)
{
    (void)state;
    char *json = ndl_byte_tokenizer();
    ndl_tokenizer *t = NULL;
    assert_non_null(json);
    if (ndl_tokenizer_parse(&t, json, strlen(json), "bytes") != NDL_OK)
        fail_msg("%s", ndl_status_message());
    free(json);
    assert_int_equal(ndl_tokenizer_size(t), 256);
    int32_t bos[8];
    assert_int_equal(ndl_tokenizer_prefix(t, bos), 0);
    char text[512];
    const size_t n = every_utf8_byte(text);
    int32_t *ids = NULL;
    size_t n_ids = 0, n_back = 0;
    char *back = NULL;
    assert_int_equal(ndl_tokenizer_encode(t, text, n, true, &ids, &n_ids),
                     NDL_OK);
    assert_int_equal(n_ids, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ids[i], (unsigned char)text[i]);
    ids[0] = 50000;
    assert_int_equal(ndl_tokenizer_decode(t, ids, n_ids, false, &back, &n_back),
                     NDL_OK);
    assert_int_equal(n_back, n - 1);
    assert_memory_equal(back, text + 1, n - 1);
    free(back);
    free(ids);
    ndl_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_do_not_depend_on_the_order_of_calls),
        cmocka_unit_test(weights_differ_by_seed_role_and_layer),
        cmocka_unit_test(weights_keep_the_size_of_what_they_multiply),
        cmocka_unit_test(weights_are_the_same_on_every_machine),
        cmocka_unit_test(weights_have_an_origin),
        cmocka_unit_test(shapes_are_those_of_the_known_models),
        cmocka_unit_test(shapes_all_have_a_name_and_a_valid_config),
        cmocka_unit_test(synth_unknown_shape_is_refused_with_the_known),
        cmocka_unit_test(synth_missing_tokenizer_is_refused_before_writing),
        cmocka_unit_test(byte_tokenizer_ids_are_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
