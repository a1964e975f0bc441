/*
 * shapes.c - config.json of well-known models, for random weights of their
 * shape.  One entry is all that a new shape needs.
 */
#include <string.h>

#include "noodle/checkpoint.h"

static const struct shape {
    const char *name, *config;
} shapes[] = {
    { "gpt2-124m", "{\n"
                   " \"model_type\": \"gpt2\",\n"
                   " \"n_layer\": 12,\n"
                   " \"n_head\": 12,\n"
                   " \"n_embd\": 768,\n"
                   " \"n_positions\": 1024,\n"
                   " \"n_inner\": null,\n"
                   " \"vocab_size\": 50257,\n"
                   " \"layer_norm_epsilon\": 1e-05,\n"
                   " \"activation_function\": \"gelu_new\",\n"
                   " \"tie_word_embeddings\": true,\n"
                   " \"bos_token_id\": 50256,\n"
                   " \"eos_token_id\": 50256\n"
                   "}\n" },
    { "gpt2-774m", "{\n"
                   " \"model_type\": \"gpt2\",\n"
                   " \"n_layer\": 36,\n"
                   " \"n_head\": 20,\n"
                   " \"n_embd\": 1280,\n"
                   " \"n_positions\": 1024,\n"
                   " \"n_inner\": null,\n"
                   " \"vocab_size\": 50257,\n"
                   " \"layer_norm_epsilon\": 1e-05,\n"
                   " \"activation_function\": \"gelu_new\",\n"
                   " \"tie_word_embeddings\": true,\n"
                   " \"bos_token_id\": 50256,\n"
                   " \"eos_token_id\": 50256\n"
                   "}\n" },
    { "tinyllama-1.1b", "{\n"
                        " \"model_type\": \"llama\",\n"
                        " \"num_hidden_layers\": 22,\n"
                        " \"hidden_size\": 2048,\n"
                        " \"num_attention_heads\": 32,\n"
                        " \"num_key_value_heads\": 4,\n"
                        " \"intermediate_size\": 5632,\n"
                        " \"vocab_size\": 32000,\n"
                        " \"max_position_embeddings\": 2048,\n"
                        " \"rms_norm_eps\": 1e-05,\n"
                        " \"rope_theta\": 10000.0,\n"
                        " \"rope_scaling\": null,\n"
                        " \"hidden_act\": \"silu\",\n"
                        " \"tie_word_embeddings\": false,\n"
                        " \"bos_token_id\": 1,\n"
                        " \"eos_token_id\": 2\n"
                        "}\n" },
    { "llama-3.2-1b", "{\n"
                      " \"model_type\": \"llama\",\n"
                      " \"num_hidden_layers\": 16,\n"
                      " \"hidden_size\": 2048,\n"
                      " \"num_attention_heads\": 32,\n"
                      " \"num_key_value_heads\": 8,\n"
                      " \"head_dim\": 64,\n"
                      " \"intermediate_size\": 8192,\n"
                      " \"vocab_size\": 128256,\n"
                      " \"max_position_embeddings\": 131072,\n"
                      " \"rms_norm_eps\": 1e-05,\n"
                      " \"rope_theta\": 500000.0,\n"
                      " \"rope_scaling\": {\n"
                      "  \"rope_type\": \"llama3\",\n"
                      "  \"factor\": 32.0,\n"
                      "  \"low_freq_factor\": 1.0,\n"
                      "  \"high_freq_factor\": 4.0,\n"
                      "  \"original_max_position_embeddings\": 8192\n"
                      " },\n"
                      " \"hidden_act\": \"silu\",\n"
                      " \"tie_word_embeddings\": true,\n"
                      " \"bos_token_id\": 128000,\n"
                      " \"eos_token_id\": 128001\n"
                      "}\n" },
    { "llama-3.1-8b", "{\n"
                      " \"model_type\": \"llama\",\n"
                      " \"num_hidden_layers\": 32,\n"
                      " \"hidden_size\": 4096,\n"
                      " \"num_attention_heads\": 32,\n"
                      " \"num_key_value_heads\": 8,\n"
                      " \"intermediate_size\": 14336,\n"
                      " \"vocab_size\": 128256,\n"
                      " \"max_position_embeddings\": 131072,\n"
                      " \"rms_norm_eps\": 1e-05,\n"
                      " \"rope_theta\": 500000.0,\n"
                      " \"rope_scaling\": {\n"
                      "  \"rope_type\": \"llama3\",\n"
                      "  \"factor\": 8.0,\n"
                      "  \"low_freq_factor\": 1.0,\n"
                      "  \"high_freq_factor\": 4.0,\n"
                      "  \"original_max_position_embeddings\": 8192\n"
                      " },\n"
                      " \"hidden_act\": \"silu\",\n"
                      " \"tie_word_embeddings\": false,\n"
                      " \"bos_token_id\": 128000,\n"
                      " \"eos_token_id\": 128001\n"
                      "}\n" },
    { "llama-3.1-70b", "{\n"
                       " \"model_type\": \"llama\",\n"
                       " \"num_hidden_layers\": 80,\n"
                       " \"hidden_size\": 8192,\n"
                       " \"num_attention_heads\": 64,\n"
                       " \"num_key_value_heads\": 8,\n"
                       " \"intermediate_size\": 28672,\n"
                       " \"vocab_size\": 128256,\n"
                       " \"max_position_embeddings\": 131072,\n"
                       " \"rms_norm_eps\": 1e-05,\n"
                       " \"rope_theta\": 500000.0,\n"
                       " \"rope_scaling\": {\n"
                       "  \"rope_type\": \"llama3\",\n"
                       "  \"factor\": 8.0,\n"
                       "  \"low_freq_factor\": 1.0,\n"
                       "  \"high_freq_factor\": 4.0,\n"
                       "  \"original_max_position_embeddings\": 8192\n"
                       " },\n"
                       " \"hidden_act\": \"silu\",\n"
                       " \"tie_word_embeddings\": false,\n"
                       " \"bos_token_id\": 128000,\n"
                       " \"eos_token_id\": 128001\n"
                       "}\n" },
    { "qwen2.5-7b", "{\n"
                    " \"model_type\": \"qwen2\",\n"
                    " \"num_hidden_layers\": 28,\n"
                    " \"hidden_size\": 3584,\n"
                    " \"num_attention_heads\": 28,\n"
                    " \"num_key_value_heads\": 4,\n"
                    " \"intermediate_size\": 18944,\n"
                    " \"vocab_size\": 152064,\n"
                    " \"max_position_embeddings\": 32768,\n"
                    " \"rms_norm_eps\": 1e-06,\n"
                    " \"rope_theta\": 1000000.0,\n"
                    " \"use_sliding_window\": false,\n"
                    " \"sliding_window\": 131072,\n"
                    " \"max_window_layers\": 28,\n"
                    " \"hidden_act\": \"silu\",\n"
                    " \"tie_word_embeddings\": false,\n"
                    " \"bos_token_id\": 151643,\n"
                    " \"eos_token_id\": 151645\n"
                    "}\n" },
};

enum { N_SHAPES = sizeof shapes / sizeof *shapes };

const char *ndl_checkpoint_shape_name(int i)
{
    return i >= 0 && i < N_SHAPES ? shapes[i].name : NULL;
}

const char *ndl_checkpoint_shape_config(const char *name)
{
    for (int i = 0; i < N_SHAPES; i++)
        if (strcmp(shapes[i].name, name) == 0) return shapes[i].config;
    return NULL;
}
