/* test_status.c - facts about status.h. */
#include "noodle/status.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void status_every_code_has_its_own_text(void **state)
{
    (void)state;
#define X(name, value, text)                                                   \
    assert_int_equal(name, value);                                             \
    assert_string_equal(ndl_status_text(name), text);
    NDL_STATUS_LIST(X)
#undef X
}

static void status_unknown_code_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(ndl_status_text(-1), "unknown status");
    assert_string_equal(ndl_status_text(INT32_MAX), "unknown status");
}

static void status_codes_negate_to_exit_codes(void **state)
{
    (void)state;
#define X(name, value, text) assert_in_range(-(name), 0, 255);
    NDL_STATUS_LIST(X)
#undef X
}

static void status_first_message_wins_until_cleared(void **state)
{
    (void)state;
    ndl_status_clear();
    assert_string_equal(ndl_status_message(), "");
    assert_int_equal(NDL_FAIL(NDL_EDATA, "%s: the cause", "FILE"), NDL_EDATA);
    assert_int_equal(NDL_FAIL(NDL_EIO, "a consequence"), NDL_EIO);
    assert_string_equal(ndl_status_message(), "FILE: the cause");
    ndl_status_clear();
    assert_string_equal(ndl_status_message(), "");
    NDL_FAIL(NDL_EIO, "another");
    assert_string_equal(ndl_status_message(), "another");
    ndl_status_clear();
}

static void status_long_message_is_cut(void **state)
{
    (void)state;
    static char text[4 * NDL_STATUS_MESSAGE_MAX];
    memset(text, 'x', sizeof text - 1);
    ndl_status_clear();
    NDL_FAIL(NDL_EDATA, "%s", text);
    assert_int_equal(strlen(ndl_status_message()), NDL_STATUS_MESSAGE_MAX - 1);
    ndl_status_clear();
}

static ndl_status tried(ndl_status s, int *went_on)
{
    NDL_TRY(s);
    *went_on = 1;
    return NDL_OK;
}

static ndl_status tried_goto(ndl_status s, int *went_on)
{
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, s);
    *went_on = 1;
done:
    return st;
}

static void status_try_passes_errors_upward(void **state)
{
    (void)state;
    ndl_status (*const fns[])(ndl_status, int *) = { tried, tried_goto };
    for (int i = 0; i < 2; i++) {
        int went_on = 0;
        assert_int_equal(fns[i](NDL_EPROTO, &went_on), NDL_EPROTO);
        assert_int_equal(went_on, 0);
        assert_int_equal(fns[i](NDL_OK, &went_on), NDL_OK);
        assert_int_equal(went_on, 1);
    }
}

static void *fail_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        NDL_FAIL(NDL_EIO, "thread %d says so", *(const int *)arg);
    return NULL;
}

static void status_message_of_many_threads_is_one_whole_message(void **state)
{
    (void)state;
    pthread_t threads[4];
    int ids[4], id = -1;
    ndl_status_clear();
    for (int i = 0; i < 4; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, fail_many, &ids[i]),
                         0);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(sscanf(ndl_status_message(), "thread %d says so", &id), 1);
    assert_in_range(id, 0, 3);
    ndl_status_clear();
}

static void status_assert_names_the_condition_and_aborts(void **state)
{
    (void)state;
    int fds[2], how = 0;
    char said[512] = "";
    assert_int_equal(pipe(fds), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        NDL_ASSERT(1 + 1 == 2);
        NDL_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_true(read(fds[0], said, sizeof said - 1) > 0);
    close(fds[0]);
    assert_non_null(strstr(said, "1 + 1 == 3"));
    assert_non_null(strstr(said, "test_status.c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_every_code_has_its_own_text),
        cmocka_unit_test(status_unknown_code_has_a_text),
        cmocka_unit_test(status_codes_negate_to_exit_codes),
        cmocka_unit_test(status_first_message_wins_until_cleared),
        cmocka_unit_test(status_long_message_is_cut),
        cmocka_unit_test(status_try_passes_errors_upward),
        cmocka_unit_test(status_message_of_many_threads_is_one_whole_message),
        cmocka_unit_test(status_assert_names_the_condition_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
