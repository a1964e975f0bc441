/* test_json.c - facts about json.h. */
#include "noodle/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static ndl_status parse(json_t **out, const char *text)
{
    ndl_status_clear();
    return ndl_json_parse(out, text, strlen(text), "config.json");
}

static void json_parses_what_is_valid(void **state)
{
    (void)state;
    json_t *j = NULL;
    assert_int_equal(parse(&j, "{\"a\": [1, 2.5, null], \"b\": \"x\"}"),
                     NDL_OK);
    assert_int_equal(json_array_size(json_object_get(j, "a")), 3);
    assert_string_equal(json_string_value(json_object_get(j, "b")), "x");
    json_decref(j);
    assert_string_equal(ndl_status_message(), "");
}

static void json_bad_text_is_refused_with_line_and_column(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     "{",          "{\"a\":}",   "[1,]",          "{\"a\":1} x",
        "nul",  "{\"a\" 1}",  "[\"\xff\"]", "[\"\\ud800\"]", "[1e999]",
        "[01]", "\"text\n\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = NULL;
        assert_int_equal(parse(&j, bad[i]), NDL_EDATA);
        assert_null(j);
        assert_non_null(strstr(ndl_status_message(), "config.json: line 1"));
    }
    json_t *j = NULL;
    assert_int_equal(parse(&j, "{\n \"a\": 1,\n \"b\": ?\n}"), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "line 3, column "));
}

static void json_duplicate_keys_are_refused(void **state)
{
    (void)state;
    json_t *j = NULL;
    assert_int_equal(parse(&j, "{\"a\": 1, \"a\": 2}"), NDL_EDATA);
    assert_null(j);
}

static void json_deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 1000000 };
    json_t *j = NULL;
    char *text = malloc(DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    ndl_status_clear();
    assert_int_equal(ndl_json_parse(&j, text, DEEP, "deep.json"), NDL_EDATA);
    assert_null(j);
    free(text);
}

static void json_length_counts_not_the_final_zero(void **state)
{
    (void)state;
    json_t *j = NULL;
    ndl_status_clear();
    assert_int_equal(ndl_json_parse(&j, "[1]garbage", 3, "x"), NDL_OK);
    json_decref(j);
    j = NULL;
    assert_int_equal(ndl_json_parse(&j, "[1]\0]", 5, "x"), NDL_EDATA);
    assert_null(j);
}

static void json_load_reads_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/ndl_test_json_XXXXXX";
    json_t *j = NULL;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"n\": 7}", 8), 8);
    close(fd);
    ndl_status_clear();
    assert_int_equal(ndl_json_load(&j, path, 8), NDL_OK);
    assert_int_equal(json_integer_value(json_object_get(j, "n")), 7);
    json_decref(j);
    j = NULL;
    assert_int_equal(ndl_json_load(&j, path, 7), NDL_EDATA);
    unlink(path);
    ndl_status_clear();
    assert_int_equal(ndl_json_load(&j, path, 8), NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), path));
    assert_null(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_parses_what_is_valid),
        cmocka_unit_test(json_bad_text_is_refused_with_line_and_column),
        cmocka_unit_test(json_duplicate_keys_are_refused),
        cmocka_unit_test(json_deep_nesting_is_refused),
        cmocka_unit_test(json_length_counts_not_the_final_zero),
        cmocka_unit_test(json_load_reads_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
