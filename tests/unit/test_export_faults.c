/* test_export_faults.c - export of weights files that somebody changed, and
 * into folders that do not take it. */
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/formats/export.h"
#include "../support/family_kit.h"
#include "noodle/file.h"
#include "noodle/layout.h"
#include "noodle/log.h"
#include "noodle/store.h"

#define TOKENIZER                                                              \
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"  \
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","        \
    "\"vocab\":{\"a\":0},\"merges\":[]}}"
#define QKV "/layers/0001/qkv"
#define UP  "/layers/0000/gate_up"

static test_folder source, target;
static char file[400];

static void must(ndl_status st)
{
    if (st != NDL_OK) fail_msg("%s", ndl_status_message());
}

static int setup(void **state)
{
    (void)state;
    ndl_status_clear();
    ndl_log_init(0, NDL_LOG_ERROR);
    if (test_folder_make(&source) || test_folder_make(&target)) return -1;
    snprintf(file, sizeof file, "%s.h5", source.path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove(file);
    return test_folder_remove(&source) || test_folder_remove(&target);
}

static void import(const char *dtype)
{
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    for (int i = 0; i < c.n; i++) c.tensors[i].dtype = dtype;
    kit_write_single(&c, source.path);
    kit_write_text(source.path, "config.json", KIT_LLAMA_CONFIG);
    kit_write_text(source.path, "tokenizer.json", TOKENIZER);
    must(ndl_checkpoint_import(source.path, file, NULL, NULL, NULL));
}

/* Refused with these words, and nothing is left in the folder. */
static void refused(const char *object, const char *word)
{
    ndl_status_clear();
    const ndl_status st = ndl_checkpoint_export(file, target.path, NULL, NULL);
    if (st != NDL_EDATA) fail_msg("status %d: %s", st, ndl_status_message());
    const char *m = ndl_status_message();
    if (!strstr(m, word) || !strstr(m, object) || !strstr(m, file))
        fail_msg("\"%s\" has no \"%s\"", m, word);
    assert_int_equal(test_folder_count(&target), 0);
}

static hid_t open_object(hid_t *f, const char *object)
{
    *f = H5Fopen(file, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(*f >= 0);
    const hid_t o = H5Oopen(*f, object, H5P_DEFAULT);
    assert_true(o >= 0);
    return o;
}

static void delete_attribute(const char *object, const char *name)
{
    hid_t f = H5I_INVALID_HID;
    const hid_t o = open_object(&f, object);
    assert_true(H5Adelete(o, name) >= 0);
    H5Oclose(o);
    H5Fclose(f);
}

static void set_text(const char *object, const char *name, const char *text)
{
    hid_t f = H5I_INVALID_HID;
    delete_attribute(object, name);
    const hid_t o = open_object(&f, object);
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    assert_true(H5Tset_size(type, strlen(text) + 1) >= 0);
    assert_true(H5Tset_cset(type, H5T_CSET_UTF8) >= 0);
    const hid_t a = H5Acreate2(o, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, text) >= 0);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
    H5Oclose(o);
    H5Fclose(f);
}

static void set_int(const char *object, const char *name, int value)
{
    hid_t f = H5I_INVALID_HID;
    delete_attribute(object, name);
    const hid_t o = open_object(&f, object);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t a =
        H5Acreate2(o, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, H5T_NATIVE_INT, &value) >= 0);
    H5Aclose(a);
    H5Sclose(space);
    H5Oclose(o);
    H5Fclose(f);
}

static void missing_attribute_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "sources",    "source_dtype",
                                         "transposed", "layout",
                                         "order",      "rows",
                                         "cols",       "dtype" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        import("F32");
        delete_attribute(QKV, names[i]);
        refused(QKV, names[i]);
    }
}

static void foreign_sources_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "{}",
        "7",
        "[",
        "[\"model.layers.1.self_attn.q_proj.weight\"]",
        "[\"model.layers.1.self_attn.q_proj.weight\","
        "\"model.layers.1.self_attn.k_proj.weight\","
        "\"model.layers.1.self_attn.v_proj.weight\",\"x\"]",
        "[\"model.layers.1.self_attn.k_proj.weight\","
        "\"model.layers.1.self_attn.q_proj.weight\","
        "\"model.layers.1.self_attn.v_proj.weight\"]",
        "[\"model.layers.0.self_attn.q_proj.weight\","
        "\"model.layers.0.self_attn.k_proj.weight\","
        "\"model.layers.0.self_attn.v_proj.weight\"]",
        "[\"layers.1.self_attn.q_proj.weight\","
        "\"layers.1.self_attn.k_proj.weight\","
        "\"layers.1.self_attn.v_proj.weight\"]",
        "[\"q\",\"k\",\"v\"]",
        "[1,2,3]",
    };
    import("F32");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        set_text(QKV, "sources", texts[i]);
        refused(QKV, "sources");
    }
    import("F32");
    set_text("/embed/tokens", "sources", "[\"../../../etc/passwd\"]");
    refused("/embed/tokens", "sources");
}

static void foreign_dtypes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "",     "F64",      "f32",
                                         "F32,", "F32,F32",  "F32,F32,F32",
                                         ",F32", "BF16BF16", "F32, F32" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (i == 5) continue; /* three are one for each of q, k and v */
        import("F32");
        set_text(QKV, "source_dtype", texts[i]);
        refused(QKV, "source_dtype");
    }
    import("F32");
    set_text("/embed/tokens", "source_dtype", "F32,F32");
    refused("/embed/tokens", "source_dtype");
}

static void foreign_orientation_is_refused(void **state)
{
    (void)state;
    import("F32");
    set_int(QKV, "transposed", 1);
    refused(QKV, "transposed");
    set_int(QKV, "transposed", 0);
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
}

/* Change the first element of gate_up in place. */
static void poke(float x)
{
    ndl_store *s = NULL;
    ndl_store_info info;
    must(ndl_store_open(&s, file));
    must(ndl_store_query(s, UP, &info));
    ndl_store_close(&s);
    FILE *f = fopen(file, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)info.offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&x, sizeof x, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void value_that_is_no_f16_is_named(void **state)
{
    (void)state;
    static const float no[] = { 1.0f / 3, 65536, 0x1p-25f, 0x1.8p-24f, 1e-40f };
    import("F16");
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        poke(no[i]);
        refused(UP, "element 0 of model.layers.0.mlp.gate_proj.weight");
    }
    poke(0x1p-24f);
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
}

static void export_must_fail(ndl_status code, const char *word)
{
    ndl_status_clear();
    const ndl_status st = ndl_checkpoint_export(file, target.path, NULL, NULL);
    if (st != code) fail_msg("status %d: %s", st, ndl_status_message());
    if (!strstr(ndl_status_message(), word))
        fail_msg("\"%s\" has no \"%s\"", ndl_status_message(), word);
    assert_null(strchr(ndl_status_message(), '\n'));
    ndl_status_clear();
}

/* All weights are there, byte for byte. */
static void check_weights(void)
{
    char path[400], *a = NULL, *b = NULL;
    size_t n_a = 0, n_b = 0;
    kit_path(path, target.path, "model.safetensors");
    must(ndl_file_read(&a, &n_a, path, 1 << 20));
    must(ndl_checkpoint_import(target.path, file, NULL, NULL, NULL));
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
    must(ndl_file_read(&b, &n_b, path, 1 << 20));
    assert_int_equal(n_a, n_b);
    assert_memory_equal(a, b, n_a);
    free(a);
    free(b);
}

static void leftovers_of_another_model_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "generation_config.json",
                                         "chat_template.jinja",
                                         "model.safetensors.index.json" };
    import("F16");
    for (int i = 0; i < 3; i++) {
        kit_write_text(target.path, names[i], "{}");
        export_must_fail(NDL_ECREATE, names[i]);
        assert_int_equal(test_folder_count(&target), 1);
        remove(test_folder_at(&target, names[i]));
    }
    kit_write_text(target.path, "model.safetensors", "{}");
    assert_int_equal(ndl_export(file, target.path, 9000, NULL, NULL),
                     NDL_ECREATE);
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
    check_weights();
}

static ndl_status interrupt(void *arg, uint64_t done, uint64_t all)
{
    (void)arg, (void)done, (void)all;
    return NDL_EINT;
}

static void a_missing_folder_is_made_and_removed_on_failure(void **state)
{
    (void)state;
    import("F16");
    assert_int_equal(rmdir(target.path), 0);
    must(ndl_checkpoint_export(file, target.path, NULL, NULL));
    check_weights();
    assert_int_equal(test_folder_remove(&target), 0);
    ndl_status_clear();
    assert_int_equal(ndl_checkpoint_export(file, target.path, interrupt, NULL),
                     NDL_EINT);
    assert_int_not_equal(access(target.path, F_OK), 0);
    assert_int_equal(mkdir(target.path, 0700), 0);
}

static void interrupted_export_leaves_nothing(void **state)
{
    (void)state;
    import("F16");
    assert_int_equal(ndl_export(file, target.path, 9000, interrupt, NULL),
                     NDL_EINT);
    assert_int_equal(test_folder_count(&target), 0);
}

static void full_disk_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    static const char *const names[] = { "model.safetensors.part",
                                         "tokenizer.json.part" };
    if (access("/dev/full", W_OK) != 0) skip();
    import("F16");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            symlink("/dev/full", test_folder_at(&target, names[i])), 0);
        export_must_fail(NDL_EIO, "No space left");
        assert_int_equal(test_folder_count(&target), 0);
    }
}

static void folder_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    import("F16");
    ndl_status_clear();
    assert_int_equal(ndl_export(file, file, UINT64_MAX, NULL, NULL),
                     NDL_ECREATE);
    assert_non_null(strstr(ndl_status_message(), file));
    ndl_status_clear();
    assert_int_equal(ndl_export(file, "no/such/dir", UINT64_MAX, NULL, NULL),
                     NDL_ECREATE);
    assert_non_null(strstr(ndl_status_message(), "no/such/dir"));
    if (geteuid() == 0) return; /* root may write everywhere */
    assert_int_equal(chmod(target.path, 0500), 0);
    export_must_fail(NDL_EPERM, target.path);
    assert_int_equal(chmod(target.path, 0700), 0);
}

static void what_is_no_weights_file_is_refused(void **state)
{
    (void)state;
    export_must_fail(NDL_ENOINPUT, file);
    kit_must(symlink("/dev/null", file) == 0, file);
    export_must_fail(NDL_EDATA, file);
}

#define IN_FOLDERS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDERS(missing_attribute_is_named),
        IN_FOLDERS(foreign_sources_are_refused),
        IN_FOLDERS(foreign_dtypes_are_refused),
        IN_FOLDERS(foreign_orientation_is_refused),
        IN_FOLDERS(value_that_is_no_f16_is_named),
        IN_FOLDERS(leftovers_of_another_model_are_refused),
        IN_FOLDERS(a_missing_folder_is_made_and_removed_on_failure),
        IN_FOLDERS(interrupted_export_leaves_nothing),
        IN_FOLDERS(full_disk_is_told_and_leaves_nothing),
        IN_FOLDERS(folder_that_cannot_be_written_is_told),
        IN_FOLDERS(what_is_no_weights_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
