/* huggingface_names.c - see huggingface_names.h: tables only. */
#include "huggingface_names.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */

/* GPT-2's projections are Conv1D, stored [in][out], and c_attn is q, k and v
 * side by side. */
static const ndl_name_rule gpt2_rules[] = {
    { NDL_ROLE_TOKENS,          "wte.weight",         0, 1, false },
    { NDL_ROLE_POSITIONS,       "wpe.weight",         0, 1, false },
    { NDL_ROLE_NORM1,           "ln_1.weight",        0, 1, false },
    { NDL_ROLE_NORM1_BIAS,      "ln_1.bias",          0, 1, false },
    { NDL_ROLE_Q,               "attn.c_attn.weight", 0, 3, true  },
    { NDL_ROLE_K,               "attn.c_attn.weight", 1, 3, true  },
    { NDL_ROLE_V,               "attn.c_attn.weight", 2, 3, true  },
    { NDL_ROLE_Q_BIAS,          "attn.c_attn.bias",   0, 3, false },
    { NDL_ROLE_K_BIAS,          "attn.c_attn.bias",   1, 3, false },
    { NDL_ROLE_V_BIAS,          "attn.c_attn.bias",   2, 3, false },
    { NDL_ROLE_OUT,             "attn.c_proj.weight", 0, 1, true  },
    { NDL_ROLE_OUT_BIAS,        "attn.c_proj.bias",   0, 1, false },
    { NDL_ROLE_NORM2,           "ln_2.weight",        0, 1, false },
    { NDL_ROLE_NORM2_BIAS,      "ln_2.bias",          0, 1, false },
    { NDL_ROLE_UP,              "mlp.c_fc.weight",    0, 1, true  },
    { NDL_ROLE_UP_BIAS,         "mlp.c_fc.bias",      0, 1, false },
    { NDL_ROLE_DOWN,            "mlp.c_proj.weight",  0, 1, true  },
    { NDL_ROLE_DOWN_BIAS,       "mlp.c_proj.bias",    0, 1, false },
    { NDL_ROLE_FINAL_NORM,      "ln_f.weight",        0, 1, false },
    { NDL_ROLE_FINAL_NORM_BIAS, "ln_f.bias",          0, 1, false },
    { NDL_ROLE_HEAD,            "lm_head.weight",     0, 1, false },
};

static const ndl_name_rule llama_rules[] = {
    { NDL_ROLE_TOKENS,     "embed_tokens.weight",             0, 1, false },
    { NDL_ROLE_NORM1,      "input_layernorm.weight",          0, 1, false },
    { NDL_ROLE_Q,          "self_attn.q_proj.weight",         0, 1, false },
    { NDL_ROLE_K,          "self_attn.k_proj.weight",         0, 1, false },
    { NDL_ROLE_V,          "self_attn.v_proj.weight",         0, 1, false },
    { NDL_ROLE_Q_BIAS,     "self_attn.q_proj.bias",           0, 1, false },
    { NDL_ROLE_K_BIAS,     "self_attn.k_proj.bias",           0, 1, false },
    { NDL_ROLE_V_BIAS,     "self_attn.v_proj.bias",           0, 1, false },
    { NDL_ROLE_OUT,        "self_attn.o_proj.weight",         0, 1, false },
    { NDL_ROLE_OUT_BIAS,   "self_attn.o_proj.bias",           0, 1, false },
    { NDL_ROLE_NORM2,      "post_attention_layernorm.weight", 0, 1, false },
    { NDL_ROLE_GATE,       "mlp.gate_proj.weight",            0, 1, false },
    { NDL_ROLE_UP,         "mlp.up_proj.weight",              0, 1, false },
    { NDL_ROLE_DOWN,       "mlp.down_proj.weight",            0, 1, false },
    { NDL_ROLE_GATE_BIAS,  "mlp.gate_proj.bias",              0, 1, false },
    { NDL_ROLE_UP_BIAS,    "mlp.up_proj.bias",                0, 1, false },
    { NDL_ROLE_DOWN_BIAS,  "mlp.down_proj.bias",              0, 1, false },
    { NDL_ROLE_FINAL_NORM, "norm.weight",                     0, 1, false },
    { NDL_ROLE_HEAD,       "lm_head.weight",                  0, 1, false },
};

/* Masks and frequencies that older versions stored beside the weights. */
static const char *const gpt2_ignored[] = {
    ".attn.bias", ".attn.masked_bias", NULL
};
static const char *const llama_ignored[] = {
    ".rotary_emb.inv_freq", NULL
};

#define RULES(table) table, sizeof table / sizeof *table
static const ndl_name_family families[] = {
    { "gpt2",  "transformer.", "h.",      RULES(gpt2_rules),  gpt2_ignored },
    { "llama", "model.",       "layers.", RULES(llama_rules), llama_ignored },
    { "qwen2", "model.",       "layers.", RULES(llama_rules), llama_ignored },
};
#undef RULES
/* clang-format on */

void ndl_name_make(char name[NDL_NAME_CAP], const ndl_name_family *family,
                   const ndl_name_rule *rule, const char *prefix, int layer)
{
    if (layer >= 0)
        snprintf(name, NDL_NAME_CAP, "%s%s%d.%s", prefix, family->block, layer,
                 rule->name);
    else
        snprintf(name, NDL_NAME_CAP, "%s%s",
                 rule->role == NDL_ROLE_HEAD ? "" : prefix, rule->name);
}

const ndl_name_family *ndl_name_family_of(const char *arch)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].arch, arch) == 0) return &families[i];
    return NULL;
}
