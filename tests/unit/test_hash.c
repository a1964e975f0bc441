/* test_hash.c - facts about hash.h; the values are XXH3's published ones. */
#include "noodle/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static unsigned char bytes[5000];

static void fill(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 131 + (i >> 8));
}

static void hash_of_nothing_is_the_published_value(void **state)
{
    (void)state;
    assert_true(ndl_hash_bytes("", 0, 0) == UINT64_C(0x2d06800538d394c2));
}

static void hash_in_pieces_is_the_hash_of_the_whole(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 3, 64, 241, 1024, 4999, 5000 };
    fill();
    ndl_hash *h = ndl_hash_create();
    assert_non_null(h);
    for (int i = 0; i < 7; i++) {
        ndl_hash_reset(h);
        for (size_t at = 0; at < sizeof bytes; at += pieces[i]) {
            const size_t rest = sizeof bytes - at;
            ndl_hash_add(h, bytes + at, rest < pieces[i] ? rest : pieces[i]);
        }
        assert_true(ndl_hash_value(h) ==
                    ndl_hash_bytes(bytes, sizeof bytes, 0));
    }
    ndl_hash_destroy(&h);
    assert_null(h);
    ndl_hash_destroy(&h);
}

static void hash_value_can_be_read_on_the_way(void **state)
{
    (void)state;
    fill();
    ndl_hash *h = ndl_hash_create();
    assert_non_null(h);
    for (size_t n = 0; n < 600; n++) {
        assert_true(ndl_hash_value(h) == ndl_hash_bytes(bytes, n, 0));
        ndl_hash_add(h, bytes + n, 1);
    }
    ndl_hash_destroy(&h);
}

static void hash_notices_each_bit(void **state)
{
    (void)state;
    fill();
    const uint64_t whole = ndl_hash_bytes(bytes, 300, 0);
    for (size_t bit = 0; bit < 300 * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_true(ndl_hash_bytes(bytes, 300, 0) != whole);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(ndl_hash_bytes(bytes, 300, 0) == whole);
}

static void hash_depends_on_its_seed(void **state)
{
    (void)state;
    fill();
    for (uint64_t seed = 1; seed < 100; seed++)
        assert_true(ndl_hash_bytes(bytes, 100, seed) !=
                    ndl_hash_bytes(bytes, 100, seed - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_of_nothing_is_the_published_value),
        cmocka_unit_test(hash_in_pieces_is_the_hash_of_the_whole),
        cmocka_unit_test(hash_value_can_be_read_on_the_way),
        cmocka_unit_test(hash_notices_each_bit),
        cmocka_unit_test(hash_depends_on_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
