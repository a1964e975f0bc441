/* test_counts.c - lists of numbers on the command line. */
#include "../../src/cli/counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static ndl_status parse(ndl_counts *c, const char *a, const char *b)
{
    ndl_options_list list = { .n = 0 };
    if (a) list.at[list.n++] = a;
    if (b) list.at[list.n++] = b;
    return ndl_counts_parse(c, "-x", &list, 7, 1, 100);
}

static void expect(const char *a, const char *b, const char *numbers)
{
    ndl_counts c = { .n = 0 };
    char text[512] = "";
    if (parse(&c, a, b) != NDL_OK) fail_msg("%s", ndl_status_message());
    for (int i = 0; i < c.n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d",
                 i ? " " : "", c.at[i]);
    assert_string_equal(text, numbers);
}

static void lists_and_repeats_are_joined_in_order(void **state)
{
    (void)state;
    expect(NULL, NULL, "7");
    expect("5", NULL, "5");
    expect("4,1,16,1", NULL, "4 1 16 1");
    expect("4,1", "3", "4 1 3");
}

static void ranges_add_or_multiply_up_to_their_end(void **state)
{
    (void)state;
    expect("1-4", NULL, "1 2 3 4");
    expect("3-3", NULL, "3");
    expect("1-10+4", NULL, "1 5 9");
    expect("1-9+4,2", NULL, "1 5 9 2");
    expect("1-64*4", NULL, "1 4 16 64");
    expect("3-100*2", NULL, "3 6 12 24 48 96");
    /* Steps beyond any number end a range like others. */
    expect("1-5+9223372036854775807", NULL, "1");
    expect("2-5*9223372036854775807", NULL, "2");
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "x",     "1,",     ",1",
        "1,,2",    "-1",    "1-",     "4-1",
        "1-4+0",   "1-4+",  "1-4*1",  "1-4*0",
        "1-4*",    "1-4-5", "0",      "101",
        "1-101",   "0-5",   "+1",     " 1",
        "1 ",      "1e2",   "0x10",   "1.5",
        "1-4*2+1", "1-90",  "1-4+-1", "99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ndl_counts c = { .n = -5 };
        if (parse(&c, "3", bad[i]) != NDL_EUSAGE)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(c.n, -5);
        assert_non_null(strstr(ndl_status_message(), "-x"));
        ndl_status_clear();
    }
}

static void zero_does_not_multiply_for_ever(void **state)
{
    (void)state;
    ndl_options_list list = { .at = { "0-8*2" }, .n = 1 };
    ndl_counts c;
    assert_int_equal(ndl_counts_parse(&c, "-x", &list, 0, 0, 8), NDL_EUSAGE);
    ndl_status_clear();
}

static void pair_is_two_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = { "",      "1",     "1,",   ",1",
                                       "1,2,3", "1;2",   "-1,2", "1-2",
                                       "9,x",   "101,1", "1,101" };
    int pair[2] = { -1, -1 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ndl_counts_pair(pair, "-pg", bad[i], 100), NDL_EUSAGE);
        assert_int_equal(pair[0], -1);
        ndl_status_clear();
    }
    assert_int_equal(ndl_counts_pair(pair, "-pg", "100,0", 100), NDL_OK);
    assert_int_equal(pair[0], 100);
    assert_int_equal(pair[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_repeats_are_joined_in_order),
        cmocka_unit_test(ranges_add_or_multiply_up_to_their_end),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(zero_does_not_multiply_for_ever),
        cmocka_unit_test(pair_is_two_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
