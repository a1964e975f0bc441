/* test_mix.c - facts about mix.h: what users and files may write, and that
 * every mix comes back from its own text. */
#include "noodle/mix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"

static ndl_mix parsed(const char *dtype, const char *keep)
{
    ndl_mix mix = { { 0 }, 0 };
    if (ndl_mix_parse(&mix, dtype, keep) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return mix;
}

static void writes(ndl_mix mix, const char *expected)
{
    char text[NDL_MIX_TEXT];
    ndl_mix_write(mix, text);
    assert_string_equal(text, expected);
}

static void refuses(const char *dtype, const char *keep, const char *word)
{
    const ndl_mix before = { { 9, 8, 7 }, 5 };
    ndl_mix mix = before;
    assert_int_equal(ndl_mix_parse(&mix, dtype, keep), NDL_EUSAGE);
    if (!strstr(ndl_status_message(), word))
        fail_msg("%s", ndl_status_message());
    assert_memory_equal(&mix, &before, sizeof mix);
    ndl_status_clear();
}

static void one_dtype_is_its_own_text(void **state)
{
    (void)state;
    static const char *const names[] = { "f32", "bf16", "int8", "int4" };
    for (int t = NDL_F32; t < NDL_N_DTYPES; t++) {
        const ndl_mix mix = ndl_mix_plain((ndl_dtype)t);
        ndl_mix read;
        writes(mix, names[t]);
        assert_int_equal(ndl_mix_read(&read, names[t]), NDL_OK);
        assert_true(ndl_mix_equal(mix, read));
        assert_int_equal(ndl_mix_is_quantised(mix), t >= NDL_INT8);
        assert_int_equal(ndl_mix_kv_dtype(mix), t ? NDL_BF16 : NDL_F32);
    }
    assert_int_equal(ndl_mix_block(ndl_mix_plain(NDL_INT8), NDL_GROUP_V), 64);
    assert_int_equal(ndl_mix_block(ndl_mix_plain(NDL_INT4), NDL_GROUP_V), 32);
    assert_int_equal(ndl_mix_block(ndl_mix_plain(NDL_BF16), NDL_GROUP_V), 0);
}

static void dtypes_alone_keep_what_matters_most(void **state)
{
    (void)state;
    const ndl_mix mix = parsed("int4", NULL);
    assert_int_equal(mix.of[NDL_GROUP_HEAD], NDL_INT8);
    assert_int_equal(mix.of[NDL_GROUP_V], NDL_INT8);
    assert_int_equal(mix.of[NDL_GROUP_EMBED], NDL_INT4);
    assert_int_equal(mix.of[NDL_GROUP_DOWN], NDL_INT4);
    writes(mix, "int4,head=int8,v=int8");
    writes(parsed("int4", "none"), "int4");
    writes(parsed("int4", "down"), "int4,down=int8");
    writes(parsed("int8", NULL), "int8,head=int8:32,down=int8:32");
    writes(parsed("int8", "none"), "int8");
    writes(parsed("f32", NULL), "f32");
}

static void keep_gives_groups_the_dtype_after_them(void **state)
{
    (void)state;
    writes(parsed("int4", "head,v,down=int8"),
           "int4,head=int8,v=int8,down=int8");
    writes(parsed("int4", "head=bf16,v,down=int8"),
           "int4,head=bf16,v=int8,down=int8");
    writes(parsed("int4", "embed,qk=f32,up"), "int4,embed=f32,qk=f32,up=int8");
    writes(parsed("bf16", "out=bf16"), "bf16");
    /* What most have is said first. */
    writes(parsed("int4", "embed,head,qk,v,out,up"), "int8,down=int4");
    assert_false(ndl_mix_is_quantised(parsed("f32", "up=bf16")));
    assert_int_equal(ndl_mix_kv_dtype(parsed("f32", "up=bf16")), NDL_BF16);
}

static void blocks_of_32_are_those_of_groups(void **state)
{
    (void)state;
    ndl_mix mix = parsed("int8:32", NULL);
    assert_int_equal(ndl_mix_block(mix, NDL_GROUP_OUT), 32);
    writes(mix, "int8:32");
    assert_false(ndl_mix_equal(mix, parsed("int8", "none")));
    writes(parsed("int8:32", "v=bf16"), "int8:32,v=bf16");
    writes(parsed("int4", "head,v=int8:32"), "int4,head=int8:32,v=int8:32");
    writes(parsed("int4", "head=int8:32,v"), "int4,head=int8:32,v=int8");
    writes(parsed("int8:32", "v"), "int8:32,v=int8");
    mix = parsed("int8", "down=int8:32");
    assert_int_equal(ndl_mix_block(mix, NDL_GROUP_DOWN), 32);
    assert_int_equal(ndl_mix_block(mix, NDL_GROUP_UP), 64);
    assert_true(ndl_mix_joins_v(mix));
    assert_false(ndl_mix_joins_v(parsed("int8", "v=int8:32")));
    /* Nobody has such blocks. */
    mix = parsed("int4", "none");
    mix.small = 0x7f;
    assert_true(ndl_mix_equal(mix, ndl_mix_plain(NDL_INT4)));
    writes(mix, "int4");
}

static void what_is_not_known_is_named(void **state)
{
    (void)state;
    refuses("f16", NULL, "f16");
    refuses("", NULL, "f32, bf16, int8");
    refuses("int8:64", NULL, "int8:64");
    refuses("int4,v=int8", NULL, "int4,v=int8"); /* a file's text, no dtype */
    refuses("int4", "head,tail", "tail");
    refuses("int4", "head,tail", "embed, head");
    refuses("int4", "", "--keep");
    refuses("int4", "head,", "--keep");
    refuses("int4", "head=", "--keep");
    refuses("int4", "head=int3", "--keep int3");
    refuses("int4", "head=int8=int8", "int8=int8");
    refuses("int4", "head,v,head", "head: given twice");
    refuses("int4", "none,v", "none");
}

static void texts_of_files_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "f16",        "int4,",      ",int4",   "int4,v=",
        "int4;v", "int4,x=f32", "INT4",       "int4 ",   "bf16,v=int8,v=int8",
        "int8:1", "none",       "int4,=int8", "int4,,v", "int4,none",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const ndl_mix before = { { 1 }, 2 };
        ndl_mix mix = before;
        assert_int_equal(ndl_mix_read(&mix, bad[i]), NDL_EDATA);
        assert_memory_equal(&mix, &before, sizeof mix);
        ndl_status_clear();
    }
}

static void every_mix_comes_back_from_its_text(void **state)
{
    (void)state;
    random_state = chance_seed(15);
    for (int i = 0; i < 20000; i++) {
        ndl_mix mix = { .small = (uint8_t)between(0, 127) }, back;
        char text[NDL_MIX_TEXT], again[NDL_MIX_TEXT];
        for (int g = 0; g < NDL_N_GROUPS; g++)
            mix.of[g] = (uint8_t)between(0, NDL_N_DTYPES - 1);
        assert_true(ndl_mix_is_valid(mix));
        ndl_mix_write(mix, text);
        assert_true(strlen(text) < NDL_MIX_TEXT);
        assert_int_equal(ndl_mix_read(&back, text), NDL_OK);
        if (!ndl_mix_equal(mix, back)) fail_msg("%s", text);
        ndl_mix_write(back, again);
        assert_string_equal(text, again);
    }
}

static void other_bytes_are_no_mix(void **state)
{
    (void)state;
    for (int g = 0; g < NDL_N_GROUPS; g++) {
        ndl_mix mix = ndl_mix_plain(NDL_INT4);
        mix.of[g] = NDL_N_DTYPES;
        assert_false(ndl_mix_is_valid(mix));
    }
    for (int small = 0; small < 256; small++) {
        ndl_mix mix = ndl_mix_plain(NDL_F32);
        mix.small = (uint8_t)small;
        assert_int_equal(ndl_mix_is_valid(mix), small < 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_dtype_is_its_own_text),
        cmocka_unit_test(dtypes_alone_keep_what_matters_most),
        cmocka_unit_test(keep_gives_groups_the_dtype_after_them),
        cmocka_unit_test(blocks_of_32_are_those_of_groups),
        cmocka_unit_test(what_is_not_known_is_named),
        cmocka_unit_test(texts_of_files_are_checked),
        cmocka_unit_test(every_mix_comes_back_from_its_text),
        cmocka_unit_test(other_bytes_are_no_mix),
    };
    return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
