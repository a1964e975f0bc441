/*
 * test_pumps_lies.c - what stages tell rank 0, reports and tokens, is not
 * believed if it cannot be: the run ends with a status and says whose it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pump_toy.h"

/* The test plays the only stage and says one thing. */
static void expect_refusal(ndl_tag tag, const void *msg, size_t len,
                           const char *why)
{
    world_setup s = setup_of(1);
    s.no_stage[0] = true;
    world_open(&w, &s);
    world_send(&w, 1, 0, tag, msg, len);
    assert_int_equal(world_run(&w, 10.0), NDL_EPROTO);
    assert_says(why);
    world_close(&w);
}

/* ---- Reports ---- */

static ndl_wire_report fault_of(uint32_t stage, const char *text)
{
    ndl_wire_report r;
    memset(&r, 0, sizeof r);
    r.magic = NDL_WIRE_MAGIC;
    r.kind = NDL_REPORT_FAULT;
    r.status = NDL_EIO;
    r.stage = stage;
    snprintf(r.text, sizeof r.text, "%s", text);
    return r;
}

static void first_of_two_faults_is_told(void **state)
{
    (void)state;
    world_setup s = setup_of(2);
    s.no_stage[0] = s.no_stage[1] = true;
    const ndl_wire_report a = fault_of(0, "the cause");
    ndl_wire_report b = fault_of(1, "an effect");
    b.status = NDL_ETEMP;
    world_open(&w, &s);
    world_send(&w, 1, 0, NDL_TAG_REPORT, &a, sizeof a);
    world_send(&w, 2, 0, NDL_TAG_REPORT, &b, sizeof b);
    assert_int_equal(world_run(&w, 10.0), NDL_EIO);
    assert_string_equal(ndl_status_message(), "rank 1: the cause");
    world_close(&w);
}

static void report_that_makes_no_sense_ends_the_run(void **state)
{
    (void)state;
    for (int k = 0; k < 5; k++) {
        ndl_wire_report r = fault_of(0, "x");
        size_t len = sizeof r;
        if (k == 0) r.magic = 1;
        if (k == 1) r.kind = 77;
        if (k == 2) len = 20;
        if (k == 3) memset(r.text, 'x', sizeof r.text);
        if (k == 4) r.stage = 1; /* another's */
        expect_refusal(NDL_TAG_REPORT, &r, len, "stage 1 sent a bad report");
    }
}

/* A stage that was believed would not be watched any longer. */
static void totals_before_the_end_of_the_stream_end_the_run(void **state)
{
    (void)state;
    ndl_wire_report r = fault_of(0, "");
    r.kind = NDL_REPORT_DONE;
    r.status = NDL_OK;
    expect_refusal(NDL_TAG_REPORT, &r, sizeof r, "stage 1 sent a bad report");
}

/* ---- Rank 0 gets bad tokens: the test plays the only stage ---- */

typedef struct tokens_message {
    _Alignas(64) ndl_wire_batch head;
    ndl_wire_token tokens[8];
} tokens_message;

/* Take the first batch, which has whole prompts of two requests, and answer
 * it with what `spoil` makes of the right answer. */
static void answer_badly(void (*spoil)(tokens_message *m))
{
    static _Alignas(64) unsigned char bytes[4096];
    world_setup s = setup_of(1);
    tokens_message m;
    ndl_request two[2] = { requests[0], requests[0] };
    two[1].n_prompt = 3;
    s.requests = two;
    s.n_requests = 2;
    s.no_stage[0] = true;
    world_open(&w, &s);
    world_receive(&w, 0, 1, NDL_TAG_BATCH, bytes, sizeof bytes, 1.0);
    const ndl_wire_batch *b = (const ndl_wire_batch *)(void *)bytes;
    assert_int_equal(b->n_seqs, 2);
    memset(&m, 0, sizeof m);
    m.head = (ndl_wire_batch){ .magic = NDL_WIRE_MAGIC,
                               .kind = NDL_BATCH_ROWS,
                               .batch_id = b->batch_id,
                               .n_seqs = 2 };
    m.tokens[0] = (ndl_wire_token){ .sequence = 0, .pos = 5, .id = 17 };
    m.tokens[1] = (ndl_wire_token){ .sequence = 1, .pos = 3, .id = 18 };
    spoil(&m);
    world_send(&w, 1, 0, NDL_TAG_TOKENS, &m,
               sizeof m.head + m.head.n_seqs * sizeof *m.tokens);
    assert_int_equal(world_run(&w, 10.0), NDL_EPROTO);
    assert_says("the last stage sent bad tokens");
    world_close(&w);
}

static void spoil_id(tokens_message *m)
{
    m->tokens[1].id = toy_vocab();
}

static void spoil_negative_id(tokens_message *m)
{
    m->tokens[0].id = -1;
}

static void spoil_batch(tokens_message *m)
{
    m->head.batch_id++;
}

static void spoil_sequence(tokens_message *m)
{
    m->tokens[1].sequence = UINT64_C(1) << 40;
}

static void spoil_order(tokens_message *m)
{
    m->tokens[0].sequence = 1;
    m->tokens[1].sequence = 0;
}

static void spoil_twice(tokens_message *m)
{
    m->tokens[1] = m->tokens[0];
}

static void spoil_missing(tokens_message *m)
{
    m->head.n_seqs = 1;
}

static void spoil_none(tokens_message *m)
{
    m->head.n_seqs = 0;
}

static void spoil_more(tokens_message *m)
{
    m->head.n_seqs = 3;
    m->tokens[2] = m->tokens[0];
}

static void spoil_magic(tokens_message *m)
{
    m->head.magic = 0;
}

static void tokens_that_nobody_awaits_end_the_run(void **state)
{
    (void)state;
    void (*const spoils[])(tokens_message *) = {
        spoil_batch,   spoil_sequence, spoil_order, spoil_twice,
        spoil_missing, spoil_none,     spoil_more,
    };
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++)
        answer_badly(spoils[i]);
}

static void malformed_tokens_end_the_run(void **state)
{
    (void)state;
    answer_badly(spoil_id);
    answer_badly(spoil_negative_id);
    answer_badly(spoil_magic);
}

static void tokens_longer_than_their_buffer_end_the_run(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char m[8192];
    expect_refusal(NDL_TAG_TOKENS, m, sizeof m, "longer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_of_two_faults_is_told),
        cmocka_unit_test(report_that_makes_no_sense_ends_the_run),
        cmocka_unit_test(totals_before_the_end_of_the_stream_end_the_run),
        cmocka_unit_test(malformed_tokens_end_the_run),
        cmocka_unit_test(tokens_longer_than_their_buffer_end_the_run),
        cmocka_unit_test(tokens_that_nobody_awaits_end_the_run),
    };
    return cmocka_run_group_tests(tests, make_toy, remove_toy);
}
