/* test_tokenizer_pack.c - hostile /tokenizer groups in a weights file. */
#include <unistd.h>

#include "tokenizer_asserts.h"

/* The arrays of a small good file; a case breaks one thing. */
typedef struct arrays {
    uint8_t bytes[8], flags[4];
    uint32_t offsets[5], merges[2][3];
    uint64_t n_bytes, n_flags, n_offsets, n_merges;
    ndl_store_type bytes_type, merges_type;
    const char *components;
} arrays;

enum { PRESENT = 1, MODEL = 2, ADDED = 4, IN_MODEL = PRESENT | MODEL };

static const arrays good = {
    .bytes = "ababc",
    .flags = { IN_MODEL, IN_MODEL, IN_MODEL, IN_MODEL },
    .offsets = { 0, 1, 2, 4, 5 }, /* a, b, ab, c */
    .merges = { { 0, 1, 2 } },
    .n_bytes = 5,
    .n_flags = 4,
    .n_offsets = 5,
    .n_merges = 1,
    .bytes_type = NDL_STORE_U8,
    .merges_type = NDL_STORE_U32,
    .components = "{\"pre_tokenizer\":" BYTE_LEVEL(
        false, true) ",\"decoder\":" BYTE_LEVEL(false, true) "}",
};

static void put(ndl_store *s, const char *name, ndl_store_type type,
                uint64_t rows, uint64_t width, const void *src)
{
    const uint64_t dims[] = { rows, width };
    if (rows == 0) return;
    assert_int_equal(ndl_store_make(s, name, type, width > 1 ? 2 : 1, dims),
                     NDL_OK);
    assert_int_equal(ndl_store_write(s, name, 0, rows, src), NDL_OK);
}

static ndl_status load(const arrays *a, ndl_tokenizer **out)
{
    char path[] = "/tmp/test_tokenizer_pack_XXXXXX";
    const int fd = mkstemp(path);
    ndl_store *s = NULL;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ndl_store_create(&s, path), NDL_OK);
    assert_int_equal(ndl_store_make_group(s, "/tokenizer"), NDL_OK);
    put(s, "/tokenizer/bytes", a->bytes_type, a->n_bytes, 1, a->bytes);
    put(s, "/tokenizer/flags", NDL_STORE_U8, a->n_flags, 1, a->flags);
    put(s, "/tokenizer/offsets", NDL_STORE_U32, a->n_offsets, 1, a->offsets);
    put(s, "/tokenizer/merges", a->merges_type, a->n_merges, 3, a->merges);
    if (a->components)
        assert_int_equal(
            ndl_store_put_text(s, "/tokenizer", "components", a->components),
            NDL_OK);
    assert_int_equal(ndl_store_commit(&s), NDL_OK);
    assert_int_equal(ndl_store_open(&s, path), NDL_OK);
    ndl_status_clear();
    const ndl_status st = ndl_tokenizer_load(out, s);
    ndl_store_close(&s);
    unlink(path);
    return st;
}

static void assert_refused(const arrays *a, const char *why)
{
    ndl_tokenizer *t = NULL;
    assert_int_equal(load(a, &t), NDL_EDATA);
    assert_null(t);
    if (!strstr(ndl_status_message(), why))
        fail_msg("\"%s\" does not say \"%s\"", ndl_status_message(), why);
}

static void tokenizer_pack_the_good_file_is_good(void **state)
{
    (void)state;
    ndl_tokenizer *t = NULL;
    if (load(&good, &t) != NDL_OK) fail_msg("%s", ndl_status_message());
    assert_ids(t, "cabb", false, 3, 2, 1);
    assert_text(t, "cabb", false, 3, 2, 1);
    ndl_tokenizer_destroy(&t);
}

static void tokenizer_pack_bad_arrays_are_refused(void **state)
{
    (void)state;
    arrays a = good;
    a.n_bytes = 0;
    assert_refused(&a, "missing");
    a = good;
    a.n_bytes = 4;
    assert_refused(&a, "do not cover");
    a = good;
    a.n_flags = 3;
    assert_refused(&a, "disagree");
    a = good;
    a.n_offsets = 0;
    assert_refused(&a, "disagree");
    a = good;
    a.offsets[0] = 1;
    assert_refused(&a, "do not cover");
    a = good;
    a.offsets[1] = 3; /* and offsets[2] is 2 */
    assert_refused(&a, "offsets fall");
    a = good;
    a.offsets[2] = UINT32_MAX;
    assert_refused(&a, "offsets fall");
    a = good;
    a.flags[2] = 0;
    assert_refused(&a, "does not exist");
    a = good;
    a.flags[3] = PRESENT | ADDED;
    a.bytes[4] = 0xff;
    assert_refused(&a, "UTF-8");
    a = good;
    a.offsets[1] = a.offsets[0];
    assert_refused(&a, "0 bytes");
    a = good;
    a.merges_type = NDL_STORE_I32;
    assert_refused(&a, "/tokenizer/merges");
    a = good;
    a.bytes_type = NDL_STORE_I32;
    a.n_bytes = 2;
    assert_refused(&a, "/tokenizer/bytes");
}

static void tokenizer_pack_bad_merges_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[][3] = {
        { 0, 1, 4 },          /* out of range                */
        { UINT32_MAX, 1, 2 }, /* far out of range            */
        { 0, 1, 3 },          /* the result is another token */
        { 0, 3, 2 },          /* only the left part is right */
        { 1, 0, 2 },          /* in the wrong order          */
        { 0, 1, 0 },          /* in a circle                 */
        { 2, 2, 2 },          /* in a circle                 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        arrays a = good;
        memcpy(a.merges[0], bad[i], sizeof a.merges[0]);
        assert_refused(&a, "merge 0");
    }
}

static void tokenizer_pack_bad_components_are_refused(void **state)
{
    (void)state;
    arrays a = good;
    a.components = NULL;
    assert_refused(&a, "components");
    a.components = "{";
    assert_refused(&a, "JSON");
    a.components = "{}";
    assert_refused(&a, "decoder");
    a.components = "{\"normalizer\":{\"type\":\"Lowercase\"}}";
    assert_refused(&a, "Lowercase");
}

static void tokenizer_pack_a_file_without_tokenizer_says_so(void **state)
{
    (void)state;
    char path[] = "/tmp/test_tokenizer_pack_XXXXXX";
    const int fd = mkstemp(path);
    ndl_store *s = NULL;
    ndl_tokenizer *t = NULL;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ndl_store_create(&s, path), NDL_OK);
    assert_int_equal(ndl_store_commit(&s), NDL_OK);
    assert_int_equal(ndl_store_open(&s, path), NDL_OK);
    ndl_status_clear();
    assert_int_equal(ndl_tokenizer_load(&t, s), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "no tokenizer"));
    ndl_store_close(&s);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizer_pack_the_good_file_is_good),
        cmocka_unit_test(tokenizer_pack_bad_arrays_are_refused),
        cmocka_unit_test(tokenizer_pack_bad_merges_are_refused),
        cmocka_unit_test(tokenizer_pack_bad_components_are_refused),
        cmocka_unit_test(tokenizer_pack_a_file_without_tokenizer_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
