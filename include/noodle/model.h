/*
 * model.h - the shape of a transformer: what the numbers in a checkpoint's
 * config.json mean to the rest of the program.
 *
 * Plain data and pure functions; no file, no weights.  Shape letters, used in
 * every comment on a tensor: T rows, D width, H heads, K kv heads, hd head
 * size, F ffn, V vocabulary, L blocks.
 */
#ifndef NOODLE_MODEL_H
#define NOODLE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/status.h"

typedef enum ndl_dtype {
    NDL_F32,
    NDL_BF16,
    NDL_INT8, /* blocks with scales, kernels.h */
    NDL_INT4,
    NDL_N_DTYPES
} ndl_dtype;

typedef enum ndl_norm_kind { NDL_NORM_LAYER, NDL_NORM_RMS } ndl_norm_kind;

typedef enum ndl_mlp_kind {
    NDL_MLP_GELU,  /* down(gelu_tanh(up(x)))        (GPT-2) */
    NDL_MLP_SWIGLU /* down(silu(gate(x)) * up(x))   (Llama) */
} ndl_mlp_kind;

typedef enum ndl_rope_kind {
    NDL_ROPE_NONE, /* learned positions, added to the embedding (GPT-2) */
    NDL_ROPE_PLAIN,
    NDL_ROPE_LINEAR,
    NDL_ROPE_LLAMA3
} ndl_rope_kind;

typedef struct ndl_rope {
    ndl_rope_kind kind;
    double theta;
    double factor, low_freq_factor, high_freq_factor;
    int original_context; /* LLAMA3 */
} ndl_rope;

enum { NDL_MAX_EOS = 8, NDL_MAX_LAYERS = 4096 };

typedef struct ndl_model {
    char arch[16]; /* model_type of config.json: "gpt2", "llama" */
    int n_layers, width, n_heads, n_kv_heads, head_dim, ffn, vocab, context;
    ndl_norm_kind norm;
    float norm_eps;
    ndl_mlp_kind mlp;
    ndl_rope rope;
    bool tied; /* the LM head is the embedding */
    bool qkv_bias, out_bias, mlp_bias;
    int bos; /* -1: none */
    int n_eos;
    int eos[NDL_MAX_EOS]; /* union of config and generation_config */
} ndl_model;

/**
 * Read a Hugging Face config.json (as transformers 4 or 5 write it).
 *
 * @param[out] out         filled on success, untouched on error.
 * @param[in]  config      JSON text, `n` bytes; may be hostile: every count is
 *                         bounded so that sizes fit in size_t and int.
 * @param[in]  generation  generation_config.json or NULL: only eos_token_id
 *                         is used.
 * @param[in]  what        names the config in messages.
 * @return NDL_OK; NDL_EDATA naming the field, or what is not supported (an
 *         unknown model_type, activation, rope type, quantization_config,
 *         sliding window ...).
 */
ndl_status ndl_model_parse(ndl_model *out, const char *config, size_t n,
                           const char *generation, size_t n_generation,
                           const char *what);

/** "f32", "bf16", "int8", "int4". */
const char *ndl_dtype_name(ndl_dtype t);

/** False for an unknown name; `out` untouched. */
bool ndl_dtype_parse(const char *name, ndl_dtype *out);

/** Bytes of one element: 4 or 2.  Of f32 and bf16 only: what is in blocks
 * has its sizes from the layout. */
size_t ndl_dtype_bytes(ndl_dtype t);

/** Parameters of one block, biases and norms included. */
int64_t ndl_model_block_params(const ndl_model *m);

/** Parameters of the embedding (token and position tables). */
int64_t ndl_model_embed_params(const ndl_model *m);

/** Parameters of the head: final norm and LM head; a tied head counts whole,
 * because its work and its memory on the last stage are real. */
int64_t ndl_model_head_params(const ndl_model *m);

/** All distinct parameters: a tied head counts once. */
int64_t ndl_model_params(const ndl_model *m);

/**
 * RoPE's rotation distance inside a head: the pair of element e is e + pair
 * within blocks of 2 * pair elements.  16 when q and k rows were permuted at
 * import so that a pair shares a lane (hd % 32 == 0), else hd / 2.
 */
int ndl_model_rope_pair(const ndl_model *m);

#endif /* NOODLE_MODEL_H */
