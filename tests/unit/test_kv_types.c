/* test_kv_types.c - which types of keys and values there are, what they take,
 * and what users are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/kv_types.h"

static const ndl_kv_types bf16 = { NDL_BF16, NDL_BF16 };
static const ndl_kv_types f32 = { NDL_F32, NDL_F32 };

static void default_follows_the_weights(void **state)
{
    (void)state;
    for (int t = NDL_F32; t < NDL_N_DTYPES; t++) {
        const ndl_mix mix = ndl_mix_plain((ndl_dtype)t);
        assert_true(ndl_kv_types_equal(ndl_kv_types_default(mix),
                                       t == NDL_F32 ? f32 : bf16));
    }
}

static void expect(const char *k, const char *v, ndl_kv_types fallback,
                   const char *text)
{
    char name[NDL_KV_TYPES_TEXT];
    ndl_kv_types t;
    assert_int_equal(ndl_kv_types_parse(&t, k, v, fallback), NDL_OK);
    ndl_kv_types_write(t, name);
    assert_string_equal(name, text);
}

static void what_is_not_asked_for_stays(void **state)
{
    (void)state;
    expect(NULL, NULL, bf16, "bf16");
    expect(NULL, NULL, f32, "f32");
    expect("int8", NULL, bf16, "int8/bf16");
    expect(NULL, "int8", bf16, "bf16/int8");
    expect("int8", "int8", f32, "int8");
    expect("bf16", "int8", f32, "bf16/int8");
    expect("f32", "f32", bf16, "f32");
    expect("f32", NULL, f32, "f32");
}

static void refuse(const char *k, const char *v, ndl_kv_types fallback,
                   const char *word, const char *fix)
{
    ndl_kv_types t = { NDL_INT8, NDL_BF16 };
    assert_int_equal(ndl_kv_types_parse(&t, k, v, fallback), NDL_EUSAGE);
    if (!strstr(ndl_status_message(), word) ||
        !strstr(ndl_status_message(), fix))
        fail_msg("%s: has not \"%s\" and \"%s\"", ndl_status_message(), word,
                 fix);
    assert_true(t.k == NDL_INT8 && t.v == NDL_BF16);
    ndl_status_clear();
}

static void other_types_are_refused_with_what_serves(void **state)
{
    (void)state;
    refuse("f16", NULL, bf16, "-ctk f16", "bf16 (of the same size) or int8");
    refuse(NULL, "f16", bf16, "-ctv f16", "bf16 (of the same size) or int8");
    refuse("q8_0", NULL, bf16, "-ctk q8_0", "int8");
    refuse("int8", "q4_0", bf16, "-ctv q4_0", "int8, the smallest");
    refuse("iq4_nl", NULL, bf16, "-ctk iq4_nl", "int8, the smallest");
    refuse(NULL, "int4", bf16, "-ctv int4", "int8, the smallest");
    refuse("", NULL, bf16, "-ctk", "give f32, bf16 or int8");
    refuse("BF16", NULL, bf16, "-ctk BF16", "give f32, bf16 or int8");
    refuse("int8 ", NULL, bf16, "-ctk int8 ", "int8");
    refuse("f32f32f32f32f32f32f32f32f32f32f32f32", NULL, bf16,
           "-ctk f32f32f32f32f32f32f3: ", "give f32");
}

static void f32_stands_beside_f32_only(void **state)
{
    (void)state;
    static const char fix[] = "f32 for both, or bf16 or int8 for each";
    refuse("f32", "bf16", bf16, "-ctk f32, -ctv bf16:", fix);
    refuse("int8", "f32", bf16, "-ctk int8, -ctv f32:", fix);
    refuse("f32", NULL, bf16, "-ctv bf16 (by default)", fix);
    refuse(NULL, "int8", f32, "-ctk f32 (by default)", fix);
}

static void only_types_that_there_are_are_valid(void **state)
{
    (void)state;
    static const uint32_t not_types[] = { NDL_INT4, NDL_N_DTYPES, 65535,
                                          UINT32_MAX };
    for (uint32_t k = NDL_F32; k <= NDL_INT8; k++)
        for (uint32_t v = NDL_F32; v <= NDL_INT8; v++)
            assert_int_equal(ndl_kv_types_is_valid(k, v),
                             (k == NDL_F32) == (v == NDL_F32));
    for (size_t i = 0; i < sizeof not_types / sizeof *not_types; i++)
        for (uint32_t t = NDL_F32; t <= NDL_INT8; t++) {
            assert_false(ndl_kv_types_is_valid(not_types[i], t));
            assert_false(ndl_kv_types_is_valid(t, not_types[i]));
        }
}

static void bytes_of_a_key_are_its_cells_and_scales(void **state)
{
    (void)state;
    const ndl_model m = { .n_kv_heads = 3, .head_dim = 18 };
    const ndl_kv_types int8 = { NDL_INT8, NDL_INT8 };
    const ndl_kv_types mixed = { NDL_BF16, NDL_INT8 };
    assert_int_equal(ndl_kv_types_key_bytes(f32, &m), 3 * (18 + 32) * 4);
    assert_int_equal(ndl_kv_types_key_bytes(bf16, &m), 3 * (18 + 32) * 2);
    assert_int_equal(ndl_kv_types_key_bytes(int8, &m), 3 * (18 + 4 + 32 + 4));
    assert_int_equal(ndl_kv_types_key_bytes(mixed, &m), 3 * (18 * 2 + 32 + 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_follows_the_weights),
        cmocka_unit_test(what_is_not_asked_for_stays),
        cmocka_unit_test(other_types_are_refused_with_what_serves),
        cmocka_unit_test(f32_stands_beside_f32_only),
        cmocka_unit_test(only_types_that_there_are_are_valid),
        cmocka_unit_test(bytes_of_a_key_are_its_cells_and_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
