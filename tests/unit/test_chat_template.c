/* test_chat_template.c - what is kept comes back, and what is no text is
 * refused. */
#include "../../src/formats/chat_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"

static const char dataset[] = "/tokenizer/chat_template";
static ndl_store *store;

static int set_up(void **state)
{
    if (scratch_make(state) != 0) return -1;
    return ndl_store_create(&store, path);
}

static int tear_down(void **state)
{
    ndl_store_close(&store);
    return scratch_remove(state);
}

/* As another program would find the file. */
static void reopen(void)
{
    assert_int_equal(ndl_store_commit(&store), NDL_OK);
    ndl_store_close(&store);
    assert_int_equal(ndl_store_open(&store, path), NDL_OK);
}

static void what_is_saved_is_read(void **state)
{
    (void)state;
    static const char text[] = "{% for m in messages %}\n\xc3\xa9{{ m }}\n";
    char *got = NULL;
    assert_int_equal(ndl_chat_template_save(store, text), NDL_OK);
    reopen();
    assert_int_equal(ndl_chat_template_read(store, path, &got), NDL_OK);
    assert_string_equal(got, text);
    free(got);
}

static void file_without_one_gives_none(void **state)
{
    (void)state;
    char *got = path;
    reopen();
    assert_int_equal(ndl_chat_template_read(store, path, &got), NDL_OK);
    assert_null(got);
}

static void refused(const char *word)
{
    char *got = path;
    reopen();
    assert_int_equal(ndl_chat_template_read(store, path, &got), NDL_EDATA);
    assert_ptr_equal(got, path);
    assert_non_null(strstr(ndl_status_message(), dataset));
    assert_non_null(strstr(ndl_status_message(), word));
}

static void numbers_are_no_text(void **state)
{
    (void)state;
    const uint64_t dims[] = { 2 };
    const float x[] = { 1.0f, 2.0f };
    assert_int_equal(ndl_store_make(store, dataset, NDL_STORE_F32, 1, dims),
                     NDL_OK);
    assert_int_equal(ndl_store_write(store, dataset, 0, 2, x), NDL_OK);
    refused("is no text");
}

static void too_long_a_text_is_refused(void **state)
{
    (void)state;
    const uint64_t dims[] = { (1 << 24) + 1 };
    assert_int_equal(ndl_store_make(store, dataset, NDL_STORE_U8, 1, dims),
                     NDL_OK);
    refused("at most");
}

static void zero_byte_inside_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ndl_store_put_packed(store, dataset, "a\0b", 3), NDL_OK);
    refused("zero byte");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_is_read),       TEST(file_without_one_gives_none),
        TEST(numbers_are_no_text),         TEST(too_long_a_text_is_refused),
        TEST(zero_byte_inside_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
