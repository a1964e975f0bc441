/* test_message.c - hostile messages are told from good ones. */
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "noodle/message.h"

enum { ROW_BYTES = 32, MAX_ROWS = 100, N_SLOTS = 8, N_VOCAB = 1000 };

/* Three sequences of 1, 2 and 4 rows. */
typedef struct batch {
    alignas(64) unsigned char bytes[64 + 3 * 64 + 7 * ROW_BYTES];
} batch;

static ndl_wire_batch *header(batch *b)
{
    return (ndl_wire_batch *)b->bytes;
}

static ndl_wire_seq *seq(batch *b, int i)
{
    return ndl_message_batch_table(b->bytes) + i;
}

static batch good_batch(void)
{
    batch b;
    memset(&b, 0, sizeof b);
    *header(&b) = (ndl_wire_batch){ .magic = NDL_WIRE_MAGIC,
                                    .kind = NDL_BATCH_ROWS,
                                    .batch_id = 1,
                                    .n_rows = 7,
                                    .n_seqs = 3,
                                    .row_bytes = ROW_BYTES };
    for (int i = 0; i < 3; i++)
        *seq(&b, i) = (ndl_wire_seq){ .sequence = 10,
                                      .slot = (uint32_t)i,
                                      .pos = 5,
                                      .n_rows = 1u << i,
                                      .flags = NDL_SEQ_SAMPLE,
                                      .top_p = 1.0f };
    return b;
}

static bool is_valid(const batch *b, size_t len)
{
    return ndl_message_batch_is_valid(b->bytes, len, ROW_BYTES, MAX_ROWS,
                                      N_SLOTS);
}

static void good_batch_is_valid(void **state)
{
    (void)state;
    const batch b = good_batch();
    assert_true(is_valid(&b, sizeof b.bytes));
}

static void batch_that_is_not_aligned_is_judged_alike(void **state)
{
    (void)state;
    const batch b = good_batch();
    unsigned char shifted[sizeof b.bytes + 1];
    memcpy(shifted + 1, b.bytes, sizeof b.bytes);
    assert_true(ndl_message_batch_is_valid(shifted + 1, sizeof b.bytes,
                                           ROW_BYTES, MAX_ROWS, N_SLOTS));
}

static void batch_of_any_other_length_is_invalid(void **state)
{
    (void)state;
    const batch b = good_batch();
    for (size_t len = 0; len < sizeof b.bytes; len++) {
        /* Exactly so many bytes, so that a sanitizer sees reads beyond. */
        unsigned char *part = malloc(len ? len : 1);
        assert_non_null(part);
        if (len) memcpy(part, b.bytes, len);
        assert_false(ndl_message_batch_is_valid(part, len, ROW_BYTES, MAX_ROWS,
                                                N_SLOTS));
        free(part);
    }
    unsigned char longer[sizeof b.bytes + ROW_BYTES] = { 0 };
    memcpy(longer, b.bytes, sizeof b.bytes);
    for (size_t len = sizeof b.bytes + 1; len <= sizeof longer; len++)
        assert_false(ndl_message_batch_is_valid(longer, len, ROW_BYTES,
                                                MAX_ROWS, N_SLOTS));
}

static void batch_with_a_bad_header_is_invalid(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint32_t value;
    } bad[] = {
        { offsetof(ndl_wire_batch, magic), 0 },
        { offsetof(ndl_wire_batch, kind), 0 },
        { offsetof(ndl_wire_batch, kind), 3 },
        { offsetof(ndl_wire_batch, batch_id), 0 },
        { offsetof(ndl_wire_batch, n_rows), 0 },
        { offsetof(ndl_wire_batch, n_rows), 6 },
        { offsetof(ndl_wire_batch, n_rows), 8 },
        { offsetof(ndl_wire_batch, n_rows), UINT32_MAX },
        { offsetof(ndl_wire_batch, n_seqs), 0 },
        { offsetof(ndl_wire_batch, n_seqs), 2 },
        { offsetof(ndl_wire_batch, n_seqs), 4 },
        { offsetof(ndl_wire_batch, n_seqs), UINT32_MAX },
        { offsetof(ndl_wire_batch, row_bytes), 0 },
        { offsetof(ndl_wire_batch, row_bytes), 2 * ROW_BYTES },
        { offsetof(ndl_wire_batch, row_bytes), UINT32_MAX },
        { offsetof(ndl_wire_batch, reserved), 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        batch b = good_batch();
        memcpy(b.bytes + bad[i].offset, &bad[i].value, 4);
        assert_false(is_valid(&b, sizeof b.bytes));
    }
}

static void batch_with_a_bad_sequence_is_invalid(void **state)
{
    (void)state;
    const float not_a_number = (float)strtod("nan", NULL);
    const float infinite = (float)strtod("inf", NULL);
    for (int k = 0; k < 14; k++) {
        batch b = good_batch();
        ndl_wire_seq *s = seq(&b, 1);
        switch (k) {
        case 0: s->slot = N_SLOTS; break;
        case 1: s->slot = UINT32_MAX; break;
        case 2: /* the sum of the rows is right */
            s->n_rows = 0;
            seq(&b, 0)->n_rows = 3;
            break;
        case 3: s->n_rows = 3; break;
        case 4: s->pos = INT32_MAX; break;
        case 5: s->pos = UINT32_MAX; break;
        case 6: s->flags = 1u << 31; break;
        case 7: s->temperature = not_a_number; break;
        case 8: s->temperature = infinite; break;
        case 9: s->temperature = -1.0f; break;
        case 10: s->top_p = not_a_number; break;
        case 11: s->min_p = not_a_number; break;
        case 12: s->top_p = 1.5f; break;
        case 13: s->top_k = -1; break;
        }
        assert_false(is_valid(&b, sizeof b.bytes));
    }
}

/* 2 * (2^31 - 1) + 9 rows are 7 in 32 bits. */
static void rows_whose_sum_wraps_are_invalid(void **state)
{
    (void)state;
    batch b = good_batch();
    for (int i = 0; i < 3; i++) {
        seq(&b, i)->pos = 0;
        seq(&b, i)->n_rows = i < 2 ? INT32_MAX : 9;
    }
    assert_false(is_valid(&b, sizeof b.bytes));
}

/* 64 + 64 * n_seqs + n_rows * row_bytes is 2^64 + the true length.  All that
 * is there looks like good sequences, and a page that may not be read follows:
 * a table that is believed ends in a crash. */
static void sizes_whose_sum_wraps_are_invalid(void **state)
{
    (void)state;
    const uint32_t n_seqs = 805306374u, n_rows = UINT32_MAX - 3,
                   row_bytes = UINT32_MAX - 7;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), len = 480;
    assert_true(64 + 64ull * n_seqs + (uint64_t)n_rows * row_bytes == len);
    unsigned char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);

    batch b = good_batch();
    header(&b)->n_seqs = n_seqs;
    header(&b)->n_rows = n_rows;
    header(&b)->row_bytes = row_bytes;
    unsigned char *msg = pages + page - len;
    memcpy(msg, b.bytes, 64);
    for (size_t at = 64; at < len; at += 64)
        memcpy(msg + at, b.bytes + 64, len - at < 64 ? len - at : 64);
    assert_false(ndl_message_batch_is_valid(msg, len, row_bytes, UINT32_MAX,
                                            UINT32_MAX));
    munmap(pages, 2 * page);
}

static void batch_beyond_the_receivers_limits_is_invalid(void **state)
{
    (void)state;
    const batch b = good_batch();
    const size_t len = sizeof b.bytes;
    assert_true(ndl_message_batch_is_valid(b.bytes, len, ROW_BYTES, 7, 3));
    assert_false(ndl_message_batch_is_valid(b.bytes, len, ROW_BYTES, 6, 3));
    assert_false(ndl_message_batch_is_valid(b.bytes, len, ROW_BYTES, 7, 2));
    assert_false(ndl_message_batch_is_valid(b.bytes, len, 4, 7, 3));
    assert_false(ndl_message_batch_is_valid(b.bytes, len, 0, 7, 3));
}

static void stop_is_valid_only_if_empty(void **state)
{
    (void)state;
    batch b = good_batch();
    header(&b)->kind = NDL_BATCH_STOP;
    assert_false(is_valid(&b, sizeof b.bytes));
    assert_false(is_valid(&b, 64));
    header(&b)->n_rows = 0;
    header(&b)->n_seqs = 0;
    assert_true(is_valid(&b, 64));
    assert_false(is_valid(&b, 65));
}

/* Random damage: whatever is called valid must be safe to walk through. */
static void damaged_batch_called_valid_is_in_bounds(void **state)
{
    (void)state;
    const char *given = getenv("NDL_TEST_SEED");
    const unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 4711;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 200000; round++) {
        batch b = good_batch();
        for (int k = rand() % 3; k >= 0; k--)
            b.bytes[rand() % 256] = (unsigned char)rand();
        if (!is_valid(&b, sizeof b.bytes)) continue;
        uint32_t n = 0;
        for (uint32_t i = 0; i < header(&b)->n_seqs; i++) {
            assert_true(seq(&b, (int)i)->slot < N_SLOTS);
            n += seq(&b, (int)i)->n_rows;
        }
        const unsigned char *end = ndl_message_batch_rows(b.bytes);
        assert_true(end + n * ROW_BYTES == b.bytes + sizeof b.bytes);
    }
}

static void batch_bytes_counts_header_table_and_rows(void **state)
{
    (void)state;
    assert_int_equal(ndl_message_batch_bytes(0, 0, 4), 64);
    assert_int_equal(ndl_message_batch_bytes(3, 7, ROW_BYTES),
                     64 + 3 * 64 + 7 * ROW_BYTES);
    assert_int_equal(ndl_message_batch_bytes(1, 1000000, 32768),
                     (size_t)128 + (size_t)1000000 * 32768);
    assert_true(ndl_message_batch_bytes(UINT32_MAX, UINT32_MAX, UINT32_MAX) ==
                SIZE_MAX);
}

static void rows_follow_the_table(void **state)
{
    (void)state;
    batch b = good_batch();
    assert_ptr_equal(ndl_message_batch_table(b.bytes), b.bytes + 64);
    assert_ptr_equal(ndl_message_batch_rows(b.bytes), b.bytes + 64 + 3 * 64);
}

static void targets_follow_the_rows(void **state)
{
    (void)state;
    batch b = good_batch();
    assert_ptr_equal(ndl_message_batch_targets(b.bytes),
                     b.bytes + 64 + 3 * 64 + 7 * (ROW_BYTES - 4));
}

typedef struct tokens {
    ndl_wire_batch head;
    ndl_wire_token token[2];
} tokens;

typedef struct scores {
    tokens tokens;
    ndl_wire_score score[3];
} scores;

static tokens good_tokens(void)
{
    tokens t;
    memset(&t, 0, sizeof t);
    t.head.magic = NDL_WIRE_MAGIC;
    t.head.kind = NDL_BATCH_ROWS;
    t.head.batch_id = 9;
    t.head.n_seqs = 2;
    t.token[1].id = N_VOCAB - 1;
    return t;
}

static bool tokens_ok(const tokens *t, size_t len)
{
    return ndl_message_tokens_is_valid(t, len, 2, N_VOCAB, 0);
}

static void tokens_are_valid_only_if_whole_and_known(void **state)
{
    (void)state;
    tokens t = good_tokens();
    assert_ptr_equal(ndl_message_tokens(&t), t.token);
    for (size_t len = 0; len <= sizeof t; len++)
        assert_int_equal(tokens_ok(&t, len), len == sizeof t);
    assert_false(ndl_message_tokens_is_valid(&t, sizeof t, 1, N_VOCAB, 0));
    assert_false(ndl_message_tokens_is_valid(&t, sizeof t, 2, N_VOCAB - 1, 0));
    t.token[0].id = -1;
    assert_false(tokens_ok(&t, sizeof t));
    t = good_tokens();
    t.head.n_seqs = UINT32_MAX;
    assert_false(
        ndl_message_tokens_is_valid(&t, sizeof t, UINT32_MAX, N_VOCAB, 0));
    t = good_tokens();
    t.head.row_bytes = 4;
    assert_false(tokens_ok(&t, sizeof t));
    /* The answer to a batch without samples. */
    t = good_tokens();
    t.head.n_seqs = 0;
    assert_true(tokens_ok(&t, sizeof t.head));
}

static scores good_scores(void)
{
    scores s = { .tokens = good_tokens() };
    s.tokens.head.n_rows = 3;
    for (int i = 0; i < 3; i++)
        s.score[i] = (ndl_wire_score){ .pos = 1, .log_p = -2.5 };
    return s;
}

static bool scores_ok(const scores *s, size_t len)
{
    return ndl_message_tokens_is_valid(s, len, 2, N_VOCAB, 3);
}

static void scores_are_valid_only_if_whole_asked_for_and_numbers(void **state)
{
    (void)state;
    scores s = good_scores();
    assert_ptr_equal(ndl_message_scores(&s), s.score);
    for (size_t len = 0; len <= sizeof s; len++)
        assert_int_equal(scores_ok(&s, len), len == sizeof s);
    assert_false(ndl_message_tokens_is_valid(&s, sizeof s, 2, N_VOCAB, 2));
    for (int i = 0; i < 6; i++) {
        s = good_scores();
        if (i == 0) s.score[2].log_p = NAN;
        if (i == 1) s.score[2].divergence = INFINITY;
        if (i == 2) s.score[2].max_diff = NAN;
        if (i == 3) s.score[2].same_top = 2;
        if (i == 4) s.score[2].pos = 0;
        if (i == 5) s.score[2].pos = UINT32_MAX;
        assert_false(scores_ok(&s, sizeof s));
    }
    s = good_scores();
    s.tokens.head.n_rows = UINT32_MAX;
    assert_false(
        ndl_message_tokens_is_valid(&s, sizeof s, 2, N_VOCAB, UINT32_MAX));
}

static void report_without_an_end_of_text_is_invalid(void **state)
{
    (void)state;
    ndl_wire_report r;
    memset(&r, 0, sizeof r);
    r.magic = NDL_WIRE_MAGIC;
    r.kind = NDL_REPORT_FAULT;
    assert_true(ndl_message_report_is_valid(&r, sizeof r));
    assert_false(ndl_message_report_is_valid(&r, sizeof r - 1));
    r.kind = 4;
    assert_false(ndl_message_report_is_valid(&r, sizeof r));
    r.kind = NDL_REPORT_DONE;
    r.totals.busy_sec = strtod("nan", NULL);
    assert_false(ndl_message_report_is_valid(&r, sizeof r));
    r.totals.busy_sec = 1.0;
    memset(r.text, 'x', sizeof r.text);
    assert_false(ndl_message_report_is_valid(&r, sizeof r));
    r.text[NDL_WIRE_TEXT - 1] = '\0';
    assert_true(ndl_message_report_is_valid(&r, sizeof r));
}

typedef struct steps_message {
    ndl_wire_steps head;
    ndl_wire_step steps[2];
    ndl_wire_layer layers[1];
} steps_message;

static steps_message good_steps(void)
{
    steps_message m;
    memset(&m, 0, sizeof m);
    m.head = (ndl_wire_steps){ .magic = NDL_WIRE_MAGIC,
                               .kind = NDL_REPORT_STEPS,
                               .n_steps = 2,
                               .n_layers = 1 };
    m.steps[0].batch_id = 1;
    m.steps[1].batch_id = 2;
    m.layers[0].layer = 9;
    return m;
}

static bool steps_ok(const steps_message *m, size_t len)
{
    return ndl_message_steps_is_valid(m, len, 10);
}

static void steps_are_valid_only_if_whole_and_sane(void **state)
{
    (void)state;
    steps_message m = good_steps();
    assert_true(steps_ok(&m, sizeof m));
    for (size_t len = 0; len < sizeof m; len++) assert_false(steps_ok(&m, len));
    m.head.n_steps = UINT32_MAX;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.head.n_layers = UINT32_MAX;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.head.kind = NDL_REPORT_DONE;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.steps[1].batch_id = 0;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.steps[0].busy_sec = -1.0f;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.steps[1].end_sec = strtod("nan", NULL);
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.layers[0].layer = 10;
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    m.layers[0].sum_sec = strtod("inf", NULL);
    assert_false(steps_ok(&m, sizeof m));
    m = good_steps();
    assert_ptr_equal(ndl_message_steps(&m), m.steps);
    assert_ptr_equal(ndl_message_layers(&m), m.layers);
}

static void order_of_unknown_kind_is_invalid(void **state)
{
    (void)state;
    ndl_wire_order o = { .magic = NDL_WIRE_MAGIC, .kind = NDL_ORDER_ABORT };
    assert_true(ndl_message_order_is_valid(&o, sizeof o));
    assert_false(ndl_message_order_is_valid(&o, sizeof o - 1));
    o.kind = 0;
    assert_false(ndl_message_order_is_valid(&o, sizeof o));
    o.kind = NDL_ORDER_ALIVE;
    o.magic = 1;
    assert_false(ndl_message_order_is_valid(&o, sizeof o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_batch_is_valid),
        cmocka_unit_test(batch_that_is_not_aligned_is_judged_alike),
        cmocka_unit_test(batch_of_any_other_length_is_invalid),
        cmocka_unit_test(batch_with_a_bad_header_is_invalid),
        cmocka_unit_test(batch_with_a_bad_sequence_is_invalid),
        cmocka_unit_test(rows_whose_sum_wraps_are_invalid),
        cmocka_unit_test(sizes_whose_sum_wraps_are_invalid),
        cmocka_unit_test(batch_beyond_the_receivers_limits_is_invalid),
        cmocka_unit_test(stop_is_valid_only_if_empty),
        cmocka_unit_test(damaged_batch_called_valid_is_in_bounds),
        cmocka_unit_test(batch_bytes_counts_header_table_and_rows),
        cmocka_unit_test(rows_follow_the_table),
        cmocka_unit_test(tokens_are_valid_only_if_whole_and_known),
        cmocka_unit_test(targets_follow_the_rows),
        cmocka_unit_test(scores_are_valid_only_if_whole_asked_for_and_numbers),
        cmocka_unit_test(report_without_an_end_of_text_is_invalid),
        cmocka_unit_test(steps_are_valid_only_if_whole_and_sane),
        cmocka_unit_test(order_of_unknown_kind_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
