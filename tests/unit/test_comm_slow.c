/* test_comm_slow.c - slow links, over the fake with its virtual clock. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/comm_fake.h"
#include "noodle/comm.h"

enum { RANKS = 3, BYTES = 1000 };

/* Ranks 1 us apart, and what makes their links slow. */
typedef struct world {
    ndl_fake *fake;
    ndl_comm *slow[RANKS];
} world;

static world make(const ndl_comm_link *links, int n)
{
    world w = {
        .fake = ndl_fake_create(&(ndl_fake_config){
            .n_ranks = RANKS, .latency_sec = 1e-6, .eager_bytes = BYTES })
    };
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(
            ndl_comm_slow_open(&w.slow[r], ndl_fake_comm(w.fake, r), links, n),
            NDL_OK);
    return w;
}

static void unmake(world *w)
{
    for (int r = 0; r < RANKS; r++) ndl_comm_close(&w->slow[r]);
    ndl_fake_destroy(&w->fake);
}

static unsigned char mine[BYTES], theirs[4][BYTES];

static void send(world *w, ndl_comm_op *op, int from, int to, size_t len)
{
    memset(op, 0, sizeof *op);
    assert_int_equal(
        ndl_comm_send_begin(w->slow[from], op, to, NDL_TAG_BATCH, mine, len),
        NDL_OK);
}

static void receive(world *w, ndl_comm_op *op, int from, int to, int buf)
{
    memset(op, 0, sizeof *op);
    assert_int_equal(ndl_comm_recv_begin(w->slow[to], op, from, NDL_TAG_BATCH,
                                         theirs[buf], BYTES),
                     NDL_OK);
}

/* When it is done, by a rank that waits as pumps do. */
static double done_sec(world *w, int rank, ndl_comm_op *op, size_t *len)
{
    for (int i = 0; i < 10000; i++) {
        bool done = false;
        assert_int_equal(ndl_comm_test(w->slow[rank], op, &done, len), NDL_OK);
        if (done) return ndl_fake_now(w->fake);
        ndl_comm_wait(w->slow[rank], 1e-5);
        assert_true(ndl_fake_advance_or_wake(w->fake));
    }
    fail();
    return NAN;
}

/* All that n receives wait for is there, and none of it may be had yet. */
static void hold_back(world *w, int rank, ndl_comm_op *in, int n)
{
    assert_true(ndl_fake_advance(w->fake));
    for (int i = 0; i < n; i++) {
        bool done = true;
        assert_int_equal(ndl_comm_test(w->slow[rank], &in[i], &done, NULL),
                         NDL_OK);
        assert_false(done);
        assert_true(in[i].is_arriving);
    }
}

static bool near(double sec, double want)
{
    /* A step of the test's clock. */
    return sec >= want - 1e-9 && sec < want + 1.1e-5;
}

static const ndl_comm_link one_ms[] = { { 0, 1, 1e-3, 0.0 } };

static void message_comes_after_the_delay_and_says_that_it_comes(void **state)
{
    (void)state;
    world w = make(one_ms, 1);
    ndl_comm_op out, in;
    bool done = true;
    size_t len = 0;
    mine[0] = 7;
    send(&w, &out, 0, 1, 100);
    receive(&w, &in, 0, 1, 0);
    assert_true(ndl_fake_advance(w.fake));
    assert_int_equal(ndl_comm_test(w.slow[1], &in, &done, &len), NDL_OK);
    assert_false(done);
    assert_true(in.is_arriving && in.is_active);
    assert_int_equal(len, 0);
    assert_true(near(done_sec(&w, 1, &in, &len), 1e-3 + 1e-6));
    assert_false(in.is_active);
    assert_int_equal(len, 100);
    assert_int_equal(theirs[0][0], 7);
    assert_true(done_sec(&w, 0, &out, NULL) > 0.0);
    unmake(&w);
}

static void only_the_named_direction_is_slow(void **state)
{
    (void)state;
    static const int ways[][2] = { { 1, 0 }, { 0, 2 }, { 2, 1 } };
    world w = make(one_ms, 1);
    for (int i = 0; i < 3; i++) {
        ndl_comm_op out, in;
        const double start = ndl_fake_now(w.fake);
        send(&w, &out, ways[i][0], ways[i][1], 10);
        receive(&w, &in, ways[i][0], ways[i][1], 0);
        assert_true(near(done_sec(&w, ways[i][1], &in, NULL) - start, 1e-6));
    }
    unmake(&w);
}

/* 1 MB/s: a millisecond each; delays overlap, passing does not. */
static void messages_pass_a_link_one_after_the_other(void **state)
{
    (void)state;
    static const ndl_comm_link links[] = { { -1, -1, 5e-3, 1e6 } };
    world w = make(links, 1);
    ndl_comm_op out[4], in[4];
    for (int i = 0; i < 3; i++) send(&w, &out[i], 0, 1, BYTES);
    send(&w, &out[3], 2, 1, BYTES); /* a link of its own */
    for (int i = 0; i < 4; i++) receive(&w, &in[i], i < 3 ? 0 : 2, 1, i);
    hold_back(&w, 1, in, 4);
    assert_true(near(done_sec(&w, 1, &in[0], NULL), 6e-3));
    assert_true(near(done_sec(&w, 1, &in[3], NULL), 6e-3));
    assert_true(near(done_sec(&w, 1, &in[1], NULL), 7e-3));
    assert_true(near(done_sec(&w, 1, &in[2], NULL), 8e-3));
    unmake(&w);
}

static void the_last_link_of_a_pair_counts(void **state)
{
    (void)state;
    static const ndl_comm_link links[] = { { -1, 1, 1e-3, 0.0 },
                                           { 0, -1, 3e-3, 0.0 } };
    world w = make(links, 2);
    ndl_comm_op out, in;
    send(&w, &out, 0, 1, 10);
    receive(&w, &in, 0, 1, 0);
    assert_true(near(done_sec(&w, 1, &in, NULL), 3e-3));
    unmake(&w);
}

static void wait_ends_when_a_message_is_due(void **state)
{
    (void)state;
    world w = make(one_ms, 1);
    ndl_comm_op out, in;
    bool done = false;
    send(&w, &out, 0, 1, 10);
    receive(&w, &in, 0, 1, 0);
    assert_true(ndl_fake_advance(w.fake));
    assert_int_equal(ndl_comm_test(w.slow[1], &in, &done, NULL), NDL_OK);
    ndl_comm_wait(w.slow[1], 100.0);
    assert_true(ndl_fake_advance_or_wake(w.fake));
    assert_true(near(ndl_fake_now(w.fake), 1e-3 + 1e-6));
    assert_int_equal(ndl_comm_test(w.slow[1], &in, &done, NULL), NDL_OK);
    assert_true(done);
    unmake(&w);
}

static void a_held_or_waiting_receive_can_be_cancelled(void **state)
{
    (void)state;
    world w = make(one_ms, 1);
    ndl_comm_op out, in[2];
    bool done = false;
    send(&w, &out, 0, 1, 10);
    receive(&w, &in[0], 0, 1, 0);
    receive(&w, &in[1], 0, 1, 1);
    assert_true(ndl_fake_advance(w.fake));
    assert_int_equal(ndl_comm_test(w.slow[1], &in[0], &done, NULL), NDL_OK);
    assert_false(ndl_comm_cancel(w.slow[1], &in[0]));
    assert_false(ndl_comm_cancel(w.slow[1], &in[1]));
    assert_int_equal(ndl_fake_n_unmatched(w.fake), 0);
    /* Nothing is held any more: a wait is as long as it says. */
    const double start = ndl_fake_now(w.fake);
    ndl_comm_wait(w.slow[1], 0.5);
    while (ndl_fake_now(w.fake) < start + 0.5)
        assert_true(ndl_fake_advance_or_wake(w.fake));
    assert_true(near(ndl_fake_now(w.fake) - start, 0.5));
    unmake(&w);
}

static void many_receives_find_room(void **state)
{
    (void)state;
    enum { N = 300 };
    static ndl_comm_op out[N], in[N];
    world w = make(one_ms, 1);
    for (int i = 0; i < N; i++) send(&w, &out[i], 0, 1, 4);
    for (int i = 0; i < N; i++) receive(&w, &in[i], 0, 1, 0);
    hold_back(&w, 1, in, N);
    for (int i = N - 1; i >= 0; i--)
        assert_true(near(done_sec(&w, 1, &in[i], NULL), 1e-3 + 1e-6));
    unmake(&w);
}

static void a_message_too_long_is_eproto_at_once(void **state)
{
    (void)state;
    world w = make(one_ms, 1);
    ndl_comm_op out, in = { 0 };
    bool done = false;
    send(&w, &out, 0, 1, 100);
    assert_int_equal(
        ndl_comm_recv_begin(w.slow[1], &in, 0, NDL_TAG_BATCH, theirs[0], 10),
        NDL_OK);
    assert_true(ndl_fake_advance(w.fake));
    assert_int_equal(ndl_comm_test(w.slow[1], &in, &done, NULL), NDL_EPROTO);
    assert_false(in.is_active);
    ndl_status_clear();
    unmake(&w);
}

static void links_that_cannot_be_are_refused(void **state)
{
    (void)state;
    const ndl_comm_link bad[] = {
        { -2, 0, 0.0, 0.0 },    { RANKS, 0, 0.0, 0.0 }, { 0, RANKS, 0.0, 0.0 },
        { 0, 1, -1.0, 0.0 },    { 0, 1, NAN, 0.0 },     { 0, 1, INFINITY, 0.0 },
        { 0, 1, 0.0, -1.0 },    { 0, 1, 0.0, NAN },     { 0, 1, 0.0, 1e-3 },
        { 0, 1, 0.0, INFINITY }
    };
    ndl_fake *f = ndl_fake_create(&(ndl_fake_config){ .n_ranks = RANKS });
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ndl_comm *c = NULL;
        assert_int_equal(
            ndl_comm_slow_open(&c, ndl_fake_comm(f, 0), &bad[i], 1),
            NDL_EPROTO);
        assert_null(c);
        ndl_status_clear();
    }
    ndl_fake_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_comes_after_the_delay_and_says_that_it_comes),
        cmocka_unit_test(only_the_named_direction_is_slow),
        cmocka_unit_test(messages_pass_a_link_one_after_the_other),
        cmocka_unit_test(the_last_link_of_a_pair_counts),
        cmocka_unit_test(wait_ends_when_a_message_is_due),
        cmocka_unit_test(a_held_or_waiting_receive_can_be_cancelled),
        cmocka_unit_test(many_receives_find_room),
        cmocka_unit_test(a_message_too_long_is_eproto_at_once),
        cmocka_unit_test(links_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
