/* test_file.c - facts about file.h, in a folder of its own. */
#include "noodle/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/patience.h"

#include <cmocka.h>

static char folder[64];

static const char *at(const char *name)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/ndl_test_file_XXXXXX");
    ndl_status_clear();
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "a", "a.part", "big", "sub", "fifo" };
    (void)state;
    for (int i = 0; i < 5; i++) remove(at(names[i]));
    return rmdir(folder);
}

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void expect(const char *path, const char *text)
{
    char *got = NULL;
    size_t n = 0;
    assert_int_equal(ndl_file_read(&got, &n, path, 1000), NDL_OK);
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
    free(got);
}

static void file_read_gives_every_byte_and_a_final_zero(void **state)
{
    (void)state;
    enum { N = 300000 }; /* several times the first guess */
    unsigned char *bytes = malloc(N);
    char *got = NULL;
    size_t n = 0;
    assert_non_null(bytes);
    for (int i = 0; i < N; i++) bytes[i] = (unsigned char)(i % 251);
    static const size_t sizes[] = { 0, 1, 65534, 65535, 65536, 65537, N };
    for (int i = 0; i < 7; i++) {
        put(at("big"), bytes, sizes[i]);
        assert_int_equal(ndl_file_read(&got, &n, at("big"), N), NDL_OK);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(got, bytes, n);
        assert_int_equal(got[n], 0);
        free(got);
    }
    free(bytes);
}

static void file_read_refuses_more_than_the_limit(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n = 99;
    put(at("a"), "12345678", 8);
    expect(at("a"), "12345678");
    assert_int_equal(ndl_file_read(&got, &n, at("a"), 7), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), at("a")));
    assert_null(got);
    assert_int_equal(n, 99);
    assert_int_equal(ndl_file_read(&got, &n, at("a"), 8), NDL_OK);
    free(got);
}

static void file_read_names_what_is_missing(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n = 99;
    assert_int_equal(ndl_file_read(&got, &n, at("none"), 8), NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), at("none")));
    put(at("a"), "x", 1);
    assert_int_equal(ndl_file_read(&got, &n, at("a/b"), 8), NDL_ENOINPUT);
    assert_int_equal(ndl_file_read(&got, &n, folder, 8), NDL_ENOINPUT);
    assert_null(got);
    assert_int_equal(n, 99);
}

static void file_endless_device_is_refused(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n = 0;
    assert_int_equal(ndl_file_read(&got, &n, "/dev/zero", 1 << 20), NDL_EDATA);
    assert_null(got);
}

static void file_read_leaves_a_pipe_that_nobody_opens(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n = 99;
    patience p = { .last = 3 };
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(ndl_file_read_heeding(&got, &n, at("fifo"), 8,
                                           (ndl_heed){ lose_patience, &p }),
                     NDL_EINT);
    assert_string_equal(ndl_status_message(), "enough");
    assert_null(got);
    assert_int_equal(n, 99);
}

static void file_read_hears_a_slow_writer_to_the_end(void **state)
{
    (void)state;
    pthread_t writer;
    char name[160];
    void *wrote = NULL;
    strcpy(name, at("fifo"));
    assert_int_equal(mkfifo(name, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, name), 0);
    expect(name, slow_text);
    assert_int_equal(pthread_join(writer, &wrote), 0);
    assert_non_null(wrote);
}

static void file_read_at_gives_what_lies_there(void **state)
{
    (void)state;
    char got[8] = "-------";
    put(at("a"), "0123456789", 10);
    const int fd = open(at("a"), O_RDONLY);
    assert_int_equal(ndl_file_read_at(fd, at("a"), got, 4, 3), NDL_OK);
    assert_string_equal(got, "3456---");
    assert_int_equal(ndl_file_read_at(fd, at("a"), got, 7, 3), NDL_OK);
    assert_string_equal(got, "3456789");
    assert_int_equal(ndl_file_read_at(fd, at("a"), NULL, 0, 99), NDL_OK);
    close(fd);
}

static void file_read_at_past_the_end_is_truncation(void **state)
{
    (void)state;
    char got[16];
    put(at("a"), "0123456789", 10);
    const int fd = open(at("a"), O_RDONLY);
    static const uint64_t offsets[] = { 3, 10, 1000 };
    for (int i = 0; i < 3; i++) {
        ndl_status_clear();
        assert_int_equal(ndl_file_read_at(fd, at("a"), got, 8, offsets[i]),
                         NDL_EDATA);
        assert_non_null(strstr(ndl_status_message(), at("a")));
        assert_non_null(strstr(ndl_status_message(), "is truncated"));
    }
    close(fd);
}

static void file_read_at_tells_what_cannot_be_read(void **state)
{
    (void)state;
    char got[4];
    const int fd = open(folder, O_RDONLY);
    assert_int_equal(ndl_file_read_at(fd, folder, got, 4, 0), NDL_EIO);
    assert_non_null(strstr(ndl_status_message(), folder));
    ndl_status_clear();
    assert_int_equal(ndl_file_read_at(fd, "A", got, 4, UINT64_MAX - 8),
                     NDL_EIO); /* an offset that no file has */
    close(fd);
    ndl_status_clear();
    assert_int_equal(ndl_file_read_at(-1, "A", got, 4, 0), NDL_EIO);
}

static void file_part_appears_whole_at_commit(void **state)
{
    (void)state;
    ndl_file_part p;
    put(at("a"), "old", 3);
    assert_int_equal(ndl_file_part_open(&p, at("a")), NDL_OK);
    assert_true(fputs("new text", p.file) >= 0);
    assert_int_equal(fflush(p.file), 0);
    expect(at("a"), "old");
    expect(at("a.part"), "new text");
    assert_int_equal(ndl_file_part_commit(&p), NDL_OK);
    expect(at("a"), "new text");
    assert_int_not_equal(access(at("a.part"), F_OK), 0);
    assert_null(p.file);
    ndl_file_part_discard(&p);
    expect(at("a"), "new text");
}

static void file_part_discarded_leaves_nothing(void **state)
{
    (void)state;
    ndl_file_part p;
    memset(&p, 0, sizeof p);
    ndl_file_part_discard(&p);
    assert_int_equal(ndl_file_part_open(&p, at("a")), NDL_OK);
    assert_true(fputs("x", p.file) >= 0);
    ndl_file_part_discard(&p);
    assert_int_not_equal(access(at("a"), F_OK), 0);
    assert_int_not_equal(access(at("a.part"), F_OK), 0);
}

static void file_part_that_cannot_be_renamed_is_removed(void **state)
{
    (void)state;
    ndl_file_part p;
    assert_int_equal(mkdir(at("sub"), 0700), 0);
    put(at("sub/x"), "", 0); /* a folder that is not empty stays */
    assert_int_equal(ndl_file_part_open(&p, at("sub")), NDL_OK);
    assert_int_equal(ndl_file_part_commit(&p), NDL_EIO);
    assert_int_not_equal(access(at("sub.part"), F_OK), 0);
    assert_int_equal(unlink(at("sub/x")), 0);
}

static void file_part_on_a_full_disk_fails_at_commit(void **state)
{
    (void)state;
    ndl_file_part p;
    if (access("/dev/full", W_OK) != 0) skip();
    assert_int_equal(symlink("/dev/full", at("a.part")), 0);
    assert_int_equal(ndl_file_part_open(&p, at("a")), NDL_OK);
    assert_true(fputs("lost", p.file) >= 0);
    assert_int_equal(ndl_file_part_commit(&p), NDL_EIO);
    assert_int_not_equal(access(at("a"), F_OK), 0);
}

static void file_part_in_a_missing_folder_cannot_be_created(void **state)
{
    (void)state;
    ndl_file_part p;
    assert_int_equal(ndl_file_part_open(&p, at("none/a")), NDL_ECREATE);
    assert_non_null(strstr(ndl_status_message(), at("none/a")));
    assert_null(p.file);
    ndl_file_part_discard(&p);
}

static void file_errno_maps_to_a_status(void **state)
{
    (void)state;
    static const int map[][2] = {
        { ENOENT, NDL_ENOINPUT }, { ENOTDIR, NDL_ENOINPUT },
        { EACCES, NDL_EPERM },    { EPERM, NDL_EPERM },
        { EMFILE, NDL_EOS },      { ENOMEM, NDL_EOS },
        { EIO, NDL_EIO },         { ENOSPC, NDL_EIO },
    };
    for (int i = 0; i < 8; i++) {
        ndl_status_clear();
        assert_int_equal(ndl_file_fail("PATH", "open", map[i][0]), map[i][1]);
        assert_int_equal(strncmp(ndl_status_message(), "PATH: ", 6), 0);
        assert_non_null(strstr(ndl_status_message(), strerror(map[i][0])));
    }
}

#define FACT(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(file_read_gives_every_byte_and_a_final_zero),
        FACT(file_read_refuses_more_than_the_limit),
        FACT(file_read_names_what_is_missing),
        FACT(file_endless_device_is_refused),
        FACT(file_read_leaves_a_pipe_that_nobody_opens),
        FACT(file_read_hears_a_slow_writer_to_the_end),
        FACT(file_read_at_gives_what_lies_there),
        FACT(file_read_at_past_the_end_is_truncation),
        FACT(file_read_at_tells_what_cannot_be_read),
        FACT(file_part_appears_whole_at_commit),
        FACT(file_part_discarded_leaves_nothing),
        FACT(file_part_that_cannot_be_renamed_is_removed),
        FACT(file_part_on_a_full_disk_fails_at_commit),
        FACT(file_part_in_a_missing_folder_cannot_be_created),
        FACT(file_errno_maps_to_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
