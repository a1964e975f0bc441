/* test_store.c - facts about store.h, on files that it wrote itself. */
#include "noodle/store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../support/store_test.h"
#include "noodle/hash.h"

static void arrays_of_each_type_come_back(void **state)
{
    (void)state;
    static const struct {
        ndl_store_type type;
        size_t size;
    } types[] = { { NDL_STORE_F32, 4 }, { NDL_STORE_BF16, 2 },
                  { NDL_STORE_U8, 1 },  { NDL_STORE_U16, 2 },
                  { NDL_STORE_U32, 4 }, { NDL_STORE_I32, 4 } };
    const uint64_t dims[3] = { 5, 3, 7 };
    uint8_t in[5 * 3 * 7 * 4], out[sizeof in];
    ndl_store *s = create();
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)(i * 37 + i / 256);
    char name[32];
    for (int t = 0; t < 6; t++) {
        const size_t slice = 21 * types[t].size;
        snprintf(name, sizeof name, "/deep/%d/array", t);
        ok(ndl_store_make(s, name, types[t].type, 3, dims));
        ok(ndl_store_write(s, name, 2, 3, in + 2 * slice));
        ok(ndl_store_write(s, name, 0, 2, in));
        ok(ndl_store_write(s, name, 5, 0, in));
    }
    s = reopen(s);
    for (int t = 0; t < 6; t++) {
        ndl_store_info info;
        const size_t bytes = 105 * types[t].size;
        snprintf(name, sizeof name, "/deep/%d/array", t);
        ok(ndl_store_query(s, name, &info));
        assert_int_equal(info.type, types[t].type);
        assert_int_equal(info.n_dims, 3);
        assert_memory_equal(info.dims, dims, sizeof dims);
        assert_int_equal(info.bytes, bytes);
        assert_true(info.contiguous);
        assert_int_equal(info.offset % 4096, 0);
        memset(out, 0, sizeof out);
        ok(ndl_store_read(s, name, out, bytes));
        assert_memory_equal(out, in, bytes);
        /* And so do the bytes of the file itself. */
        const int fd = open(path, O_RDONLY);
        assert_int_equal(pread(fd, out, bytes, (off_t)info.offset), bytes);
        close(fd);
        assert_memory_equal(out, in, bytes);
    }
    ndl_store_close(&s);
}

static void smallest_vectors_are_aligned_too(void **state)
{
    (void)state;
    ndl_store *s = create();
    for (int i = 0; i < 6; i++) {
        char name[16];
        snprintf(name, sizeof name, "/v%d", i);
        ok(ndl_store_make(s, name, NDL_STORE_U8, 1, &(uint64_t){ i + 1 }));
    }
    s = reopen(s);
    for (int i = 0; i < 6; i++) {
        char name[16];
        ndl_store_info info;
        snprintf(name, sizeof name, "/v%d", i);
        ok(ndl_store_query(s, name, &info));
        assert_int_equal(info.offset % 4096, 0);
    }
    ndl_store_close(&s);
}

static void packed_bytes_come_back_and_are_smaller(void **state)
{
    (void)state;
    enum { N = 3000000 };
    uint8_t *in = calloc(N, 1), *out = malloc(N);
    ndl_store_info info;
    uint64_t sum = 0;
    struct stat sb;
    for (int i = 0; i < N; i++) in[i] = (uint8_t)(i % 251 * (i / 100000));
    ndl_store *s = create();
    ok(ndl_store_put_packed(s, "/t/text", in, N));
    ok(ndl_store_put_packed(s, "/t/none", NULL, 0));
    s = reopen(s);
    ok(ndl_store_query(s, "/t/text", &info));
    assert_int_equal(info.bytes, N);
    assert_false(info.contiguous);
    assert_int_equal(info.offset, 0);
    ok(ndl_store_read(s, "/t/text", out, N));
    assert_memory_equal(out, in, N);
    ok(ndl_store_get_u64(s, "/t/text", "xxh3_64", &sum));
    assert_true(sum == ndl_hash_bytes(in, N, 0));
    ok(ndl_store_query(s, "/t/none", &info));
    assert_int_equal(info.bytes, 0);
    ok(ndl_store_read(s, "/t/none", out, 0));
    failed(ndl_store_read(s, "/t/text", out, N - 1), NDL_EDATA, "larger");
    ndl_store_close(&s);
    assert_int_equal(stat(path, &sb), 0);
    assert_true(sb.st_size < N);
    free(in);
    free(out);
}

static void attributes_come_back(void **state)
{
    (void)state;
    static char large[61442];
    const int64_t three[3] = { INT64_MIN, -1, INT64_MAX };
    int64_t got[3] = { 0 };
    uint64_t u = 0;
    char *text = NULL;
    memset(large, 'x', sizeof large - 1);
    ndl_store *s = create();
    ok(ndl_store_make_group(s, "/a/b"));
    ok(ndl_store_make_group(s, "/a/b"));
    ok(ndl_store_put_text(s, "/a/b", "name", "caf\xc3\xa9 \"x\""));
    ok(ndl_store_put_text(s, "/", "empty", ""));
    ok(ndl_store_put_ints(s, "/", "three", three, 3));
    ok(ndl_store_put_u64(s, "/a", "sum", UINT64_MAX));
    failed(ndl_store_put_text(s, "/", "large", large), NDL_EDATA, "61440");
    large[61440] = '\0';
    ok(ndl_store_put_text(s, "/", "large", large));
    s = reopen(s);
    ok(ndl_store_get_text(s, "/a/b", "name", &text));
    assert_string_equal(text, "caf\xc3\xa9 \"x\"");
    free(text);
    ok(ndl_store_get_text(s, "/", "empty", &text));
    assert_string_equal(text, "");
    free(text);
    ok(ndl_store_get_text(s, "/", "large", &text));
    assert_string_equal(text, large);
    free(text);
    ok(ndl_store_get_ints(s, "/", "three", got, 3));
    assert_memory_equal(got, three, sizeof three);
    ok(ndl_store_get_u64(s, "/a", "sum", &u));
    assert_true(u == UINT64_MAX);
    assert_true(ndl_store_has_attr(s, "/a", "sum"));
    assert_false(ndl_store_has_attr(s, "/a", "sun"));
    assert_false(ndl_store_has_attr(s, "/x", "sum"));
    failed(ndl_store_get_ints(s, "/", "three", got, 2), NDL_EDATA, "three");
    failed(ndl_store_get_text(s, "/", "three", &text), NDL_EDATA, "one text");
    failed(ndl_store_get_u64(s, "/", "large", &u), NDL_EDATA, "integer");
    failed(ndl_store_get_u64(s, "/", "none", &u), NDL_EDATA, "missing");
    failed(ndl_store_get_u64(s, "/x", "none", &u), NDL_EDATA, "/x");
    ndl_store_close(&s);
}

static void each_visits_datasets_in_name_order(void **state)
{
    (void)state;
    static const char *const names[] = { "/b/2", "/b/10", "/a", "/c/d/e",
                                         "/b/1", "/stop", "/z" };
    char seen[200] = "";
    ndl_store *s = create();
    for (int i = 0; i < 7; i++)
        ok(ndl_store_make(s, names[i], NDL_STORE_U8, 1, &(uint64_t){ 1 }));
    s = reopen(s);
    assert_int_equal(ndl_store_each(s, "/", note, seen), NDL_EINT);
    assert_string_equal(seen, "/a /b/1 /b/10 /b/2 /c/d/e /stop ");
    seen[0] = '\0';
    ok(ndl_store_each(s, "/b", note, seen));
    assert_string_equal(seen, "/b/1 /b/10 /b/2 ");
    assert_true(ndl_store_has(s, "/"));
    assert_true(ndl_store_has(s, "/b"));
    assert_true(ndl_store_has(s, "/b/10"));
    assert_false(ndl_store_has(s, "/b/3"));
    assert_false(ndl_store_has(s, "/a/x"));
    failed(ndl_store_each(s, "/q", note, seen), NDL_EDATA, "/q");
    ndl_store_close(&s);
}

static void nothing_is_left_of_a_file_that_was_not_committed(void **state)
{
    (void)state;
    ndl_store *s = create();
    assert_string_equal(ndl_store_path(s), path);
    ok(ndl_store_make(s, "/v", NDL_STORE_F32, 1, &(uint64_t){ 100 }));
    assert_int_equal(test_folder_count(&folder), 1);
    ndl_store_close(&s);
    assert_null(s);
    assert_int_equal(test_folder_count(&folder), 0);
    ndl_store_close(&s);
}

static void commit_replaces_the_old_file_and_leaves_no_part(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        ndl_store *s = create();
        ok(ndl_store_put_u64(s, "/", "run", (uint64_t)i));
        s = reopen(s);
        assert_int_equal(test_folder_count(&folder), 1);
        ndl_store_close(&s);
    }
    uint64_t run = 0;
    ndl_store *s = NULL;
    ok(ndl_store_open(&s, path));
    ok(ndl_store_get_u64(s, "/", "run", &run));
    assert_int_equal(run, 1);
    ndl_store_close(&s);
}

static void two_readers_of_one_file_do_not_disturb_each_other(void **state)
{
    (void)state;
    uint64_t v = 0;
    ndl_store *a = create(), *b = NULL;
    ok(ndl_store_put_u64(a, "/", "v", 7));
    a = reopen(a);
    ok(ndl_store_open(&b, path));
    ndl_store_close(&a);
    ok(ndl_store_get_u64(b, "/", "v", &v));
    assert_int_equal(v, 7);
    ndl_store_close(&b);
}

static void equal_content_gives_equal_bytes(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        ndl_store *s = create();
        uint8_t bytes[1000] = { 1, 2, 3 };
        ok(ndl_store_put_packed(s, "/g/p", bytes, sizeof bytes));
        ok(ndl_store_make(s, "/g/v", NDL_STORE_U8, 1, &(uint64_t){ 1000 }));
        ok(ndl_store_write(s, "/g/v", 0, 1000, bytes));
        ok(ndl_store_put_text(s, "/g/v", "t", "text"));
        ok(ndl_store_commit(&s));
        static char all[4 << 20];
        const int fd = open(path, O_RDONLY);
        const ssize_t n = read(fd, all, sizeof all);
        close(fd);
        assert_true(n > 1000 && n < (ssize_t)sizeof all);
        hash[i] = ndl_hash_bytes(all, (size_t)n, 0);
        if (i == 0) sleep(1); /* so that times, if any, differ */
    }
    assert_true(hash[0] == hash[1]);
}

/* In a child: a file may have 1 MiB, as on a full disk. */
static int fill_the_disk(void)
{
    static float data[1 << 20];
    ndl_store *s = NULL;
    signal(SIGXFSZ, SIG_IGN);
    if (ndl_store_create(&s, path) != NDL_OK) return 1;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 20, 1 << 20 });
    ndl_status st = ndl_store_make(s, "/v", NDL_STORE_F32, 1,
                                   &(uint64_t){ sizeof data / 4 });
    if (st == NDL_OK) st = ndl_store_write(s, "/v", 0, sizeof data / 4, data);
    if (st == NDL_OK) return 2;
    if (st != NDL_EIO || !strstr(ndl_status_message(), "too large")) return 3;
    ndl_store_close(&s);
    return test_folder_count(&folder) == 0 ? 0 : 4;
}

static void a_full_disk_is_an_io_error_and_removes_the_part(void **state)
{
    (void)state;
    int rc = 0;
    const pid_t child = fork();
    if (child == 0) _exit(fill_the_disk());
    assert_int_equal(waitpid(child, &rc, 0), child);
    assert_true(WIFEXITED(rc));
    assert_int_equal(WEXITSTATUS(rc), 0);
}

static void create_names_what_is_in_the_way(void **state)
{
    (void)state;
    char other[340];
    ndl_store *s = NULL;
    snprintf(other, sizeof other, "%s/none/a.h5", folder.path);
    failed(ndl_store_create(&s, other), NDL_ECREATE, "none");
    failed(ndl_store_create(&s, folder.path), NDL_ECREATE, "folder");
    assert_null(s);
}

static void h5py_reads_bf16_as_float32(void **state)
{
    (void)state;
    static const char probe[] = "/usr/bin/python3 -c 'import h5py' 2>/dev/null";
    if (system(probe) != 0) {
        print_message("skipped: no h5py\n");
        skip();
    }
    /* 1, -2, 0.5, 3.140625, infinity, the smallest subnormal, -0 */
    const uint16_t bits[7] = { 0x3f80, 0xc000, 0x3f00, 0x4049,
                               0x7f80, 0x0001, 0x8000 };
    char command[1200], line[200] = "";
    ndl_store *s = create();
    ok(ndl_store_make(s, "/v", NDL_STORE_BF16, 1, &(uint64_t){ 7 }));
    ok(ndl_store_write(s, "/v", 0, 7, bits));
    ok(ndl_store_put_text(s, "/v", "t", "caf\xc3\xa9"));
    ok(ndl_store_put_u64(s, "/v", "u", UINT64_MAX));
    ok(ndl_store_commit(&s));
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c \"import h5py; v = h5py.File('%s', 'r')['v'];"
             "print(v[:].dtype, v[:].tobytes().hex(), "
             "v.attrs['t'].decode() == 'caf' + chr(233), v.attrs['u'])\"",
             path);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof line, p));
    pclose(p);
    assert_string_equal(line, "float32 0000803f000000c00000003f000049400000807f"
                              "0000010000000080 True 18446744073709551615\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(arrays_of_each_type_come_back),
        TEST(smallest_vectors_are_aligned_too),
        TEST(packed_bytes_come_back_and_are_smaller),
        TEST(attributes_come_back),
        TEST(each_visits_datasets_in_name_order),
        TEST(nothing_is_left_of_a_file_that_was_not_committed),
        TEST(commit_replaces_the_old_file_and_leaves_no_part),
        TEST(two_readers_of_one_file_do_not_disturb_each_other),
        TEST(equal_content_gives_equal_bytes),
        TEST(a_full_disk_is_an_io_error_and_removes_the_part),
        TEST(create_names_what_is_in_the_way),
        TEST(h5py_reads_bf16_as_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
