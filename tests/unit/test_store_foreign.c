/*
 * test_store_foreign.c - what store.h makes of files that others wrote, or
 * that are damaged or hostile; they are made with HDF5.
 */
#include <sys/stat.h>

#include "../support/store_test.h"

static void put_file(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void open_tells_missing_empty_folder_and_foreign_apart(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    failed(ndl_store_open(&s, path), NDL_ENOINPUT, "No such file");
    failed(ndl_store_open(&s, folder.path), NDL_EDATA, "folder");
    put_file("", 0);
    failed(ndl_store_open(&s, path), NDL_EDATA, "empty");
    put_file("safetensors", 11);
    failed(ndl_store_open(&s, path), NDL_EDATA, "not an HDF5 file");
    put_file("\x89HDF\r\n\x1a\n", 8);
    failed(ndl_store_open(&s, path), NDL_EDATA, "import the model again");
    remove(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    failed(ndl_store_open(&s, path), NDL_EDATA, "regular");
    if (geteuid() != 0) {
        remove(path);
        put_file("x", 1);
        chmod(path, 0);
        failed(ndl_store_open(&s, path), NDL_EPERM, "ermission");
    }
    assert_null(s);
}

static void a_truncated_file_is_refused_at_every_length(void **state)
{
    (void)state;
    struct stat sb;
    ndl_store *s = create();
    ok(ndl_store_make(s, "/v", NDL_STORE_U8, 1, &(uint64_t){ 9000 }));
    s = reopen(s);
    ndl_store_close(&s);
    assert_int_equal(stat(path, &sb), 0);
    for (off_t n = sb.st_size - 1; n > 0; n -= 1 + n / 23) {
        assert_int_equal(truncate(path, n), 0);
        failed(ndl_store_open(&s, path), NDL_EDATA, "import");
    }
}

/* Make a file with HDF5 itself: `fn` puts one thing that we refuse. */
static void foreign(void (*fn)(hid_t file))
{
    const hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(f >= 0);
    fn(f);
    assert_true(H5Fclose(f) >= 0);
}

static void put_set(hid_t f, const char *name, hid_t type, int rank, hid_t list)
{
    const hsize_t dims[6] = { 4, 4, 4, 4, 4, 4 };
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t set =
        H5Dcreate2(f, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void put_foreign_sets(hid_t f)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    put_set(f, "big_endian", H5T_IEEE_F32BE, 1, H5P_DEFAULT);
    put_set(f, "double", H5T_IEEE_F64LE, 1, H5P_DEFAULT);
    put_set(f, "text", H5T_C_S1, 1, H5P_DEFAULT);
    put_set(f, "six", H5T_IEEE_F32LE, 6, H5P_DEFAULT);
    put_set(f, "late", H5T_IEEE_F32LE, 1, H5P_DEFAULT);
    H5Pset_external(list, "/etc/passwd", 0, 4);
    put_set(f, "external", H5T_STD_U8LE, 1, list);
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 1, &(hsize_t){ 2 });
    H5Pset_scaleoffset(list, H5Z_SO_INT, 0);
    put_set(f, "filter", H5T_STD_U32LE, 1, list);
    H5Pclose(list);
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(list, H5D_COMPACT);
    put_set(f, "compact", H5T_STD_U32LE, 1, list);
    H5Pclose(list);
    H5Lcreate_soft("/compact", f, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", f, "link", H5P_DEFAULT,
                       H5P_DEFAULT);
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tcommit2(f, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
}

static void foreign_datasets_are_refused_by_cause(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "/big_endian", "type" },   { "/double", "type" },
        { "/text", "type" },         { "/six", "dimensions" },
        { "/external", "another" },  { "/filter", "filter" },
        { "/soft", "missing" },      { "/link", "missing" },
        { "/type", "neither" },      { "/", "not a dataset" },
        { "/compact/x", "missing" },
    };
    char seen[200] = "";
    ndl_store *s = NULL;
    ndl_store_info info;
    foreign(put_foreign_sets);
    ok(ndl_store_open(&s, path));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        failed(ndl_store_query(s, cases[i][0], &info), NDL_EDATA, cases[i][1]);
    ok(ndl_store_query(s, "/compact", &info));
    assert_false(info.contiguous);
    ok(ndl_store_query(s, "/late", &info));
    assert_false(info.contiguous);
    ok(ndl_store_each(s, "/", note, seen));
    assert_null(strstr(seen, "soft"));
    assert_null(strstr(seen, "link"));
    ndl_store_close(&s);
}

static void put_cycle(hid_t f)
{
    const hid_t g = H5Gcreate2(f, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(f, "/", g, "self", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(g);
}

static void a_group_inside_itself_ends_the_walk(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    foreign(put_cycle);
    ok(ndl_store_open(&s, path));
    failed(ndl_store_each(s, "/", note, NULL), NDL_EDATA, "deep");
    ndl_store_close(&s);
}

static void put_other_attributes(hid_t f)
{
    static const char *const text = "variable \xc3\xa9";
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t many = H5Screate_simple(1, &(hsize_t){ 3 }, NULL);
    const hid_t empty = H5Screate(H5S_NULL);
    const hid_t type = H5Tcopy(H5T_C_S1), padded = H5Tcopy(H5T_FORTRAN_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Tset_size(padded, 8);
    const struct {
        const char *name;
        hid_t type, memory, space;
        const void *value;
    } a[] = {
        { "variable", type, type, space, &text },
        { "padded", padded, padded, space, "abc     " },
        { "short", H5T_STD_I16BE, H5T_NATIVE_SHORT, space, &(short){ -5 } },
        { "many", H5T_STD_I32LE, H5T_NATIVE_INT, many, (int[3]){ 1, 2, 3 } },
        { "real", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space, &(double){ 1 } },
        { "null", H5T_STD_I32LE, H5T_NATIVE_INT, empty, NULL },
    };
    for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
        const hid_t id = H5Acreate2(f, a[i].name, a[i].type, a[i].space,
                                    H5P_DEFAULT, H5P_DEFAULT);
        assert_true(id >= 0);
        if (a[i].value) H5Awrite(id, a[i].memory, a[i].value);
        H5Aclose(id);
    }
    H5Tclose(type);
    H5Tclose(padded);
    H5Sclose(space);
    H5Sclose(many);
    H5Sclose(empty);
}

static void attributes_of_other_writers_are_read_or_refused(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    char *text = NULL;
    int64_t v = 0;
    uint64_t u = 0;
    foreign(put_other_attributes);
    ok(ndl_store_open(&s, path));
    ok(ndl_store_get_text(s, "/", "variable", &text));
    assert_string_equal(text, "variable \xc3\xa9");
    free(text);
    ok(ndl_store_get_text(s, "/", "padded", &text));
    assert_string_equal(text, "abc");
    free(text);
    ok(ndl_store_get_ints(s, "/", "short", &v, 1));
    assert_int_equal(v, -5);
    failed(ndl_store_get_ints(s, "/", "many", &v, 1), NDL_EDATA, "many");
    failed(ndl_store_get_ints(s, "/", "real", &v, 1), NDL_EDATA, "real");
    failed(ndl_store_get_u64(s, "/", "null", &u), NDL_EDATA, "null");
    failed(ndl_store_get_text(s, "/", "short", &text), NDL_EDATA, "text");
    ndl_store_close(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(open_tells_missing_empty_folder_and_foreign_apart),
        TEST(a_truncated_file_is_refused_at_every_length),
        TEST(foreign_datasets_are_refused_by_cause),
        TEST(a_group_inside_itself_ends_the_walk),
        TEST(attributes_of_other_writers_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
