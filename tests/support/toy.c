/* toy.c - see toy.h. */
#include "toy.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/formats/random_weights.h"
#include "noodle/arena.h"
#include "noodle/forward.h"
#include "noodle/sampler.h"

enum { VOCAB = 301 };

/* Shapes that several toys have; initialisers must be constants. */
#define TIED_SHAPE                                                             \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"hidden_size\":48,"    \
    "\"num_attention_heads\":6,\"num_key_value_heads\":2,\"head_dim\":32,"     \
    "\"intermediate_size\":100,\"vocab_size\":301,\"hidden_act\":\"silu\","    \
    "\"max_position_embeddings\":600,\"rms_norm_eps\":1e-5,"                   \
    "\"tie_word_embeddings\":true}"
#define BIASED_SHAPE                                                           \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"hidden_size\":64,"    \
    "\"num_attention_heads\":4,\"num_key_value_heads\":1,"                     \
    "\"intermediate_size\":90,\"vocab_size\":301,\"hidden_act\":\"silu\","     \
    "\"max_position_embeddings\":600,\"rms_norm_eps\":1e-5,"                   \
    "\"attention_bias\":true,\"tie_word_embeddings\":true,"                    \
    "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"               \
    "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"                        \
    "\"original_max_position_embeddings\":64}}"

/* Heads of 32 (RoPE pairs share a lane), of 16 (they do not) and of 18 (they
 * fill no vector), one group of heads that does not divide a tile, odd sizes,
 * positions past two pages.  Some are others with another KV cache. */
const toy toys[N_TOYS] = {
    { "llama-f32",
      "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"hidden_size\":48,"
      "\"num_attention_heads\":6,\"num_key_value_heads\":2,\"head_dim\":32,"
      "\"intermediate_size\":100,\"vocab_size\":301,\"hidden_act\":\"silu\","
      "\"max_position_embeddings\":600,\"rms_norm_eps\":1e-5,"
      "\"tie_word_embeddings\":false}",
      "f32",
      { NDL_F32, NDL_F32 } },
    { "llama-bf16", TIED_SHAPE, "bf16", { NDL_BF16, NDL_BF16 } },
    { "llama-bias-f32", BIASED_SHAPE, "f32", { NDL_F32, NDL_F32 } },
    { "gpt2-f32",
      "{\"model_type\":\"gpt2\",\"n_layer\":4,\"n_embd\":48,\"n_head\":3,"
      "\"n_inner\":165,\"vocab_size\":301,\"n_positions\":600,"
      "\"layer_norm_epsilon\":1e-5,\"activation_function\":\"gelu_new\"}",
      "f32",
      { NDL_F32, NDL_F32 } },
    { "llama-int8", TIED_SHAPE, "int8", { NDL_BF16, NDL_BF16 } },
    { "llama-bias-int4",
      BIASED_SHAPE,
      "int4,head=int8,v=int8",
      { NDL_BF16, NDL_BF16 } },
    { "llama-kv-int8", TIED_SHAPE, "bf16", { NDL_INT8, NDL_INT8 } },
    { "llama-kv-int8-bf16", BIASED_SHAPE, "f32", { NDL_INT8, NDL_BF16 } },
    { "gpt2-kv-bf16-int8",
      "{\"model_type\":\"gpt2\",\"n_layer\":4,\"n_embd\":54,\"n_head\":3,"
      "\"n_inner\":165,\"vocab_size\":301,\"n_positions\":600,"
      "\"layer_norm_epsilon\":1e-5,\"activation_function\":\"gelu_new\"}",
      "int8",
      { NDL_BF16, NDL_INT8 } },
};

int toy_vocab(void)
{
    return VOCAB;
}

ndl_status toy_write(int i, const char *path)
{
    ndl_random_weights w = { .seed = 7 };
    ndl_source source;
    ndl_store *s = NULL;
    const char *config = toys[i].config;
    ndl_mix mix;
    NDL_TRY(ndl_mix_read(&mix, toys[i].mix));
    NDL_TRY(ndl_model_parse(&w.model, config, strlen(config), NULL, 0,
                            toys[i].name));
    ndl_random_weights_source(&w, &source);
    const ndl_pack_meta meta = { .source = toys[i].name, .config = config };
    NDL_TRY(ndl_store_create(&s, path));
    ndl_status st = ndl_pack(s, &w.model, mix, &source, &meta);
    if (st == NDL_OK) st = ndl_store_commit(&s);
    ndl_store_close(&s);
    return st;
}

void toy_prompt(uint64_t seed, int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)(ndl_sampler_uniform(seed, (uint32_t)i, 9) * VOCAB);
}

/* The whole model on this thread. */
typedef struct solo {
    ndl_weights *weights;
    ndl_pool *pool;
    ndl_kernels kernels;
    ndl_forward *forward;
    ndl_arena *arena;
    ndl_sampler *sampler;
    float *x;
} solo;

static void solo_close(solo *s)
{
    free(s->x);
    ndl_arena_destroy(&s->arena);
    ndl_forward_destroy(&s->forward);
    ndl_pool_destroy(&s->pool);
    ndl_weights_destroy(&s->weights);
}

static ndl_status solo_open(solo *s, const char *path, toy_how how)
{
    const ndl_part part = { 0, TOY_BLOCKS, true, true };
    const ndl_pool_config pool = { .n_threads = 1,
                                   .thread_init = ndl_fp_setup };
    memset(s, 0, sizeof *s);
    NDL_TRY(ndl_weights_open(&s->weights, path, &part, NULL));
    NDL_TRY(ndl_pool_create(&s->pool, &pool));
    const ndl_forward_limits limits = {
        .max_rows = TOY_CONTEXT,
        .max_spans = 1,
        .n_slots = 1,
        .context = TOY_CONTEXT,
        .kv_types = how.kv_types,
    };
    ndl_kernels_init(&s->kernels, how.cpu_flags);
    NDL_TRY(ndl_forward_create(&s->forward, s->weights, &part, &limits,
                               &s->kernels, s->pool));
    NDL_TRY(ndl_arena_create(&s->arena, "toy", ndl_sampler_bytes(VOCAB)));
    NDL_TRY(ndl_sampler_create(&s->sampler, s->arena, VOCAB, &s->kernels));
    const int width = ndl_weights_model(s->weights)->width;
    s->x = malloc((size_t)(TOY_CONTEXT * width) * sizeof *s->x);
    return s->x ? NDL_OK : NDL_FAIL(NDL_EOS, "toy: out of memory");
}

/* Rows pos .. pos + n - 1 through all blocks, to s->x. */
static void solo_rows(solo *s, const int32_t *ids, int pos, int n)
{
    const ndl_span span = { 0, pos, n };
    ndl_forward_embed(s->forward, ids, &span, 1, s->x);
    ndl_forward_blocks(s->forward, &span, 1, s->x);
}

ndl_status toy_logits(const char *path, toy_how how, const int32_t *ids, int n,
                      float **logits)
{
    solo s;
    ndl_status st = solo_open(&s, path, how);
    float *out = malloc((size_t)n * VOCAB * sizeof *out);
    if (st == NDL_OK && !out) st = NDL_FAIL(NDL_EOS, "toy: out of memory");
    if (st == NDL_OK) solo_rows(&s, ids, 0, n);
    for (int i = 0; st == NDL_OK && i < n; i++) {
        size_t ld = 0;
        memcpy(out + (size_t)i * VOCAB,
               ndl_forward_logits(s.forward, s.x, &i, 1, &ld),
               VOCAB * sizeof *out);
    }
    solo_close(&s);
    if (st == NDL_OK)
        *logits = out;
    else
        free(out);
    return st;
}

int toy_generate(const char *path, toy_how how, const ndl_request *r,
                 int32_t *out)
{
    solo s;
    int n = 0, pos = r->n_prompt, last = r->n_prompt - 1;
    if (solo_open(&s, path, how) != NDL_OK) return -1;
    solo_rows(&s, r->prompt, 0, r->n_prompt);
    for (;;) {
        size_t ld = 0;
        const float *l = ndl_forward_logits(s.forward, s.x, &last, 1, &ld);
        out[n] = ndl_sampler_draw(s.sampler, l, &r->sampling, (uint32_t)pos);
        if (++n == r->max_new || pos == TOY_CONTEXT) break;
        solo_rows(&s, &out[n - 1], pos++, 1);
        last = 0;
    }
    solo_close(&s);
    return n;
}
