/* test_journal.c - facts about journal.h, in a folder of its own. */
#include "noodle/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "noodle/file.h"

#include <cmocka.h>

#include "../support/scratch.h"

/* What an opening has read. */
typedef struct heard {
    char text[4096]; /* each line and a '|' */
    int n;
    size_t longest;
    int refuse; /* the line, from 1, that is refused; 0: none */
} heard;

static ndl_status hear(void *arg, const ndl_line *line)
{
    heard *h = arg;
    assert_true(line->is_whole);
    assert_int_equal(line->number, ++h->n);
    if (line->n > h->longest) h->longest = line->n;
    if (h->n == h->refuse) return NDL_FAIL(NDL_ECONFIG, "refused");
    strncat(h->text, line->text, sizeof h->text - strlen(h->text) - 1);
    strncat(h->text, "|", sizeof h->text - strlen(h->text) - 1);
    return NDL_OK;
}

static ndl_status open_it(ndl_journal **j, heard *h)
{
    *h = (heard){ .refuse = h->refuse };
    const ndl_journal_setup setup = {
        path, "{\"id\":", hear, h, { NULL, NULL }
    };
    return ndl_journal_open(j, &setup);
}

static void put(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *bytes, size_t n)
{
    char *got = NULL;
    size_t n_got = 0;
    assert_int_equal(ndl_file_read(&got, &n_got, path, 1 << 20), NDL_OK);
    assert_int_equal(n_got, n);
    assert_memory_equal(got, bytes, n);
    free(got);
}

/* What opening it gives, and what is in it after that. */
static void expect_lines(const char *text)
{
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    assert_int_equal(open_it(&j, &h), NDL_OK);
    assert_string_equal(h.text, text);
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
    assert_null(j);
}

static ndl_status write_and_sync(ndl_journal *j, const char *line, size_t n)
{
    NDL_TRY(ndl_journal_write(j, line, n));
    return ndl_journal_sync(j);
}

static void append(ndl_journal *j, const char *text)
{
    assert_int_equal(write_and_sync(j, text, strlen(text)), NDL_OK);
}

static const char two[] = "{\"id\":1}\n{\"id\":2}\n";

static void what_was_appended_is_there_at_the_next_opening(void **state)
{
    (void)state;
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    assert_int_equal(open_it(&j, &h), NDL_OK);
    assert_int_equal(h.n, 0);
    append(j, "{\"id\":1}");
    expect_file(two, 9); /* at once, not at the end */
    assert_int_equal(ndl_journal_write(j, "{\"id\":2}", 8), NDL_OK);
    expect_file(two, 18);
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
    expect_lines("{\"id\":1}|{\"id\":2}|");
    assert_int_equal(open_it(&j, &h), NDL_OK);
    append(j, "{\"id\":3}");
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
    expect_lines("{\"id\":1}|{\"id\":2}|{\"id\":3}|");
}

static void a_line_torn_anywhere_is_removed_and_the_others_stay(void **state)
{
    (void)state;
    for (size_t n = 9; n < sizeof two - 1; n++) {
        ndl_journal *j = NULL;
        heard h = { .n = 0 };
        put(two, n);
        assert_int_equal(open_it(&j, &h), NDL_OK);
        assert_string_equal(h.text, "{\"id\":1}|");
        expect_file(two, 9);
        append(j, "{\"id\":2}");
        assert_int_equal(ndl_journal_close(&j), NDL_OK);
        expect_file(two, 18);
    }
    for (size_t n = 0; n < 9; n++) {
        put(two, n);
        expect_lines("");
        expect_file("", 0);
    }
}

static void a_file_of_others_stays_as_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } others[] = {
        { "notes", "line 1:" },
        { "notes\n", "line 1:" },
        { "\n", "line 1:" },
        { " {\"id\":1}\n", "line 1:" },
        { "{\"prompt\": \"x\"}\n", "line 1:" },
        { "{\"id\":1}\nnotes", "line 2:" },
        { "{\"id\":1}\nnotes\n", "line 2:" },
        { "{\"i\n", "line 1:" }, /* short, but not torn */
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ndl_journal *j = NULL;
        heard h = { .n = 0 };
        put(others[i].text, strlen(others[i].text));
        ndl_status_clear();
        assert_int_equal(open_it(&j, &h), NDL_EDATA);
        assert_null(j);
        assert_non_null(strstr(ndl_status_message(), others[i].line));
        expect_file(others[i].text, strlen(others[i].text));
    }
}

static void
a_line_that_is_refused_ends_the_opening_and_nothing_is_cut(void **state)
{
    (void)state;
    static const char torn[] = "{\"id\":1}\n{\"id\":2}\n{\"id\":";
    ndl_journal *j = NULL;
    put(torn, sizeof torn - 1);
    for (int i = 1; i <= 2; i++) {
        heard h = { .refuse = i };
        ndl_status_clear();
        assert_int_equal(open_it(&j, &h), NDL_ECONFIG);
        assert_string_equal(ndl_status_message(), "refused");
        assert_null(j);
        expect_file(torn, sizeof torn - 1);
    }
    expect_lines("{\"id\":1}|{\"id\":2}|"); /* the lock is free again */
}

static void a_second_writer_is_refused_until_the_first_has_closed(void **state)
{
    (void)state;
    ndl_journal *j = NULL, *second = NULL;
    heard h = { .n = 0 };
    assert_int_equal(open_it(&j, &h), NDL_OK);
    assert_int_equal(open_it(&second, &h), NDL_ETEMP);
    assert_non_null(strstr(ndl_status_message(), path));
    assert_non_null(strstr(ndl_status_message(), "another run"));
    assert_null(second);
    append(j, "{\"id\":1}");
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
    expect_lines("{\"id\":1}|");
}

/* In a process of its own, because the limit and the lock are a process's. */
static int in_child(int (*body)(void))
{
    int status = 0;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) _exit(body());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int die_in_the_middle(void)
{
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    if (open_it(&j, &h) != NDL_OK) return 1;
    if (ndl_journal_write(j, "{\"id\":1}", 8) != NDL_OK) return 2;
    raise(SIGKILL);
    return 3;
}

static void
what_was_written_survives_the_writer_and_its_lock_does_not(void **state)
{
    (void)state;
    assert_int_equal(in_child(die_in_the_middle), 100 + SIGKILL);
    expect_lines("{\"id\":1}|");
}

/* The system takes half of the second line. */
static int fill_up(void)
{
    const struct rlimit limit = { 13, 13 };
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    if (open_it(&j, &h) != NDL_OK) return 2;
    if (write_and_sync(j, "{\"id\":1}", 8) != NDL_OK) return 3;
    if (write_and_sync(j, "{\"id\":2}", 8) != NDL_EIO) return 4;
    if (!strstr(ndl_status_message(), path)) return 5;
    /* It ends there, also for what would still fit. */
    if (write_and_sync(j, "{}", 2) != NDL_EIO) return 6;
    if (ndl_journal_sync(j) != NDL_EIO) return 7;
    if (ndl_journal_close(&j) != NDL_EIO) return 8;
    return 0;
}

static void half_a_line_that_a_full_disk_took_is_removed(void **state)
{
    (void)state;
    assert_int_equal(in_child(fill_up), 0);
    expect_file(two, 9);
    expect_lines("{\"id\":1}|");
}

static void what_cannot_be_a_journal_is_told(void **state)
{
    (void)state;
    static const char *const paths[] = { "/nowhere/x", "/dev/full", "/" };
    for (int i = 0; i < 3; i++) {
        ndl_journal *j = NULL;
        heard h = { .n = 0 };
        snprintf(path, sizeof path, "%s", paths[i]);
        ndl_status_clear();
        assert_int_equal(open_it(&j, &h), NDL_ECREATE);
        assert_null(j);
        assert_non_null(strstr(ndl_status_message(), paths[i]));
    }
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "fifo"));
    assert_int_equal(mkfifo(path, 0600), 0);
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    assert_int_equal(open_it(&j, &h), NDL_ECREATE);
}

static void a_file_that_may_not_be_written_is_told(void **state)
{
    (void)state;
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    if (geteuid() == 0) skip(); /* root may */
    put("", 0);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(open_it(&j, &h), NDL_EPERM);
    assert_non_null(strstr(ndl_status_message(), "permissions"));
}

static void a_long_line_comes_back_and_one_too_long_is_refused(void **state)
{
    (void)state;
    enum { N = 5 << 20 };
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    char *text = malloc((size_t)NDL_LINES_LONGEST + 2);
    assert_non_null(text);
    memset(text, 'x', (size_t)NDL_LINES_LONGEST + 2);
    memcpy(text, "{\"id\":", 6);
    assert_int_equal(open_it(&j, &h), NDL_OK);
    assert_int_equal(write_and_sync(j, text, N), NDL_OK);
    append(j, "{\"id\":2}");
    assert_int_equal(write_and_sync(j, text, (size_t)NDL_LINES_LONGEST + 1),
                     NDL_EIO);
    assert_int_equal(ndl_journal_close(&j), NDL_EIO);
    assert_int_equal(open_it(&j, &h), NDL_OK);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.longest, N);
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
    free(text);
}

static ndl_status end_after_two(void *arg)
{
    const heard *h = arg;
    return h->n < 2 ? NDL_OK : NDL_FAIL(NDL_ETERM, "enough");
}

static void
reading_it_is_left_between_two_lines_and_nothing_is_cut(void **state)
{
    (void)state;
    static const char text[] = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\"";
    ndl_journal *j = NULL;
    heard h = { .n = 0 };
    const ndl_journal_setup setup = {
        path, "{\"id\":", hear, &h, { end_after_two, &h }
    };
    put(text, sizeof text - 1);
    assert_int_equal(ndl_journal_open(&j, &setup), NDL_ETERM);
    assert_null(j);
    assert_int_equal(h.n, 2);
    expect_file(text, sizeof text - 1);
    assert_int_equal(open_it(&j, &h), NDL_OK); /* it is not locked */
    assert_int_equal(h.n, 3);
    assert_int_equal(ndl_journal_close(&j), NDL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(what_was_appended_is_there_at_the_next_opening),
        IN_SCRATCH(a_line_torn_anywhere_is_removed_and_the_others_stay),
        IN_SCRATCH(a_file_of_others_stays_as_it_is),
        IN_SCRATCH(a_line_that_is_refused_ends_the_opening_and_nothing_is_cut),
        IN_SCRATCH(a_second_writer_is_refused_until_the_first_has_closed),
        IN_SCRATCH(what_was_written_survives_the_writer_and_its_lock_does_not),
        IN_SCRATCH(half_a_line_that_a_full_disk_took_is_removed),
        IN_SCRATCH(what_cannot_be_a_journal_is_told),
        IN_SCRATCH(a_file_that_may_not_be_written_is_told),
        IN_SCRATCH(a_long_line_comes_back_and_one_too_long_is_refused),
        IN_SCRATCH(reading_it_is_left_between_two_lines_and_nothing_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
