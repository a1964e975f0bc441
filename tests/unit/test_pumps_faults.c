/*
 * test_pumps_faults.c - whatever breaks, the run ends: soon, with a status, and
 * a message that says what and where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pump_toy.h"

/* ---- Death and loss ---- */

static void silent_stage_ends_the_run_after_thirty_seconds(void **state)
{
    (void)state;
    for (int n = 1; n <= WORLD_STAGES; n++)
        for (int dead = 0; dead < n; dead++)
            for (int turns = 0; turns < 60; turns += 19) {
                const world_setup s = setup_of(n);
                char text[96];
                world_open(&w, &s);
                for (int i = 0; i < turns; i++) world_turn(&w);
                const double at = ndl_fake_now(w.fake);
                world_kill(&w, dead);
                assert_int_equal(world_run(&w, 40.0), NDL_ETEMP);
                snprintf(text, sizeof text,
                         "stage %d (rank %d on an unknown host) has been",
                         dead + 1, dead + 1);
                assert_says(text);
                const double took = ndl_fake_now(w.fake) - at;
                assert_true(took > 25.0 && took < 36.0);
                for (int i = 0; i < n; i++)
                    if (i != dead) assert_int_equal(w.left[i], NDL_ETEMP);
                world_close(&w);
            }
}

static void stage_that_lives_is_not_taken_for_dead(void **state)
{
    (void)state;
    world_setup s = setup_of(3);
    s.compute_sec = 25.0;
    world_open(&w, &s);
    assert_int_equal(world_run(&w, 1e5), NDL_OK);
    world_close(&w);
}

/* Lose one message; MPI does not, but a bug would. */
static void check_loss(int n, int from, int to, ndl_tag tag, int turns)
{
    const world_setup s = setup_of(n);
    world_open(&w, &s);
    for (int i = 0; i < turns; i++) world_turn(&w);
    ndl_fake_drop(w.fake, from, to, tag, 1);
    const ndl_status st = world_run(&w, 200.0);
    assert_true(st == NDL_OK || st == NDL_EPROTO || st == NDL_ETEMP);
    if (tag == NDL_TAG_TOKENS && turns < 5) assert_int_not_equal(st, NDL_OK);
    if (st != NDL_OK) assert_int_not_equal(strlen(ndl_status_message()), 0);
    world_close(&w);
}

static void lost_message_never_hangs_the_run(void **state)
{
    (void)state;
    for (int n = 1; n <= WORLD_STAGES; n++)
        for (int turns = 0; turns < 120; turns += 3) {
            check_loss(n, n, 0, NDL_TAG_TOKENS, turns);
            for (int to = 1; to <= n; to++)
                check_loss(n, to - 1, to, NDL_TAG_BATCH, turns);
        }
}

/* ---- A stage gets bad messages: the test plays rank 0 ---- */

typedef struct batch_message {
    _Alignas(64) ndl_wire_batch head;
    ndl_wire_seq seqs[4];
    ndl_wire_op ops[4];
    int32_t ids[64];
} batch_message;

/* One sequence of n rows at pos, as rank 0 would send it. */
static batch_message good_batch(uint32_t pos, uint32_t n)
{
    batch_message m;
    memset(&m, 0, sizeof m);
    m.head = (ndl_wire_batch){ .magic = NDL_WIRE_MAGIC,
                               .kind = NDL_BATCH_ROWS,
                               .batch_id = 1,
                               .n_rows = n,
                               .n_seqs = 1,
                               .row_bytes = 4,
                               .n_ops = 4 };
    m.ops[0] = (ndl_wire_op){ .kind = NDL_OP_OPEN };
    m.ops[1] = (ndl_wire_op){ .kind = NDL_OP_MAP };
    m.ops[2] = (ndl_wire_op){ .kind = NDL_OP_MAP, .slot = 1, .b = 1 };
    m.ops[3] = (ndl_wire_op){ .kind = NDL_OP_COPY, .b = 1 };
    m.seqs[0] = (ndl_wire_seq){
        .pos = pos, .n_rows = n, .flags = NDL_SEQ_SAMPLE, .top_p = 1.0f
    };
    return m;
}

/* Send a message to a stage that is alone with the test, expect a fault, let
 * the stage go. */
static void expect_fault(const void *msg, size_t len, const char *says)
{
    world_setup s = setup_of(1);
    ndl_wire_report report;
    s.no_coordinator = true;
    world_open(&w, &s);
    world_send(&w, 0, 1, NDL_TAG_BATCH, msg, len);
    assert_int_equal(
        world_receive(&w, 1, 0, NDL_TAG_REPORT, &report, sizeof report, 1.0),
        sizeof report);
    assert_int_equal(report.kind, NDL_REPORT_FAULT);
    assert_int_equal(report.status, NDL_EPROTO);
    if (!strstr(report.text, says))
        fail_msg("\"%s\" is not in: %s", says, report.text);
    const ndl_wire_order leave = { NDL_WIRE_MAGIC, NDL_ORDER_ABORT, NDL_EPROTO,
                                   0 };
    world_send(&w, 0, 1, NDL_TAG_ORDER, &leave, sizeof leave);
    for (int i = 0; i < 1000 && !w.has_left[0]; i++) world_turn(&w);
    assert_true(w.has_left[0]);
    assert_int_equal(w.left[0], NDL_EPROTO);
    world_close(&w);
}

/* The message as it travels: header, n_seqs entries, operations, ids.  Its
 * length. */
static size_t pack_batch(batch_message m, unsigned char *out)
{
    const size_t table = sizeof m.head + m.head.n_seqs * sizeof *m.seqs;
    const size_t front = table + sizeof m.ops;
    const size_t rows = m.head.n_rows * sizeof *m.ids;
    memcpy(out, &m, table);
    memcpy(out + table, m.ops, sizeof m.ops);
    memcpy(out + front, m.ids, rows);
    return front + rows;
}

static void expect_bad(batch_message m, const char *says)
{
    unsigned char bytes[sizeof m];
    const size_t len = pack_batch(m, bytes);
    expect_fault(bytes, len, says);
}

static void malformed_batch_is_a_fault_of_the_stage(void **state)
{
    (void)state;
    const char *const says = "stage 1 got a malformed batch from rank 0";
    batch_message m = good_batch(0, 3);
    m.head.magic++;
    expect_bad(m, says);
    m = good_batch(0, 3);
    m.head.kind = 9;
    expect_bad(m, says);
    m = good_batch(0, 3);
    m.head.row_bytes = 8;
    expect_bad(m, says);
    m = good_batch(0, 3);
    m.head.batch_id = 0;
    expect_bad(m, says);
    m = good_batch(0, 3);
    m.seqs[0].slot = N_SLOTS;
    expect_bad(m, says);
    m = good_batch(0, 3);
    m.seqs[0].n_rows = 2;
    expect_bad(m, says);
    expect_bad(good_batch(0, MAX_ROWS + 1), says);
    m = good_batch(0, 3);
    expect_fault(&m, 40, says);
    expect_fault(&m, 0, says);
}

static void batch_longer_than_its_buffer_is_a_fault(void **state)
{
    (void)state;
    static unsigned char big[100000];
    expect_fault(big, sizeof big, "longer");
}

static void rows_past_the_context_are_a_fault(void **state)
{
    (void)state;
    expect_bad(good_batch(CONTEXT - 2, 3), "rows past the context");
    expect_bad(good_batch(INT32_MAX - 3, 3), "rows past the context");
}

static void rows_without_pages_are_a_fault(void **state)
{
    (void)state;
    batch_message m = good_batch(0, 3);
    m.seqs[0].slot = 2; /* no operation has given it one */
    expect_bad(m, "rows without pages");
    m = good_batch(0, 3);
    m.ops[3] = (ndl_wire_op){ .kind = NDL_OP_CLOSE };
    expect_bad(m, "rows without pages");
}

/* Two sequences of two rows that are alike in all. */
static batch_message batch_of_equals(void)
{
    batch_message m = good_batch(0, 4);
    m.head.n_seqs = 2;
    m.seqs[0].n_rows = 2;
    m.seqs[1] = m.seqs[0];
    return m;
}

/* As with slots: threads would write the same keys. */
static void page_that_two_sequences_fill_is_a_fault(void **state)
{
    (void)state;
    batch_message m = batch_of_equals();
    m.seqs[1].slot = 1;
    m.ops[2].b = 0;
    expect_bad(m, "a page twice in a batch");
}

static void token_that_the_model_does_not_have_is_a_fault(void **state)
{
    (void)state;
    batch_message m = good_batch(0, 3);
    m.ids[2] = toy_vocab();
    expect_bad(m, "got token 301 of 301");
    m.ids[2] = -1;
    expect_bad(m, "got token -1 of 301");
}

/* Two spans of one slot would write its keys from two threads. */
static void slot_that_is_twice_in_a_batch_is_a_fault(void **state)
{
    (void)state;
    batch_message m = batch_of_equals();
    m.seqs[1].pos = 2;
    expect_bad(m, "slot 0 twice");
}

static void bad_order_is_a_fault_and_the_next_is_obeyed(void **state)
{
    (void)state;
    world_setup s = setup_of(1);
    ndl_wire_report report;
    char junk[64] = "";
    for (size_t len = 0; len <= sizeof junk; len += 16) {
        s.no_coordinator = true;
        world_open(&w, &s);
        world_send(&w, 0, 1, NDL_TAG_ORDER, junk, len);
        world_receive(&w, 1, 0, NDL_TAG_REPORT, &report, sizeof report, 1.0);
        assert_int_equal(report.kind, NDL_REPORT_FAULT);
        const ndl_wire_order leave = { NDL_WIRE_MAGIC, NDL_ORDER_ABORT,
                                       NDL_EPROTO, 0 };
        world_send(&w, 0, 1, NDL_TAG_ORDER, &leave, sizeof leave);
        for (int i = 0; i < 100 && !w.has_left[0]; i++) world_turn(&w);
        assert_true(w.has_left[0]);
        assert_int_equal(w.left[0], NDL_EPROTO);
        world_close(&w);
    }
}

/* Seconds that a stage alone with the test stays, from now on. */
static double stay_of_stage(void)
{
    const double from = ndl_fake_now(w.fake);
    while (!w.has_left[0]) {
        assert_true(world_turn(&w));
        assert_true(ndl_fake_now(w.fake) < from + 1000.0);
    }
    assert_int_equal(w.left[0], NDL_ETEMP);
    assert_says("has heard nothing from rank 0");
    return ndl_fake_now(w.fake) - from;
}

static void stage_without_a_word_from_rank_0_leaves(void **state)
{
    (void)state;
    world_setup s = setup_of(1);
    const ndl_wire_order alive = { NDL_WIRE_MAGIC, NDL_ORDER_ALIVE, 0, 0 };
    s.no_coordinator = true;
    world_open(&w, &s);
    for (int i = 0; i < 3; i++) {
        const double until = ndl_fake_now(w.fake) + 50.0;
        while (ndl_fake_now(w.fake) < until) world_turn(&w);
        assert_false(w.has_left[0]);
        world_send(&w, 0, 1, NDL_TAG_ORDER, &alive, sizeof alive);
    }
    const double sec = stay_of_stage();
    assert_true(sec > 59.0 && sec < 61.0);
    world_close(&w);
}

static const ndl_comm_ops *fake_ops;

/* Tokens leave after a computation of 200 s. */
static ndl_status send_late(ndl_comm *c, ndl_comm_op *op, int to, ndl_tag tag,
                            const void *buf, size_t len)
{
    if (tag == NDL_TAG_TOKENS) ndl_fake_spend(w.fake, c->rank, 200.0);
    return fake_ops->send_begin(c, op, to, tag, buf, len);
}

/* While it computes it does not listen: rank 0 gets its minute afterwards. */
static void stage_listens_again_after_a_long_batch(void **state)
{
    (void)state;
    world_setup s = setup_of(1);
    unsigned char bytes[sizeof(batch_message)];
    const size_t len = pack_batch(good_batch(0, 3), bytes);
    s.no_coordinator = true;
    s.compute_sec = 0.0;
    world_open(&w, &s);
    ndl_comm *comm = ndl_fake_comm(w.fake, 1);
    fake_ops = comm->ops;
    ndl_comm_ops ops = *fake_ops;
    ops.send_begin = send_late;
    comm->ops = &ops;
    world_send(&w, 0, 1, NDL_TAG_BATCH, bytes, len);
    const double sec = stay_of_stage();
    assert_true(sec > 259.0 && sec < 261.0);
    comm->ops = fake_ops;
    world_close(&w);
}

/* ---- The fault of a stage reaches the user ---- */

/* The test plays stage 1 of 2 and sends its successor nonsense. */
static void fault_ends_the_run_with_rank_and_cause(void **state)
{
    (void)state;
    world_setup s = setup_of(2);
    s.no_stage[0] = true;
    batch_message m = good_batch(0, 3); /* rows of ids, not of floats */
    world_open(&w, &s);
    world_send(&w, 1, 2, NDL_TAG_BATCH, &m, sizeof m);
    assert_int_equal(world_run(&w, 10.0), NDL_EPROTO);
    assert_string_equal(ndl_status_message(),
                        "rank 2: stage 2 got a malformed batch from rank 1");
    assert_int_equal(w.left[1], NDL_EPROTO);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_stage_ends_the_run_after_thirty_seconds),
        cmocka_unit_test(stage_that_lives_is_not_taken_for_dead),
        cmocka_unit_test(malformed_batch_is_a_fault_of_the_stage),
        cmocka_unit_test(batch_longer_than_its_buffer_is_a_fault),
        cmocka_unit_test(rows_past_the_context_are_a_fault),
        cmocka_unit_test(rows_without_pages_are_a_fault),
        cmocka_unit_test(page_that_two_sequences_fill_is_a_fault),
        cmocka_unit_test(token_that_the_model_does_not_have_is_a_fault),
        cmocka_unit_test(slot_that_is_twice_in_a_batch_is_a_fault),
        cmocka_unit_test(bad_order_is_a_fault_and_the_next_is_obeyed),
        cmocka_unit_test(stage_without_a_word_from_rank_0_leaves),
        cmocka_unit_test(stage_listens_again_after_a_long_batch),
        cmocka_unit_test(fault_ends_the_run_with_rank_and_cause),
        cmocka_unit_test(lost_message_never_hangs_the_run),
    };
    return cmocka_run_group_tests(tests, make_toy, remove_toy);
}
