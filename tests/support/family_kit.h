/* family_kit.h - the tensors of tiny models, as checkpoints name them. */
#ifndef NOODLE_FAMILY_KIT_H
#define NOODLE_FAMILY_KIT_H

#include "tensor_kit.h"

static inline void kit_add_in(kit_checkpoint *c, const char *in, int layer,
                              const char *name, int d0, int d1)
{
    char full[128];
    snprintf(full, sizeof full, "%.40s%d.%.60s", in, layer, name);
    kit_add(c, full, d0, d1);
}

/* GPT-2: 2 layers, width 32, 2 heads, ffn 128, vocabulary 40, context 24. */
#define KIT_GPT2_CONFIG                                                        \
    "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":2,\"n_embd\":32,"       \
    "\"n_positions\":24,\"vocab_size\":40,\"layer_norm_epsilon\":1e-5}"

static inline void kit_add_gpt2_layer(kit_checkpoint *c, const char *in, int i)
{
    kit_add_in(c, in, i, "ln_1.weight", 32, 0);
    kit_add_in(c, in, i, "ln_1.bias", 32, 0);
    kit_add_in(c, in, i, "attn.c_attn.weight", 32, 96);
    kit_add_in(c, in, i, "attn.c_attn.bias", 96, 0);
    kit_add_in(c, in, i, "attn.c_proj.weight", 32, 32);
    kit_add_in(c, in, i, "attn.c_proj.bias", 32, 0);
    kit_add_in(c, in, i, "ln_2.weight", 32, 0);
    kit_add_in(c, in, i, "ln_2.bias", 32, 0);
    kit_add_in(c, in, i, "mlp.c_fc.weight", 32, 128);
    kit_add_in(c, in, i, "mlp.c_fc.bias", 128, 0);
    kit_add_in(c, in, i, "mlp.c_proj.weight", 128, 32);
    kit_add_in(c, in, i, "mlp.c_proj.bias", 32, 0);
}

static inline void kit_gpt2(kit_checkpoint *c, const char *prefix)
{
    char name[128];
    c->n = 0;
    snprintf(name, sizeof name, "%swte.weight", prefix);
    kit_add(c, name, 40, 32);
    snprintf(name, sizeof name, "%swpe.weight", prefix);
    kit_add(c, name, 24, 32);
    snprintf(name, sizeof name, "%sh.", prefix);
    for (int i = 0; i < 2; i++) kit_add_gpt2_layer(c, name, i);
    snprintf(name, sizeof name, "%sln_f.weight", prefix);
    kit_add(c, name, 32, 0);
    snprintf(name, sizeof name, "%sln_f.bias", prefix);
    kit_add(c, name, 32, 0);
}

/* Llama: 2 layers, width 24, 4 heads of 8, 2 kv heads, ffn 40, vocab 50. */
#define KIT_LLAMA_FIELDS                                                       \
    "\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":24,"     \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":8,"      \
    "\"intermediate_size\":40,\"vocab_size\":50,"                              \
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6"
#define KIT_LLAMA_CONFIG "{" KIT_LLAMA_FIELDS "}"

static inline void kit_add_llama_layer(kit_checkpoint *c, const char *in, int i,
                                       bool bias)
{
    static const struct {
        const char *name;
        int rows, cols;
    } linear[] = {
        { "self_attn.q_proj", 32, 24 }, { "self_attn.k_proj", 16, 24 },
        { "self_attn.v_proj", 16, 24 }, { "self_attn.o_proj", 24, 32 },
        { "mlp.gate_proj", 40, 24 },    { "mlp.up_proj", 40, 24 },
        { "mlp.down_proj", 24, 40 }
    };
    kit_add_in(c, in, i, "input_layernorm.weight", 24, 0);
    kit_add_in(c, in, i, "post_attention_layernorm.weight", 24, 0);
    for (size_t k = 0; k < sizeof linear / sizeof *linear; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s.weight", linear[k].name);
        kit_add_in(c, in, i, name, linear[k].rows, linear[k].cols);
        snprintf(name, sizeof name, "%s.bias", linear[k].name);
        if (bias) kit_add_in(c, in, i, name, linear[k].rows, 0);
    }
}

static inline void kit_llama(kit_checkpoint *c, const char *prefix, bool bias,
                             bool tied)
{
    char name[128];
    c->n = 0;
    snprintf(name, sizeof name, "%sembed_tokens.weight", prefix);
    kit_add(c, name, 50, 24);
    snprintf(name, sizeof name, "%slayers.", prefix);
    for (int i = 0; i < 2; i++) kit_add_llama_layer(c, name, i, bias);
    snprintf(name, sizeof name, "%snorm.weight", prefix);
    kit_add(c, name, 24, 0);
    if (!tied) kit_add(c, "lm_head.weight", 50, 24);
}

/* Qwen 2: the same sizes; q, k and v have a bias, and nothing says so. */
#define KIT_QWEN2_FIELDS                                                       \
    "\"model_type\":\"qwen2\",\"num_hidden_layers\":2,\"hidden_size\":24,"     \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":8,"      \
    "\"intermediate_size\":40,\"vocab_size\":50,"                              \
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6"
#define KIT_QWEN2_CONFIG "{" KIT_QWEN2_FIELDS "}"

static inline void kit_qwen2(kit_checkpoint *c, bool tied)
{
    static const struct {
        const char *name;
        int n;
    } biases[] = { { "self_attn.q_proj.bias", 32 },
                   { "self_attn.k_proj.bias", 16 },
                   { "self_attn.v_proj.bias", 16 } };
    kit_llama(c, "model.", false, tied);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++)
            kit_add_in(c, "model.layers.", i, biases[k].name, biases[k].n, 0);
}

#endif /* NOODLE_FAMILY_KIT_H */
