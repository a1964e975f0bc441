/* test_layout.c - facts about layout.h: which datasets a mix of dtypes has,
 * and of which shapes. */
#include "noodle/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/tiny_model.h"

/* A list with its model. */
typedef struct listing {
    ndl_model model;
    ndl_item *items;
    int n;
} listing;

static void list(listing *l, int model, ndl_mix mix)
{
    const char *config = tiny_models[model].config;
    assert_int_equal(
        ndl_model_parse(&l->model, config, strlen(config), NULL, 0, "tiny"),
        NDL_OK);
    const ndl_part whole = ndl_layout_whole(&l->model);
    assert_int_equal(ndl_layout_list(&l->items, &l->n, &l->model, mix, &whole),
                     NDL_OK);
}

static const ndl_item *find(const listing *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->items[i].name, name) == 0) return &l->items[i];
    return NULL;
}

static void has_dims(const ndl_item *it, ndl_store_type type, uint64_t bytes,
                     int n, const uint64_t *dims)
{
    assert_non_null(it);
    assert_int_equal(ndl_layout_type(it), type);
    assert_int_equal(it->n_dims, n);
    for (int i = 0; i < n; i++) assert_int_equal(it->dims[i], dims[i]);
    for (int i = n; i < NDL_STORE_MAX_DIMS; i++)
        assert_int_equal(it->dims[i], 0);
    assert_int_equal(it->bytes, bytes);
}

/* llama-32: D 37, F 165, V 293, q of 128 rows, k and v of 64, untied. */
static void int8_has_whole_blocks_and_a_scale_for_each(void **state)
{
    (void)state;
    listing l;
    list(&l, 2, ndl_mix_plain(NDL_INT8));
    has_dims(find(&l, "/layers/0001/qkv"), NDL_STORE_U8, 16 * 64 * 16, 4,
             (uint64_t[]){ 16, 16, 16, 4 });
    has_dims(find(&l, "/layers/0001/qkv_scale"), NDL_STORE_U16, 16 * 16 * 2, 3,
             (uint64_t[]){ 16, 1, 16 });
    has_dims(find(&l, "/layers/0002/down"), NDL_STORE_U8, 3 * 192 * 16, 4,
             (uint64_t[]){ 3, 48, 16, 4 });
    has_dims(find(&l, "/layers/0002/down_scale"), NDL_STORE_U16, 3 * 3 * 16 * 2,
             3, (uint64_t[]){ 3, 3, 16 });
    has_dims(find(&l, "/embed/tokens"), NDL_STORE_U8, 19 * 64 * 16, 4,
             (uint64_t[]){ 19, 16, 16, 4 });
    has_dims(find(&l, "/layers/0000/norm1"), NDL_STORE_F32, 37 * 4, 1,
             (uint64_t[]){ 37 });
    assert_int_equal(find(&l, "/layers/0001/qkv")->block, 64);
    assert_int_equal(find(&l, "/layers/0000/norm1")->block, 0);
    free(l.items);
    ndl_mix small = ndl_mix_plain(NDL_INT8);
    small.small = 1u << NDL_GROUP_DOWN;
    list(&l, 2, small);
    has_dims(find(&l, "/layers/0002/down"), NDL_STORE_U8, 3 * 192 * 16, 4,
             (uint64_t[]){ 3, 48, 16, 4 });
    has_dims(find(&l, "/layers/0002/down_scale"), NDL_STORE_U16, 3 * 6 * 16 * 2,
             3, (uint64_t[]){ 3, 6, 16 });
    free(l.items);
}

static void int4_has_lines_of_two_quants_a_byte(void **state)
{
    (void)state;
    listing l;
    list(&l, 2, ndl_mix_plain(NDL_INT4));
    has_dims(find(&l, "/layers/0000/out"), NDL_STORE_U8, 3 * 128 * 8, 5,
             (uint64_t[]){ 3, 4, 4, 16, 4 });
    has_dims(find(&l, "/layers/0000/out_scale"), NDL_STORE_U16, 3 * 4 * 16 * 2,
             3, (uint64_t[]){ 3, 4, 16 });
    has_dims(find(&l, "/head/matrix"), NDL_STORE_U8, 19 * 64 * 8, 5,
             (uint64_t[]){ 19, 2, 4, 16, 4 });
    assert_int_equal(find(&l, "/head/matrix_scale")->block, 32);
    assert_non_null(find(&l, "/layers/0000/gate_up_scale"));
    free(l.items);
}

static void scales_follow_their_quants_and_are_like_them(void **state)
{
    (void)state;
    for (int t = 0; t < N_TINY_MODELS; t++) {
        listing l;
        int n_scales = 0;
        ndl_mix mix = ndl_mix_plain(NDL_INT4);
        mix.of[NDL_GROUP_V] = mix.of[NDL_GROUP_DOWN] = NDL_INT8;
        list(&l, t, mix);
        for (int i = 0; i < l.n; i++) {
            const ndl_item *s = &l.items[i], *q = s - 1;
            if (s->layout != NDL_LAYOUT_SCALES) {
                assert_int_equal(s->block != 0, s->layout == NDL_LAYOUT_PANELS);
                continue;
            }
            n_scales++;
            assert_true(i > 0 && q->layout == NDL_LAYOUT_PANELS);
            assert_int_equal(q->slot, s->slot);
            assert_int_equal(q->layer, s->layer);
            assert_int_equal(q->block, s->block);
            assert_int_equal(q->dtype, s->dtype);
            assert_int_equal(q->dims[0], s->dims[0]);
            assert_int_equal(q->rows, s->rows);
            assert_int_equal(q->cols, s->cols);
            assert_int_equal(strncmp(s->name, q->name, strlen(q->name)), 0);
            assert_string_equal(s->name + strlen(q->name), "_scale");
        }
        assert_int_equal(n_scales,
                         5 * l.model.n_layers + (l.model.tied ? 1 : 2));
        free(l.items);
    }
}

static void v_of_another_dtype_is_a_matrix_of_its_own(void **state)
{
    (void)state;
    listing l;
    ndl_mix mix = ndl_mix_plain(NDL_INT4);
    mix.of[NDL_GROUP_V] = NDL_BF16;
    list(&l, 3, mix); /* q of 128 rows, k and v of 64, biases, rope16 */
    assert_null(find(&l, "/layers/0000/qkv"));
    const ndl_item *qk = find(&l, "/layers/0000/qk");
    const ndl_item *v = find(&l, "/layers/0000/v");
    const ndl_item *bias = find(&l, "/layers/0000/qkv_bias");
    assert_non_null(qk);
    assert_int_equal(qk->slot, NDL_SLOT_QKV);
    assert_int_equal(qk->rows, 192);
    assert_int_equal(qk->n_roles, 2);
    assert_int_equal(qk->order, NDL_ORDER_ROPE16);
    assert_non_null(v);
    assert_int_equal(v->slot, NDL_SLOT_V);
    assert_int_equal(v->rows, 64);
    assert_int_equal(v->n_roles, 1);
    assert_int_equal(v->roles[0], NDL_ROLE_V);
    assert_int_equal(v->dtype, NDL_BF16);
    assert_int_equal(v->order, NDL_ORDER_NATURAL);
    assert_null(find(&l, "/layers/0000/v_scale"));
    assert_int_equal(bias->rows, 256);
    assert_int_equal(bias->n_roles, 3);
    for (int row = 0; row < v->rows; row++) {
        int role = -1, from = -1;
        assert_true(ndl_layout_source(v, row, &role, &from));
        assert_true(role == 0 && from == row);
    }
    free(l.items);
}

static void ends_have_the_dtype_of_their_group(void **state)
{
    (void)state;
    listing l;
    ndl_mix mix = ndl_mix_plain(NDL_INT4);
    mix.of[NDL_GROUP_HEAD] = NDL_INT8;
    list(&l, 0, mix); /* gpt2, tied */
    assert_int_equal(find(&l, "/embed/tokens")->dtype, NDL_INT8);
    assert_int_equal(find(&l, "/embed/positions")->dtype, NDL_BF16);
    assert_int_equal(find(&l, "/embed/positions")->layout, NDL_LAYOUT_ROWS);
    free(l.items);
    list(&l, 1, mix); /* gpt2, untied */
    assert_int_equal(find(&l, "/embed/tokens")->dtype, NDL_INT4);
    assert_int_equal(find(&l, "/embed/tokens")->layout, NDL_LAYOUT_PANELS);
    assert_int_equal(find(&l, "/head/matrix")->dtype, NDL_INT8);
    free(l.items);
    mix.of[NDL_GROUP_EMBED] = NDL_F32;
    list(&l, 1, mix);
    assert_int_equal(find(&l, "/embed/tokens")->layout, NDL_LAYOUT_ROWS);
    assert_int_equal(find(&l, "/embed/tokens")->dtype, NDL_F32);
    assert_int_equal(find(&l, "/embed/positions")->dtype, NDL_F32);
    free(l.items);
}

static void bytes_of_a_part_are_the_sum_of_its_items(void **state)
{
    (void)state;
    listing l;
    ndl_mix mix;
    assert_int_equal(ndl_mix_parse(&mix, "int4", NULL), NDL_OK);
    for (int t = 0; t < N_TINY_MODELS; t++) {
        uint64_t sum = 0, bytes = 0, f32 = 0;
        list(&l, t, mix);
        const ndl_part whole = ndl_layout_whole(&l.model);
        for (int i = 0; i < l.n; i++) sum += l.items[i].bytes;
        assert_int_equal(ndl_layout_bytes(&l.model, mix, &whole, &bytes),
                         NDL_OK);
        assert_int_equal(
            ndl_layout_bytes(&l.model, ndl_mix_plain(NDL_F32), &whole, &f32),
            NDL_OK);
        assert_int_equal(bytes, sum);
        assert_true(bytes < f32 / 2);
        free(l.items);
    }
}

static void a_mix_of_no_dtype_is_refused(void **state)
{
    (void)state;
    listing l;
    ndl_item *items = NULL;
    int n = -1;
    list(&l, 0, ndl_mix_plain(NDL_F32));
    const ndl_part whole = ndl_layout_whole(&l.model);
    ndl_mix mix = ndl_mix_plain(NDL_INT8);
    mix.small = 128;
    assert_int_equal(ndl_layout_list(&items, &n, &l.model, mix, &whole),
                     NDL_EDATA);
    mix.small = 0;
    mix.of[NDL_GROUP_UP] = 200;
    assert_int_equal(ndl_layout_list(&items, &n, &l.model, mix, &whole),
                     NDL_EDATA);
    assert_null(items);
    assert_int_equal(n, -1);
    ndl_status_clear();
    free(l.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int8_has_whole_blocks_and_a_scale_for_each),
        cmocka_unit_test(int4_has_lines_of_two_quants_a_byte),
        cmocka_unit_test(scales_follow_their_quants_and_are_like_them),
        cmocka_unit_test(v_of_another_dtype_is_a_matrix_of_its_own),
        cmocka_unit_test(ends_have_the_dtype_of_their_group),
        cmocka_unit_test(bytes_of_a_part_are_the_sum_of_its_items),
        cmocka_unit_test(a_mix_of_no_dtype_is_refused),
    };
    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
