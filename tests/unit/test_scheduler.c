/* test_scheduler.c - scheduler.h case by case; test_scheduler_pages.c has what
 * becomes of pages, test_scheduler_steps.c what of measured times;
 * test_scheduler_random.c holds the rules against random histories. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "scheduler_drive.h"

static const int32_t ids[512];

/* Chunk sizes of one prompt alone. */
static void check_chunks(int n_prompt, int max_rows)
{
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_groups = 1,
                                                    .window = 600,
                                                    .max_rows = max_rows,
                                                    .context = 512 });
    const ndl_request r = { .prompt = ids, .n_prompt = n_prompt };
    ndl_scheduler_batch b;
    int n = 0, sum = 0, least = 1000, most = 0;
    ndl_scheduler_submit(s, &r);
    while (ndl_scheduler_next(s, &b)) {
        n++;
        sum += b.n_rows;
        if (b.n_rows < least) least = b.n_rows;
        if (b.n_rows > most) most = b.n_rows;
    }
    assert_int_equal(sum, n_prompt);
    assert_int_equal(n, (n_prompt + max_rows - 1) / max_rows);
    assert_true(most - least <= 1 && most <= max_rows);
    ndl_scheduler_destroy(&s);
}

static void chunks_of_a_prompt_are_even_and_as_few_as_can_be(void **state)
{
    (void)state;
    for (int n = 1; n <= 300; n += n < 20 ? 1 : 7)
        for (int rows = 1; rows <= 140; rows += 3) check_chunks(n, rows);
    check_chunks(130, 128);
}

/* k sequences of one prompt row each, all decoding: how many rows has the
 * decode batch of each group? */
static void check_groups(int k, int n_groups)
{
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = k,
                                                    .n_groups = n_groups,
                                                    .window = n_groups + 1,
                                                    .max_rows = k,
                                                    .context = 9 });
    const ndl_request r = { .prompt = ids, .n_prompt = 1, .max_new = 5 };
    ndl_scheduler_batch b;
    int n = 0, least = k, most = 0, sum = 0;
    for (int i = 0; i < k; i++) ndl_scheduler_submit(s, &r);
    assert_int_equal(step(s, 0).n_rows, k);
    while (ndl_scheduler_next(s, &b)) {
        n++;
        sum += b.n_rows;
        if (b.n_rows < least) least = b.n_rows;
        if (b.n_rows > most) most = b.n_rows;
    }
    assert_int_equal(sum, k);
    assert_int_equal(n, k < n_groups ? k : n_groups);
    assert_true(most - least <= 1);
    assert_int_equal(ndl_scheduler_count(s).n_groups, n_groups);
    ndl_scheduler_destroy(&s);
}

static void groups_are_all_used_and_of_equal_size(void **state)
{
    (void)state;
    for (int k = 1; k <= 20; k++)
        for (int g = 1; g <= 8; g++) check_groups(k, g);
}

/* Of two groups of four, three of one end: the others share the work. */
static void groups_even_out_when_sequences_end(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 8,
                                                    .n_groups = 2,
                                                    .window = 4,
                                                    .max_rows = 8,
                                                    .context = 64 });
    const ndl_request r = { .prompt = ids, .n_prompt = 1, .max_new = 60 };
    ndl_scheduler_batch b[4];
    for (int i = 0; i < 8; i++) ndl_scheduler_submit(s, &r);
    step(s, 0);
    assert_true(ndl_scheduler_next(s, &b[0]));
    assert_true(ndl_scheduler_next(s, &b[1]));
    for (int i = 0; i < 3; i++) ndl_scheduler_cancel(s, i);
    ndl_scheduler_token(s, 3, 0);
    done(s, b[0].id);
    assert_true(ndl_scheduler_next(s, &b[2]));
    assert_int_equal(b[2].n_rows, 1);
    for (int i = 4; i < 8; i++) ndl_scheduler_token(s, i, 0);
    done(s, b[1].id);
    assert_true(ndl_scheduler_next(s, &b[3]));
    assert_int_equal(b[3].n_rows, 3);
    assert_false(ndl_scheduler_next(s, &b[0])); /* both are under way */
    ndl_scheduler_token(s, 3, 0);
    done(s, b[2].id);
    /* The one that has waited longest goes first. */
    assert_true(ndl_scheduler_next(s, &b[0]));
    assert_int_equal(b[0].n_rows, 2);
    assert_int_equal(b[0].seqs[0].request, 7);
    assert_int_equal(b[0].seqs[1].request, 3);
    ndl_scheduler_destroy(&s);
}

static void prompt_rows_fill_up_a_batch_of_decode_rows(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_groups = 2,
                                                    .window = 2,
                                                    .max_rows = 8,
                                                    .context = 64,
                                                    .stall_sec = INFINITY });
    const ndl_request a = { .prompt = ids, .n_prompt = 1, .max_new = 9 };
    const ndl_request b = { .prompt = ids, .n_prompt = 21, .max_new = 9 };
    ndl_scheduler_batch batch;
    ndl_scheduler_submit(s, &a);
    assert_true(ndl_scheduler_next(s, &batch));
    ndl_scheduler_submit(s, &b);
    ndl_scheduler_token(s, 0, 5);
    done(s, batch.id);
    assert_true(ndl_scheduler_next(s, &batch));
    assert_int_equal(batch.n_seqs, 2);
    assert_int_equal(batch.n_rows, 8); /* 1 to decode, 21 = 7 + 7 + 7 */
    assert_int_equal(batch.seqs[0].request, 0);
    assert_int_equal(batch.seqs[0].ids[0], 5);
    assert_false(batch.seqs[1].sample);
    /* The next chunk does not wait for the first. */
    assert_true(ndl_scheduler_next(s, &batch));
    assert_int_equal(batch.n_seqs, 1);
    assert_int_equal(batch.seqs[0].pos, 7);
    assert_false(ndl_scheduler_next(s, &batch));
    ndl_scheduler_destroy(&s);
}

/* One decode row fills the batch of its group; the window has no room for
 * more: the prompt must still get its turn. */
static void prompt_gets_its_turn_beside_full_decode_batches(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){
        .max_requests = 2, .n_groups = 2, .max_rows = 1, .context = 64 });
    const ndl_request a = { .prompt = ids, .n_prompt = 1, .max_new = 60 };
    ndl_scheduler_submit(s, &a);
    step(s, 5);
    ndl_scheduler_submit(s, &a);
    bool seen = false;
    for (int i = 0; i < 4 && !seen; i++) seen = step(s, 5).seqs[0].request == 1;
    assert_true(seen);
    ndl_scheduler_destroy(&s);
}

static void request_without_new_tokens_ends_with_its_prompt(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_groups = 2,
                                                    .window = 3,
                                                    .max_rows = 4,
                                                    .context = 8 });
    const ndl_request r = { .prompt = ids, .n_prompt = 8 };
    ndl_scheduler_batch b, c;
    const int *list = NULL;
    ndl_scheduler_submit(s, &r);
    assert_true(ndl_scheduler_next(s, &b));
    assert_true(ndl_scheduler_next(s, &c));
    assert_int_equal(ndl_scheduler_awaited(s, b.id, &list), 0);
    assert_int_equal(ndl_scheduler_done(s, b.id, NULL, &list), 0);
    assert_int_equal(ndl_scheduler_pending(s), 1);
    assert_int_equal(ndl_scheduler_done(s, c.id, NULL, &list), 1);
    assert_int_equal(list[0], 0);
    assert_int_equal(ndl_scheduler_pending(s), 0);
    ndl_scheduler_destroy(&s);
}

static void only_the_oldest_batch_in_flight_is_awaited(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_groups = 1,
                                                    .window = 2,
                                                    .max_rows = 4,
                                                    .context = 8 });
    const ndl_request r = { .prompt = ids, .n_prompt = 8, .max_new = 1 };
    ndl_scheduler_batch b;
    const int *list = NULL;
    ndl_scheduler_submit(s, &r);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(ndl_scheduler_awaited(s, id, &list), -1);
    while (ndl_scheduler_next(s, &b)) continue;
    assert_int_equal(b.id, 2);
    assert_int_equal(ndl_scheduler_awaited(s, 0, &list), -1);
    assert_int_equal(ndl_scheduler_awaited(s, 2, &list), -1);
    assert_int_equal(ndl_scheduler_awaited(s, UINT64_MAX, &list), -1);
    assert_null(list);
    assert_int_equal(ndl_scheduler_awaited(s, 1, &list), 0);
    done(s, 1);
    assert_int_equal(ndl_scheduler_awaited(s, 1, &list), -1);
    assert_int_equal(ndl_scheduler_awaited(s, 2, &list), 1);
    assert_int_equal(list[0], 0);
    ndl_scheduler_destroy(&s);
}

static void turn_of_a_cancelled_prompt_goes_to_the_others(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){
        .max_requests = 2, .n_groups = 2, .max_rows = 1, .context = 64 });
    const ndl_request a = { .prompt = ids, .n_prompt = 1, .max_new = 60 };
    ndl_scheduler_submit(s, &a);
    step(s, 5);
    ndl_scheduler_submit(s, &a);
    step(s, 5);
    ndl_scheduler_cancel(s, 1);
    assert_int_equal(step(s, 5).seqs[0].request, 0);
    ndl_scheduler_destroy(&s);
}

static void cancelled_sequence_frees_its_slot_at_once(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 1,
                                                    .n_groups = 1,
                                                    .window = 4,
                                                    .max_rows = 6,
                                                    .context = 64,
                                                    .no_reuse = true });
    const ndl_request r = { .prompt = ids, .n_prompt = 12, .max_new = 3 };
    ndl_scheduler_batch b, c, d;
    const int *list = NULL;
    ndl_scheduler_submit(s, &r);
    ndl_scheduler_submit(s, &r);
    assert_true(ndl_scheduler_next(s, &b));
    assert_true(ndl_scheduler_next(s, &c));
    ndl_scheduler_cancel(s, 0);
    ndl_scheduler_cancel(s, 0); /* a second time means nothing */
    assert_true(ndl_scheduler_is_finished(s, 0));
    assert_true(ndl_scheduler_next(s, &d));
    assert_int_equal(d.seqs[0].request, 1);
    assert_int_equal(d.seqs[0].slot, 0);
    assert_int_equal(d.seqs[0].pos, 0);
    assert_int_equal(d.n_ops, 3);
    assert_int_equal(d.ops[0].kind, NDL_PAGE_CLOSE);
    assert_int_equal(d.ops[1].kind, NDL_PAGE_OPEN);
    assert_int_equal(d.ops[1].a, 1);
    /* Its token comes all the same, and is nobody's. */
    done(s, b.id);
    assert_int_equal(ndl_scheduler_awaited(s, c.id, &list), 1);
    assert_int_equal(list[0], 0);
    assert_int_equal(ndl_scheduler_token(s, 0, 5), NDL_FINISH_STOPPED);
    done(s, c.id);
    done(s, d.id);
    assert_true(run_out(s) > 0);
    ndl_scheduler_destroy(&s);
    ndl_scheduler_destroy(&s); /* NULL is fine */
}

/* No token of it can change that it ends with the next one. */
static void slot_is_free_when_the_last_row_is_sent(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 1,
                                                    .n_groups = 1,
                                                    .window = 4,
                                                    .max_rows = 8,
                                                    .context = 64 });
    const ndl_request r = { .prompt = ids, .n_prompt = 5, .max_new = 1 };
    ndl_scheduler_batch b, c;
    ndl_scheduler_submit(s, &r);
    ndl_scheduler_submit(s, &r);
    assert_true(ndl_scheduler_next(s, &b));
    assert_false(ndl_scheduler_is_finished(s, 0));
    assert_true(ndl_scheduler_next(s, &c));
    assert_int_equal(c.seqs[0].request, 1);
    assert_int_equal(ndl_scheduler_count(s).n_waiting, 0);
    assert_int_equal(ndl_scheduler_token(s, 0, 5), NDL_FINISH_LENGTH);
    assert_true(ndl_scheduler_is_finished(s, 0));
    ndl_scheduler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_a_prompt_are_even_and_as_few_as_can_be),
        cmocka_unit_test(groups_are_all_used_and_of_equal_size),
        cmocka_unit_test(groups_even_out_when_sequences_end),
        cmocka_unit_test(prompt_rows_fill_up_a_batch_of_decode_rows),
        cmocka_unit_test(prompt_gets_its_turn_beside_full_decode_batches),
        cmocka_unit_test(turn_of_a_cancelled_prompt_goes_to_the_others),
        cmocka_unit_test(cancelled_sequence_frees_its_slot_at_once),
        cmocka_unit_test(slot_is_free_when_the_last_row_is_sent),
        cmocka_unit_test(request_without_new_tokens_ends_with_its_prompt),
        cmocka_unit_test(only_the_oldest_batch_in_flight_is_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
