/* test_belt.c - messages through shared memory: threads for processes. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/comm/belt.h"
#include "../../src/comm/doorbell.h"
#include "../support/chance.h"

/* A belt and both its ends in one hand. */
typedef struct both {
    ndl_belt_end out, in;
} both;

static both make(void)
{
    ndl_belt *b = calloc(1, sizeof *b);
    assert_non_null(b);
    return (both){ .out = { .belt = b, .longest = NDL_BELT_LETTER },
                   .in = { .belt = b } };
}

static void unmake(both *b)
{
    free(b->out.belt);
}

static unsigned char byte_of(unsigned message, size_t k)
{
    return (unsigned char)(message * 31u + k * 7u + (k >> 9));
}

static void letters_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const size_t lengths[] = {
        0, 1, 47, 48, 49, 112, 8320, NDL_BELT_LETTER - 1, NDL_BELT_LETTER
    };
    static unsigned char in[NDL_BELT_LETTER], out[NDL_BELT_LETTER + 1];
    both b = make();
    size_t len = 99;
    assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_NOTHING);
    /* Several times round the end, at ever other places. */
    for (unsigned m = 0; m < 60; m++) {
        const size_t n = lengths[m % 9];
        for (size_t k = 0; k < n; k++) in[k] = byte_of(m, k);
        memset(out, 0xee, sizeof out);
        assert_true(ndl_belt_put(&b.out, in, n));
        assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_HAS_LETTER);
        assert_int_equal(len, n);
        assert_false(ndl_belt_take(&b.in, out, NDL_BELT_HAS_LETTER, len));
        assert_memory_equal(in, out, n);
        assert_int_equal(out[n], 0xee);
        assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_NOTHING);
    }
    unmake(&b);
}

static void a_long_message_is_a_note_with_its_length(void **state)
{
    (void)state;
    both b = make();
    size_t len = 0;
    b.out.longest = 100;
    assert_true(ndl_belt_put(&b.out, NULL, 101));
    assert_true(ndl_belt_put(&b.out, NULL, INT32_MAX));
    assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_HAS_NOTE);
    assert_int_equal(len, 101);
    (void)ndl_belt_take(&b.in, NULL, NDL_BELT_HAS_NOTE, len);
    assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_HAS_NOTE);
    assert_int_equal(len, INT32_MAX);
    unmake(&b);
}

static void a_full_belt_refuses_and_the_take_tells(void **state)
{
    (void)state;
    static const unsigned char bytes[8128];
    both b = make();
    size_t len = 0;
    int n = 0;
    while (ndl_belt_put(&b.out, bytes, sizeof bytes)) n++;
    assert_int_equal(n, NDL_BELT_ROOM / (8128 + 64));
    assert_false(ndl_belt_put(&b.out, NULL, 0));
    assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_HAS_LETTER);
    assert_true(ndl_belt_take(&b.in, NULL, NDL_BELT_HAS_LETTER, len));
    assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_HAS_LETTER);
    assert_false(ndl_belt_take(&b.in, NULL, NDL_BELT_HAS_LETTER, len));
    assert_true(ndl_belt_put(&b.out, bytes, sizeof bytes));
    unmake(&b);
}

/* The other process may have lost its mind. */
static void what_cannot_be_ours_is_broken(void **state)
{
    (void)state;
    static const struct {
        uint64_t n_put, len, kind;
    } cases[] = {
        { 64, 49, NDL_BELT_HAS_LETTER },
        { NDL_BELT_ROOM, NDL_BELT_LETTER + 1, NDL_BELT_HAS_LETTER },
        { 64, UINT64_MAX, NDL_BELT_HAS_LETTER },
        { 64, UINT64_MAX - 15, NDL_BELT_HAS_LETTER },
        { 64, 1ull << 31, NDL_BELT_HAS_NOTE },
        { 64, 0, NDL_BELT_NOTHING },
        { 64, 0, NDL_BELT_BROKEN },
        { 64, 0, 77 },
        { 63, 0, NDL_BELT_HAS_LETTER },
        { NDL_BELT_ROOM + 64, 0, NDL_BELT_HAS_LETTER },
        { UINT64_MAX - 63, 0, NDL_BELT_HAS_LETTER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        both b = make();
        size_t len = 5;
        memcpy(b.in.belt->room, &cases[i].len, 8);
        memcpy(b.in.belt->room + 8, &cases[i].kind, 8);
        atomic_store(&b.in.belt->n_put, cases[i].n_put);
        assert_int_equal(ndl_belt_look(&b.in, &len), NDL_BELT_BROKEN);
        assert_int_equal(len, 5);
        unmake(&b);
    }
}

static void a_count_that_cannot_be_makes_no_room(void **state)
{
    (void)state;
    both b = make();
    static const unsigned char bytes[NDL_BELT_LETTER];
    while (ndl_belt_put(&b.out, bytes, sizeof bytes)) continue;
    atomic_store(&b.out.belt->n_taken, UINT64_MAX / 2);
    assert_false(ndl_belt_put(&b.out, bytes, sizeof bytes));
    atomic_store(&b.out.belt->n_taken, b.out.at + 64);
    assert_false(ndl_belt_put(&b.out, bytes, sizeof bytes));
    unmake(&b);
}

/* ---- two threads ---- */

enum { N_MESSAGES = 20000 };

typedef struct traffic {
    both b;
    ndl_bell bell[2]; /* of the sender, of the receiver */
    uint64_t seed;
} traffic;

static size_t length_of(uint64_t bits)
{
    switch (bits % 16) {
    case 0: return NDL_BELT_LETTER - (bits >> 8) % 100;
    case 1: return 0;
    case 2: return NDL_BELT_LETTER + 1 + (bits >> 8) % 1000;
    case 3: return (bits >> 8) % 200000;
    default: return (bits >> 8) % 9000;
    }
}

/* splitmix64's step, from each message's own number: both threads know. */
static uint64_t bits_of(const traffic *t, unsigned message)
{
    uint64_t z = t->seed + message * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void pause_by(uint64_t bits)
{
    if (bits >> 58 == 0) sched_yield();
    for (volatile unsigned i = 0; i < (bits >> 50) % 64; i++) continue;
}

/* Few bytes of each, or the sanitizer would take minutes. */
static void mark(unsigned char *bytes, unsigned m, size_t len)
{
    for (size_t k = 0; k < len; k += 61) bytes[k] = byte_of(m, k);
    if (len > 0) bytes[len - 1] = byte_of(m, len - 1);
}

static bool is_marked(const unsigned char *bytes, unsigned m, size_t len)
{
    for (size_t k = 0; k < len; k += 61)
        if (bytes[k] != byte_of(m, k)) return false;
    return len == 0 || bytes[len - 1] == byte_of(m, len - 1);
}

static void *sender(void *arg)
{
    traffic *t = arg;
    unsigned char *bytes = malloc(NDL_BELT_LETTER);
    uint32_t heard = 0;
    if (!bytes) return NULL;
    for (unsigned m = 0; m < N_MESSAGES; m++) {
        const uint64_t bits = bits_of(t, m);
        const size_t len = length_of(bits);
        if (len <= NDL_BELT_LETTER) mark(bytes, m, len);
        while (!ndl_belt_put(&t->b.out, bytes, len)) {
            const uint32_t now = ndl_bell_count(&t->bell[0]);
            /* Room that is not told of would never be found. */
            if (now == heard) ndl_bell_sleep(&t->bell[0], heard, 1000.0);
            heard = now;
        }
        ndl_bell_ring(&t->bell[1]);
        pause_by(bits);
    }
    free(bytes);
    return t;
}

static void receive_all(traffic *t, unsigned char *bytes)
{
    uint32_t heard = 0;
    for (unsigned m = 0; m < N_MESSAGES;) {
        const size_t want = length_of(bits_of(t, m));
        size_t len = 0;
        const ndl_belt_item item = ndl_belt_look(&t->b.in, &len);
        if (item == NDL_BELT_NOTHING) {
            const uint32_t now = ndl_bell_count(&t->bell[1]);
            if (now == heard) ndl_bell_sleep(&t->bell[1], heard, 1000.0);
            heard = now;
            continue;
        }
        assert_int_equal(len, want);
        assert_int_equal(item, want <= NDL_BELT_LETTER ? NDL_BELT_HAS_LETTER
                                                       : NDL_BELT_HAS_NOTE);
        if (ndl_belt_take(&t->b.in, bytes, item, len))
            ndl_bell_ring(&t->bell[0]);
        if (item == NDL_BELT_HAS_LETTER) assert_true(is_marked(bytes, m, len));
        pause_by(bits_of(t, m++ + N_MESSAGES));
    }
}

static void all_arrives_in_order_whoever_is_faster(void **state)
{
    (void)state;
    static traffic t;
    pthread_t thread;
    void *result = NULL;
    t = (traffic){ .b = make(), .seed = chance_seed(3) };
    ndl_bell_init(&t.bell[0]);
    ndl_bell_init(&t.bell[1]);
    unsigned char *bytes = malloc(NDL_BELT_LETTER);
    assert_non_null(bytes);
    assert_int_equal(pthread_create(&thread, NULL, sender, &t), 0);
    receive_all(&t, bytes);
    pthread_join(thread, &result);
    assert_non_null(result);
    free(bytes);
    unmake(&t.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_come_out_as_they_went_in),
        cmocka_unit_test(a_long_message_is_a_note_with_its_length),
        cmocka_unit_test(a_full_belt_refuses_and_the_take_tells),
        cmocka_unit_test(what_cannot_be_ours_is_broken),
        cmocka_unit_test(a_count_that_cannot_be_makes_no_room),
        cmocka_unit_test(all_arrives_in_order_whoever_is_faster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
