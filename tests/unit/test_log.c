/* test_log.c - facts about log.h: what arrives at stderr. */
#include "noodle/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char said[8192];
static int real_stderr, pipe_out;

static void listen_begin(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    real_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    pipe_out = fds[0];
}

static const char *listen_end(void)
{
    const ssize_t n = read(pipe_out, said, sizeof said - 1);
    said[n > 0 ? n : 0] = '\0';
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(pipe_out);
    return said;
}

static void log_parses_the_five_levels(void **state)
{
    (void)state;
    static const char *const names[] = { "error", "warn", "info", "debug",
                                         "trace" };
    for (int i = 0; i < 5; i++) {
        ndl_log_level level = NDL_LOG_ERROR;
        assert_true(ndl_log_parse(names[i], &level));
        assert_int_equal(level, i);
    }
}

static void log_unknown_level_leaves_out_untouched(void **state)
{
    (void)state;
    static const char *const names[] = { "", "INFO", "inf", "info ", "loud" };
    ndl_log_level level = NDL_LOG_DEBUG;
    for (int i = 0; i < 5; i++) {
        assert_false(ndl_log_parse(names[i], &level));
        assert_int_equal(level, NDL_LOG_DEBUG);
    }
}

static void log_prints_up_to_its_level(void **state)
{
    (void)state;
    for (int max = NDL_LOG_ERROR; max <= NDL_LOG_TRACE; max++) {
        ndl_log_init(0, (ndl_log_level)max);
        for (int i = NDL_LOG_ERROR; i <= NDL_LOG_TRACE; i++) {
            listen_begin();
            ndl_log((ndl_log_level)i, "test", "hello");
            assert_int_equal(listen_end()[0] != '\0', i <= max);
            assert_int_equal(ndl_log_is_on((ndl_log_level)i), i <= max);
        }
    }
}

static void log_line_has_time_rank_and_place(void **state)
{
    (void)state;
    double sec = -1.0;
    int rank = -1, layers = -1;
    char end = 0;
    ndl_log_init(3, NDL_LOG_INFO);
    listen_begin();
    ndl_log(NDL_LOG_INFO, "stage", "loaded layers 8-%d", 15);
    listen_end();
    assert_non_null(strstr(said, "] r03 stage: loaded layers 8-15\n"));
    assert_int_equal(sscanf(said, "[%lf] r%d stage: loaded layers 8-%d%c", &sec,
                            &rank, &layers, &end),
                     4);
    assert_true(sec >= 0.0 && sec < 60.0);
    assert_int_equal(rank, 3);
    assert_int_equal(end, '\n');
}

static void log_root_speaks_on_rank_0_only(void **state)
{
    (void)state;
    for (int rank = 0; rank < 3; rank++) {
        ndl_log_init(rank, NDL_LOG_INFO);
        listen_begin();
        ndl_log_root(NDL_LOG_INFO, "plan", "one");
        ndl_log_root(NDL_LOG_DEBUG, "plan", "two");
        listen_end();
        assert_int_equal(strstr(said, "plan: one") != NULL, rank == 0);
        assert_null(strstr(said, "two"));
    }
}

static void log_long_line_is_cut_and_still_ends(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    ndl_log_init(0, NDL_LOG_INFO);
    listen_begin();
    ndl_log(NDL_LOG_INFO, "test", "%s", text);
    listen_end();
    const size_t n = strlen(said);
    assert_in_range(n, 1000, 1200);
    assert_int_equal(said[n - 1], '\n');
    assert_ptr_equal(strchr(said, '\n'), said + n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_parses_the_five_levels),
        cmocka_unit_test(log_unknown_level_leaves_out_untouched),
        cmocka_unit_test(log_prints_up_to_its_level),
        cmocka_unit_test(log_line_has_time_rank_and_place),
        cmocka_unit_test(log_root_speaks_on_rank_0_only),
        cmocka_unit_test(log_long_line_is_cut_and_still_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
