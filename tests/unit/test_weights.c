/*
 * test_weights.c - facts about weights.h: what a part holds, what of the file
 * becomes resident, and which files are refused.  Damage is done with HDF5.
 */
#include "noodle/weights.h"

#include <fcntl.h>
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/weights_kit.h"
#include "noodle/layout.h"

#include "../support/scratch.h"

static int set_up(void **state)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return scratch_make(state);
}

/* Also: no file of HDF5's is left open, whatever went wrong. */
static int tear_down(void **state)
{
    if (H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) return -1;
    return scratch_remove(state);
}

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static void failed(ndl_status st, ndl_status expected, const char *word)
{
    const char *m = ndl_status_message();
    if (st != expected || !strstr(m, word)) fprintf(stderr, "%d %s\n", st, m);
    assert_int_equal(st, expected);
    assert_non_null(strstr(m, word));
    assert_null(strchr(m, '\n'));
    ndl_status_clear();
}

static const ndl_part one_layer = { 1, 1, false, false };

static ndl_weights *map(const ndl_part *part)
{
    ndl_weights *w = NULL;
    ok(ndl_weights_open(&w, path, part, NULL));
    return w;
}

/* The map must refuse the file, name the cause, and leave its result alone. */
static void map_fails(const ndl_part *part, const char *word)
{
    ndl_weights *w = NULL;
    failed(ndl_weights_open(&w, path, part, NULL), NDL_EDATA, word);
    assert_null(w);
}

static void a_part_has_its_own_layers_and_ends_only(void **state)
{
    (void)state;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1)); /* tied, 3 layers */
    ndl_weights *w = map(&(ndl_part){ 0, 2, true, false });
    assert_non_null(ndl_weights_layer(w, 1)->qkv.data);
    assert_non_null(ndl_weights_ends(w)->tokens.data);
    assert_non_null(ndl_weights_ends(w)->positions.data);
    assert_null(ndl_weights_ends(w)->head.data);
    assert_null(ndl_weights_ends(w)->norm);
    ndl_weights_destroy(&w);

    w = map(&(ndl_part){ 2, 1, false, true });
    assert_true(ndl_weights_layer(w, 2)->norm1[5] ==
                tiny_value(NDL_ROLE_NORM1, 2, 0, 5));
    assert_null(ndl_weights_ends(w)->tokens.data);
    assert_null(ndl_weights_ends(w)->positions.data);
    assert_non_null(ndl_weights_ends(w)->head.data);
    assert_true(ndl_weights_ends(w)->head.panels);
    assert_int_equal(ndl_weights_ends(w)->head.rows, 293);
    assert_non_null(ndl_weights_ends(w)->norm);
    ndl_weights_destroy(&w);

    w = map(&(ndl_part){ 3, 0, false, false }); /* an idle rank */
    assert_int_equal(ndl_weights_model(w)->n_layers, 3);
    assert_null(ndl_weights_ends(w)->head.data);
    ndl_weights_destroy(&w);
    ndl_weights_destroy(&w);
}

static void a_part_outside_the_model_is_refused(void **state)
{
    (void)state;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    map_fails(&(ndl_part){ 2, 2, false, false }, "the model has 3");
    map_fails(&(ndl_part){ -1, 1, false, false }, "the model has 3");
    map_fails(&(ndl_part){ 0, -1, false, false }, "the model has 3");
    map_fails(&(ndl_part){ INT32_MAX, 1, false, false }, "the model has 3");
    map_fails(&(ndl_part){ 1, INT32_MAX, false, false }, "the model has 3");
}

static void addresses_keep_their_offset_in_a_huge_page(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    ndl_store_info info;
    ok(tiny_write(&tiny_models[2], NDL_BF16, path, -1));
    ok(ndl_store_open(&s, path));
    ok(ndl_store_query(s, "/layers/0001/down", &info));
    ndl_store_close(&s);
    ndl_weights *w = map(&one_layer);
    const uintptr_t at = (uintptr_t)ndl_weights_layer(w, 1)->down.data;
    assert_int_equal(at % (2 << 20), info.offset % (2 << 20));
    ndl_weights_destroy(&w);
}

/* Sum of the bytes of datasets whose names begin with one of the starts. */
typedef struct summing {
    ndl_store *s;
    const char *starts[4];
    uint64_t bytes;
} summing;

static ndl_status add_bytes(void *arg, const char *name)
{
    summing *sum = arg;
    ndl_store_info info;
    for (int i = 0; i < 4 && sum->starts[i]; i++) {
        if (strncmp(name, sum->starts[i], strlen(sum->starts[i])) != 0)
            continue;
        NDL_TRY(ndl_store_query(sum->s, name, &info));
        sum->bytes += info.bytes;
        break;
    }
    return NDL_OK;
}

static void bytes_of_a_part_are_those_in_the_file(void **state)
{
    (void)state;
    static const struct {
        int model;
        ndl_part part;
        const char *starts[4];
    } cases[] = {
        { 0, { 0, 3, true, true }, { "/" } },
        { 0, { 1, 1, false, false }, { "/layers/0001/" } },
        { 0, { 3, 0, false, true }, { "/head/", "/embed/tokens" } },
        { 2, { 0, 3, true, true }, { "/" } },
        { 2, { 0, 1, true, false }, { "/embed/", "/layers/0000/" } },
        { 2, { 3, 0, false, true }, { "/head/" } },
        { 2, { 3, 0, false, false }, { NULL } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 1;
        ok(tiny_write(&tiny_models[cases[i].model], NDL_BF16, path, -1));
        summing sum = { .bytes = 0 };
        memcpy(sum.starts, cases[i].starts, sizeof sum.starts);
        ok(ndl_store_open(&sum.s, path));
        ok(ndl_weights_bytes(sum.s, &cases[i].part, &bytes));
        ok(ndl_store_each(sum.s, "/", add_bytes, &sum));
        assert_int_equal(bytes, sum.bytes);
        ndl_store_close(&sum.s);
    }
}

/* Resident bytes of mapped files in this process. */
static int64_t resident_file_bytes(void)
{
    long all = 0, resident = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld %ld", &all, &resident, &shared), 3);
    fclose(f);
    return (int64_t)shared * sysconf(_SC_PAGESIZE);
}

typedef struct told {
    uint64_t last, all;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    assert_true(done >= ((told *)arg)->last && done <= all);
    *(told *)arg = (told){ done, all };
    return NDL_OK;
}

static void only_the_pages_of_the_part_become_resident(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    uint64_t bytes = 0;
    told t = { 0, 0 };
    ndl_weights *w = NULL;
    ok(tiny_write(&wide_model, NDL_F32, path, -1));
    ok(ndl_store_open(&s, path));
    ok(ndl_weights_bytes(s, &one_layer, &bytes));
    ndl_store_close(&s);
    const int64_t before = resident_file_bytes();
    const ndl_weights_how how = { .load = NDL_LOAD_MAP,
                                  .progress = tell,
                                  .arg = &t };
    ok(ndl_weights_open(&w, path, &one_layer, &how));
    const int64_t grown = resident_file_bytes() - before;
    assert_true(bytes > 8 << 20);
    assert_true(t.last == bytes && t.all == bytes);
    if (grown < (int64_t)bytes || grown > (int64_t)bytes + (4 << 20))
        fprintf(stderr, "%lld bytes for %llu\n", (long long)grown,
                (unsigned long long)bytes);
    assert_true(grown >= (int64_t)bytes);
    assert_true(grown <= (int64_t)bytes + (4 << 20));
    ndl_weights_destroy(&w);
    assert_true(resident_file_bytes() - before < 4 << 20);
}

static void a_truncated_file_is_refused_at_every_length(void **state)
{
    (void)state;
    struct stat sb;
    ok(tiny_write(&tiny_models[4], NDL_F32, path, -1));
    assert_int_equal(stat(path, &sb), 0);
    for (off_t n = sb.st_size - 1; n > 0; n -= 1 + n / 37) {
        assert_int_equal(truncate(path, n), 0);
        map_fails(&(ndl_part){ 0, 1, true, true }, path);
        failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, path);
    }
    remove(path);
    ndl_weights *w = NULL;
    failed(ndl_weights_open(&w, path, &one_layer, NULL), NDL_ENOINPUT, path);
    failed(ndl_weights_check(path, NULL, NULL), NDL_ENOINPUT, path);
}

/* Damage below: open with HDF5, do one thing, close. */
static hid_t edit(void)
{
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(f >= 0);
    return f;
}

static void put_attr(hid_t at, const char *name, hid_t type, int n,
                     const void *value)
{
    if (H5Aexists(at, name) > 0) H5Adelete(at, name);
    if (!value) return;
    const hid_t space = H5Screate_simple(1, &(hsize_t){ (hsize_t)n }, NULL);
    const hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(a >= 0 && H5Awrite(a, type, value) >= 0);
    H5Aclose(a);
    H5Sclose(space);
}

static void put_text(hid_t at, const char *name, const char *text)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    put_attr(at, name, type, 1, text);
    H5Tclose(type);
}

static void root_text(const char *name, const char *text)
{
    const hid_t f = edit();
    if (text)
        put_text(f, name, text);
    else
        H5Adelete(f, name);
    H5Fclose(f);
}

static void root_version(int major, int minor)
{
    const hid_t f = edit();
    put_attr(f, "format_version", H5T_NATIVE_INT, 2, (int[2]){ major, minor });
    H5Fclose(f);
}

static void fresh(void)
{
    ok(tiny_write(&tiny_models[2], NDL_F32, path, -1));
}

static void a_newer_major_version_is_refused_a_minor_is_not(void **state)
{
    (void)state;
    fresh();
    root_version(1, 9);
    ndl_weights *w = map(&one_layer);
    ndl_weights_destroy(&w);
    root_version(2, 0);
    map_fails(&one_layer, "2.0");
    root_version(0, 3);
    map_fails(&one_layer, "0.3");
    root_version(1, -1);
    map_fails(&one_layer, "unknown format version");
    const hid_t f = edit();
    put_attr(f, "format_version", H5T_NATIVE_INT, 3, (int[3]){ 1, 0, 0 });
    H5Fclose(f);
    map_fails(&one_layer, "format_version");
}

static void roots_that_are_not_weights_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *word;
    } cases[] = {
        { "noodle_format", NULL, "not one of ours" },
        { "noodle_format", "metrics", "no weights" },
        { "noodle_format", "weights2", "no weights" },
        { "format_version", NULL, "format_version" },
        { "format_version", "1.0", "format_version" },
        { "dtype", "f16", "dtype" },
        { "dtype", NULL, "dtype" },
        { "config", NULL, "config" },
        { "config", "{", "JSON" },
        { "config", "{\"model_type\":\"bert\"}", "bert" },
        { "generation_config", "[", "JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh();
        root_text(cases[i].name, cases[i].text);
        map_fails(&one_layer, cases[i].word);
        failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, cases[i].word);
    }
    fresh();
    const hid_t f = edit();
    put_attr(f, "noodle_format", H5T_NATIVE_INT, 1, &(int){ 1 });
    H5Fclose(f);
    map_fails(&one_layer, "not one text");
}

static void attributes_that_differ_from_the_model_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        int number;
    } cases[] = {
        { "layout", "rows", 0 },    { "layout", NULL, 1 },
        { "order", "natural", 0 },  { "order", "alternate16", 0 },
        { "dtype", "bf16", 0 },     { "rows", NULL, 255 },
        { "cols", NULL, 38 },       { "rows", "256", 0 },
        { "layout", "panels ", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh();
        const hid_t f = edit();
        const hid_t set = H5Dopen2(f, "/layers/0001/qkv", H5P_DEFAULT);
        if (cases[i].text)
            put_text(set, cases[i].name, cases[i].text);
        else
            put_attr(set, cases[i].name, H5T_NATIVE_INT, 1, &cases[i].number);
        H5Dclose(set);
        H5Fclose(f);
        map_fails(&one_layer, "/layers/0001/qkv");
        failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, cases[i].name);
        /* Another stage does not read it. */
        ndl_weights *w = map(&(ndl_part){ 2, 1, true, true });
        ndl_weights_destroy(&w);
    }
}

static herr_t copy_attr(hid_t from, const char *name, const H5A_info_t *info,
                        void *to)
{
    (void)info;
    static char value[4096];
    const hid_t a = H5Aopen(from, name, H5P_DEFAULT);
    const hid_t type = H5Aget_type(a), space = H5Aget_space(a);
    assert_true(H5Aread(a, type, value) >= 0);
    const hid_t b =
        H5Acreate2(*(hid_t *)to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(b, type, value) >= 0);
    H5Aclose(b);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(a);
    return 0;
}

/* Put another dataset in place of one, with the attributes of the old. */
typedef struct swap {
    const char *name;
    hid_t type, list; /* or 0: contiguous, allocated */
    int rank;
    hsize_t dims[4];
} swap;

static void swap_set(const swap *w)
{
    const hid_t f = edit();
    hid_t list = w->list;
    if (!list) {
        list = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    }
    assert_true(H5Lmove(f, w->name, f, "/old", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    const hid_t old = H5Dopen2(f, "/old", H5P_DEFAULT);
    const hid_t space = H5Screate_simple(w->rank, w->dims, NULL);
    hid_t set =
        H5Dcreate2(f, w->name, w->type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Aiterate2(old, H5_INDEX_NAME, H5_ITER_INC, NULL, copy_attr,
                            &set) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    H5Dclose(old);
    H5Pclose(list);
    H5Ldelete(f, "/old", H5P_DEFAULT);
    H5Fclose(f);
}

static hid_t chunked(void)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 3, (hsize_t[3]){ 1, 37, 16 });
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    return list;
}

static hid_t external(void)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, "/etc/passwd", 0, H5F_UNLIMITED);
    return list;
}

/* qkv of model 2 is [16][37][16] f32. */
static void datasets_of_another_shape_or_kind_are_refused(void **state)
{
    (void)state;
    static const char qkv[] = "/layers/0001/qkv";
    const swap good = { qkv, H5T_IEEE_F32LE, 0, 3, { 16, 37, 16 } };
    const swap late = {
        qkv, H5T_IEEE_F32LE, H5Pcreate(H5P_DATASET_CREATE), 3, { 16, 37, 16 }
    };
    const swap bad[] = {
        { qkv, H5T_IEEE_F32LE, 0, 3, { 15, 37, 16 } },
        { qkv, H5T_IEEE_F32LE, 0, 3, { 16, 16, 37 } },
        { qkv, H5T_IEEE_F32LE, 0, 2, { 16 * 37, 16 } },
        { qkv, H5T_IEEE_F32LE, 0, 4, { 16, 37, 16, 1 } },
        { qkv, H5T_IEEE_F32LE, 0, 3, { 1 << 20, 1 << 20, 0 } },
        { qkv, H5T_STD_U32LE, 0, 3, { 16, 37, 16 } },
        { qkv, H5T_IEEE_F32BE, 0, 3, { 16, 37, 16 } },
        { qkv, H5T_IEEE_F64LE, 0, 3, { 16, 37, 16 } },
        { qkv, H5T_IEEE_F32LE, chunked(), 3, { 16, 37, 16 } },
        { qkv, H5T_IEEE_F32LE, external(), 3, { 16, 37, 16 } },
        late,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fresh();
        swap_set(&bad[i]);
        map_fails(&one_layer, qkv);
        failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, qkv);
    }
    fresh();
    swap_set(&good); /* the swap itself is not what is refused */
    ndl_weights *w = map(&one_layer);
    ndl_weights_destroy(&w);
    failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, "checksum");
}

static void data_off_the_64_byte_grid_are_refused(void **state)
{
    (void)state;
    fresh();
    const hid_t f = edit(), list = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(1, &(hsize_t){ 4 }, NULL);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Dclose(H5Dcreate2(f, "/push", H5T_STD_U8LE, space, H5P_DEFAULT, list,
                        H5P_DEFAULT));
    H5Sclose(space);
    H5Fclose(f);
    const hid_t again = H5Pcopy(list);
    H5Pclose(list);
    /* The vector goes where the four bytes end. */
    swap_set(&(swap){ "/layers/0001/norm1", H5T_IEEE_F32LE, again, 1, { 37 } });
    map_fails(&one_layer, "multiple of 64");
}

static void a_missing_dataset_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "/layers/0001/down", "/embed/tokens",
                                         "/head/norm", "/layers/0000" };
    for (int i = 0; i < 4; i++) {
        fresh();
        const hid_t f = edit();
        H5Ldelete(f, names[i], H5P_DEFAULT);
        H5Fclose(f);
        map_fails(&(ndl_part){ 0, 3, true, true }, names[i]);
        failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, names[i]);
    }
}

static void flip(const char *name, uint64_t byte)
{
    ndl_store *s = NULL;
    ndl_store_info info;
    uint8_t b = 0;
    ok(ndl_store_open(&s, path));
    ok(ndl_store_query(s, name, &info));
    ndl_store_close(&s);
    if (byte >= info.bytes) byte = info.bytes - 1;
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &b, 1, (off_t)(info.offset + byte)), 1);
    b ^= 0x10;
    assert_int_equal(pwrite(fd, &b, 1, (off_t)(info.offset + byte)), 1);
    close(fd);
}

static void check_finds_a_flipped_bit_and_names_the_dataset(void **state)
{
    (void)state;
    static const char *const names[] = { "/embed/tokens", "/layers/0002/out",
                                         "/layers/0000/norm2", "/head/matrix" };
    fresh();
    for (int i = 0; i < 4; i++)
        for (int end = 0; end < 2; end++) {
            flip(names[i], end ? UINT64_MAX : 0);
            failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, names[i]);
            flip(names[i], end ? UINT64_MAX : 0);
        }
    told t = { 0, 0 };
    ok(ndl_weights_check(path, tell, &t));
    assert_true(t.all > 0 && t.last == t.all);
}

static void check_finds_a_missing_checksum(void **state)
{
    (void)state;
    fresh();
    const hid_t f = edit();
    const hid_t set = H5Dopen2(f, "/layers/0001/down", H5P_DEFAULT);
    H5Adelete(set, "xxh3_64");
    H5Dclose(set);
    H5Fclose(f);
    failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA,
           "xxh3_64 of /layers/0001/down");
}

static void check_reads_packed_datasets_beside_the_model(void **state)
{
    (void)state;
    ok(tiny_write(&tiny_models[4], NDL_F32, path, -1));
    const hid_t f = edit();
    const hid_t space = H5Screate_simple(1, &(hsize_t){ 5 }, NULL);
    const hid_t set = H5Dcreate2(f, "/merges", H5T_STD_U8LE, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, "abcde");
    put_attr(set, "xxh3_64", H5T_NATIVE_UINT64, 1, &(uint64_t){ 1 });
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(f);
    failed(ndl_weights_check(path, NULL, NULL), NDL_EDATA, "/merges");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_part_has_its_own_layers_and_ends_only),
        TEST(a_part_outside_the_model_is_refused),
        TEST(addresses_keep_their_offset_in_a_huge_page),
        TEST(bytes_of_a_part_are_those_in_the_file),
        TEST(only_the_pages_of_the_part_become_resident),
        TEST(a_truncated_file_is_refused_at_every_length),
        TEST(a_newer_major_version_is_refused_a_minor_is_not),
        TEST(roots_that_are_not_weights_are_refused),
        TEST(attributes_that_differ_from_the_model_are_refused),
        TEST(datasets_of_another_shape_or_kind_are_refused),
        TEST(data_off_the_64_byte_grid_are_refused),
        TEST(a_missing_dataset_is_named),
        TEST(check_finds_a_flipped_bit_and_names_the_dataset),
        TEST(check_finds_a_missing_checksum),
        TEST(check_reads_packed_datasets_beside_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
