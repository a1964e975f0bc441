/* test_heed.c - facts about heed.h. */
#include "noodle/heed.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "../support/patience.h"
#include "noodle/clock.h"

#include <cmocka.h>

static int ends[2];

static int open_pipe(void **state)
{
    (void)state;
    ndl_status_clear();
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    close(ends[1]);
    return close(ends[0]);
}

static void expect(ndl_heed h, const char *text)
{
    char bytes[16] = "";
    ssize_t got = -2;
    assert_int_equal(ndl_heed_read(h, ends[0], bytes, 8, &got), NDL_OK);
    assert_int_equal(got, strlen(text));
    assert_string_equal(bytes, text);
}

static void say(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static void nobody_need_be_asked(void **state)
{
    (void)state;
    assert_int_equal(ndl_heed_ask((ndl_heed){ 0 }), NDL_OK);
    say("more than 8");
    expect((ndl_heed){ 0 }, "more tha");
    expect((ndl_heed){ 0 }, "n 8");
    close(ends[1]);
    expect((ndl_heed){ 0 }, "");
    assert_int_equal(pipe(ends), 0);
}

static void is_asked_before_anything_is_read(void **state)
{
    (void)state;
    char bytes[8];
    ssize_t got = -2;
    patience p = { .last = 0 };
    say("text");
    assert_int_equal(ndl_heed_ask((ndl_heed){ lose_patience, &p }), NDL_EINT);
    assert_int_equal(ndl_heed_read((ndl_heed){ lose_patience, &p }, ends[0],
                                   bytes, sizeof bytes, &got),
                     NDL_EINT);
    assert_string_equal(ndl_status_message(), "enough");
    p.last = 1000;
    expect((ndl_heed){ lose_patience, &p }, "text");
}

static void a_silent_pipe_is_left(void **state)
{
    (void)state;
    char bytes[8];
    ssize_t got = -2;
    patience p = { .last = 4 };
    const double begin = ndl_clock_sec();
    assert_int_equal(ndl_heed_read((ndl_heed){ lose_patience, &p }, ends[0],
                                   bytes, sizeof bytes, &got),
                     NDL_EINT);
    assert_true(ndl_clock_sec() - begin < 5.0);
    assert_int_equal(p.n, 4);
}

static volatile sig_atomic_t n_alarms;

/* Speaks at last. */
static void on_alarm(int sig)
{
    (void)sig;
    if (++n_alarms == 5) (void)!write(ends[1], "text", 4);
}

static void other_signals_do_not_end_the_wait(void **state)
{
    (void)state;
    struct sigaction a = { .sa_handler = on_alarm }, before;
    const struct itimerval soon = { { 0, 10000 }, { 0, 10000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    patience p = { .last = 1 << 30 };
    for (int asks = 0; asks < 2; asks++) {
        n_alarms = 0;
        assert_int_equal(sigaction(SIGALRM, &a, &before), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        expect((ndl_heed){ asks ? lose_patience : NULL, &p }, "text");
        assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
        assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
        assert_true(n_alarms >= 5);
    }
}

static void what_cannot_be_read_says_why(void **state)
{
    (void)state;
    char byte;
    ssize_t got = -2;
    const int folder = open("/", O_RDONLY);
    assert_int_equal(ndl_heed_read((ndl_heed){ 0 }, folder, &byte, 1, &got),
                     NDL_OK);
    assert_int_equal(got, -1);
    assert_int_equal(errno, EISDIR);
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_need_be_asked, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(is_asked_before_anything_is_read,
                                        open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_silent_pipe_is_left, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(other_signals_do_not_end_the_wait,
                                        open_pipe, close_pipe),
        cmocka_unit_test(what_cannot_be_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
