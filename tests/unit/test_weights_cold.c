/*
 * test_weights_cold.c - of a file that is nowhere in memory, loading a part
 * reads this part and the file's index, whatever the system likes to read
 * ahead.  Skipped where the file system keeps its pages.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/folder.h"
#include "../support/weights_kit.h"
#include "noodle/layout.h"

enum { SKIPPED = 77 };

static test_folder folder;
static char path[320];
static uint64_t index_bytes; /* what of the file is no dataset */

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
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

static uint64_t file_bytes(void)
{
    struct stat sb;
    assert_int_equal(stat(path, &sb), 0);
    return (uint64_t)sb.st_size;
}

/* Bytes of the file that are in memory, for whomever. */
static uint64_t resident_bytes(void)
{
    static unsigned char pages[1 << 16];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t n = (size_t)file_bytes();
    const int fd = open(path, O_RDONLY);
    void *at = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    uint64_t sum = 0;
    assert_true(at != MAP_FAILED && n / page < sizeof pages);
    assert_int_equal(mincore(at, n, (void *)pages), 0);
    for (size_t i = 0; i <= (n - 1) / page; i++) sum += pages[i] & 1;
    munmap(at, n);
    close(fd);
    return sum * page;
}

static void forget(void)
{
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void check_share(const ndl_part *part, const ndl_weights_how *how)
{
    const uint64_t share = bytes_of(part);
    ndl_weights *w = NULL;
    forget();
    assert_true(resident_bytes() < 1 << 20);
    ok(ndl_weights_open(&w, path, part, how));
    const uint64_t resident = resident_bytes();
    ndl_weights_destroy(&w);
    printf("%s: %llu of %llu bytes, the part has %llu, the index %llu\n",
           ndl_load_name(how->load), (unsigned long long)resident,
           (unsigned long long)file_bytes(), (unsigned long long)share,
           (unsigned long long)index_bytes);
    assert_true(resident >= share);
    assert_true(resident <= share + share / 50 + index_bytes);
}

static void only_the_share_of_a_rank_is_read(void **state)
{
    (void)state;
    static const ndl_load loads[] = { NDL_LOAD_MAP, NDL_LOAD_COPY };
    static const ndl_part parts[] = { { 1, 1, false, false },
                                      { 0, 1, false, true },
                                      { 2, 1, true, false } };
    ndl_pool *pool = NULL;
    ok(ndl_pool_create(&pool, &(ndl_pool_config){ .n_threads = 2 }));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++)
            check_share(&parts[k],
                        &(ndl_weights_how){ .load = loads[i], .pool = pool });
    ndl_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        only_the_share_of_a_rank_is_read) };
    if (test_folder_make(&folder) != 0) return 1;
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "w.h5"));
    int rc = tiny_write(&wide_model, NDL_F32, path, -1) != NDL_OK;
    if (rc == 0) {
        index_bytes = file_bytes() - bytes_of(&(ndl_part){ 0, 3, true, true });
        forget();
        if (resident_bytes() > 1 << 20) rc = SKIPPED;
    }
    if (rc == SKIPPED) printf("skipped: the file cannot leave the memory\n");
    if (rc == 0) rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_folder_remove(&folder);
    return rc;
}
