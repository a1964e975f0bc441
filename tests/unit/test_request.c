/* test_request.c - names of endings, and seeds that depend on the text alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "noodle/request.h"

static void every_ending_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(ndl_finish_name(NDL_FINISH_NONE), "running");
    assert_string_equal(ndl_finish_name(NDL_FINISH_EOS), "eos");
    assert_string_equal(ndl_finish_name(NDL_FINISH_LENGTH), "length");
    assert_string_equal(ndl_finish_name(NDL_FINISH_CONTEXT), "context");
    assert_string_equal(ndl_finish_name(NDL_FINISH_STOPPED), "stopped");
    assert_string_equal(ndl_finish_name((ndl_finish)99), "unknown");
}

static void seed_depends_on_run_and_text(void **state)
{
    (void)state;
    const int32_t ids[3] = { 1, 2, 3 }, other[3] = { 1, 2, 4 };
    const uint64_t seed = ndl_request_seed(7, ids, 3);
    assert_int_equal(seed, ndl_request_seed(7, ids, 3));
    assert_int_not_equal(seed, ndl_request_seed(8, ids, 3));
    assert_int_not_equal(seed, ndl_request_seed(7, other, 3));
    assert_int_not_equal(seed, ndl_request_seed(7, ids, 2));
}

/* Texts are promised to stay the same: this number is part of that. */
static void seed_is_the_same_on_every_machine(void **state)
{
    (void)state;
    const int32_t ids[3] = { 1, 2, 3 };
    assert_int_equal(ndl_request_seed(7, ids, 3), UINT64_C(0xc009064f93b7b194));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ending_has_a_name),
        cmocka_unit_test(seed_depends_on_run_and_text),
        cmocka_unit_test(seed_is_the_same_on_every_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
