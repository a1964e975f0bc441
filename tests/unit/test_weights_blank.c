/* test_weights_blank.c - weights without a file have the fields of those with
 * one, and numbers that arithmetic can live with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/weights_kit.h"
#include "noodle/layout.h"

#include "../support/scratch.h"

static void check_vector(const float *v, const float *like, int n)
{
    assert_true(!v == !like);
    for (int i = 0; v && i < n; i++)
        assert_true(isnormal(v[i]) && fabsf(v[i]) < 1.0f);
}

/* To the last element of the padding. */
static void check_matrix(const ndl_matrix *m, const ndl_matrix *like)
{
    assert_true(kit_same_shape(m, like));
    if (!m->data) return;
    assert_int_equal((uintptr_t)m->data % 64, 0);
    const size_t n = kit_matrix_bytes(m) / ndl_dtype_bytes(m->dtype);
    int n_negative = 0;
    for (size_t i = 0; i < n; i++) {
        float x;
        if (m->dtype == NDL_BF16) {
            const uint32_t bits = (uint32_t)((const uint16_t *)m->data)[i]
                                  << 16;
            memcpy(&x, &bits, sizeof x);
        } else {
            x = ((const float *)m->data)[i];
        }
        assert_true(isnormal(x) && fabsf(x) < 1.0f);
        n_negative += x < 0;
    }
    assert_true(n_negative > (int)n / 4 && n_negative < (int)n / 4 * 3);
}

static void check_layer(const ndl_layer *l, const ndl_layer *like,
                        const ndl_model *m)
{
    check_vector(l->norm1, like->norm1, m->width);
    check_vector(l->norm1_bias, like->norm1_bias, m->width);
    check_matrix(&l->qkv, &like->qkv);
    check_vector(l->qkv_bias, like->qkv_bias, like->qkv.rows);
    check_matrix(&l->out, &like->out);
    check_vector(l->out_bias, like->out_bias, m->width);
    check_vector(l->norm2, like->norm2, m->width);
    check_vector(l->norm2_bias, like->norm2_bias, m->width);
    check_matrix(&l->up, &like->up);
    check_vector(l->up_bias, like->up_bias, like->up.rows);
    check_matrix(&l->down, &like->down);
    check_vector(l->down_bias, like->down_bias, m->width);
}

static void check_blank(const ndl_weights *like, const ndl_part *part,
                        ndl_load load)
{
    const ndl_model *m = ndl_weights_model(like);
    ndl_weights *w = NULL;
    assert_int_equal(
        ndl_weights_blank(&w, m, ndl_weights_mix(like), part, load), NDL_OK);
    assert_int_equal(ndl_weights_load(w), load);
    assert_true(ndl_mix_equal(ndl_weights_mix(w), ndl_weights_mix(like)));
    assert_memory_equal(ndl_weights_model(w), m, sizeof *m);
    for (int i = 0; i < part->n_layers; i++)
        check_layer(ndl_weights_layer(w, part->first_layer + i),
                    ndl_weights_layer(like, part->first_layer + i), m);
    const ndl_ends *a = ndl_weights_ends(w), *b = ndl_weights_ends(like);
    check_matrix(&a->tokens, &b->tokens);
    check_matrix(&a->positions, &b->positions);
    check_matrix(&a->head, &b->head);
    check_vector(a->norm, b->norm, m->width);
    check_vector(a->norm_bias, b->norm_bias, m->width);
    ndl_weights_destroy(&w);
}

static void blank_weights_have_the_fields_of_a_file(void **state)
{
    (void)state;
    for (int t = 0; t < 2 * N_TINY_MODELS; t++) {
        ndl_weights *like = NULL;
        ndl_part part = { 0, 1, true, true };
        const tiny_model *m = &tiny_models[t / 2];
        assert_int_equal(tiny_write(m, t % 2 ? NDL_BF16 : NDL_F32, path, -1),
                         NDL_OK);
        for (int ends = 0; ends < 4; ends++) {
            part.embed = ends & 1;
            part.head = ends & 2;
            assert_int_equal(ndl_weights_open(&like, path, &part, NULL),
                             NDL_OK);
            check_blank(like, &part, NDL_LOAD_MAP);
            check_blank(like, &part, NDL_LOAD_COPY);
            ndl_weights_destroy(&like);
        }
    }
}

static void parts_that_are_not_there_are_refused(void **state)
{
    (void)state;
    const char *config = tiny_models[0].config;
    ndl_model m;
    ndl_weights *w = NULL;
    assert_int_equal(ndl_model_parse(&m, config, strlen(config), NULL, 0, "x"),
                     NDL_OK);
    assert_int_equal(ndl_weights_blank(&w, &m, ndl_mix_plain(NDL_F32),
                                       &(ndl_part){ 3, 1, false, false },
                                       NDL_LOAD_COPY),
                     NDL_EDATA);
    assert_null(w);
    ndl_status_clear();
    const ndl_part none = { 3, 0, false, false };
    assert_int_equal(
        ndl_weights_blank(&w, &m, ndl_mix_plain(NDL_F32), &none, NDL_LOAD_MAP),
        NDL_OK);
    ndl_weights_destroy(&w);
}

static void sizes_that_no_file_has_are_refused(void **state)
{
    (void)state;
    const char *config = tiny_models[2].config;
    ndl_model m;
    ndl_weights *w = NULL;
    uint64_t bytes = 5;
    assert_int_equal(ndl_model_parse(&m, config, strlen(config), NULL, 0, "x"),
                     NDL_OK);
    m.n_layers = NDL_MAX_LAYERS;
    m.ffn = INT32_MAX / 4;
    m.width = INT32_MAX / 4; /* 2^60 bytes a matrix, but 2^74 in all */
    const ndl_part all = ndl_layout_whole(&m);
    assert_int_equal(ndl_layout_bytes(&m, ndl_mix_plain(NDL_F32), &all, &bytes),
                     NDL_EDATA);
    assert_int_equal(bytes, 5);
    assert_int_equal(
        ndl_weights_blank(&w, &m, ndl_mix_plain(NDL_F32), &all, NDL_LOAD_COPY),
        NDL_EDATA);
    ndl_status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(blank_weights_have_the_fields_of_a_file),
        IN_SCRATCH(parts_that_are_not_there_are_refused),
        IN_SCRATCH(sizes_that_no_file_has_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
