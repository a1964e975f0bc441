/* test_link_options.c - --emulate link=...: what it means, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cli/link_options.h"

enum { RANKS = 4 };

static ndl_status read(const char *const *words, int n, ndl_comm_link **links,
                       int *n_links)
{
    ndl_options_list list = { .n = n };
    for (int i = 0; i < n; i++) list.at[i] = words[i];
    return ndl_link_options_read(&list, RANKS, links, n_links);
}

static void check(const ndl_comm_link *l, int from, int to, double delay_sec,
                  double bytes_per_sec)
{
    assert_int_equal(l->from, from);
    assert_int_equal(l->to, to);
    assert_true(l->delay_sec == delay_sec);
    assert_true(l->bytes_per_sec == bytes_per_sec);
}

static void a_word_makes_both_directions_slow(void **state)
{
    (void)state;
    static const char *const words[] = { "link=1-2,delay=1ms,bandwidth=1GB/s",
                                         "rank=2,speed=0.5",
                                         "link=*-3,bandwidth=10MB",
                                         "link=0-*,delay=0.25" };
    ndl_comm_link *l = NULL;
    int n = 0;
    assert_int_equal(read(words, 4, &l, &n), NDL_OK);
    assert_int_equal(n, 6);
    check(&l[0], 1, 2, 1e-3, 1e9);
    check(&l[1], 2, 1, 1e-3, 1e9);
    check(&l[2], -1, 3, 0.0, 1e7);
    check(&l[3], 3, -1, 0.0, 1e7);
    check(&l[4], 0, -1, 0.25, 0.0);
    check(&l[5], -1, 0, 0.25, 0.0);
    free(l);
}

static void no_word_about_links_gives_none(void **state)
{
    (void)state;
    static const char *const words[] = { "rank=2,speed=0.5", "nonsense" };
    ndl_comm_link *l = NULL;
    int n = 0;
    assert_int_equal(read(words, 2, &l, &n), NDL_OK);
    assert_null(l);
    assert_int_equal(n, 0);
}

static void bad_words_are_named(void **state)
{
    (void)state;
    static const char *const words[] = {
        "link=",
        "link=1",
        "link=1-2",
        "link=1-2,",
        "link=1-4,delay=1ms",
        "link=4-1,delay=1ms",
        "link=-1-2,delay=1ms",
        "link= 1-2,delay=1ms",
        "link=99999999999999999999-1,delay=1ms",
        "link=1-2delay=1ms",
        "link=1-2,delay=",
        "link=1-2,delay=-1ms",
        "link=1-2,delay=nan",
        "link=1-2,delay=11s",
        "link=1-2,delay=1ms,delay=2ms",
        "link=1-2,bandwidth=0",
        "link=1-2,bandwidth=10",
        "link=1-2,speed=1",
        "link=1-2,bandwidth=inf",
        "link=1-2,bandwidth=1e300",
        "link=1-2,delay=1ms,",
        "link=1-2,bandwidth=1GB/s,bandwidth=1GB/s",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ndl_comm_link *l = NULL;
        int n = 7;
        if (read(&words[i], 1, &l, &n) != NDL_EUSAGE)
            fail_msg("%s was taken", words[i]);
        assert_non_null(strstr(ndl_status_message(), words[i]));
        assert_null(l);
        assert_int_equal(n, 7);
        ndl_status_clear();
    }
}

static void a_rank_that_is_not_there_is_told(void **state)
{
    (void)state;
    static const char *const words[] = { "link=1-4,delay=1ms",
                                         "link=99999999999999999999-1,delay=1",
                                         "link=2-2,bandwidth=1GB/s" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ndl_comm_link *l = NULL;
        int n = 0;
        assert_int_equal(read(&words[i], 1, &l, &n), NDL_EUSAGE);
        assert_non_null(strstr(ndl_status_message(),
                               "two different ranks, and the last of this run "
                               "is 3"));
        ndl_status_clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_makes_both_directions_slow),
        cmocka_unit_test(no_word_about_links_gives_none),
        cmocka_unit_test(bad_words_are_named),
        cmocka_unit_test(a_rank_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
