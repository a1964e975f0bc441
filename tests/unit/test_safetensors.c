/* test_safetensors.c - facts about safetensors.h and its hostile headers. */
#include "../../src/formats/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/family_kit.h"

#include "../support/scratch.h"

static ndl_status parse(ndl_tensor_list *list, const char *header,
                        uint64_t data_bytes)
{
    ndl_status_clear();
    return ndl_tensor_list_parse(list, header, strlen(header), data_bytes,
                                 "x.safetensors");
}

static void refuse(const char *header, uint64_t data_bytes, const char *word)
{
    ndl_tensor_list list = { 0 };
    if (parse(&list, header, data_bytes) != NDL_EDATA)
        fail_msg("not refused: %s", header);
    if (!strstr(ndl_status_message(), word))
        fail_msg("%s: \"%s\" has no \"%s\"", header, ndl_status_message(),
                 word);
    assert_non_null(strstr(ndl_status_message(), "x.safetensors"));
    assert_null(strchr(ndl_status_message(), '\n'));
    ndl_tensor_list_fini(&list);
}

static void header_tensors_come_in_the_order_of_their_data(void **state)
{
    (void)state;
    ndl_tensor_list list = { 0 };
    assert_int_equal(
        parse(&list,
              "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],"
              "\"data_offsets\":[8,20]},\"__metadata__\":{\"format\":\"pt\"},"
              "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],"
              "\"more\":1}}   ",
              20),
        NDL_OK);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.items[0].name, "a");
    assert_int_equal(list.items[0].type, NDL_FLOAT_F32);
    assert_int_equal(list.items[0].n_dims, 1);
    assert_string_equal(list.items[1].name, "b");
    assert_string_equal(list.items[1].dtype, "BF16");
    assert_int_equal(list.items[1].type, NDL_FLOAT_BF16);
    assert_int_equal(list.items[1].n_dims, 2);
    assert_int_equal(list.items[1].dims[1], 3);
    assert_int_equal(list.items[1].offset, 8);
    assert_int_equal(list.items[1].bytes, 12);
    ndl_tensor_list_fini(&list);
    assert_int_equal(list.n, 0);
}

static void header_tensors_without_bytes_are_legal(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t data_bytes;
        size_t n;
    } good[] = {
        { "{}", 0, 0 },
        { "{\"__metadata__\":{}}", 0, 0 },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
          1 },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
          1 },
        { "{\"z\":{\"dtype\":\"F32\",\"shape\":[5,0],\"data_offsets\":[4,4]},"
          "\"b\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[4,8]},"
          "\"c\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[8,8]},"
          "\"d\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
          8, 4 },
        { "{\"a\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[0,3]}}", 3,
          1 },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ndl_tensor_list list = { 0 };
        if (parse(&list, good[i].header, good[i].data_bytes) != NDL_OK)
            fail_msg("%s", ndl_status_message());
        assert_int_equal(list.n, good[i].n);
        ndl_tensor_list_fini(&list);
    }
}

/* A header of one tensor w with this dtype, shape and offsets. */
#define ONE(dtype, shape, offsets)                                             \
    "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape                         \
    ",\"data_offsets\":" offsets "}}"

/* clang-format off */
static const struct {
    const char *header;
    uint64_t data_bytes;
    const char *word;
} bad_headers[] = {
    { "",                                   0, "no JSON object" },
    { " {}",                                0, "no JSON object" },
    { "[]",                                 0, "no JSON object" },
    { "{",                                  0, "not valid JSON" },
    { "{} x",                               0, "not valid JSON" },
    { "{\"w\":1}",                          0, "tensor w" },
    { "{\"w\":{}}",                         0, "tensor w: no dtype" },
    { ONE("F32", "[2]", "[0,8]"),           7, "past the file" },
    { ONE("F32", "[2]", "[0,8]"),           9, "1 bytes belong to no" },
    { ONE("F32", "[2]", "[4,12]"),         12, "hole" },
    { ONE("F32", "[2]", "[8,0]"),           8, "backwards" },
    { ONE("F32", "[2]", "[0,4]"),           4, "differ" },
    { ONE("F32", "[3]", "[0,8]"),           8, "differ" },
    { ONE("F32", "[2]", "[0]"),             8, "data_offsets" },
    { ONE("F32", "[2]", "[0,8,8]"),         8, "data_offsets" },
    { ONE("F32", "[2]", "[-8,0]"),          8, "data_offsets" },
    { ONE("F32", "[2]", "[0,8.0]"),         8, "data_offsets" },
    { ONE("F32", "[2]", "\"0,8\""),         8, "data_offsets" },
    { ONE("F32", "[-2]", "[0,8]"),          8, "dimension" },
    { ONE("F32", "[2.0]", "[0,8]"),         8, "dimension" },
    { ONE("F32", "[\"2\"]", "[0,8]"),       8, "dimension" },
    { ONE("F32", "2", "[0,8]"),             8, "no shape" },
    { ONE("F32", "null", "[0,8]"),          8, "no shape" },
    { ONE("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "8 dimensions" },
    { ONE("F32", "[4294967296,4294967296]", "[0,0]"), 0, "too large" },
    { ONE("F32", "[4294967296,4294967298]", "[0,8]"), 8, "too large" },
    { ONE("F32", "[4611686018427387904]", "[0,0]"),   0, "no number of" },
    { ONE("F32", "[9223372036854775808]", "[0,0]"),   0, "not valid JSON" },
    { ONE("F4", "[3]", "[0,1]"),            1, "no number of bytes" },
    { ONE("F33", "[2]", "[0,8]"),           8, "unknown dtype" },
    { ONE("f32", "[2]", "[0,8]"),           8, "unknown dtype" },
    { "{\"__metadata__\":[]}",              0, "__metadata__" },
    { "{\"__metadata__\":{\"a\":1}}",       0, "__metadata__" },
    { "{\"__metadata__\":{\"a\":{}}}",      0, "__metadata__" },
    { "{\"a\\nb\":{}}",                     0, "a?b" },
    { "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
      "\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
      2, "duplicate" },
    { "{\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
      "\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
      3, "overlap" },
    { "{\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
      "\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
      2, "overlap" },
    { "{\"v\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
      "\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
      5, "tensor w: its data follow a hole" },
    { "{\"v\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
      "\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
      4, "overlap" },
};
/* clang-format on */

static void header_that_does_not_describe_its_data_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++)
        refuse(bad_headers[i].header, bad_headers[i].data_bytes,
               bad_headers[i].word);
}

static void open_must_fail(ndl_status code, const char *word)
{
    ndl_safetensors *s = NULL;
    ndl_status_clear();
    assert_int_equal(ndl_safetensors_open(&s, folder.path), code);
    assert_null(s);
    if (!strstr(ndl_status_message(), word))
        fail_msg("\"%s\" has no \"%s\"", ndl_status_message(), word);
}

static void write_raw(uint64_t length, const char *text, size_t padding)
{
    FILE *f = kit_open(folder.path, "model.safetensors");
    kit_write_length(f, length);
    fputs(text, f);
    while (padding-- > 0) fputc(0, f);
    fclose(f);
}

static void file_header_length_is_checked(void **state)
{
    (void)state;
    kit_write_text(folder.path, "model.safetensors", "");
    open_must_fail(NDL_EDATA, "only 0 bytes");
    kit_write_text(folder.path, "model.safetensors", "1234567");
    open_must_fail(NDL_EDATA, "only 7 bytes");
    write_raw(0, "", 0);
    open_must_fail(NDL_EDATA, "no JSON object");
    write_raw(3, "{}", 0);
    open_must_fail(NDL_EDATA, "header ends past the file");
    write_raw(UINT64_MAX, "{}", 0);
    open_must_fail(NDL_EDATA, "18446744073709551615 bytes");
    write_raw(100000001, "{}", 0);
    open_must_fail(NDL_EDATA, "100000001 bytes");
    write_raw(100000000, "{}", 0);
    open_must_fail(NDL_EDATA, "past the file");
    write_raw(2, "{}", 5);
    open_must_fail(NDL_EDATA, "5 bytes belong to no tensor");
    write_raw(2, "{}", 0);
    ndl_safetensors *s = NULL;
    assert_int_equal(ndl_safetensors_open(&s, folder.path), NDL_OK);
    assert_null(ndl_safetensors_find(s, "w"));
    ndl_safetensors_close(&s);
    assert_null(s);
    ndl_safetensors_close(&s);
}

static void file_that_is_missing_is_named_with_its_fix(void **state)
{
    (void)state;
    open_must_fail(NDL_ENOINPUT, "no model.safetensors");
    kit_write_text(folder.path, "pytorch_model.bin", "x");
    open_must_fail(NDL_ENOINPUT, "save_pretrained");
    assert_int_equal(test_folder_remove(&folder), 0);
    open_must_fail(NDL_ENOINPUT, folder.path);
    assert_int_equal(mkdir(folder.path, 0755), 0);
}

static void file_that_is_none_is_refused_at_once(void **state)
{
    (void)state;
    char file[400];
    kit_path(file, folder.path, "model.safetensors");
    assert_int_equal(mkfifo(file, 0644), 0);
    open_must_fail(NDL_EDATA, "not a regular file");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0755), 0);
    open_must_fail(NDL_EDATA, "not a regular file");
}

static void check_tensor(const ndl_safetensors *s, const kit_tensor *t)
{
    const ndl_tensor *found = ndl_safetensors_find(s, t->name);
    assert_non_null(found);
    const size_t n = kit_count(t);
    assert_int_equal(found->bytes, n * 4);
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    assert_int_equal(ndl_safetensors_read(s, found, 0, n * 4, x), NDL_OK);
    for (size_t i = 0; i < n; i++) assert_true(x[i] == kit_value(t->name, i));
    if (n > 1) {
        assert_int_equal(ndl_safetensors_read(s, found, 4, 4, x), NDL_OK);
        assert_true(x[0] == kit_value(t->name, 1));
    }
    free(x);
}

static void tensors_read_the_same_from_one_file_and_from_shards(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    for (int split = 0; split < c.n; split += 7) {
        ndl_safetensors *s = NULL;
        if (split == 0)
            kit_write_single(&c, folder.path);
        else
            kit_write_shards(&c, split, folder.path);
        if (ndl_safetensors_open(&s, folder.path) != NDL_OK)
            fail_msg("%s", ndl_status_message());
        assert_int_equal(ndl_safetensors_list(s)->n, c.n);
        for (int i = 0; i < c.n; i++) check_tensor(s, &c.tensors[i]);
        const char *where = ndl_safetensors_path(
            s, ndl_safetensors_find(s, c.tensors[c.n - 1].name));
        assert_non_null(
            strstr(where, split ? "00002-of" : "model.safetensors"));
        ndl_safetensors_close(&s);
        scratch_remove(NULL);
        scratch_make(NULL);
    }
}

static void index_may_name_only_files_beside_it(void **state)
{
    (void)state;
    static const char *const bad[] = { "\"../x.safetensors\"",
                                       "\"a/b.safetensors\"",
                                       "\"/etc/passwd\"",
                                       "\"..\"",
                                       "\".\"",
                                       "\"\"",
                                       "5",
                                       "null" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"weight_map\":{\"w\":%s}}", bad[i]);
        kit_write_text(folder.path, "model.safetensors.index.json", text);
        open_must_fail(NDL_EDATA, "tensor w is not placed");
    }
}

static void index_that_lies_is_refused(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json";
    kit_checkpoint c = { .n = 0 };
    kit_add(&c, "w", 3, 0);
    kit_add(&c, "v", 2, 0);
    kit_write_text(folder.path, index, "{\"metadata\":{}}");
    open_must_fail(NDL_EDATA, "no weight_map");
    kit_write_text(folder.path, index, "[]");
    open_must_fail(NDL_EDATA, "no weight_map");
    kit_write_text(folder.path, index,
                   "{\"weight_map\":{\"w\":\"a.safetensors\"");
    open_must_fail(NDL_EDATA, "not valid JSON");
    kit_write_text(folder.path, index, "{\"weight_map\":{\"w\":\"a.st\"}}");
    open_must_fail(NDL_ENOINPUT, "a.st: missing");
    kit_write_tensors(&c, 0, 1, folder.path, "a.st", false);
    kit_write_tensors(&c, 1, 2, folder.path, "b.st", false);
    kit_write_text(folder.path, index,
                   "{\"weight_map\":{\"w\":\"a.st\",\"v\":\"a.st\"}}");
    open_must_fail(NDL_EDATA, "a.st: no tensor v");
    kit_write_text(folder.path, index,
                   "{\"weight_map\":{\"w\":\"b.st\",\"v\":\"a.st\"}}");
    open_must_fail(NDL_EDATA, "no tensor ");
}

static void index_decides_between_tensors_of_one_name(void **state)
{
    (void)state;
    kit_checkpoint c = { .n = 0 };
    ndl_safetensors *s = NULL;
    kit_add(&c, "w", 3, 0);
    kit_add(&c, "v", 2, 0);
    kit_write_tensors(&c, 0, 1, folder.path, "a.st", false);
    kit_write_tensors(&c, 0, 2, folder.path, "b.st", false);
    kit_write_text(folder.path, "model.safetensors.index.json",
                   "{\"weight_map\":{\"w\":\"a.st\",\"v\":\"b.st\"}}");
    assert_int_equal(ndl_safetensors_open(&s, folder.path), NDL_OK);
    assert_int_equal(ndl_safetensors_list(s)->n, 2);
    assert_non_null(
        strstr(ndl_safetensors_path(s, ndl_safetensors_find(s, "w")), "a.st"));
    check_tensor(s, &c.tensors[0]);
    check_tensor(s, &c.tensors[1]);
    ndl_safetensors_close(&s);
}

static void index_of_too_many_files_is_refused(void **state)
{
    (void)state;
    FILE *f = kit_open(folder.path, "model.safetensors.index.json");
    fprintf(f, "{\"weight_map\":{\"w\":\"w\"");
    for (int i = 0; i < 1000; i++) fprintf(f, ",\"w%d\":\"w%d\"", i, i);
    fprintf(f, "}}");
    fclose(f);
    open_must_fail(NDL_EDATA, "more than 1000 files");
}

static void file_cut_while_open_fails_to_read(void **state)
{
    (void)state;
    kit_checkpoint c = { .n = 0 };
    ndl_safetensors *s = NULL;
    char file[400];
    float x[3];
    kit_add(&c, "w", 3, 0);
    kit_write_single(&c, folder.path);
    assert_int_equal(ndl_safetensors_open(&s, folder.path), NDL_OK);
    kit_path(file, folder.path, "model.safetensors");
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(truncate(file, st.st_size - 1), 0);
    const ndl_tensor *t = ndl_safetensors_find(s, "w");
    assert_int_equal(ndl_safetensors_read(s, t, 0, sizeof x, x), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "is truncated"));
    ndl_safetensors_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_tensors_come_in_the_order_of_their_data),
        cmocka_unit_test(header_tensors_without_bytes_are_legal),
        cmocka_unit_test(header_that_does_not_describe_its_data_is_refused),
        IN_SCRATCH(file_header_length_is_checked),
        IN_SCRATCH(file_that_is_missing_is_named_with_its_fix),
        IN_SCRATCH(file_that_is_none_is_refused_at_once),
        IN_SCRATCH(tensors_read_the_same_from_one_file_and_from_shards),
        IN_SCRATCH(index_may_name_only_files_beside_it),
        IN_SCRATCH(index_that_lies_is_refused),
        IN_SCRATCH(index_decides_between_tensors_of_one_name),
        IN_SCRATCH(index_of_too_many_files_is_refused),
        IN_SCRATCH(file_cut_while_open_fails_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
