/* test_arena.c - facts about arena.h. */
#include "noodle/arena.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static ndl_arena *make_arena(size_t bytes)
{
    ndl_arena *a = NULL;
    assert_int_equal(ndl_arena_create(&a, "test", bytes), NDL_OK);
    assert_int_equal(ndl_arena_used(a), 0);
    return a;
}

static void arena_rounds_its_size_up_to_two_mebibytes(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {
        { 0, 2 }, { 1, 2 }, { 2 * MIB, 2 }, { 2 * MIB + 1, 4 }
    };
    for (int i = 0; i < 4; i++) {
        ndl_arena *a = make_arena(sizes[i][0]);
        assert_int_equal(ndl_arena_size(a), sizes[i][1] * MIB);
        ndl_arena_destroy(&a);
        assert_null(a);
        ndl_arena_destroy(&a);
    }
}

static void arena_starts_on_a_huge_page(void **state)
{
    (void)state;
    ndl_arena *many[8];
    for (int i = 0; i < 8; i++) {
        many[i] = make_arena((size_t)i * MIB);
        const uintptr_t at = (uintptr_t)ndl_arena_alloc(many[i], 1);
        assert_int_equal(at % (2 * MIB), 0);
    }
    for (int i = 0; i < 8; i++) ndl_arena_destroy(&many[i]);
}

static void arena_pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    ndl_arena *a = make_arena(4 * MIB);
    unsigned char *last_end = NULL;
    for (size_t bytes = 0; bytes < 2000; bytes += 37) {
        unsigned char *p = ndl_arena_alloc(a, bytes);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(!last_end || p >= last_end);
        for (size_t i = 0; i < bytes; i++) assert_int_equal(p[i], 0);
        memset(p, 0xA5, bytes);
        last_end = p + (bytes ? bytes : 1);
    }
    ndl_arena_destroy(&a);
}

static void arena_memory_outlives_one_that_is_abandoned(void **state)
{
    (void)state;
    ndl_arena *a = make_arena(MIB);
    volatile char *piece = ndl_arena_alloc(a, 64);
    piece[0] = 7;
    ndl_arena_abandon(&a);
    assert_null(a);
    ndl_arena_abandon(&a);
    assert_int_equal(piece[0], 7);
}

static void arena_hands_out_all_it_has_and_no_more(void **state)
{
    (void)state;
    ndl_arena *a = make_arena(2 * MIB);
    unsigned char *p = ndl_arena_alloc(a, 2 * MIB - 64);
    assert_non_null(p);
    assert_null(ndl_arena_alloc(a, 65));
    assert_null(ndl_arena_alloc(a, SIZE_MAX));
    assert_null(ndl_arena_alloc(a, SIZE_MAX - 63));
    assert_non_null(ndl_arena_alloc(a, 64));
    assert_int_equal(ndl_arena_used(a), ndl_arena_size(a));
    assert_null(ndl_arena_alloc(a, 0));
    p[0] = p[2 * MIB - 1] = 1;
    ndl_arena_destroy(&a);
}

static void arena_of_impossible_size_is_refused_by_name(void **state)
{
    (void)state;
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 2 * MIB,
                                    SIZE_MAX / 2 };
    ndl_arena *untouched = NULL;
    for (int i = 0; i < 3; i++) {
        char size[32];
        ndl_status_clear();
        assert_int_equal(ndl_arena_create(&untouched, "pages", sizes[i]),
                         NDL_EOS);
        assert_null(untouched);
        snprintf(size, sizeof size, "%zu", sizes[i]);
        assert_non_null(strstr(ndl_status_message(), "pages"));
        assert_non_null(strstr(ndl_status_message(), size));
    }
    ndl_status_clear();
}

static void arena_reservation_does_not_become_real(void **state)
{
    (void)state;
    ndl_arena *a = make_arena((size_t)1 << 40);
    unsigned char *p = ndl_arena_alloc(a, (size_t)1 << 39);
    assert_non_null(p);
    p[(size_t)1 << 38] = 1;
    ndl_arena_destroy(&a);
}

static void arena_asserts_when_frozen(void **state)
{
    (void)state;
    ndl_arena *a = make_arena(MIB);
    assert_non_null(ndl_arena_alloc(a, 1));
    ndl_arena_freeze(a);
    const pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(2);
        signal(SIGABRT, SIG_DFL);
        ndl_arena_alloc(a, 1);
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
    ndl_arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_rounds_its_size_up_to_two_mebibytes),
        cmocka_unit_test(arena_starts_on_a_huge_page),
        cmocka_unit_test(arena_pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(arena_hands_out_all_it_has_and_no_more),
        cmocka_unit_test(arena_of_impossible_size_is_refused_by_name),
        cmocka_unit_test(arena_reservation_does_not_become_real),
        cmocka_unit_test(arena_memory_outlives_one_that_is_abandoned),
        cmocka_unit_test(arena_asserts_when_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
