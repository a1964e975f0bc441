/* test_comm_fake.c - the fake must behave like MPI where pumps rely on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm_fake.h"

enum { EAGER = 100 };

/* Two ranks, 1 ms apart, 1 MB/s. */
static ndl_fake *two_ranks(void)
{
    return ndl_fake_create(&(ndl_fake_config){ .n_ranks = 2,
                                               .latency_sec = 1e-3,
                                               .bytes_per_sec = 1e6,
                                               .eager_bytes = EAGER });
}

static void begin_send(ndl_fake *f, ndl_comm_op *op, int from, int to,
                       const void *buf, size_t len)
{
    memset(op, 0, sizeof *op);
    assert_int_equal(ndl_comm_send_begin(ndl_fake_comm(f, from), op, to,
                                         NDL_TAG_BATCH, buf, len),
                     NDL_OK);
}

static void begin_receive(ndl_fake *f, ndl_comm_op *op, int from, int to,
                          void *buf, size_t cap)
{
    memset(op, 0, sizeof *op);
    assert_int_equal(ndl_comm_recv_begin(ndl_fake_comm(f, to), op, from,
                                         NDL_TAG_BATCH, buf, cap),
                     NDL_OK);
}

static bool is_done(ndl_fake *f, int rank, ndl_comm_op *op, size_t *len)
{
    bool done = false;
    assert_int_equal(ndl_comm_test(ndl_fake_comm(f, rank), op, &done, len),
                     NDL_OK);
    return done;
}

static bool near(double a, double b)
{
    return a > b - 1e-9 && a < b + 1e-9;
}

static void short_message_arrives_after_latency_and_length(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in;
    unsigned char mine[EAGER] = "hello", theirs[EAGER];
    size_t len = 0;
    begin_send(f, &out, 0, 1, mine, sizeof mine);
    begin_receive(f, &in, 0, 1, theirs, sizeof theirs);
    assert_false(is_done(f, 1, &in, &len));
    assert_int_equal(theirs[0], 0xa5);
    assert_true(ndl_fake_advance(f));
    assert_true(near(ndl_fake_now(f), 1e-3 + 100e-6));
    assert_true(is_done(f, 1, &in, &len));
    assert_int_equal(len, EAGER);
    assert_memory_equal(mine, theirs, EAGER);
    assert_true(is_done(f, 0, &out, NULL));
    assert_int_equal(ndl_fake_n_unreceived(f), 0);
    assert_false(ndl_fake_advance(f));
    ndl_fake_destroy(&f);
    assert_null(f);
}

static void short_message_waits_for_a_late_receive(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in;
    int word = 7, got = 0;
    begin_send(f, &out, 0, 1, &word, sizeof word);
    assert_true(ndl_fake_advance(f));
    assert_true(is_done(f, 0, &out, NULL));
    word = 8; /* ours again */
    assert_int_equal(ndl_fake_n_unreceived(f), 1);
    begin_receive(f, &in, 0, 1, &got, sizeof got);
    assert_true(is_done(f, 1, &in, NULL));
    assert_int_equal(got, 7);
    ndl_fake_destroy(&f);
}

static void long_message_leaves_only_when_a_receive_is_posted(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in;
    unsigned char mine[1000] = { 1 }, theirs[1000];
    begin_send(f, &out, 0, 1, mine, sizeof mine);
    assert_false(ndl_fake_advance(f));
    assert_false(is_done(f, 0, &out, NULL));
    ndl_fake_spend(f, 1, 5e-3);
    assert_true(ndl_fake_advance(f));
    begin_receive(f, &in, 0, 1, theirs, sizeof theirs);
    assert_true(ndl_fake_advance(f));
    assert_true(near(ndl_fake_now(f), 5e-3 + 1e-3 + 1e-3));
    assert_true(is_done(f, 0, &out, NULL));
    assert_true(is_done(f, 1, &in, NULL));
    ndl_fake_destroy(&f);
}

static void messages_on_one_link_pass_one_after_the_other(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out[2], in[2];
    unsigned char mine[EAGER] = { 0 }, theirs[2][EAGER];
    for (int i = 0; i < 2; i++) {
        begin_receive(f, &in[i], 0, 1, theirs[i], EAGER);
        begin_send(f, &out[i], 0, 1, mine, EAGER);
    }
    assert_true(ndl_fake_advance(f));
    assert_true(is_done(f, 1, &in[0], NULL));
    assert_false(is_done(f, 1, &in[1], NULL));
    assert_true(ndl_fake_advance(f));
    assert_true(near(ndl_fake_now(f), 1e-3 + 200e-6));
    assert_true(is_done(f, 1, &in[1], NULL));
    ndl_fake_destroy(&f);
}

/* Short and long ones mixed: a short one may be complete before an older long
 * one, as in MPI, but each receive gets the message of its turn. */
static void receives_get_their_messages_in_turn_under_jitter(void **state)
{
    (void)state;
    enum { N = 50 };
    const char *given = getenv("NDL_TEST_SEED");
    const unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 11;
    print_message("seed %u\n", seed);
    ndl_fake *f = ndl_fake_create(&(ndl_fake_config){ .n_ranks = 2,
                                                      .latency_sec = 1e-3,
                                                      .jitter_sec = 1e-2,
                                                      .seed = seed,
                                                      .eager_bytes = EAGER });
    static unsigned char mine[N][2 * EAGER], theirs[N][2 * EAGER];
    ndl_comm_op out[N], in[N];
    for (int i = 0; i < N; i++) {
        mine[i][0] = (unsigned char)i;
        begin_send(f, &out[i], 0, 1, mine[i], i % 3 ? 10 : 2 * EAGER);
    }
    for (int i = 0; i < N; i++)
        begin_receive(f, &in[i], 0, 1, theirs[i], 2 * EAGER);
    int n_done = 0, n_moves = 0;
    do {
        int last_short = -1;
        for (int i = 0; i < N; i++) {
            if (!in[i].is_active || !is_done(f, 1, &in[i], NULL)) continue;
            assert_int_equal(theirs[i][0], i);
            if (i % 3) last_short = i;
            n_done++;
        }
        for (int i = 0; i < last_short; i++)
            assert_true(i % 3 == 0 || !in[i].is_active);
        n_moves++;
    } while (ndl_fake_advance(f));
    assert_int_equal(n_done, N);
    assert_true(n_moves > 5);
    ndl_fake_destroy(&f);
}

static void message_longer_than_its_receive_is_eproto(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in;
    unsigned char mine[80] = { 0 }, theirs[80];
    bool done = false;
    theirs[40] = 0x55;
    begin_send(f, &out, 0, 1, mine, 80);
    begin_receive(f, &in, 0, 1, theirs, 40);
    assert_true(ndl_fake_advance(f));
    assert_int_equal(ndl_comm_test(ndl_fake_comm(f, 1), &in, &done, NULL),
                     NDL_EPROTO);
    ndl_status_clear();
    assert_false(in.is_active);
    assert_int_equal(theirs[40], 0x55);
    ndl_fake_destroy(&f);
}

static void computing_rank_sees_nothing_until_the_world_catches_up(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in, answer;
    int word = 1, got = 0;
    begin_receive(f, &in, 0, 1, &got, sizeof got);
    begin_send(f, &out, 0, 1, &word, sizeof word);
    ndl_fake_spend(f, 1, 0.5);
    assert_false(ndl_fake_is_ready(f, 1));
    assert_true(near(ndl_comm_now(ndl_fake_comm(f, 1)), 0.5));
    assert_true(ndl_fake_advance(f));
    assert_false(is_done(f, 1, &in, NULL));
    /* What it sends leaves at its own time. */
    begin_send(f, &answer, 1, 0, &word, sizeof word);
    assert_true(ndl_fake_advance(f));
    assert_true(near(ndl_fake_now(f), 0.5));
    assert_true(ndl_fake_is_ready(f, 1));
    assert_true(is_done(f, 1, &in, NULL));
    assert_true(ndl_fake_advance(f));
    assert_true(near(ndl_fake_now(f), 0.5 + 1e-3 + 4e-6));
    ndl_fake_destroy(&f);
}

static void ranks_that_wait_for_each_other_are_found(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op in[2];
    int got[2];
    for (int r = 0; r < 2; r++) {
        begin_receive(f, &in[r], 1 - r, r, &got[r], sizeof got[r]);
        ndl_comm_wait(ndl_fake_comm(f, r), 30.0);
        assert_true(ndl_fake_is_idle(f, r));
    }
    assert_false(ndl_fake_advance(f));
    assert_int_equal(ndl_fake_n_unmatched(f), 2);
    ndl_fake_destroy(&f);
}

static void waiting_rank_wakes_at_its_deadline(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_wait(ndl_fake_comm(f, 0), 30.0);
    ndl_comm_wait(ndl_fake_comm(f, 1), 10.0);
    assert_true(ndl_fake_advance_or_wake(f));
    assert_true(near(ndl_fake_now(f), 10.0));
    assert_true(ndl_fake_advance_or_wake(f));
    assert_true(near(ndl_fake_now(f), 30.0));
    assert_false(ndl_fake_advance_or_wake(f));
    /* However short the wait, time passes. */
    ndl_comm_wait(ndl_fake_comm(f, 0), 1e-30);
    assert_true(ndl_fake_advance_or_wake(f));
    ndl_fake_destroy(&f);
}

static void message_ends_idleness(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out, in;
    int word = 1, got = 0;
    begin_receive(f, &in, 0, 1, &got, sizeof got);
    ndl_comm_wait(ndl_fake_comm(f, 1), 30.0);
    begin_send(f, &out, 0, 1, &word, sizeof word);
    assert_true(ndl_fake_is_idle(f, 1));
    assert_true(ndl_fake_advance(f));
    assert_false(ndl_fake_is_idle(f, 1));
    ndl_fake_destroy(&f);
}

static void killed_rank_sends_and_receives_nothing(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op early, late, untaken, in[2], theirs;
    static unsigned char big[1000], word, got[2], lost[1000];
    begin_receive(f, &in[0], 1, 0, &got[0], 1);
    begin_receive(f, &in[1], 1, 0, &got[1], 1);
    begin_receive(f, &theirs, 0, 1, lost, sizeof lost);
    begin_send(f, &early, 1, 0, &word, 1);
    ndl_fake_kill(f, 1);
    begin_send(f, &late, 1, 0, &word, 1);
    begin_send(f, &untaken, 0, 1, big, sizeof big);
    assert_true(ndl_fake_advance(f));
    assert_true(is_done(f, 0, &in[0], NULL)); /* had left before */
    assert_false(ndl_fake_advance(f));
    assert_false(is_done(f, 0, &in[1], NULL));
    assert_false(is_done(f, 0, &untaken, NULL));
    assert_false(is_done(f, 1, &late, NULL));
    assert_false(is_done(f, 1, &theirs, NULL));
    assert_false(ndl_fake_is_ready(f, 1));
    ndl_comm_cancel(ndl_fake_comm(f, 0), &untaken);
    ndl_comm_cancel(ndl_fake_comm(f, 0), &in[1]);
    assert_int_equal(ndl_fake_n_unreceived(f), 0);
    ndl_fake_destroy(&f);
}

static void dropped_message_is_lost_and_the_next_is_not(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op out[2], in;
    int words[2] = { 1, 2 }, got = 0;
    ndl_fake_drop(f, 0, 1, NDL_TAG_BATCH, 1);
    begin_receive(f, &in, 0, 1, &got, sizeof got);
    for (int i = 0; i < 2; i++)
        begin_send(f, &out[i], 0, 1, &words[i], sizeof words[i]);
    assert_true(is_done(f, 0, &out[0], NULL));
    assert_true(ndl_fake_advance(f));
    assert_true(is_done(f, 1, &in, NULL));
    assert_int_equal(got, 2);
    assert_int_equal(ndl_fake_n_sent(f, NDL_TAG_BATCH), 2);
    assert_int_equal(ndl_fake_n_unreceived(f), 0);
    ndl_fake_destroy(&f);
}

static void cancelled_receive_leaves_the_message_to_the_next(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm_op given_up, in, out;
    int word = 5, old = 0, got = 0;
    begin_receive(f, &given_up, 0, 1, &old, sizeof old);
    ndl_comm_cancel(ndl_fake_comm(f, 1), &given_up);
    begin_receive(f, &in, 0, 1, &got, sizeof got);
    begin_send(f, &out, 0, 1, &word, sizeof word);
    assert_true(ndl_fake_advance(f));
    assert_true(is_done(f, 1, &in, NULL));
    assert_int_equal(got, 5);
    ndl_fake_destroy(&f);
}

static void same_seed_gives_the_same_times(void **state)
{
    (void)state;
    double end[2];
    for (int k = 0; k < 2; k++) {
        ndl_fake *f = ndl_fake_create(&(ndl_fake_config){
            .n_ranks = 2, .jitter_sec = 1.0, .seed = 3, .eager_bytes = 8 });
        ndl_comm_op out;
        int word = 0;
        begin_send(f, &out, 0, 1, &word, sizeof word);
        assert_true(ndl_fake_advance(f));
        end[k] = ndl_fake_now(f);
        ndl_fake_destroy(&f);
    }
    assert_true(end[0] == end[1] && end[0] > 0.0);
}

static void closed_comm_is_forgotten(void **state)
{
    (void)state;
    ndl_fake *f = two_ranks();
    ndl_comm *c = ndl_fake_comm(f, 0);
    ndl_comm_close(&c);
    assert_null(c);
    ndl_comm_close(&c);
    ndl_fake_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_message_arrives_after_latency_and_length),
        cmocka_unit_test(short_message_waits_for_a_late_receive),
        cmocka_unit_test(long_message_leaves_only_when_a_receive_is_posted),
        cmocka_unit_test(messages_on_one_link_pass_one_after_the_other),
        cmocka_unit_test(receives_get_their_messages_in_turn_under_jitter),
        cmocka_unit_test(message_longer_than_its_receive_is_eproto),
        cmocka_unit_test(
            computing_rank_sees_nothing_until_the_world_catches_up),
        cmocka_unit_test(ranks_that_wait_for_each_other_are_found),
        cmocka_unit_test(waiting_rank_wakes_at_its_deadline),
        cmocka_unit_test(message_ends_idleness),
        cmocka_unit_test(killed_rank_sends_and_receives_nothing),
        cmocka_unit_test(dropped_message_is_lost_and_the_next_is_not),
        cmocka_unit_test(cancelled_receive_leaves_the_message_to_the_next),
        cmocka_unit_test(same_seed_gives_the_same_times),
        cmocka_unit_test(closed_comm_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
