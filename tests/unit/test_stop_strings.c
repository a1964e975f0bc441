/* test_stop_strings.c - facts about stop_strings.h. */
#include "../../src/cli/stop_strings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../support/chance.h"

#include <cmocka.h>

static uint64_t seed;

static void expect(const char *text, char *const *stops, int n, long want)
{
    size_t at = 99;
    const bool found =
        ndl_stop_strings_find(text, strlen(text), 0, stops, n, &at);
    assert_int_equal(found ? (long)at : -1, want);
    if (!found) assert_int_equal(at, 99);
}

static void the_string_that_ends_first_counts(void **state)
{
    (void)state;
    char *const stops[] = { "abcdef", "cd", "bcd", "x" };
    expect("", stops, 4, -1);
    expect("..abc", stops, 4, -1);
    expect("..cd", stops, 4, 2);
    expect("..abcdef", stops, 4, 3); /* bcd and cd end at one place */
    expect("..abcdef", stops, 2, 4); /* cd is complete before abcdef */
    expect("..abcdef", stops, 1, 2);
    expect("xcd", stops, 4, 0);
    expect("anything", NULL, 0, -1);
}

/* Byte by byte, as if each came alone. */
static long slowly(const char *text, size_t n, char *const *stops, int n_stops)
{
    for (size_t end = 1; end <= n; end++) {
        long begin = -1;
        for (int i = 0; i < n_stops; i++) {
            const size_t len = strlen(stops[i]);
            if (len > end || memcmp(text + end - len, stops[i], len) != 0)
                continue;
            const long at = (long)(end - len);
            if (begin < 0 || at < begin) begin = at;
        }
        if (begin >= 0) return begin;
    }
    return -1;
}

/* Two letters only, so that strings overlap themselves and each other. */
static void put_letters(char *out, int n)
{
    for (int i = 0; i < n; i++) out[i] = (char)between('a', 'b');
    out[n] = '\0';
}

static void the_pieces_in_which_a_text_comes_do_not_matter(void **state)
{
    (void)state;
    random_state = seed;
    for (int run = 0; run < CHANCE_CASES(20000); run++) {
        char text[41], words[4][10];
        char *stops[4];
        const int n = between(0, 40), n_stops = between(1, 4);
        put_letters(text, n);
        for (int i = 0; i < n_stops; i++) {
            put_letters(words[i], between(1, 9));
            stops[i] = words[i];
        }
        long found = -1;
        size_t known = 0, at = 0;
        while (known < (size_t)n && found < 0) {
            const size_t now = known + (size_t)between(0, n - (int)known);
            if (ndl_stop_strings_find(text, now, known, stops, n_stops, &at))
                found = (long)at;
            known = now;
        }
        assert_int_equal(found, slowly(text, (size_t)n, stops, n_stops));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_string_that_ends_first_counts),
        cmocka_unit_test(the_pieces_in_which_a_text_comes_do_not_matter),
    };
    seed = chance_seed(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
