/* test_model.c - facts about model.h: config.json in, shape out. */
#include "noodle/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The smallest complete configs; a test adds or replaces fields. */
#define GPT2_CORE                                                              \
    "\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":4,\"n_embd\":64,"        \
    "\"n_positions\":128,\"vocab_size\":300,\"layer_norm_epsilon\":1e-5"
#define LLAMA_CORE                                                             \
    "\"model_type\":\"llama\",\"num_hidden_layers\":3,\"hidden_size\":64,"     \
    "\"num_attention_heads\":4,\"intermediate_size\":160,"                     \
    "\"vocab_size\":300,\"max_position_embeddings\":256,"                      \
    "\"rms_norm_eps\":1e-6"

static ndl_status parse_both(ndl_model *m, const char *config,
                             const char *generation)
{
    ndl_status_clear();
    return ndl_model_parse(m, config, strlen(config), generation,
                           generation ? strlen(generation) : 0, "config.json");
}

static ndl_model parse(const char *config)
{
    ndl_model m;
    if (parse_both(&m, config, NULL) != NDL_OK)
        fail_msg("%s: %s", config, ndl_status_message());
    return m;
}

static void refuse(const char *config, const char *word)
{
    ndl_model m;
    memset(&m, 0x5a, sizeof m);
    const ndl_model before = m;
    if (parse_both(&m, config, NULL) != NDL_EDATA)
        fail_msg("not refused: %s", config);
    if (!strstr(ndl_status_message(), word))
        fail_msg("%s: \"%s\" has no \"%s\"", config, ndl_status_message(),
                 word);
    assert_null(strchr(ndl_status_message(), '\n'));
    assert_memory_equal(&m, &before, sizeof m);
}

static void gpt2_fields_mean_what_they_say(void **state)
{
    (void)state;
    const ndl_model m = parse(
        "{" GPT2_CORE ",\"bos_token_id\":7,\"eos_token_id\":9,\"x\":[1]}");
    assert_string_equal(m.arch, "gpt2");
    assert_int_equal(m.n_layers, 2);
    assert_int_equal(m.width, 64);
    assert_int_equal(m.n_heads, 4);
    assert_int_equal(m.n_kv_heads, 4);
    assert_int_equal(m.head_dim, 16);
    assert_int_equal(m.ffn, 256);
    assert_int_equal(m.vocab, 300);
    assert_int_equal(m.context, 128);
    assert_int_equal(m.norm, NDL_NORM_LAYER);
    assert_true(m.norm_eps == 1e-5f);
    assert_int_equal(m.mlp, NDL_MLP_GELU);
    assert_int_equal(m.rope.kind, NDL_ROPE_NONE);
    assert_true(m.tied && m.qkv_bias && m.out_bias && m.mlp_bias);
    assert_int_equal(m.bos, 7);
    assert_int_equal(m.n_eos, 1);
    assert_int_equal(m.eos[0], 9);
}

static void gpt2_spellings_are_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("{" GPT2_CORE ",\"n_inner\":100}").ffn, 100);
    assert_int_equal(parse("{" GPT2_CORE ",\"n_inner\":null}").ffn, 256);
    assert_false(parse("{" GPT2_CORE ",\"tie_word_embeddings\":false}").tied);
    parse("{" GPT2_CORE ",\"activation_function\":\"gelu_pytorch_tanh\"}");
    parse("{" GPT2_CORE ",\"activation_function\":\"gelu_new\"}");
    const ndl_model m = parse(
        "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":4,\"n_embd\":64,"
        "\"n_ctx\":99,\"vocab_size\":300,\"layer_norm_epsilon\":1e-5}");
    assert_int_equal(m.context, 99);
    assert_int_equal(m.bos, -1);
    assert_int_equal(m.n_eos, 0);
}

static void llama_fields_mean_what_they_say(void **state)
{
    (void)state;
    const ndl_model m = parse("{" LLAMA_CORE ",\"num_key_value_heads\":2}");
    assert_string_equal(m.arch, "llama");
    assert_int_equal(m.n_layers, 3);
    assert_int_equal(m.width, 64);
    assert_int_equal(m.n_heads, 4);
    assert_int_equal(m.n_kv_heads, 2);
    assert_int_equal(m.head_dim, 16);
    assert_int_equal(m.ffn, 160);
    assert_int_equal(m.vocab, 300);
    assert_int_equal(m.context, 256);
    assert_int_equal(m.norm, NDL_NORM_RMS);
    assert_true(m.norm_eps == 1e-6f);
    assert_int_equal(m.mlp, NDL_MLP_SWIGLU);
    assert_int_equal(m.rope.kind, NDL_ROPE_PLAIN);
    assert_true(m.rope.theta == 10000);
    assert_false(m.tied || m.qkv_bias || m.out_bias || m.mlp_bias);
}

static void llama_spellings_are_understood(void **state)
{
    (void)state;
    const ndl_model m =
        parse("{" LLAMA_CORE ",\"head_dim\":32,\"num_key_value_heads\":null,"
              "\"attention_bias\":true,\"mlp_bias\":true,"
              "\"tie_word_embeddings\":true,\"pretraining_tp\":2,"
              "\"sliding_window\":null,\"quantization_config\":null,"
              "\"partial_rotary_factor\":1.0,\"hidden_act\":\"silu\"}");
    assert_int_equal(m.head_dim, 32);
    assert_int_equal(m.n_kv_heads, 4);
    assert_true(m.qkv_bias && m.out_bias && m.mlp_bias && m.tied);
}

static void llama_whole_reals_count_as_numbers(void **state)
{
    (void)state;
    const ndl_model m =
        parse("{\"model_type\":\"llama\",\"num_hidden_layers\":3.0,"
              "\"hidden_size\":6.4e1,\"num_attention_heads\":4,"
              "\"intermediate_size\":1e4,\"vocab_size\":300,"
              "\"max_position_embeddings\":10000.0,\"rms_norm_eps\":1,"
              "\"rope_theta\":10000}");
    assert_int_equal(m.n_layers, 3);
    assert_int_equal(m.width, 64);
    assert_int_equal(m.ffn, 10000);
    assert_int_equal(m.context, 10000);
}

static ndl_rope rope_of(const char *more)
{
    char config[1024];
    snprintf(config, sizeof config, "{%s,%s}", LLAMA_CORE, more);
    return parse(config).rope;
}

static void rope_of_version_4_is_understood(void **state)
{
    (void)state;
    ndl_rope r = rope_of("\"rope_theta\":5e5,\"rope_scaling\":null");
    assert_int_equal(r.kind, NDL_ROPE_PLAIN);
    assert_true(r.theta == 5e5);
    r = rope_of("\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}");
    assert_int_equal(r.kind, NDL_ROPE_LINEAR);
    assert_true(r.factor == 2 && r.theta == 10000);
    r = rope_of("\"rope_scaling\":{\"type\":\"default\"}");
    assert_int_equal(r.kind, NDL_ROPE_PLAIN);
    r = rope_of("\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\","
                "\"factor\":32.0,\"low_freq_factor\":1,\"high_freq_factor\":4,"
                "\"original_max_position_embeddings\":8192}");
    assert_int_equal(r.kind, NDL_ROPE_LLAMA3);
    assert_true(r.theta == 5e5 && r.factor == 32);
    assert_true(r.low_freq_factor == 1 && r.high_freq_factor == 4);
    assert_int_equal(r.original_context, 8192);
}

static void rope_of_version_5_is_understood(void **state)
{
    (void)state;
    ndl_rope r = rope_of("\"rope_parameters\":{\"rope_theta\":7e5,"
                         "\"rope_type\":\"default\"}");
    assert_int_equal(r.kind, NDL_ROPE_PLAIN);
    assert_true(r.theta == 7e5);
    r = rope_of("\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4}");
    assert_int_equal(r.kind, NDL_ROPE_LINEAR);
    assert_true(r.theta == 10000 && r.factor == 4);
    r = rope_of("\"rope_parameters\":{\"rope_type\":\"llama3\","
                "\"rope_theta\":5e5,\"factor\":8,\"low_freq_factor\":1,"
                "\"high_freq_factor\":4},"
                "\"original_max_position_embeddings\":4096");
    assert_int_equal(r.kind, NDL_ROPE_LLAMA3);
    assert_int_equal(r.original_context, 4096);
}

static void rope_newer_spellings_win_over_older(void **state)
{
    (void)state;
    ndl_rope r = rope_of("\"rope_theta\":3,\"rope_parameters\":"
                         "{\"rope_theta\":5,\"rope_type\":\"default\"},"
                         "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}");
    assert_int_equal(r.kind, NDL_ROPE_PLAIN);
    assert_true(r.theta == 5);
    r = rope_of("\"rope_scaling\":{\"type\":\"linear\",\"factor\":2,"
                "\"rope_type\":\"default\"}");
    assert_int_equal(r.kind, NDL_ROPE_PLAIN);
}

static void eos_is_the_union_of_both_files(void **state)
{
    (void)state;
    ndl_model m;
    const char *config = "{" LLAMA_CORE ",\"eos_token_id\":[5,6]}";
    assert_int_equal(parse_both(&m, config, "{\"eos_token_id\":[6,7,5,8]}"),
                     NDL_OK);
    assert_int_equal(m.n_eos, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(m.eos[i], 5 + i);
    assert_int_equal(parse_both(&m, config, "{\"eos_token_id\":9}"), NDL_OK);
    assert_int_equal(m.n_eos, 3);
    assert_int_equal(m.eos[2], 9);
    assert_int_equal(parse_both(&m, config, "{\"eos_token_id\":null}"), NDL_OK);
    assert_int_equal(m.n_eos, 2);
    assert_int_equal(parse_both(&m, config, "{}"), NDL_OK);
    m = parse("{" LLAMA_CORE ",\"eos_token_id\":-1,\"bos_token_id\":-1}");
    assert_int_equal(m.n_eos, 0);
    assert_int_equal(m.bos, -1);
}

static void eos_that_is_no_id_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"eos_token_id\":300}",
        "{\"eos_token_id\":-2}",
        "{\"eos_token_id\":\"x\"}",
        "{\"eos_token_id\":[1,[2]]}",
        "{\"eos_token_id\":1.5}",
        "{\"eos_token_id\":1e300}",
        "{\"eos_token_id\":[null]}",
        "[]",
        "{",
        "{\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}",
    };
    ndl_model m;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse_both(&m, "{" LLAMA_CORE "}", bad[i]), NDL_EDATA);
        assert_non_null(strstr(ndl_status_message(), "generation_config.json"));
    }
    refuse("{" LLAMA_CORE ",\"bos_token_id\":300}", "bos_token_id");
    refuse("{" LLAMA_CORE ",\"eos_token_id\":300}", "eos_token_id");
}

typedef struct refusal {
    const char *more; /* fields behind the core's */
    const char *word; /* that the message must have */
} refusal;

static void refuse_each(const char *core, const refusal *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char config[1024];
        snprintf(config, sizeof config, "{%s,%s}", core, r[i].more);
        refuse(config, r[i].word);
    }
}

/* clang-format off */
static const refusal llama_refusals[] = {
    { "\"quantization_config\":{\"quant_method\":\"gptq\"}", "gptq" },
    { "\"quantization_config\":{}",         "quantization_config" },
    { "\"quantization_config\":7",          "quantization_config" },
    { "\"hidden_act\":\"gelu\"",            "hidden_act \"gelu\"" },
    { "\"hidden_act\":1",                   "hidden_act" },
    { "\"sliding_window\":4096",            "sliding_window" },
    { "\"partial_rotary_factor\":0.5",      "partial_rotary_factor" },
    { "\"attention_bias\":1",               "attention_bias" },
    { "\"tie_word_embeddings\":\"yes\"",    "tie_word_embeddings" },
    { "\"num_key_value_heads\":3",          "4 heads" },
    { "\"num_key_value_heads\":8",          "4 heads" },
    { "\"num_key_value_heads\":0",          "num_key_value_heads" },
    { "\"num_key_value_heads\":-4",         "num_key_value_heads" },
    { "\"head_dim\":33",                    "head_dim" },
    { "\"head_dim\":2048",                  "head_dim" },
    { "\"head_dim\":\"16\"",                "head_dim" },
    { "\"rope_theta\":0",                   "rope_theta" },
    { "\"rope_theta\":-1e4",                "rope_theta" },
    { "\"rope_theta\":1e999",               "not valid JSON" },
    { "\"rope_theta\":NaN",                 "not valid JSON" },
    { "\"rope_theta\":[1]",                 "rope_theta" },
    { "\"vocab_size\":1",                   "duplicate" },
    { "\"rope_scaling\":[]",                "rope_scaling" },
    { "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}",   "yarn" },
    { "\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2}", "dynamic" },
    { "\"rope_scaling\":{\"rope_type\":\"a\\nb\"}",          "a?b" },
    { "\"rope_scaling\":{\"rope_type\":5}",                  "rope_type" },
    { "\"rope_scaling\":{\"factor\":2}",                     "rope_type" },
    { "\"rope_scaling\":{\"type\":\"linear\"}",              "factor" },
    { "\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}", "factor" },
    { "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2}", "low_freq" },
    { "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2,"
      "\"low_freq_factor\":1,\"high_freq_factor\":4}",       "original_max" },
    { "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2,"
      "\"low_freq_factor\":4,\"high_freq_factor\":4,"
      "\"original_max_position_embeddings\":64}",            "high_freq" },
    { "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":5}}",
      "each type of layer" },
    { "\"rope_parameters\":{\"partial_rotary_factor\":0.25}",
      "partial_rotary_factor" },
};
static const refusal gpt2_refusals[] = {
    { "\"activation_function\":\"gelu\"",          "\"gelu\"" },
    { "\"activation_function\":\"relu\"",          "\"relu\"" },
    { "\"scale_attn_weights\":false",              "scale_attn_weights" },
    { "\"scale_attn_by_inverse_layer_idx\":true",  "inverse_layer_idx" },
    { "\"add_cross_attention\":true",              "add_cross_attention" },
    { "\"n_inner\":0",                             "n_inner" },
    { "\"n_inner\":1048577",                       "n_inner" },
};
/* clang-format on */

static void model_what_would_change_the_result_is_refused(void **state)
{
    (void)state;
    refuse_each(LLAMA_CORE, llama_refusals,
                sizeof llama_refusals / sizeof *llama_refusals);
    refuse_each(GPT2_CORE, gpt2_refusals,
                sizeof gpt2_refusals / sizeof *gpt2_refusals);
}

#define QWEN2_CORE                                                             \
    "\"model_type\":\"qwen2\",\"num_hidden_layers\":3,\"hidden_size\":64,"     \
    "\"num_attention_heads\":4,\"intermediate_size\":160,"                     \
    "\"vocab_size\":300,\"max_position_embeddings\":256,"                      \
    "\"rms_norm_eps\":1e-6"

static void qwen2_has_biases_that_no_field_announces(void **state)
{
    (void)state;
    const ndl_model m = parse("{" QWEN2_CORE ",\"attention_bias\":false,"
                              "\"rope_theta\":1000000.0,"
                              "\"num_key_value_heads\":2}");
    assert_string_equal(m.arch, "qwen2");
    assert_true(m.qkv_bias);
    assert_false(m.out_bias || m.mlp_bias || m.tied);
    assert_int_equal(m.n_kv_heads, 2);
    assert_int_equal(m.head_dim, 16);
    assert_int_equal(m.norm, NDL_NORM_RMS);
    assert_int_equal(m.mlp, NDL_MLP_SWIGLU);
    assert_int_equal(m.rope.kind, NDL_ROPE_PLAIN);
    assert_true(m.rope.theta == 1e6);
    assert_true(parse("{" QWEN2_CORE ",\"tie_word_embeddings\":true}").tied);
}

static void qwen2_window_is_refused_only_where_it_is_used(void **state)
{
    (void)state;
    parse("{" QWEN2_CORE ",\"sliding_window\":32}");
    parse("{" QWEN2_CORE ",\"sliding_window\":32,\"max_window_layers\":1,"
          "\"use_sliding_window\":false}");
    parse("{" QWEN2_CORE ",\"sliding_window\":32,\"max_window_layers\":3,"
          "\"use_sliding_window\":true}");
    parse("{" QWEN2_CORE ",\"layer_types\":[\"full_attention\","
          "\"full_attention\",\"full_attention\"]}");
    refuse("{" QWEN2_CORE ",\"sliding_window\":32,\"max_window_layers\":2,"
           "\"use_sliding_window\":true}",
           "use_sliding_window");
    refuse("{" QWEN2_CORE ",\"use_sliding_window\":true}",
           "use_sliding_window");
    refuse("{" QWEN2_CORE ",\"use_sliding_window\":1}", "use_sliding_window");
    refuse("{" QWEN2_CORE ",\"layer_types\":[\"full_attention\","
           "\"sliding_attention\"]}",
           "sliding_attention");
    refuse("{" QWEN2_CORE ",\"layer_types\":[3]}", "layer_types");
    refuse("{" QWEN2_CORE ",\"rope_scaling\":{\"type\":\"yarn\","
           "\"factor\":4}}",
           "yarn");
}

static void model_unknown_type_is_refused_by_name(void **state)
{
    (void)state;
    refuse("{\"model_type\":\"mistral\"}",
           "model_type \"mistral\" is not supported: gpt2, llama, qwen2");
    refuse("{\"model_type\":\"\"}", "model_type");
    refuse("{\"model_type\":5}", "model_type");
    refuse("{}", "no model_type");
    refuse("[]", "no JSON object");
    refuse("", "config.json");
    refuse("{\"model_type\":\"gpt2\"", "config.json: line 1");
}

/* Copy the config without the member `name`; all members are name:number. */
static void without(char *out, const char *config, const char *name)
{
    const char *at = strstr(config, name) - 1;
    const char *end = at + strcspn(at, ",}");
    if (*end == '}')
        at--; /* the comma before the last member */
    else
        end++;
    snprintf(out, 1024, "%.*s%s", (int)(at - config), config, end);
}

static void with_value(char *out, const char *config, const char *name,
                       const char *value)
{
    const char *at = strstr(config, name) + strlen(name) + 2;
    snprintf(out, 1024, "%.*s%s%s", (int)(at - config), config, value,
             at + strcspn(at, ",}"));
}

static const char *const required[][9] = {
    { "{" GPT2_CORE "}", "n_layer", "n_head", "n_embd", "n_positions",
      "vocab_size", "layer_norm_epsilon", NULL },
    { "{" LLAMA_CORE "}", "num_hidden_layers", "hidden_size",
      "num_attention_heads", "intermediate_size", "vocab_size",
      "max_position_embeddings", "rms_norm_eps", NULL },
};

static void model_missing_field_is_named(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++)
        for (int i = 1; required[f][i]; i++) {
            char config[1024], word[64];
            without(config, required[f][0], required[f][i]);
            snprintf(word, sizeof word, "no %s", required[f][i]);
            refuse(config, word);
            with_value(config, required[f][0], required[f][i], "null");
            refuse(config, word);
        }
}

static void model_hostile_value_is_refused_with_its_field(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-1",     "0",    "1e18", "9007199254740993", "9223372036854775807",
        "\"64\"", "true", "[64]", "{\"a\":1}",        "1.7976931348623157e308",
        "-1e-320"
    };
    for (int f = 0; f < 2; f++)
        for (int i = 1; required[f][i]; i++)
            for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
                char config[1024];
                with_value(config, required[f][0], required[f][i], bad[b]);
                refuse(config, required[f][i]);
            }
    refuse("{" LLAMA_CORE ",\"head_dim\":16.5}", "head_dim");
}

static void model_numbers_json_cannot_hold_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "1e999", "-1e999", "NaN", "Infinity", "18446744073709551616",
        "0x40",  "+1"
    };
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        char config[1024];
        with_value(config, "{" LLAMA_CORE "}", "hidden_size", bad[b]);
        refuse(config, "config.json");
    }
}

static void model_limits_are_exact(void **state)
{
    (void)state;
    char config[1024];
    const char *core = "{" LLAMA_CORE "}";
    with_value(config, core, "hidden_size", "131072");
    refuse(config, "head_dim is 32768");
    with_value(config, core, "hidden_size", "131073");
    refuse(config, "from 1 to 131072");
    with_value(config, core, "vocab_size", "16777216");
    assert_int_equal(parse(config).vocab, 1 << 24);
    with_value(config, core, "vocab_size", "16777217");
    refuse(config, "vocab_size");
    with_value(config, core, "num_hidden_layers", "4096");
    assert_int_equal(parse(config).n_layers, NDL_MAX_LAYERS);
    with_value(config, core, "num_hidden_layers", "4097");
    refuse(config, "num_hidden_layers");
    with_value(config, core, "hidden_size", "66");
    refuse(config, "width 66");
    with_value(config, core, "hidden_size", "60");
    refuse(config, "head_dim is 15");
    with_value(config, core, "rms_norm_eps", "1e-60");
    refuse(config, "rms_norm_eps");
}

static void model_largest_counts_do_not_overflow(void **state)
{
    (void)state;
    const ndl_model m = parse(
        "{\"model_type\":\"llama\",\"num_hidden_layers\":4096,"
        "\"hidden_size\":131072,\"num_attention_heads\":4096,"
        "\"head_dim\":1024,\"intermediate_size\":1048576,"
        "\"vocab_size\":16777216,\"max_position_embeddings\":16777216,"
        "\"rms_norm_eps\":1e-6,\"attention_bias\":true,\"mlp_bias\":true}");
    const int64_t d = 131072, q = 4096 * 1024, f = 1048576;
    assert_true(ndl_model_block_params(&m) ==
                4 * d * q + 3 * d * f + 2 * d + 3 * q + d + 2 * f + d);
    assert_true(ndl_model_params(&m) > 4096 * ndl_model_block_params(&m));
}

static void params_of_known_models_are_known(void **state)
{
    (void)state;
    const ndl_model gpt2 =
        parse("{\"model_type\":\"gpt2\",\"n_layer\":12,\"n_head\":12,"
              "\"n_embd\":768,\"n_positions\":1024,\"vocab_size\":50257,"
              "\"layer_norm_epsilon\":1e-5}");
    assert_true(ndl_model_params(&gpt2) == 124439808);
    assert_true(ndl_model_embed_params(&gpt2) == (50257 + 1024) * 768);
    assert_true(ndl_model_head_params(&gpt2) == 50257 * 768 + 2 * 768);
    assert_true(ndl_model_block_params(&gpt2) == 7087872);
    const ndl_model tiny =
        parse("{\"model_type\":\"llama\",\"num_hidden_layers\":22,"
              "\"hidden_size\":2048,\"num_attention_heads\":32,"
              "\"num_key_value_heads\":4,\"intermediate_size\":5632,"
              "\"vocab_size\":32000,\"max_position_embeddings\":2048,"
              "\"rms_norm_eps\":1e-5}");
    assert_true(ndl_model_params(&tiny) == 1100048384);
    assert_true(ndl_model_embed_params(&tiny) == 32000 * 2048);
}

static void params_of_parts_sum_to_the_whole(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "{" LLAMA_CORE "}", "{" LLAMA_CORE ",\"tie_word_embeddings\":true}",
        "{" GPT2_CORE "}", "{" GPT2_CORE ",\"tie_word_embeddings\":false}"
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        const ndl_model m = parse(configs[i]);
        const int64_t parts = ndl_model_embed_params(&m) +
                              ndl_model_head_params(&m) +
                              m.n_layers * ndl_model_block_params(&m);
        assert_true(ndl_model_params(&m) ==
                    parts - (m.tied ? (int64_t)m.vocab * m.width : 0));
    }
}

static void rope_pair_is_a_lane_apart_only_where_rows_are_permuted(void **state)
{
    (void)state;
    ndl_model m = { .head_dim = 64, .rope.kind = NDL_ROPE_PLAIN };
    assert_int_equal(ndl_model_rope_pair(&m), 16);
    m.head_dim = 48;
    assert_int_equal(ndl_model_rope_pair(&m), 24);
    m.head_dim = 16;
    assert_int_equal(ndl_model_rope_pair(&m), 8);
    m = (ndl_model){ .head_dim = 64, .rope.kind = NDL_ROPE_NONE };
    assert_int_equal(ndl_model_rope_pair(&m), 32);
}

static void dtype_names_go_both_ways(void **state)
{
    (void)state;
    ndl_dtype t = NDL_F32;
    assert_true(ndl_dtype_parse("bf16", &t));
    assert_int_equal(t, NDL_BF16);
    assert_false(ndl_dtype_parse("f16", &t));
    assert_false(ndl_dtype_parse("", &t));
    assert_int_equal(t, NDL_BF16);
    assert_true(ndl_dtype_parse(ndl_dtype_name(NDL_F32), &t));
    assert_int_equal(t, NDL_F32);
    assert_int_equal(ndl_dtype_bytes(NDL_F32), 4);
    assert_int_equal(ndl_dtype_bytes(NDL_BF16), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_fields_mean_what_they_say),
        cmocka_unit_test(gpt2_spellings_are_understood),
        cmocka_unit_test(llama_fields_mean_what_they_say),
        cmocka_unit_test(llama_spellings_are_understood),
        cmocka_unit_test(llama_whole_reals_count_as_numbers),
        cmocka_unit_test(rope_of_version_4_is_understood),
        cmocka_unit_test(rope_of_version_5_is_understood),
        cmocka_unit_test(rope_newer_spellings_win_over_older),
        cmocka_unit_test(eos_is_the_union_of_both_files),
        cmocka_unit_test(eos_that_is_no_id_is_refused),
        cmocka_unit_test(model_what_would_change_the_result_is_refused),
        cmocka_unit_test(qwen2_has_biases_that_no_field_announces),
        cmocka_unit_test(qwen2_window_is_refused_only_where_it_is_used),
        cmocka_unit_test(model_unknown_type_is_refused_by_name),
        cmocka_unit_test(model_missing_field_is_named),
        cmocka_unit_test(model_hostile_value_is_refused_with_its_field),
        cmocka_unit_test(model_numbers_json_cannot_hold_are_refused),
        cmocka_unit_test(model_limits_are_exact),
        cmocka_unit_test(model_largest_counts_do_not_overflow),
        cmocka_unit_test(params_of_known_models_are_known),
        cmocka_unit_test(params_of_parts_sum_to_the_whole),
        cmocka_unit_test(
            rope_pair_is_a_lane_apart_only_where_rows_are_permuted),
        cmocka_unit_test(dtype_names_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
