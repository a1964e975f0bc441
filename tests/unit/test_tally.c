/* test_tally.c - facts about tally.h. */
#include "../../src/cli/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const ndl_scheduler_counts counts = {
    .n_running = 31, .pages = { .n_pages = 100, .n_used = 62 }
};

static void nothing_is_known_before_something_is_done(void **state)
{
    (void)state;
    const ndl_tally t = { .prompt_tokens = 10, .new_limit = 10 };
    ndl_tally done = t;
    assert_true(ndl_tally_left_sec(&t, 5.0) < 0.0);
    done.prompt_done = 5;
    assert_true(ndl_tally_left_sec(&done, 0.0) < 0.0);
    assert_true(ndl_tally_left_sec(&done, 1.0) > 0.0);
}

static void without_an_end_all_that_may_be_written_is_expected(void **state)
{
    (void)state;
    const ndl_tally t = { .prompt_tokens = 1000,
                          .prompt_done = 600,
                          .new_limit = 2000,
                          .new_done = 400 };
    /* 1000 tokens in 10 s; 400 + 1600 are left. */
    assert_float_equal(ndl_tally_left_sec(&t, 10.0), 20.0, 1e-9);
}

static void what_has_finished_tells_how_much_the_rest_will_write(void **state)
{
    (void)state;
    const ndl_tally t = { .prompt_tokens = 1000,
                          .prompt_done = 1000,
                          .new_limit = 2000,
                          .new_done = 500,
                          .finished_limit = 1000,
                          .finished_done = 250 };
    /* The others may write 1000, so 250 is expected, and is there already. */
    assert_float_equal(ndl_tally_left_sec(&t, 10.0), 0.0, 1e-9);
    ndl_tally more = t;
    more.new_done = 300;
    assert_float_equal(ndl_tally_left_sec(&more, 13.0), 200.0 * 13.0 / 1300.0,
                       1e-9);
    more.finished_done = more.new_done = 0; /* every text was empty */
    assert_float_equal(ndl_tally_left_sec(&more, 10.0), 0.0, 1e-9);
}

static void a_line_tells_all(void **state)
{
    (void)state;
    char text[160];
    const ndl_tally t = { .n_requests = 500,
                          .n_finished = 120,
                          .prompt_tokens = 16500,
                          .prompt_done = 16500,
                          .new_limit = 6950 + 83 * 2345,
                          .new_done = 6950 };
    assert_string_equal(ndl_tally_text(&t, &counts, 10.0, text, sizeof text),
                        "120 of 500 requests, 31 running, 2345 tokens/s (1650 "
                        "prompt, 695 new), KV 62 %, 1:23 left");
    ndl_tally longer = t;
    longer.new_limit = 6950 + (int64_t)7384 * 2345;
    ndl_tally_text(&longer, &counts, 10.0, text, sizeof text);
    assert_non_null(strstr(text, ", 2:03:04 left"));
}

static void a_line_at_the_begin_leaves_out_what_is_not_known(void **state)
{
    (void)state;
    char text[160];
    const ndl_tally t = { .n_requests = 5, .prompt_tokens = 9 };
    const ndl_scheduler_counts none = { .n_running = 0 };
    assert_string_equal(ndl_tally_text(&t, &none, 0.0, text, sizeof text),
                        "0 of 5 requests, 0 running, 0 tokens/s (0 prompt, 0 "
                        "new), KV 0 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_something_is_done),
        cmocka_unit_test(without_an_end_all_that_may_be_written_is_expected),
        cmocka_unit_test(what_has_finished_tells_how_much_the_rest_will_write),
        cmocka_unit_test(a_line_tells_all),
        cmocka_unit_test(a_line_at_the_begin_leaves_out_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
