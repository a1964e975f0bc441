/* test_kvcache.c - every page has its own memory, and all of it is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels.h"
#include "noodle/kvcache.h"

static const ndl_kv_types f32 = { NDL_F32, NDL_F32 };
static const ndl_kv_types bf16 = { NDL_BF16, NDL_BF16 };
static const ndl_kv_types int8 = { NDL_INT8, NDL_INT8 };
static const ndl_kv_types mixed = { NDL_INT8, NDL_BF16 };

static ndl_model model_of(int n_kv_heads, int head_dim)
{
    return (ndl_model){ .n_kv_heads = n_kv_heads, .head_dim = head_dim };
}

static size_t cell_of(ndl_dtype t)
{
    return t == NDL_F32 ? 4 : t == NDL_BF16 ? 2 : 1;
}

/* Mark the scales of a page, which lie behind its cells and end it.
 * @return bytes of the cells and of the scales. */
static size_t mark_scales(const float *scales, ndl_dtype t,
                          const unsigned char *page, size_t cells)
{
    const size_t bytes = cells * cell_of(t);
    unsigned char *at = (unsigned char *)(uintptr_t)scales;
    if (t != NDL_INT8) {
        assert_null(scales);
        return bytes;
    }
    assert_ptr_equal(at, page + bytes);
    for (size_t i = 0; i < NDL_PAGE_KEYS * sizeof(float); i++) at[i]++;
    return bytes + NDL_PAGE_KEYS * sizeof(float);
}

/* Mark the memory of every page and find each byte marked once. */
static void check(const ndl_model *m, ndl_kv_types types, int layers, int slots,
                  int context)
{
    const size_t hp = (size_t)(m->head_dim + 15) / 16 * 16;
    const size_t k_cells = NDL_PAGE_KEYS * (size_t)m->head_dim;
    const size_t v_cells = NDL_PAGE_KEYS * hp;
    const ndl_kvcache_size size = { types, slots, context, 0 };
    const size_t all = ndl_kvcache_layer_bytes(m, &size) * (size_t)layers;
    const int pages = (context + NDL_PAGE_KEYS - 1) / NDL_PAGE_KEYS;
    int table[64];
    ndl_arena *arena = NULL;
    ndl_kvcache kv;
    size_t sum = 0;
    assert_true(ndl_kvcache_table_bytes(&size) <= sizeof table);
    assert_int_equal(ndl_arena_create(&arena, "kv", all), NDL_OK);
    assert_int_equal(ndl_kvcache_init(&kv, arena, m, &size, layers, table),
                     NDL_OK);
    assert_int_equal(kv.n_pages, pages * slots);
    for (int l = 0; l < layers; l++)
        for (int s = 0; s < slots; s++)
            for (int p = 0; p < pages; p++)
                for (int h = 0; h < m->n_kv_heads; h++) {
                    unsigned char *k = ndl_kvcache_k(&kv, l, s, p, h);
                    unsigned char *v = ndl_kvcache_v(&kv, l, s, p, h);
                    assert_int_equal((uintptr_t)k % 64, 0);
                    assert_int_equal((uintptr_t)v % 64, 0);
                    for (size_t i = 0; i < k_cells * cell_of(types.k); i++)
                        k[i]++;
                    for (size_t i = 0; i < v_cells * cell_of(types.v); i++)
                        v[i]++;
                    sum += mark_scales(ndl_kvcache_k_scales(&kv, k), types.k, k,
                                       k_cells);
                    sum += mark_scales(ndl_kvcache_v_scales(&kv, v), types.v, v,
                                       v_cells);
                }
    assert_int_equal(sum, all);
    for (size_t i = 0; i < all; i++) assert_int_equal(kv.base[i], 1);
    ndl_arena_destroy(&arena);
}

static void pages_share_no_byte_and_fill_the_cache(void **state)
{
    (void)state;
    const ndl_model a = model_of(2, 32), b = model_of(1, 18);
    check(&a, f32, 2, 3, 600);
    check(&a, bf16, 1, 2, 256);
    check(&a, int8, 2, 2, 300);
    check(&b, f32, 3, 1, 257);
    check(&b, bf16, 2, 2, 1);
    check(&b, int8, 1, 3, 513);
    check(&b, mixed, 2, 2, 257);
    check(&b, (ndl_kv_types){ NDL_BF16, NDL_INT8 }, 2, 1, 257);
}

static size_t bytes_of(const ndl_model *m, ndl_kv_types types, int slots,
                       int context)
{
    const ndl_kvcache_size size = { types, slots, context, 0 };
    return ndl_kvcache_layer_bytes(m, &size);
}

static void bytes_grow_with_pages_and_slots(void **state)
{
    (void)state;
    const ndl_model m = model_of(2, 32);
    const size_t one = bytes_of(&m, f32, 1, 1);
    assert_int_equal(one, 2 * 256 * 32 * 4 * 2);
    assert_int_equal(bytes_of(&m, f32, 1, 256), one);
    assert_int_equal(bytes_of(&m, f32, 1, 257), 2 * one);
    assert_int_equal(bytes_of(&m, f32, 5, 600), 15 * one);
    assert_int_equal(bytes_of(&m, bf16, 1, 1), one / 2);
    /* A cell takes a quarter of f32, and a key or value has one f32 more. */
    const size_t scales = 2 * 256 * 4;
    assert_int_equal(bytes_of(&m, int8, 1, 1), one / 4 + 2 * scales);
    assert_int_equal(bytes_of(&m, mixed, 1, 1), one / 8 + one / 4 + scales);
    /* Pages that slots share count once, however many contexts they are. */
    const ndl_kvcache_size shared = { f32, 5, 600, 4 };
    assert_int_equal(ndl_kvcache_layer_bytes(&m, &shared), 4 * one);
}

/* Three pages for two slots of two entries each. */
static void tables_say_which_page_a_slot_has(void **state)
{
    (void)state;
    const ndl_model m = model_of(2, 32);
    const ndl_kvcache_size size = { int8, 2, 300, 3 };
    const size_t bytes = ndl_kvcache_layer_bytes(&m, &size);
    int table[4];
    ndl_arena *arena = NULL;
    ndl_kvcache kv;
    assert_int_equal(ndl_arena_create(&arena, "kv", 2 * bytes), NDL_OK);
    assert_int_equal(ndl_kvcache_init(&kv, arena, &m, &size, 2, table), NDL_OK);
    for (int i = 0; i < 4; i++) assert_int_equal(table[i], -1);
    ndl_kvcache_map(&kv, 0, 0, 2);
    ndl_kvcache_map(&kv, 0, 1, 0);
    ndl_kvcache_map(&kv, 1, 0, 2);
    ndl_kvcache_map(&kv, 1, 1, 1);
    assert_ptr_equal(ndl_kvcache_k(&kv, 1, 0, 0, 1),
                     ndl_kvcache_k(&kv, 1, 1, 0, 1));
    assert_ptr_not_equal(ndl_kvcache_v(&kv, 0, 0, 1, 0),
                         ndl_kvcache_v(&kv, 0, 1, 1, 0));
    ndl_kvcache_unmap(&kv, 0);
    assert_int_equal(table[0], -1);
    assert_int_equal(table[1], -1);
    assert_int_equal(table[2], 2);
    ndl_arena_destroy(&arena);
}

/* All heads and scales of the layer's page, and nothing else. */
static void copy_of_a_page_touches_no_other(void **state)
{
    (void)state;
    const ndl_model m = model_of(2, 18);
    const ndl_kvcache_size size = { int8, 1, 256, 3 };
    const size_t layer = ndl_kvcache_layer_bytes(&m, &size), page = layer / 3;
    int table[1];
    ndl_arena *arena = NULL;
    ndl_kvcache kv;
    assert_int_equal(ndl_arena_create(&arena, "kv", 2 * layer), NDL_OK);
    assert_int_equal(ndl_kvcache_init(&kv, arena, &m, &size, 2, table), NDL_OK);
    for (size_t i = 0; i < 2 * layer; i++)
        kv.base[i] = (unsigned char)(i / page * 37 + i % page % 31);
    ndl_kvcache_copy(&kv, 1, 2, 0);
    ndl_kvcache_copy(&kv, 0, 1, 1);
    for (size_t i = 0; i < 2 * layer; i++) {
        const size_t from = i / page == 3 ? i + 2 * page : i;
        assert_int_equal(kv.base[i],
                         (unsigned char)(from / page * 37 + from % page % 31));
    }
    ndl_arena_destroy(&arena);
}

static void arena_that_is_too_small_is_eos(void **state)
{
    (void)state;
    const ndl_model m = model_of(8, 128);
    ndl_arena *arena = NULL;
    ndl_kvcache kv = { .n_pages = 77 };
    assert_int_equal(ndl_arena_create(&arena, "kv", 1 << 20), NDL_OK);
    const ndl_kvcache_size size = { f32, 4, 4096, 0 };
    int table[64];
    assert_int_equal(ndl_kvcache_init(&kv, arena, &m, &size, 4, table),
                     NDL_EOS);
    assert_int_equal(kv.n_pages, 77);
    assert_non_null(strstr(ndl_status_message(), "KV cache"));
    ndl_arena_destroy(&arena);
    ndl_status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_share_no_byte_and_fill_the_cache),
        cmocka_unit_test(bytes_grow_with_pages_and_slots),
        cmocka_unit_test(tables_say_which_page_a_slot_has),
        cmocka_unit_test(copy_of_a_page_touches_no_other),
        cmocka_unit_test(arena_that_is_too_small_is_eos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
