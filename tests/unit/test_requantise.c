/* test_requantise.c - a weights file in another dtype, and what is refused. */
#include "noodle/requantise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/folder.h"
#include "noodle/checkpoint.h"
#include "noodle/store.h"
#include "noodle/tokenizer.h"
#include "noodle/weights.h"

static const char source[] = NDL_SOURCE_DIR "/models/shakespeare";
static test_folder folder;
static char f32[320], direct[320], twice[320];

static int set_up(void **state)
{
    (void)state;
    ndl_status_clear();
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(f32, sizeof f32, "%s", test_folder_at(&folder, "f32.h5"));
    snprintf(direct, sizeof direct, "%s", test_folder_at(&folder, "direct.h5"));
    snprintf(twice, sizeof twice, "%s", test_folder_at(&folder, "twice.h5"));
    setenv("SOURCE_DATE_EPOCH", "1", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("SOURCE_DATE_EPOCH");
    return test_folder_remove(&folder);
}

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static ndl_mix mix_of(const char *dtype, const char *keep)
{
    ndl_mix mix;
    ok(ndl_mix_parse(&mix, dtype, keep));
    return mix;
}

static void import(const char *path, ndl_mix mix)
{
    ok(ndl_checkpoint_import(source, path, &mix, NULL, NULL));
}

static size_t read_file(const char *path, char *dst, size_t cap)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(dst, 1, cap, f);
    assert_true(n < cap);
    fclose(f);
    return n;
}

static void expect_equal_files(const char *a, const char *b)
{
    enum { CAP = 16 << 20 };
    static char x[CAP], y[CAP];
    const size_t n = read_file(a, x, CAP);
    assert_int_equal(read_file(b, y, CAP), n);
    assert_memory_equal(x, y, n);
}

/* By another way: the importer asks the checkpoint for rows, this one a weights
 * file whose matrices are joined and ordered otherwise. */
static void a_quantised_import_is_a_quantised_file(void **state)
{
    (void)state;
    const ndl_mix mixes[] = { mix_of("int8", NULL), mix_of("int4", NULL),
                              mix_of("int4", "down,head=int8:32,up=bf16") };
    import(f32, ndl_mix_plain(NDL_F32));
    for (int i = 0; i < 3; i++) {
        import(direct, mixes[i]);
        ok(ndl_requantise(f32, twice, mixes[i], NULL, NULL));
        expect_equal_files(direct, twice);
        ok(ndl_weights_check(twice, NULL, NULL));
    }
}

static char *text_of(const char *path, const char *attr)
{
    ndl_store *s = NULL;
    char *text = NULL;
    ok(ndl_store_open(&s, path));
    ok(ndl_store_get_text(s, "/", attr, &text));
    ndl_store_close(&s);
    return text;
}

static void int4_is_made_of_int8_and_keeps_all_but_the_weights(void **state)
{
    (void)state;
    static const char *const attrs[] = { "config", "generation_config",
                                         "source", "arch" };
    ndl_store *s = NULL;
    ndl_tokenizer *t = NULL;
    import(f32, mix_of("int8", NULL));
    ok(ndl_requantise(f32, twice, mix_of("int4", NULL), NULL, NULL));
    ok(ndl_weights_check(twice, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        char *a = text_of(f32, attrs[i]), *b = text_of(twice, attrs[i]);
        assert_string_equal(a, b);
        free(a);
        free(b);
    }
    char *dtype = text_of(twice, "dtype");
    assert_string_equal(dtype, "int4,head=int8,v=int8");
    free(dtype);
    ok(ndl_store_open(&s, twice));
    ok(ndl_tokenizer_load(&t, s));
    ndl_tokenizer_destroy(&t);
    ndl_store_close(&s);
}

static void expect_refusal(const char *in, const char *out, ndl_status status,
                           const char *word)
{
    const int n = test_folder_count(&folder);
    ndl_status_clear();
    assert_int_equal(ndl_requantise(in, out, mix_of("int8", NULL), NULL, NULL),
                     status);
    if (!strstr(ndl_status_message(), word))
        fail_msg("%s: %s", word, ndl_status_message());
    assert_int_equal(test_folder_count(&folder), n);
}

/* It would get new checksums, and nobody would find it again. */
static void damage_is_found_before(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    ndl_store_info info;
    uint8_t byte = 0;
    import(f32, ndl_mix_plain(NDL_BF16));
    ok(ndl_store_open(&s, f32));
    ok(ndl_store_query(s, "/layers/0000/down", &info));
    ndl_store_close(&s);
    FILE *f = fopen(f32, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)info.offset + 100, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, f), 1);
    byte ^= 1;
    assert_int_equal(fseek(f, (long)info.offset + 100, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    expect_refusal(f32, twice, NDL_EDATA, "down");
}

static void what_cannot_be_quantised_is_refused(void **state)
{
    (void)state;
    import(f32, ndl_mix_plain(NDL_BF16));
    import(direct, mix_of("int4", NULL));
    assert_int_equal(link(f32, twice), 0);
    expect_refusal(f32, f32, NDL_EUSAGE, "another file");
    expect_refusal(f32, twice, NDL_EUSAGE, "another file");
    ok(ndl_weights_check(f32, NULL, NULL));
    expect_refusal(direct, test_folder_at(&folder, "x.h5"), NDL_EDATA, "int4");
    expect_refusal(source, test_folder_at(&folder, "x.h5"), NDL_EDATA, source);
    expect_refusal("/none.h5", test_folder_at(&folder, "x.h5"), NDL_ENOINPUT,
                   "none");
    expect_refusal(f32, "/none/x.h5", NDL_ECREATE, "none");
}

static ndl_status stop(void *arg, uint64_t done, uint64_t all)
{
    (void)arg;
    return done > all / 2 ? NDL_FAIL(NDL_ETEMP, "stopped") : NDL_OK;
}

static void who_is_stopped_leaves_no_file(void **state)
{
    (void)state;
    import(f32, ndl_mix_plain(NDL_BF16));
    assert_int_equal(
        ndl_requantise(f32, twice, mix_of("int4", NULL), stop, NULL),
        NDL_ETEMP);
    assert_int_equal(test_folder_count(&folder), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_quantised_import_is_a_quantised_file,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            int4_is_made_of_int8_and_keeps_all_but_the_weights, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(damage_is_found_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_quantised_is_refused,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_stopped_leaves_no_file, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
