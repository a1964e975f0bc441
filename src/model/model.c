/* model.c - the arithmetic of model.h: how much a model's parts weigh. */
#include "noodle/model.h"

#include <string.h>

static const char *const dtype_names[] = { [NDL_F32] = "f32",
                                           [NDL_BF16] = "bf16",
                                           [NDL_INT8] = "int8",
                                           [NDL_INT4] = "int4" };

const char *ndl_dtype_name(ndl_dtype t)
{
    return dtype_names[t];
}

bool ndl_dtype_parse(const char *name, ndl_dtype *out)
{
    for (int i = NDL_F32; i < NDL_N_DTYPES; i++) {
        if (strcmp(name, dtype_names[i]) != 0) continue;
        *out = (ndl_dtype)i;
        return true;
    }
    return false;
}

size_t ndl_dtype_bytes(ndl_dtype t)
{
    NDL_ASSERT(t == NDL_F32 || t == NDL_BF16);
    return t == NDL_F32 ? 4 : 2;
}

static int64_t norm_params(const ndl_model *m)
{
    return (m->norm == NDL_NORM_LAYER ? 2 : 1) * (int64_t)m->width;
}

static int64_t table_params(const ndl_model *m)
{
    return (int64_t)m->vocab * m->width;
}

int64_t ndl_model_block_params(const ndl_model *m)
{
    const int64_t d = m->width, f = m->ffn;
    const int64_t q = (int64_t)m->n_heads * m->head_dim;
    const int64_t qkv = q + 2 * (int64_t)m->n_kv_heads * m->head_dim;
    const int64_t up = m->mlp == NDL_MLP_SWIGLU ? 2 * f : f;
    int64_t n = 2 * norm_params(m) + qkv * d + d * q + up * d + d * f;
    if (m->qkv_bias) n += qkv;
    if (m->out_bias) n += d;
    if (m->mlp_bias) n += up + d;
    return n;
}

int64_t ndl_model_embed_params(const ndl_model *m)
{
    const int64_t positions =
        m->rope.kind == NDL_ROPE_NONE ? (int64_t)m->context * m->width : 0;
    return table_params(m) + positions;
}

int64_t ndl_model_head_params(const ndl_model *m)
{
    return norm_params(m) + table_params(m);
}

int64_t ndl_model_params(const ndl_model *m)
{
    return ndl_model_embed_params(m) + m->n_layers * ndl_model_block_params(m) +
           ndl_model_head_params(m) - (m->tied ? table_params(m) : 0);
}

int ndl_model_rope_pair(const ndl_model *m)
{
    const bool permuted =
        m->rope.kind != NDL_ROPE_NONE && m->head_dim % 32 == 0;
    return permuted ? 16 : m->head_dim / 2;
}
