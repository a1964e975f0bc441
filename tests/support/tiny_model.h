/*
 * tiny_model.h - small models of both kinds, with odd sizes, and a source
 * whose every element can be told from its place.
 */
#ifndef NOODLE_TEST_TINY_MODEL_H
#define NOODLE_TEST_TINY_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/pack.h"
#include "noodle/weights.h"

typedef struct tiny_model {
    const char *name, *config;
} tiny_model;

/* Heads of 16 and 48 (natural order), 20 (straddles panels), 32, 64 (rope16);
 * V, F and in two cases D are no multiples of 16, F and D odd. */
static const tiny_model tiny_models[] = {
    { "gpt2-tied",
      "{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_embd\":48,\"n_head\":3,"
      "\"n_inner\":165,\"vocab_size\":293,\"n_positions\":24,"
      "\"layer_norm_epsilon\":1e-5,\"activation_function\":\"gelu_new\"}" },
    { "gpt2-untied",
      "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_embd\":40,\"n_head\":2,"
      "\"n_inner\":33,\"vocab_size\":50,\"n_positions\":7,"
      "\"layer_norm_epsilon\":1e-5,\"activation_function\":\"gelu_new\","
      "\"tie_word_embeddings\":false}" },
    { "llama-32",
      "{\"model_type\":\"llama\",\"num_hidden_layers\":3,\"hidden_size\":37,"
      "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":32,"
      "\"intermediate_size\":165,\"vocab_size\":293,\"hidden_act\":\"silu\","
      "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,"
      "\"tie_word_embeddings\":false}" },
    { "llama-64-bias-tied",
      "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":128,"
      "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
      "\"intermediate_size\":165,\"vocab_size\":293,\"hidden_act\":\"silu\","
      "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,"
      "\"attention_bias\":true,\"mlp_bias\":true,"
      "\"tie_word_embeddings\":true}" },
    { "llama-16",
      "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"hidden_size\":32,"
      "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
      "\"intermediate_size\":48,\"vocab_size\":64,\"hidden_act\":\"silu\","
      "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,"
      "\"attention_bias\":true}" },
    { "llama-48",
      "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"hidden_size\":96,"
      "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
      "\"intermediate_size\":16,\"vocab_size\":64,\"hidden_act\":\"silu\","
      "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5}" },
};

enum { N_TINY_MODELS = sizeof tiny_models / sizeof *tiny_models };

/* The element (row, col) of a role: in (-1, 1), with all 24 bits in use, so
 * that bf16 has to round. */
static inline float tiny_value(ndl_role role, int layer, int row, int col)
{
    uint64_t z = (uint64_t)role * 0x9e3779b97f4a7c15u +
                 (uint64_t)layer * 0xbf58476d1ce4e5b9u +
                 (uint64_t)row * 0x94d049bb133111ebu + (uint64_t)col + 1;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (float)((int32_t)(z >> 40) - (1 << 23)) / (1 << 23);
}

/* Columns of a role; of a vector its elements. */
static inline int tiny_cols(const ndl_model *m, ndl_role role)
{
    const int q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    switch (role) {
    case NDL_ROLE_Q_BIAS: return q;
    case NDL_ROLE_K_BIAS:
    case NDL_ROLE_V_BIAS: return kv;
    case NDL_ROLE_OUT: return q;
    case NDL_ROLE_DOWN:
    case NDL_ROLE_GATE_BIAS:
    case NDL_ROLE_UP_BIAS: return m->ffn;
    default: return m->width;
    }
}

typedef struct tiny_source {
    ndl_model model;
    int calls_left; /* then a failure; < 0: never */
} tiny_source;

static inline ndl_status tiny_rows(void *arg, ndl_role role, int layer,
                                   int first, int n, float *dst)
{
    tiny_source *t = arg;
    const int cols = tiny_cols(&t->model, role);
    if (t->calls_left >= 0 && t->calls_left-- == 0)
        return NDL_FAIL(NDL_EIO, "tiny: no more rows");
    for (int r = 0; r < n; r++)
        for (int c = 0; c < cols; c++)
            *dst++ = tiny_value(role, layer, first + r, c);
    return NDL_OK;
}

static inline void tiny_origin(void *arg, ndl_role role, int layer,
                               ndl_origin *out)
{
    static char name[64];
    const bool attention = role >= NDL_ROLE_Q && role <= NDL_ROLE_V;
    const tiny_source *t = arg;
    const bool gpt2 = strcmp(t->model.arch, "gpt2") == 0;
    if (gpt2 && attention)
        snprintf(name, sizeof name, "h.%d.attn.c_attn.weight", layer);
    else
        snprintf(name, sizeof name, "layer.%d.role.%d", layer, (int)role);
    *out = (ndl_origin){ name, "F32", gpt2 && attention };
}

/* Write a weights file of the model.  @return what ndl_pack returned. */
static inline ndl_status tiny_write_mix(const tiny_model *m, ndl_mix mix,
                                        const char *path, int calls)
{
    tiny_source t = { .calls_left = calls };
    ndl_store *s = NULL;
    const ndl_source source = { &t, tiny_rows, tiny_origin };
    const ndl_pack_meta meta = { .source = m->name,
                                 .config = m->config,
                                 .generation = "{}" };
    NDL_TRY(ndl_model_parse(&t.model, m->config, strlen(m->config), NULL, 0,
                            m->name));
    NDL_TRY(ndl_store_create(&s, path));
    ndl_status st = ndl_pack(s, &t.model, mix, &source, &meta);
    if (st == NDL_OK) st = ndl_store_commit(&s);
    ndl_store_close(&s);
    return st;
}

static inline ndl_status tiny_write(const tiny_model *m, ndl_dtype dtype,
                                    const char *path, int calls)
{
    return tiny_write_mix(m, ndl_mix_plain(dtype), path, calls);
}

#endif /* NOODLE_TEST_TINY_MODEL_H */
