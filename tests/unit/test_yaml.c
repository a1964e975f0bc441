/* test_yaml.c - YAML as JSON values, and what is refused of it. */
#include "noodle/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/folder.h"

static json_t *read_well(const char *text)
{
    json_t *j = NULL;
    ndl_status_clear();
    if (ndl_yaml_parse(&j, text, strlen(text), "x.yaml") != NDL_OK)
        fail_msg("%s: %s", text, ndl_status_message());
    return j;
}

/* The text means what the JSON text means. */
static void same(const char *yaml, const char *json)
{
    json_t *a = read_well(yaml), *b = NULL;
    assert_int_equal(ndl_json_parse(&b, json, strlen(json), "json"), NDL_OK);
    if (!json_equal(a, b)) {
        char *text = json_dumps(a, JSON_ENCODE_ANY);
        fail_msg("%s is %s and not %s", yaml, text, json);
    }
    json_decref(a);
    json_decref(b);
}

static void refuse_bytes(const char *text, size_t n, const char *says)
{
    json_t *j = NULL;
    ndl_status_clear();
    if (ndl_yaml_parse(&j, text, n, "x.yaml") != NDL_EDATA)
        fail_msg("taken: %s", text);
    assert_null(j);
    const char *m = ndl_status_message();
    if (!strstr(m, says)) fail_msg("\"%s\" is not in: %s", says, m);
    assert_non_null(strstr(m, "x.yaml: line "));
    assert_non_null(strstr(m, ", column "));
    assert_null(strchr(m, '\n'));
}

static void refuse(const char *text, const char *says)
{
    refuse_bytes(text, strlen(text), says);
}

static void mappings_and_lists_become_objects_and_arrays(void **state)
{
    (void)state;
    same("a: 1\nb: [x, y]\nc: {d: e}\n",
         "{\"a\":1,\"b\":[\"x\",\"y\"],\"c\":{\"d\":\"e\"}}");
    same("nodes:\n  - name: big\n    memory: 64 GiB  # much\n  - {name: old}\n",
         "{\"nodes\":[{\"name\":\"big\",\"memory\":\"64 GiB\"},"
         "{\"name\":\"old\"}]}");
    same("---\n[]\n...\n", "[]");
    same("a:\nb: ~\n", "{\"a\":null,\"b\":null}");
}

static void json_is_yaml(void **state)
{
    (void)state;
    static const char text[] =
        "{\n\t\"a\":[1,2.5,-3e2,true,false,null],\r\n\t\"b\":{\"c\":"
        "\"\\u00e4\\n\"}}";
    same(text, text);
}

static void plain_words_that_look_like_numbers_are_numbers(void **state)
{
    (void)state;
    same("[1, -2, +3, 007, 1.5, .5, 2., 1e3, -1.5E-2]",
         "[1, -2, 3, 7, 1.5, 0.5, 2.0, 1000.0, -0.015]");
    same("[9223372036854775807, true, false, null]",
         "[9223372036854775807, true, false, null]");
    same("['1', \"true\", 'null', 1 2, 0x10, .inf, .nan, yes, 1_0, -, 1e]",
         "[\"1\", \"true\", \"null\", \"1 2\", \"0x10\", \".inf\", \".nan\", "
         "\"yes\", \"1_0\", \"-\", \"1e\"]");
    same("a: |\n  12\n", "{\"a\":\"12\\n\"}");
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    refuse("a: 9223372036854775808", "out of range");
    refuse("a: 1e999", "out of range");
    refuse("a: -1e999", "out of range");
}

static void aliases_and_tags_are_refused(void **state)
{
    (void)state;
    refuse("a: &x [1]\nb: *x\n", "aliases");
    refuse("a: &a [*a]", "aliases");
    refuse("a: !!str 1", "tags");
    refuse("a: !include x", "tags");
    refuse("a: !x [1]", "tags");
    refuse("a: !x {b: 1}", "tags");
    refuse("!!str a: 1", "tags");
}

/* Nine lines that would stand for a thousand million texts. */
static void a_bomb_of_aliases_is_refused(void **state)
{
    (void)state;
    char text[1024] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; i++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "a%d: &a%d [*a%d,*a%d,*a%d]\n", i,
                 i, i - 1, i - 1, i - 1);
    }
    refuse(text, "line 2, column 10: aliases");
}

static void duplicate_keys_are_refused(void **state)
{
    (void)state;
    refuse("a: 1\nb: 2\na: 3\n", "line 3, column 1: duplicate key \"a\"");
    refuse("{a: 1, \"a\": 2}", "duplicate key");
    refuse("x: {\"b\\n\": 1, \"b\\n\": 1}", "duplicate key");
}

static void keys_must_be_texts(void **state)
{
    (void)state;
    refuse("[1]: 2", "a key that is no text");
    refuse("? {a: 1}\n: 2\n", "a key that is no text");
    same("1: 2\n", "{\"1\":2}");
}

static void nesting_is_limited(void **state)
{
    (void)state;
    enum { DEEP = 200000 };
    char *text = malloc(DEEP + 1);
    assert_non_null(text);
    for (int n = 64; n <= 65; n++) {
        memset(text, '[', (size_t)n);
        memset(text + n, ']', (size_t)n);
        text[2 * n] = '\0';
        if (n == 64)
            json_decref(read_well(text));
        else
            refuse(text, "more than 64 levels");
    }
    static const char signs[] = "[{-?";
    for (const char *c = signs; *c; c++) {
        json_t *j = NULL;
        for (int i = 0; i < DEEP; i++)
            text[i] = (*c == '-' || *c == '?') && i % 2 ? ' ' : *c;
        ndl_status_clear();
        assert_int_equal(ndl_yaml_parse(&j, text, DEEP, "x.yaml"), NDL_EDATA);
        assert_null(j);
    }
    free(text);
}

static void texts_must_be_utf8(void **state)
{
    (void)state;
    refuse("a: \xff", "UTF-8");
    refuse("a: \xc3", "UTF-8");
    refuse("a: \xed\xa0\x80", "not valid YAML"); /* half of a pair */
    refuse("a: \xc0\xaf", "not valid YAML");     /* a slash, too long */
    refuse("a: \"\\ud800\"", "not valid YAML");
    refuse_bytes("\xff\xfe"
                 "a\0",
                 4, "not valid YAML");
    same("a: \xc3\xa4", "{\"a\":\"\\u00e4\"}");
}

static void zero_bytes_are_refused(void **state)
{
    (void)state;
    refuse_bytes("a: x\0y\n", 7, "not valid YAML");
    refuse("a: \"x\\0y\"", "zero byte");
    refuse("\"x\\0y\": 1", "zero byte");
}

static void one_document_and_no_less(void **state)
{
    (void)state;
    refuse("", "empty");
    refuse("# nothing\n", "empty");
    refuse("a: 1\n---\nb: 2\n", "line 2, column 1: a second document");
}

static void faults_are_named_with_line_and_column(void **state)
{
    (void)state;
    refuse("a: 1\nb: [1,\nc: }\n", "line 3, column ");
    refuse("a: 'x", "not valid YAML");
    refuse("a: 1\n b: 2\n", "line 2, column ");
    refuse("\ta: 1", "line 1, column 1");
}

static void load_reads_a_file_up_to_a_limit(void **state)
{
    (void)state;
    test_folder folder;
    json_t *j = NULL;
    assert_int_equal(test_folder_make(&folder), 0);
    FILE *f = fopen(test_folder_at(&folder, "x.yaml"), "wb");
    assert_non_null(f);
    fputs("a: 17\n", f);
    fclose(f);
    ndl_status_clear();
    assert_int_equal(ndl_yaml_load(&j, folder.file, 6), NDL_OK);
    assert_int_equal(json_integer_value(json_object_get(j, "a")), 17);
    json_decref(j);
    j = NULL;
    assert_int_equal(ndl_yaml_load(&j, folder.file, 5), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), folder.file));
    ndl_status_clear();
    assert_int_equal(ndl_yaml_load(&j, test_folder_at(&folder, "none.yaml"), 5),
                     NDL_ENOINPUT);
    assert_null(j);
    assert_int_equal(test_folder_remove(&folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_and_lists_become_objects_and_arrays),
        cmocka_unit_test(json_is_yaml),
        cmocka_unit_test(plain_words_that_look_like_numbers_are_numbers),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(aliases_and_tags_are_refused),
        cmocka_unit_test(a_bomb_of_aliases_is_refused),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(keys_must_be_texts),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(texts_must_be_utf8),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(one_document_and_no_less),
        cmocka_unit_test(faults_are_named_with_line_and_column),
        cmocka_unit_test(load_reads_a_file_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
