/* test_lines.c - facts about lines.h, in a folder of its own. */
#include "noodle/lines.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/chance.h"
#include "../support/patience.h"
#include "noodle/clock.h"

#include <cmocka.h>

#include "../support/scratch.h"

static uint64_t seed;

static void put(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static ndl_lines *open_lines(const char *bytes, size_t n)
{
    ndl_lines *l = NULL;
    put(bytes, n);
    assert_int_equal(ndl_lines_open(&l, path), NDL_OK);
    return l;
}

static void expect(ndl_lines *l, const char *text, uint64_t begin, bool whole)
{
    ndl_line line;
    assert_int_equal(ndl_lines_next(l, &line), NDL_OK);
    assert_non_null(line.text);
    assert_int_equal(line.n, strlen(text));
    assert_string_equal(line.text, text);
    assert_int_equal(line.begin, begin);
    assert_int_equal(line.is_whole, whole);
}

static void expect_end(ndl_lines *l, uint64_t size)
{
    ndl_line line;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ndl_lines_next(l, &line), NDL_OK);
        assert_null(line.text);
        assert_int_equal(line.begin, size);
    }
}

static void lines_of_both_ends_and_a_torn_one_come_in_order(void **state)
{
    (void)state;
    static const char text[] = "one\ntwo\r\n\n\rx\r\nlast";
    ndl_lines *l = open_lines(text, sizeof text - 1);
    expect(l, "one", 0, true);
    expect(l, "two", 4, true);
    expect(l, "", 9, true);
    expect(l, "\rx", 10, true);
    expect(l, "last", 14, false);
    expect_end(l, sizeof text - 1);
    ndl_lines_close(&l);
    assert_null(l);
}

static void an_empty_file_has_no_line(void **state)
{
    (void)state;
    ndl_lines *l = open_lines("", 0);
    expect_end(l, 0);
    ndl_lines_close(&l);
}

static void a_zero_byte_is_a_byte_of_its_line(void **state)
{
    (void)state;
    ndl_lines *l = open_lines("a\0b\n", 4);
    ndl_line line;
    assert_int_equal(ndl_lines_next(l, &line), NDL_OK);
    assert_int_equal(line.n, 3);
    assert_memory_equal(line.text, "a\0b", 4);
    ndl_lines_close(&l);
}

/* Sizes around that of a read, so that lines begin and end anywhere in it. */
static void lines_of_any_length_come_back(void **state)
{
    (void)state;
    enum { N = 40, LONGEST = 200000 };
    random_state = seed;
    char *text = malloc((size_t)N * (LONGEST + 1));
    size_t n[N], at = 0;
    assert_non_null(text);
    for (int i = 0; i < N; i++) {
        n[i] = (size_t)between(0, i % 2 ? LONGEST : 9);
        memset(text + at, 'a' + i % 26, n[i]);
        at += n[i];
        text[at++] = '\n';
    }
    ndl_lines *l = open_lines(text, at);
    size_t begin = 0;
    for (int i = 0; i < N; i++) {
        ndl_line line;
        assert_int_equal(ndl_lines_next(l, &line), NDL_OK);
        assert_int_equal(line.n, n[i]);
        assert_memory_equal(line.text, text + begin, n[i]);
        assert_int_equal(line.number, i + 1);
        assert_int_equal(line.begin, begin);
        begin += n[i] + 1;
    }
    expect_end(l, at);
    ndl_lines_close(&l);
    free(text);
}

static void a_line_without_end_is_refused_not_kept(void **state)
{
    (void)state;
    ndl_lines *l = NULL;
    ndl_line line = { .number = -1 };
    assert_int_equal(ndl_lines_open(&l, "/dev/zero"), NDL_OK);
    assert_int_equal(ndl_lines_next(l, &line), NDL_EDATA);
    assert_int_equal(line.number, -1);
    assert_non_null(strstr(ndl_status_message(), "line 1: longer than 64 MiB"));
    ndl_lines_close(&l);
}

/* A hole of zero bytes, and the end of its line. */
static void put_long_line(long n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fseek(f, n, SEEK_SET), 0);
    assert_int_equal(fputc('\n', f), '\n');
    assert_int_equal(fclose(f), 0);
}

static void a_line_may_be_64_mib_long_and_no_longer(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        ndl_lines *l = NULL;
        ndl_line line = { .n = 7 };
        put_long_line(NDL_LINES_LONGEST + more);
        assert_int_equal(ndl_lines_open(&l, path), NDL_OK);
        assert_int_equal(ndl_lines_next(l, &line), more ? NDL_EDATA : NDL_OK);
        assert_int_equal(line.n, more ? 7 : NDL_LINES_LONGEST);
        ndl_lines_close(&l);
    }
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    ndl_lines *l = NULL;
    ndl_line line;
    assert_int_equal(ndl_lines_open(&l, "/nowhere/x"), NDL_ENOINPUT);
    assert_null(l);
    ndl_status_clear();
    assert_int_equal(ndl_lines_open(&l, folder.path), NDL_OK);
    assert_int_equal(ndl_lines_next(l, &line), NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), "is a directory"));
    ndl_lines_close(&l);
    ndl_lines_close(&l);
}

static void a_plain_file_is_left_between_two_lines(void **state)
{
    (void)state;
    ndl_lines *l = open_lines("one\ntwo\nthree\nfour\n", 19);
    ndl_line line = { .number = -1 };
    patience p = { .last = 1000 };
    ndl_lines_heed(l, (ndl_heed){ lose_patience, &p });
    expect(l, "one", 0, true);
    expect(l, "two", 4, true);
    p.last = 0;
    assert_int_equal(ndl_lines_next(l, &line), NDL_EINT);
    assert_int_equal(line.number, -1);
    ndl_lines_heed(l, (ndl_heed){ 0 });
    expect(l, "three", 8, true); /* nothing is lost */
    ndl_lines_close(&l);
}

/* A pipe that says nothing, in the middle of a line: no signal wakes us. */
static void a_silent_pipe_is_left(void **state)
{
    (void)state;
    int ends[2];
    ndl_lines *l = NULL;
    ndl_line line = { .number = -1 };
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\ntw", 6), 6);
    assert_int_equal(ndl_lines_open_fd(&l, ends[0], "pipe"), NDL_OK);
    patience p = { .last = 5 };
    ndl_lines_heed(l, (ndl_heed){ lose_patience, &p });
    expect(l, "one", 0, true);
    const double begin = ndl_clock_sec();
    assert_int_equal(ndl_lines_next(l, &line), NDL_EINT);
    assert_true(ndl_clock_sec() - begin < 5.0);
    assert_int_equal(line.number, -1);
    assert_string_equal(ndl_status_message(), "enough");
    ndl_lines_close(&l);
    close(ends[0]);
    close(ends[1]);
}

static void a_named_pipe_without_writer_is_left(void **state)
{
    (void)state;
    ndl_lines *l = NULL;
    ndl_line line = { .number = -1 };
    patience p = { .last = 3 };
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ndl_lines_open(&l, path), NDL_OK);
    ndl_lines_heed(l, (ndl_heed){ lose_patience, &p });
    assert_int_equal(ndl_lines_next(l, &line), NDL_EINT);
    ndl_lines_close(&l);
}

static void a_slow_writer_of_a_named_pipe_is_heard_to_its_end(void **state)
{
    (void)state;
    for (int heeds = 0; heeds < 2; heeds++) {
        ndl_lines *l = NULL;
        pthread_t writer;
        void *wrote = NULL;
        patience p = { .last = 1 << 30 };
        (void)unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(pthread_create(&writer, NULL, write_slowly, path), 0);
        assert_int_equal(ndl_lines_open(&l, path), NDL_OK);
        if (heeds) ndl_lines_heed(l, (ndl_heed){ lose_patience, &p });
        expect(l, "one", 0, true);
        expect(l, "two", 4, true);
        expect(l, "last", 8, false);
        expect_end(l, 12);
        ndl_lines_close(&l);
        assert_int_equal(pthread_join(writer, &wrote), 0);
        assert_non_null(wrote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(lines_of_both_ends_and_a_torn_one_come_in_order),
        IN_SCRATCH(an_empty_file_has_no_line),
        IN_SCRATCH(a_zero_byte_is_a_byte_of_its_line),
        IN_SCRATCH(lines_of_any_length_come_back),
        IN_SCRATCH(a_line_without_end_is_refused_not_kept),
        IN_SCRATCH(a_line_may_be_64_mib_long_and_no_longer),
        IN_SCRATCH(what_cannot_be_read_is_told),
        IN_SCRATCH(a_plain_file_is_left_between_two_lines),
        cmocka_unit_test(a_silent_pipe_is_left),
        IN_SCRATCH(a_named_pipe_without_writer_is_left),
        IN_SCRATCH(a_slow_writer_of_a_named_pipe_is_heard_to_its_end),
    };
    seed = chance_seed(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
