/* test_utf8.c - facts about src/text/utf8.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/text/utf8.h"

static void utf8_every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        uint8_t s[4];
        uint32_t back = 0;
        if (cp == 0xd800) cp = 0xe000;
        const int n = ndl_utf8_encode(cp, s);
        assert_int_equal(ndl_utf8_decode(s, (size_t)n, &back), n);
        assert_int_equal(back, cp);
        assert_int_equal(ndl_utf8_last(s, (size_t)n, &back), n);
        assert_int_equal(back, cp);
        for (int k = 1; k < n; k++)
            assert_int_equal(ndl_utf8_decode(s, (size_t)k, &back), 0);
    }
}

static void utf8_broken_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int result;
    } cases[] = {
        { "\x80", -1 },             /* a continuation alone        */
        { "\xc0\x80", -1 },         /* overlong                    */
        { "\xc1\xbf", -1 },         /* overlong                    */
        { "\xe0\x80\x80", -1 },     /* overlong                    */
        { "\xed\xa0\x80", -1 },     /* a surrogate                 */
        { "\xf0\x8f\xbf\xbf", -1 }, /* overlong                    */
        { "\xf4\x90\x80\x80", -1 }, /* past U+10FFFF               */
        { "\xf5\x80\x80\x80", -1 }, /* never a lead byte           */
        { "\xff", -1 },             /* never in UTF-8              */
        { "\xe2\x96x", -2 },        /* two bytes could have become */
        { "\xf0\x9f\xa6x", -3 },    /* three bytes could have      */
        { "\xc3x", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ndl_utf8_decode((const uint8_t *)cases[i].bytes,
                                         strlen(cases[i].bytes), NULL),
                         cases[i].result);
    assert_int_equal(ndl_utf8_decode((const uint8_t *)"", 0, NULL), 0);
}

static void utf8_check_gives_the_offset(void **state)
{
    (void)state;
    assert_int_equal(ndl_utf8_check((const uint8_t *)"a\xc3\xa9z", 4), 4);
    assert_int_equal(ndl_utf8_check((const uint8_t *)"a\xc3\xa9\xff", 4), 3);
    assert_int_equal(ndl_utf8_check((const uint8_t *)"a\xc3", 2), 1);
}

static void utf8_spaces_and_words_are_unicodes(void **state)
{
    (void)state;
    static const uint32_t spaces[] = { ' ',    '\t',   '\r',   0x85,  0xa0,
                                       0x1680, 0x2003, 0x2028, 0x3000 };
    static const uint32_t words[] = { 'a',    '_',    '7',    0xe9,
                                      0x0301, 0x2167, 0x65e5, 0x200d };
    static const uint32_t neither[] = { '-', 0x200b, 0x1f999, 0x180e, 0x20ac };
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        assert_true(ndl_utf8_is_space(spaces[i]));
        assert_false(ndl_utf8_is_word(spaces[i]));
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_true(ndl_utf8_is_word(words[i]));
        assert_false(ndl_utf8_is_space(words[i]));
    }
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++) {
        assert_false(ndl_utf8_is_word(neither[i]));
        assert_false(ndl_utf8_is_space(neither[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_every_code_point_comes_back),
        cmocka_unit_test(utf8_broken_bytes_are_refused),
        cmocka_unit_test(utf8_check_gives_the_offset),
        cmocka_unit_test(utf8_spaces_and_words_are_unicodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
