/* roles.c - see roles.h. */
#include "roles.h"

typedef enum axis { ONE, WIDTH, HEADS, KV_HEADS, FFN, VOCAB, CONTEXT } axis;

typedef enum presence {
    ALWAYS,
    POSITIONS, /* learned */
    UNTIED,
    LAYER_NORM,
    QKV_BIAS,
    OUT_BIAS,
    MLP_BIAS,
    GATED,
    GATED_BIAS
} presence;

/* clang-format off */
static const struct role {
    axis rows, cols;
    bool layered;
    presence when;
} roles[NDL_N_ROLES] = {
    [NDL_ROLE_TOKENS]          = { VOCAB,    WIDTH,    false, ALWAYS },
    [NDL_ROLE_POSITIONS]       = { CONTEXT,  WIDTH,    false, POSITIONS },
    [NDL_ROLE_NORM1]           = { ONE,      WIDTH,    true,  ALWAYS },
    [NDL_ROLE_NORM1_BIAS]      = { ONE,      WIDTH,    true,  LAYER_NORM },
    [NDL_ROLE_Q]               = { HEADS,    WIDTH,    true,  ALWAYS },
    [NDL_ROLE_K]               = { KV_HEADS, WIDTH,    true,  ALWAYS },
    [NDL_ROLE_V]               = { KV_HEADS, WIDTH,    true,  ALWAYS },
    [NDL_ROLE_Q_BIAS]          = { ONE,      HEADS,    true,  QKV_BIAS },
    [NDL_ROLE_K_BIAS]          = { ONE,      KV_HEADS, true,  QKV_BIAS },
    [NDL_ROLE_V_BIAS]          = { ONE,      KV_HEADS, true,  QKV_BIAS },
    [NDL_ROLE_OUT]             = { WIDTH,    HEADS,    true,  ALWAYS },
    [NDL_ROLE_OUT_BIAS]        = { ONE,      WIDTH,    true,  OUT_BIAS },
    [NDL_ROLE_NORM2]           = { ONE,      WIDTH,    true,  ALWAYS },
    [NDL_ROLE_NORM2_BIAS]      = { ONE,      WIDTH,    true,  LAYER_NORM },
    [NDL_ROLE_GATE]            = { FFN,      WIDTH,    true,  GATED },
    [NDL_ROLE_UP]              = { FFN,      WIDTH,    true,  ALWAYS },
    [NDL_ROLE_DOWN]            = { WIDTH,    FFN,      true,  ALWAYS },
    [NDL_ROLE_GATE_BIAS]       = { ONE,      FFN,      true,  GATED_BIAS },
    [NDL_ROLE_UP_BIAS]         = { ONE,      FFN,      true,  MLP_BIAS },
    [NDL_ROLE_DOWN_BIAS]       = { ONE,      WIDTH,    true,  MLP_BIAS },
    [NDL_ROLE_FINAL_NORM]      = { ONE,      WIDTH,    false, ALWAYS },
    [NDL_ROLE_FINAL_NORM_BIAS] = { ONE,      WIDTH,    false, LAYER_NORM },
    [NDL_ROLE_HEAD]            = { VOCAB,    WIDTH,    false, UNTIED },
};
/* clang-format on */

static int length(const ndl_model *m, axis a)
{
    switch (a) {
    case WIDTH: return m->width;
    case HEADS: return m->n_heads * m->head_dim;
    case KV_HEADS: return m->n_kv_heads * m->head_dim;
    case FFN: return m->ffn;
    case VOCAB: return m->vocab;
    case CONTEXT: return m->context;
    default: return 1;
    }
}

static bool present(const ndl_model *m, presence when)
{
    switch (when) {
    case POSITIONS: return m->rope.kind == NDL_ROPE_NONE;
    case UNTIED: return !m->tied;
    case LAYER_NORM: return m->norm == NDL_NORM_LAYER;
    case QKV_BIAS: return m->qkv_bias;
    case OUT_BIAS: return m->out_bias;
    case MLP_BIAS: return m->mlp_bias;
    case GATED: return m->mlp == NDL_MLP_SWIGLU;
    case GATED_BIAS: return m->mlp == NDL_MLP_SWIGLU && m->mlp_bias;
    default: return true;
    }
}

bool ndl_role_shape_of(const ndl_model *m, ndl_role role, ndl_role_shape *out)
{
    const struct role *r = &roles[role];
    if (!present(m, r->when)) return false;
    *out = (ndl_role_shape){ .rows = length(m, r->rows),
                             .cols = length(m, r->cols),
                             .vector = r->rows == ONE,
                             .layered = r->layered };
    return true;
}
