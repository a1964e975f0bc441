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

enum {
    ROW_BYTES = 32,
    MAX_ROWS = 100,
    N_SLOTS = 8,
    N_VOCAB = 1000,
    N_OPS = 5, /* they take two cache lines */
    N_PAGES = 9,
    N_ENTRIES = 3,
    FRONT_BYTES = 64 + 3 * 64 + 2 * 64
};

/* Three sequences of 1, 2 and 4 rows. */
typedef struct batch {
    alignas(64) unsigned char bytes[FRONT_BYTES + 7 * ROW_BYTES];
} batch;

static ndl_wire_batch *header(batch *b)
{
    return (ndl_wire_batch *)b->bytes;
}

static ndl_wire_seq *seq(batch *b, int i)
{
    return ndl_message_batch_table(b->bytes) + i;
}

static void set_op(batch *b, int i, ndl_wire_op op)
{
    memcpy(ndl_message_batch_ops(b->bytes) + i, &op, sizeof op);
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
                                    .row_bytes = ROW_BYTES,
                                    .n_ops = N_OPS };
    for (int i = 0; i < 3; i++)
        *seq(&b, i) = (ndl_wire_seq){ .sequence = 10,
                                      .slot = (uint32_t)i,
                                      .pos = 5,
                                      .n_rows = 1u << i,
                                      .flags = NDL_SEQ_SAMPLE,
                                      .top_p = 1.0f };
    set_op(&b, 0, (ndl_wire_op){ NDL_OP_CLOSE, 7, 0, 0 });
    set_op(&b, 1, (ndl_wire_op){ NDL_OP_OPEN, 7, 4000000000u, 0 });
    set_op(&b, 2, (ndl_wire_op){ NDL_OP_MAP, 7, N_ENTRIES - 1, N_PAGES - 1 });
    set_op(&b, 3, (ndl_wire_op){ NDL_OP_MAP, 0, 0, 0 });
    set_op(&b, 4, (ndl_wire_op){ NDL_OP_COPY, 7, N_PAGES - 1, 0 });
    return b;
}

static const ndl_message_batch_limits good_limits = { .row_bytes = ROW_BYTES,
                                                      .max_rows = MAX_ROWS,
                                                      .n_slots = N_SLOTS,
                                                      .max_ops = N_OPS,
                                                      .n_pages = N_PAGES,
                                                      .n_entries = N_ENTRIES };

static bool is_valid(const batch *b, size_t len)
{
    return ndl_message_batch_is_valid(b->bytes, len, &good_limits);
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
    assert_true(
        ndl_message_batch_is_valid(shifted + 1, sizeof b.bytes, &good_limits));
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
        assert_false(ndl_message_batch_is_valid(part, len, &good_limits));
        free(part);
    }
    unsigned char longer[sizeof b.bytes + ROW_BYTES] = { 0 };
    memcpy(longer, b.bytes, sizeof b.bytes);
    for (size_t len = sizeof b.bytes + 1; len <= sizeof longer; len++)
        assert_false(ndl_message_batch_is_valid(longer, len, &good_limits));
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
        { offsetof(ndl_wire_batch, n_ops), 0 },
        { offsetof(ndl_wire_batch, n_ops), 9 },
        { offsetof(ndl_wire_batch, n_ops), UINT32_MAX },
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
    const ndl_message_batch_limits all = { row_bytes,  UINT32_MAX, UINT32_MAX,
                                           UINT32_MAX, UINT32_MAX, UINT32_MAX };
    assert_false(ndl_message_batch_is_valid(msg, len, &all));
    munmap(pages, 2 * page);
}

static bool is_within(ndl_message_batch_limits limits)
{
    const batch b = good_batch();
    return ndl_message_batch_is_valid(b.bytes, sizeof b.bytes, &limits);
}

static void batch_beyond_the_receivers_limits_is_invalid(void **state)
{
    (void)state;
    ndl_message_batch_limits l = good_limits;
    l.max_rows = 7;
    assert_true(is_within(l));
    l.max_rows = 6;
    assert_false(is_within(l));
    l = good_limits, l.n_slots = 7;
    assert_false(is_within(l));
    l = good_limits, l.row_bytes = 4;
    assert_false(is_within(l));
    l = good_limits, l.row_bytes = 0;
    assert_false(is_within(l));
    l = good_limits, l.max_ops--;
    assert_false(is_within(l));
    l = good_limits, l.n_pages--;
    assert_false(is_within(l));
    l = good_limits, l.n_entries--;
    assert_false(is_within(l));
}

static void page_operation_that_makes_no_sense_is_invalid(void **state)
{
    (void)state;
    const ndl_wire_op bad[] = {
        { 0, 0, 0, 0 },
        { NDL_OP_CLOSE + 1, 0, 0, 0 },
        { NDL_OP_OPEN, N_SLOTS, 0, 0 },
        { NDL_OP_OPEN, 0, 0, 1 },
        { NDL_OP_CLOSE, 0, 1, 0 },
        { NDL_OP_MAP, 0, N_ENTRIES, 0 },
        { NDL_OP_MAP, 0, 0, N_PAGES },
        { NDL_OP_COPY, 0, N_PAGES, 0 },
        { NDL_OP_COPY, 0, 0, N_PAGES },
        { NDL_OP_COPY, N_SLOTS, 0, 0 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        batch b = good_batch();
        set_op(&b, N_OPS - 1, bad[i]);
        assert_false(is_valid(&b, sizeof b.bytes));
    }
}

static void times_that_are_none_are_invalid(void **state)
{
    (void)state;
    const float bad[] = { -1.0f, NAN, INFINITY };
    for (int i = 0; i < 3; i++) {
        batch b = good_batch();
        header(&b)->slowest_sec = bad[i];
        assert_false(is_valid(&b, sizeof b.bytes));
        b = good_batch();
        header(&b)->sum_sec = bad[i];
        assert_false(is_valid(&b, sizeof b.bytes));
    }
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
    assert_false(is_valid(&b, 64));
    header(&b)->n_ops = 0;
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
            b.bytes[rand() % FRONT_BYTES] = (unsigned char)rand();
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
    assert_int_equal(ndl_message_batch_bytes(0, 0, 0, 4), 64);
    assert_int_equal(ndl_message_batch_bytes(3, N_OPS, 7, ROW_BYTES),
                     FRONT_BYTES + 7 * ROW_BYTES);
    assert_int_equal(ndl_message_batch_bytes(1, 4, 0, 4), 192);
    assert_int_equal(ndl_message_batch_bytes(1, 0, 1000000, 32768),
                     (size_t)128 + (size_t)1000000 * 32768);
    assert_true(ndl_message_batch_bytes(UINT32_MAX, UINT32_MAX, UINT32_MAX,
                                        UINT32_MAX) == SIZE_MAX);
}

static void rows_follow_the_table_and_the_page_operations(void **state)
{
    (void)state;
    batch b = good_batch();
    assert_ptr_equal(ndl_message_batch_table(b.bytes), b.bytes + 64);
    assert_ptr_equal(ndl_message_batch_ops(b.bytes), b.bytes + 64 + 3 * 64);
    assert_ptr_equal(ndl_message_batch_rows(b.bytes), b.bytes + FRONT_BYTES);
    assert_int_equal(ndl_message_front_bytes(3, N_OPS), FRONT_BYTES);
}

static void targets_follow_the_rows(void **state)
{
    (void)state;
    batch b = good_batch();
    assert_ptr_equal(ndl_message_batch_targets(b.bytes),
                     b.bytes + FRONT_BYTES + 7 * (ROW_BYTES - 4));
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

static bool are_tokens(const void *msg, size_t len, uint32_t max_tokens,
                       uint32_t max_scores)
{
    const ndl_message_token_limits limits = { max_tokens, N_VOCAB, max_scores };
    return ndl_message_tokens_is_valid(msg, len, &limits);
}

static bool tokens_ok(const tokens *t, size_t len)
{
    return are_tokens(t, len, 2, 0);
}

static void tokens_are_valid_only_if_whole_and_known(void **state)
{
    (void)state;
    tokens t = good_tokens();
    assert_ptr_equal(ndl_message_tokens(&t), t.token);
    for (size_t len = 0; len <= sizeof t; len++)
        assert_int_equal(tokens_ok(&t, len), len == sizeof t);
    assert_false(are_tokens(&t, sizeof t, 1, 0));
    t.token[1].id = N_VOCAB;
    assert_false(tokens_ok(&t, sizeof t));
    t = good_tokens();
    t.token[0].id = -1;
    assert_false(tokens_ok(&t, sizeof t));
    t = good_tokens();
    t.head.n_seqs = UINT32_MAX;
    assert_false(are_tokens(&t, sizeof t, UINT32_MAX, 0));
    t = good_tokens();
    t.head.row_bytes = 4;
    assert_false(tokens_ok(&t, sizeof t));
    /* The answer to a batch without samples. */
    t = good_tokens();
    t.head.n_seqs = 0;
    assert_true(tokens_ok(&t, sizeof t.head));
}

typedef struct likely {
    tokens tokens;
    ndl_wire_candidate candidate[3];
} likely;

static likely good_likely(void)
{
    likely l = { .tokens = good_tokens() };
    l.tokens.head.n_ops = 3;
    l.tokens.token[0].log_p = -0.5f;
    l.tokens.token[0].n_top = 2;
    l.tokens.token[1].log_p = NAN;
    l.tokens.token[1].n_top = 1;
    for (int i = 0; i < 3; i++)
        l.candidate[i] = (ndl_wire_candidate){ i, -1.5f };
    return l;
}

static void candidates_are_valid_only_if_all_belong_to_tokens(void **state)
{
    (void)state;
    likely l = good_likely();
    assert_ptr_equal(ndl_message_candidates(&l), l.candidate);
    for (size_t len = 0; len <= sizeof l; len++)
        assert_int_equal(are_tokens(&l, len, 2, 0), len == sizeof l);
    for (int i = 0; i < 8; i++) {
        l = good_likely();
        if (i == 0) l.tokens.token[1].n_top = 0;
        if (i == 1) l.tokens.token[0].n_top = NDL_WIRE_TOP + 1;
        if (i == 2) l.tokens.token[0].log_p = 0.5f;
        if (i == 3) l.tokens.token[0].log_p = -INFINITY;
        if (i == 4) l.candidate[2].id = N_VOCAB;
        if (i == 5) l.candidate[2].id = -1;
        if (i == 6) l.candidate[2].log_p = NAN;
        if (i == 7) l.tokens.head.n_ops = UINT32_MAX;
        assert_false(are_tokens(&l, sizeof l, 2, 0));
    }
}

static void a_token_has_no_more_candidates_than_it_may(void **state)
{
    (void)state;
    struct {
        tokens tokens;
        ndl_wire_candidate candidate[NDL_WIRE_TOP + 1];
    } m = { .tokens = good_tokens() };
    for (uint32_t n = NDL_WIRE_TOP; n <= NDL_WIRE_TOP + 1; n++) {
        const size_t len = sizeof m.tokens + n * sizeof *m.candidate;
        m.tokens.head.n_ops = n;
        m.tokens.token[0].n_top = n;
        assert_int_equal(are_tokens(&m, len, 2, 0), n == NDL_WIRE_TOP);
    }
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
    return are_tokens(s, len, 2, 3);
}

static void scores_are_valid_only_if_whole_asked_for_and_numbers(void **state)
{
    (void)state;
    scores s = good_scores();
    assert_ptr_equal(ndl_message_scores(&s), s.score);
    for (size_t len = 0; len <= sizeof s; len++)
        assert_int_equal(scores_ok(&s, len), len == sizeof s);
    assert_false(are_tokens(&s, sizeof s, 2, 2));
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
    assert_false(are_tokens(&s, sizeof s, 2, UINT32_MAX));
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
        cmocka_unit_test(page_operation_that_makes_no_sense_is_invalid),
        cmocka_unit_test(times_that_are_none_are_invalid),
        cmocka_unit_test(stop_is_valid_only_if_empty),
        cmocka_unit_test(damaged_batch_called_valid_is_in_bounds),
        cmocka_unit_test(batch_bytes_counts_header_table_and_rows),
        cmocka_unit_test(rows_follow_the_table_and_the_page_operations),
        cmocka_unit_test(tokens_are_valid_only_if_whole_and_known),
        cmocka_unit_test(targets_follow_the_rows),
        cmocka_unit_test(candidates_are_valid_only_if_all_belong_to_tokens),
        cmocka_unit_test(a_token_has_no_more_candidates_than_it_may),
        cmocka_unit_test(scores_are_valid_only_if_whole_asked_for_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
