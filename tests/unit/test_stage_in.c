/*
 * test_stage_in.c - a copy of a part in a folder: what is in it, when it is
 * used again, and what is said when it cannot be made.
 */
#include <fcntl.h>
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/folder.h"
#include "../support/weights_kit.h"

static test_folder from, to;
static char path[320], copy[600];

static int set_up(void **state)
{
    (void)state;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    ndl_status_clear();
    if (test_folder_make(&from) != 0 || test_folder_make(&to) != 0) return -1;
    snprintf(path, sizeof path, "%s", test_folder_at(&from, "w.h5"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return test_folder_remove(&from) + test_folder_remove(&to);
}

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static const ndl_part middle = { 1, 1, false, false };

typedef struct told {
    uint64_t all;
    bool stop;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    told *t = arg;
    assert_true(done <= all);
    t->all = all;
    return t->stop ? NDL_ETERM : NDL_OK;
}

/* Open through the folder; the same bytes come as without it.
 * @return bytes that progress told of in all. */
static uint64_t open_staged(const ndl_part *part, ndl_load load, ndl_pool *pool)
{
    told t = { 0 };
    const ndl_weights_how how = { .load = load,
                                  .pool = pool,
                                  .stage_in = to.path,
                                  .progress = tell,
                                  .arg = &t };
    ndl_weights *w = NULL, *plain = NULL;
    ok(ndl_weights_open(&w, path, part, &how));
    ok(ndl_weights_open(&plain, path, part, NULL));
    assert_true(kit_same_weights(plain, w, part));
    ndl_weights_destroy(&plain);
    ndl_weights_destroy(&w);
    return t.all;
}

/* The one file of the folder. */
static const char *find_copy(struct stat *sb)
{
    int n = 0;
    DIR *d = opendir(to.path);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(copy, sizeof copy, "%s/%s", to.path, e->d_name);
        n++;
    }
    closedir(d);
    assert_int_equal(n, 1);
    assert_int_equal(lstat(copy, sb), 0);
    return copy;
}

static uint64_t bytes_of(const ndl_part *part)
{
    ndl_store *s = NULL;
    uint64_t bytes = 0;
    ok(ndl_store_open(&s, path));
    ok(ndl_weights_bytes(s, part, &bytes));
    ndl_store_close(&s);
    return bytes;
}

static void only_the_part_and_the_index_are_copied(void **state)
{
    (void)state;
    struct stat whole, sb;
    ndl_pool *pool = NULL;
    ok(ndl_pool_create(&pool, &(ndl_pool_config){ .n_threads = 3 }));
    ok(tiny_write(&wide_model, NDL_F32, path, -1));
    assert_int_equal(stat(path, &whole), 0);
    const uint64_t part = bytes_of(&middle);
    const uint64_t rest =
        (uint64_t)whole.st_size - bytes_of(&(ndl_part){ 0, 3, true, true });
    const uint64_t told_bytes = open_staged(&middle, NDL_LOAD_MAP, pool);
    assert_true(told_bytes == 2 * part + rest); /* copied, then loaded */
    find_copy(&sb);
    assert_int_equal(sb.st_size, whole.st_size);
    /* Blocks are as large as the file system likes. */
    assert_true((uint64_t)sb.st_blocks * 512 < part + rest + (1 << 20));
    assert_null(strstr(copy, ".part"));
    assert_non_null(strstr(copy, "/w-"));
    ndl_pool_destroy(&pool);
}

static void every_part_of_every_model_can_be_staged(void **state)
{
    (void)state;
    for (int t = 0; t < N_TINY_MODELS; t++) {
        ok(tiny_write(&tiny_models[t], NDL_BF16, path, -1));
        open_staged(&(ndl_part){ 0, 1, true, true }, NDL_LOAD_COPY, NULL);
        open_staged(&(ndl_part){ 0, 1, false, false }, NDL_LOAD_MAP, NULL);
        open_staged(&(ndl_part){ 0, 0, false, true }, NDL_LOAD_MAP, NULL);
        open_staged(&(ndl_part){ 0, 0, true, false }, NDL_LOAD_COPY, NULL);
        const int n = test_folder_count(&to);
        assert_int_equal(n, 4 * (t + 1)); /* a file for each */
        open_staged(&(ndl_part){ 0, 0, false, false }, NDL_LOAD_MAP, NULL);
        assert_int_equal(test_folder_count(&to), n); /* nothing to stage */
    }
}

static void a_copy_is_used_again(void **state)
{
    (void)state;
    struct stat first, second;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    assert_true(open_staged(&middle, NDL_LOAD_MAP, NULL) > bytes_of(&middle));
    find_copy(&first);
    assert_true(open_staged(&middle, NDL_LOAD_COPY, NULL) == bytes_of(&middle));
    find_copy(&second);
    assert_int_equal(first.st_ino, second.st_ino);
}

static void a_file_that_was_written_anew_is_copied_anew(void **state)
{
    (void)state;
    static const struct timespec times[] = { { 1, 0 }, { 1, 1 }, { 2, 1 } };
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    open_staged(&middle, NDL_LOAD_MAP, NULL);
    for (int i = 0; i < 3; i++) {
        const struct timespec both[2] = { times[i], times[i] };
        assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
        open_staged(&middle, NDL_LOAD_MAP, NULL);
        assert_int_equal(test_folder_count(&to), i + 2);
    }
}

static void flip(off_t at)
{
    uint8_t b = 0;
    const int fd = open(copy, O_RDWR);
    assert_int_equal(pread(fd, &b, 1, at), 1);
    b ^= 1;
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

static void a_damaged_copy_is_made_anew(void **state)
{
    (void)state;
    struct stat sb;
    ndl_store *s = NULL;
    ndl_store_info next;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    ok(ndl_store_open(&s, path));
    ok(ndl_store_query(s, "/layers/0002/norm1", &next));
    ndl_store_close(&s);
    for (int damage = 0; damage < 4; damage++) {
        open_staged(&middle, NDL_LOAD_MAP, NULL);
        find_copy(&sb);
        if (damage == 0) assert_int_equal(truncate(copy, sb.st_size - 1), 0);
        if (damage == 1) flip(9);
        if (damage == 2) flip((off_t)next.offset - 1);
        if (damage == 3) { /* of another one, who has a file there */
            remove(copy);
            assert_int_equal(symlink(path, copy), 0);
        }
        const uint64_t told_bytes = open_staged(&middle, NDL_LOAD_MAP, NULL);
        assert_true(told_bytes > bytes_of(&middle));
        find_copy(&sb);
        assert_true(S_ISREG(sb.st_mode));
        assert_true(open_staged(&middle, NDL_LOAD_MAP, NULL) ==
                    bytes_of(&middle));
    }
}

static void open_fails(const ndl_part *part, const char *dir, ndl_status st,
                       const char *word)
{
    const ndl_weights_how how = { .load = NDL_LOAD_MAP, .stage_in = dir };
    ndl_weights *w = NULL;
    const ndl_status got = ndl_weights_open(&w, path, part, &how);
    if (got != st) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(got, st);
    assert_null(w);
    const char *m = ndl_status_message();
    if (!strstr(m, word)) fprintf(stderr, "%s\n", m);
    assert_non_null(strstr(m, word));
    assert_non_null(strstr(m, dir));
    ndl_status_clear();
}

static void an_interrupt_leaves_nothing(void **state)
{
    (void)state;
    told t = { .stop = true };
    const ndl_weights_how how = { .stage_in = to.path,
                                  .progress = tell,
                                  .arg = &t };
    ndl_weights *w = NULL;
    ok(tiny_write(&wide_model, NDL_BF16, path, -1));
    assert_int_equal(ndl_weights_open(&w, path, &middle, &how), NDL_ETERM);
    assert_null(w);
    assert_int_equal(test_folder_count(&to), 0);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
    (void)state;
    char gone[300];
    snprintf(gone, sizeof gone, "%s/gone", to.path);
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    open_fails(&middle, gone, NDL_ECREATE, "No such file");
    open_fails(&middle, path, NDL_ECREATE, "Not a directory");
}

/* Root may write anywhere, so it becomes somebody else for a moment. */
static void a_folder_for_reading_only_is_named(void **state)
{
    (void)state;
    const bool is_root = geteuid() == 0;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    assert_int_equal(chmod(from.path, 0755) + chmod(path, 0644), 0);
    assert_int_equal(chmod(to.path, 0555), 0);
    if (is_root && seteuid(65534) != 0) skip();
    open_fails(&middle, to.path, NDL_EPERM, "Permission denied");
    if (is_root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(test_folder_count(&to), 0);
    chmod(to.path, 0755);
}

static void put_int(hid_t at, const char *name, int64_t v)
{
    const hid_t a = H5Aopen(at, name, H5P_DEFAULT);
    assert_true(H5Awrite(a, H5T_NATIVE_INT64, &v) >= 0);
    H5Aclose(a);
}

static const char huge[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"hidden_size\":65536,"
    "\"num_attention_heads\":512,\"num_key_value_heads\":1,"
    "\"intermediate_size\":48,\"vocab_size\":16777216,\"hidden_act\":\"silu\","
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5}";

static herr_t copy_attr(hid_t old, const char *name, const H5A_info_t *info,
                        void *to_set)
{
    static char value[4096];
    const hid_t a = H5Aopen(old, name, H5P_DEFAULT);
    const hid_t type = H5Aget_type(a), space = H5Aget_space(a);
    const hid_t b = H5Acreate2(*(hid_t *)to_set, name, type, space, H5P_DEFAULT,
                               H5P_DEFAULT);
    (void)info;
    assert_true(H5Aread(a, type, value) >= 0 && H5Awrite(b, type, value) >= 0);
    H5Aclose(b);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(a);
    return 0;
}

/* An embedding of 4 TiB, all of it a hole. */
static bool write_huge(void)
{
    ok(tiny_write(&tiny_models[5], NDL_F32, path, -1));
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space =
        H5Screate_simple(2, (hsize_t[2]){ 16777216, 65536 }, NULL);
    const hid_t type = H5Tcopy(H5T_C_S1);
    const hid_t one = H5Screate(H5S_SCALAR);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    H5Lmove(f, "/embed/tokens", f, "/old", H5P_DEFAULT, H5P_DEFAULT);
    const hid_t old = H5Dopen2(f, "/old", H5P_DEFAULT);
    hid_t set = H5Dcreate2(f, "/embed/tokens", H5T_IEEE_F32LE, space,
                           H5P_DEFAULT, list, H5P_DEFAULT);
    H5Aiterate2(old, H5_INDEX_NAME, H5_ITER_INC, NULL, copy_attr, &set);
    put_int(set, "rows", 16777216);
    put_int(set, "cols", 65536);
    H5Adelete(f, "config");
    H5Tset_size(type, sizeof huge);
    const hid_t a =
        H5Acreate2(f, "config", type, one, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, type, huge);
    H5Aclose(a);
    H5Sclose(one);
    H5Tclose(type);
    H5Dclose(set);
    H5Dclose(old);
    H5Sclose(space);
    H5Pclose(list);
    return H5Fclose(f) >= 0;
}

static void a_folder_without_room_is_told_how_much_is_needed(void **state)
{
    (void)state;
    struct statvfs v;
    assert_int_equal(statvfs(to.path, &v), 0);
    if ((uint64_t)v.f_bavail * v.f_frsize >> 42 > 0) skip();
    if (!write_huge()) skip(); /* a file system without such files */
    const ndl_part embed = { 0, 0, true, false };
    open_fails(&embed, to.path, NDL_ECREATE, "takes 41943");
    assert_int_equal(test_folder_count(&to), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_the_part_and_the_index_are_copied),
        TEST(every_part_of_every_model_can_be_staged),
        TEST(a_copy_is_used_again),
        TEST(a_file_that_was_written_anew_is_copied_anew),
        TEST(a_damaged_copy_is_made_anew),
        TEST(an_interrupt_leaves_nothing),
        TEST(a_folder_that_is_not_there_is_named),
        TEST(a_folder_for_reading_only_is_named),
        TEST(a_folder_without_room_is_told_how_much_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
