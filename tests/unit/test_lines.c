/* test_lines.c - facts about lines.h, in a folder of its own. */
#include "noodle/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/chance.h"
#include "../support/folder.h"

#include <cmocka.h>

static test_folder folder;
static uint64_t seed;

static int make_folder(void **state)
{
    (void)state;
    ndl_status_clear();
    return test_folder_make(&folder);
}

static int remove_folder(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static const char *put(const char *bytes, size_t n)
{
    const char *path = test_folder_at(&folder, "lines");
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static ndl_lines *open_lines(const char *bytes, size_t n)
{
    ndl_lines *l = NULL;
    assert_int_equal(ndl_lines_open(&l, put(bytes, n)), NDL_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            lines_of_both_ends_and_a_torn_one_come_in_order, make_folder,
            remove_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_has_no_line, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_zero_byte_is_a_byte_of_its_line,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(lines_of_any_length_come_back,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_refused_not_kept,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told,
                                        make_folder, remove_folder),
    };
    seed = chance_seed(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
