/* test_scheduler.c - scheduler.h case by case; test_scheduler_random.c holds
 * its rules against random histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "noodle/scheduler.h"

static const int32_t ids[512];

static void done(ndl_scheduler *s, uint64_t id)
{
    const int *ended;
    assert_int_equal(ndl_scheduler_done(s, id, &ended), 0);
}

static ndl_scheduler *make(ndl_scheduler_config config)
{
    ndl_scheduler *s = NULL;
    assert_int_equal(ndl_scheduler_create(&s, &config), NDL_OK);
    return s;
}

/* Chunk sizes of one prompt alone. */
static void check_chunks(int n_prompt, int max_rows)
{
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_slots = 1,
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
                                                    .n_slots = k,
                                                    .n_groups = n_groups,
                                                    .window = n_groups + 1,
                                                    .max_rows = k,
                                                    .context = 9 });
    const ndl_request r = { .prompt = ids, .n_prompt = 1, .max_new = 5 };
    ndl_scheduler_batch b;
    int n = 0, least = k, most = 0, sum = 0;
    for (int i = 0; i < k; i++) ndl_scheduler_submit(s, &r);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_rows, k);
    for (int i = 0; i < k; i++) ndl_scheduler_token(s, i, 0);
    done(s, b.id);
    while (ndl_scheduler_next(s, &b)) {
        n++;
        sum += b.n_rows;
        if (b.n_rows < least) least = b.n_rows;
        if (b.n_rows > most) most = b.n_rows;
    }
    assert_int_equal(sum, k);
    assert_int_equal(n, k < n_groups ? k : n_groups);
    assert_true(most - least <= 1);
    ndl_scheduler_destroy(&s);
}

static void groups_are_all_used_and_of_equal_size(void **state)
{
    (void)state;
    for (int k = 1; k <= 20; k++)
        for (int g = 1; g <= 8; g++) check_groups(k, g);
}

static void prompt_rows_fill_up_a_batch_of_decode_rows(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 2,
                                                    .n_groups = 1,
                                                    .window = 2,
                                                    .max_rows = 8,
                                                    .context = 64 });
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
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 2,
                                                    .n_groups = 2,
                                                    .window = 1,
                                                    .max_rows = 1,
                                                    .context = 64 });
    const ndl_request a = { .prompt = ids, .n_prompt = 1, .max_new = 60 };
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &a);
    assert_true(ndl_scheduler_next(s, &b));
    ndl_scheduler_token(s, 0, 5);
    done(s, b.id);
    ndl_scheduler_submit(s, &a);
    bool seen = false;
    for (int i = 0; i < 4 && !seen; i++) {
        assert_true(ndl_scheduler_next(s, &b));
        seen = b.seqs[0].request == 1;
        if (!seen) ndl_scheduler_token(s, 0, 5);
        done(s, b.id);
    }
    assert_true(seen);
    ndl_scheduler_destroy(&s);
}

static void request_without_new_tokens_ends_with_its_prompt(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_slots = 1,
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
    assert_int_equal(ndl_scheduler_done(s, b.id, &list), 0);
    assert_int_equal(ndl_scheduler_pending(s), 1);
    assert_int_equal(ndl_scheduler_done(s, c.id, &list), 1);
    assert_int_equal(list[0], 0);
    assert_int_equal(ndl_scheduler_pending(s), 0);
    ndl_scheduler_destroy(&s);
}

static void only_the_oldest_batch_in_flight_is_awaited(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 1,
                                                    .n_slots = 1,
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
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 2,
                                                    .n_groups = 2,
                                                    .window = 1,
                                                    .max_rows = 1,
                                                    .context = 64 });
    const ndl_request a = { .prompt = ids, .n_prompt = 1, .max_new = 60 };
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &a);
    for (int i = 0; i < 2; i++) {
        assert_true(ndl_scheduler_next(s, &b));
        if (i == 0) ndl_scheduler_submit(s, &a);
        ndl_scheduler_token(s, 0, 5);
        done(s, b.id);
    }
    ndl_scheduler_cancel(s, 1);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.seqs[0].request, 0);
    ndl_scheduler_destroy(&s);
}

static void
cancelled_sequence_keeps_its_slot_until_its_rows_are_back(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_slots = 1,
                                                    .n_groups = 1,
                                                    .window = 4,
                                                    .max_rows = 4,
                                                    .context = 64 });
    const ndl_request r = { .prompt = ids, .n_prompt = 12, .max_new = 3 };
    ndl_scheduler_batch b, c;
    ndl_scheduler_submit(s, &r);
    ndl_scheduler_submit(s, &r);
    assert_true(ndl_scheduler_next(s, &b));
    assert_true(ndl_scheduler_next(s, &c));
    ndl_scheduler_cancel(s, 0);
    ndl_scheduler_cancel(s, 0); /* a second time means nothing */
    assert_false(ndl_scheduler_is_finished(s, 0));
    assert_false(ndl_scheduler_next(s, &(ndl_scheduler_batch){ 0 }));
    done(s, b.id);
    assert_false(ndl_scheduler_is_finished(s, 0));
    done(s, c.id);
    assert_true(ndl_scheduler_is_finished(s, 0));
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.seqs[0].request, 1);
    assert_int_equal(b.seqs[0].slot, 0);
    assert_int_equal(b.seqs[0].pos, 0);
    ndl_scheduler_destroy(&s);
    ndl_scheduler_destroy(&s); /* NULL is fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_a_prompt_are_even_and_as_few_as_can_be),
        cmocka_unit_test(groups_are_all_used_and_of_equal_size),
        cmocka_unit_test(prompt_rows_fill_up_a_batch_of_decode_rows),
        cmocka_unit_test(prompt_gets_its_turn_beside_full_decode_batches),
        cmocka_unit_test(turn_of_a_cancelled_prompt_goes_to_the_others),
        cmocka_unit_test(
            cancelled_sequence_keeps_its_slot_until_its_rows_are_back),
        cmocka_unit_test(request_without_new_tokens_ends_with_its_prompt),
        cmocka_unit_test(only_the_oldest_batch_in_flight_is_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
