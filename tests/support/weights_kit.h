/*
 * weights_kit.h - loaded weights as a whole: are those of two loads the same,
 * byte by byte?  And a model large enough to need several pieces.
 */
#ifndef NOODLE_TEST_WEIGHTS_KIT_H
#define NOODLE_TEST_WEIGHTS_KIT_H

#include <stdio.h>
#include <string.h>

#include "noodle/weights.h"
#include "tiny_model.h"

/* Blocks of 11 MiB, an embedding and a head of 5 MiB each (f32). */
static const tiny_model wide_model = {
    "wide", "{\"model_type\":\"llama\",\"num_hidden_layers\":3,"
            "\"hidden_size\":512,\"num_attention_heads\":4,"
            "\"num_key_value_heads\":2,\"intermediate_size\":1300,"
            "\"vocab_size\":2600,\"hidden_act\":\"silu\","
            "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5}"
};

/* Scales of a quantised matrix, one for each row of each block. */
static inline size_t kit_matrix_scales(const ndl_matrix *m)
{
    const size_t rows = (size_t)m->rows, cols = (size_t)m->cols;
    const size_t block = (size_t)m->block;
    if (block == 0) return 0;
    return (rows + NDL_PANEL - 1) / NDL_PANEL * NDL_PANEL *
           ((cols + block - 1) / block);
}

static inline size_t kit_matrix_bytes(const ndl_matrix *m)
{
    const size_t quants = kit_matrix_scales(m) * (size_t)m->block;
    if (m->dtype == NDL_INT8) return quants;
    if (m->dtype == NDL_INT4) return quants / 2;
    const size_t size = ndl_dtype_bytes(m->dtype);
    const size_t rows = (size_t)m->rows, cols = (size_t)m->cols;
    if (!m->panels) return rows * cols * size;
    const size_t pad = m->dtype == NDL_BF16 ? cols % 2 : 0;
    return (rows + NDL_PANEL - 1) / NDL_PANEL * NDL_PANEL * (cols + pad) * size;
}

static inline bool kit_same_shape(const ndl_matrix *a, const ndl_matrix *b)
{
    return !a->data == !b->data && a->rows == b->rows && a->cols == b->cols &&
           a->dtype == b->dtype && a->panels == b->panels &&
           a->block == b->block && !a->scales == !b->scales;
}

static inline bool kit_same_matrix(const ndl_matrix *a, const ndl_matrix *b)
{
    if (!kit_same_shape(a, b)) return false;
    if (!a->data) return true;
    if (a->scales &&
        memcmp(a->scales, b->scales, 2 * kit_matrix_scales(a)) != 0)
        return false;
    return memcmp(a->data, b->data, kit_matrix_bytes(a)) == 0;
}

static inline bool kit_same_vector(const float *a, const float *b, int n)
{
    if (!a || !b) return a == b;
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static inline bool kit_same_layer(const ndl_layer *a, const ndl_layer *b,
                                  const ndl_model *m)
{
    return kit_same_vector(a->norm1, b->norm1, m->width) &&
           kit_same_vector(a->norm1_bias, b->norm1_bias, m->width) &&
           kit_same_matrix(&a->qkv, &b->qkv) && kit_same_matrix(&a->v, &b->v) &&
           kit_same_vector(a->qkv_bias, b->qkv_bias, a->qkv.rows + a->v.rows) &&
           kit_same_matrix(&a->out, &b->out) &&
           kit_same_vector(a->out_bias, b->out_bias, m->width) &&
           kit_same_vector(a->norm2, b->norm2, m->width) &&
           kit_same_vector(a->norm2_bias, b->norm2_bias, m->width) &&
           kit_same_matrix(&a->up, &b->up) &&
           kit_same_vector(a->up_bias, b->up_bias, a->up.rows) &&
           kit_same_matrix(&a->down, &b->down) &&
           kit_same_vector(a->down_bias, b->down_bias, m->width);
}

static inline bool kit_same_weights(const ndl_weights *a, const ndl_weights *b,
                                    const ndl_part *part)
{
    const ndl_model *m = ndl_weights_model(a);
    const ndl_ends *x = ndl_weights_ends(a), *y = ndl_weights_ends(b);
    for (int i = 0; i < part->n_layers; i++)
        if (!kit_same_layer(ndl_weights_layer(a, part->first_layer + i),
                            ndl_weights_layer(b, part->first_layer + i), m))
            return false;
    return memcmp(m, ndl_weights_model(b), sizeof *m) == 0 &&
           ndl_mix_equal(ndl_weights_mix(a), ndl_weights_mix(b)) &&
           kit_same_matrix(&x->tokens, &y->tokens) &&
           kit_same_matrix(&x->positions, &y->positions) &&
           kit_same_matrix(&x->head, &y->head) &&
           kit_same_vector(x->norm, y->norm, m->width) &&
           kit_same_vector(x->norm_bias, y->norm_bias, m->width);
}

#endif /* NOODLE_TEST_WEIGHTS_KIT_H */
