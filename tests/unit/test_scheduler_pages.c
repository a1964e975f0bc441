/* test_scheduler_pages.c - what the scheduler makes of pages: equal beginnings
 * are computed once, and who has none waits or gives up its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scheduler_drive.h"

enum { P = NDL_PAGE_POSITIONS, N_IDS = 4 * P };

/* They have nothing in common. */
static const int32_t ids[N_IDS];
static int32_t counted[N_IDS + 64];

static int count_ops(const ndl_scheduler_batch *b, ndl_page_op_kind kind)
{
    int n = 0;
    for (int i = 0; i < b->n_ops; i++) n += b->ops[i].kind == (uint32_t)kind;
    return n;
}

/* n requests that begin with the same `same` ids and go on for 8 more of their
 * own: rows computed for all of them. */
static int64_t rows_for(int n, int same, const ndl_scheduler_config *config,
                        bool want_logits)
{
    int32_t prompts[8][N_IDS];
    ndl_request r[8];
    ndl_scheduler *s = make(*config);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < same + 8; k++)
            prompts[i][k] = k < same ? k : 1000 * (i + 1) + k;
        r[i] = (ndl_request){ .prompt = prompts[i],
                              .n_prompt = same + 8,
                              .max_new = 2,
                              .want_logits = want_logits };
        ndl_scheduler_submit(s, &r[i]);
    }
    run_out(s);
    const ndl_scheduler_counts c = ndl_scheduler_count(s);
    assert_int_equal(c.pages.hit_tokens + c.pages.miss_tokens, n * (same + 8));
    assert_int_equal(c.pages.n_used, 0);
    ndl_scheduler_destroy(&s);
    return c.pages.miss_tokens;
}

static void equal_beginnings_are_computed_once_even_at_the_same_time(void **st)
{
    (void)st;
    ndl_scheduler_config c = { .max_requests = 8,
                               .n_slots = 8,
                               .n_groups = 2,
                               .window = 4,
                               .max_rows = 700,
                               .context = 1000 };
    assert_int_equal(rows_for(8, 600, &c, false), 600 + 8 * 8);
    assert_int_equal(rows_for(8, 15, &c, false), 8 * (15 + 8));
    c.max_rows = 100; /* in many chunks */
    assert_int_equal(rows_for(8, 600, &c, false), 600 + 8 * 8);
    c.n_slots = 1; /* one after the other */
    assert_int_equal(rows_for(8, 600, &c, false), 600 + 8 * 8);
    assert_int_equal(rows_for(3, 600, &c, true), 3 * 608);
    c.no_reuse = true;
    assert_int_equal(rows_for(3, 600, &c, false), 3 * 608);
}

/* The younger of two equal prompts waits for the rows of the older; when that
 * is cancelled on the way it computes the rest itself. */
static void nobody_waits_for_a_prompt_that_was_cancelled(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){
        .max_requests = 2, .n_groups = 1, .max_rows = 50, .context = 200 });
    const ndl_request r = { .prompt = counted, .n_prompt = 120, .max_new = 3 };
    ndl_scheduler_submit(s, &r);
    ndl_scheduler_submit(s, &r);
    ndl_scheduler_batch b = step(s, 1);
    assert_int_equal(b.n_seqs, 1);
    ndl_scheduler_cancel(s, 0);
    b = step(s, 1);
    assert_int_equal(b.seqs[0].request, 1);
    assert_int_equal(b.seqs[0].pos, 40);
    ndl_scheduler_destroy(&s);
}

/* Three requests at a time, and pages for one whole context and a bit. */
static ndl_scheduler *make_tight(void)
{
    return make((ndl_scheduler_config){ .max_requests = 3,
                                        .n_groups = 1,
                                        .n_pages = 4,
                                        .max_rows = 300,
                                        .context = 3 * P });
}

/* Three that write until the context is full. */
static void youngest_gives_up_its_pages_and_comes_back(void **state)
{
    (void)state;
    ndl_scheduler *s = make_tight();
    int32_t prompts[3][240];
    ndl_request r[3];
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 240; k++) prompts[i][k] = 1000 * i + k;
        r[i] = (ndl_request){ .prompt = prompts[i],
                              .n_prompt = 240,
                              .max_new = 3 * P };
        ndl_scheduler_submit(s, &r[i]);
    }
    int order[3], n_ended = 0;
    for (int i = 0; ndl_scheduler_pending(s) > 0; i++) {
        assert_true(i < 5000);
        step(s, 7);
        for (int k = 0; k < 3; k++) {
            bool known = !ndl_scheduler_is_finished(s, k);
            for (int j = 0; j < n_ended; j++) known |= order[j] == k;
            if (!known) order[n_ended++] = k;
        }
    }
    assert_true(ndl_scheduler_count(s).preemptions >= 1);
    for (int k = 0; k < 3; k++) assert_int_equal(order[k], k);
    ndl_scheduler_destroy(&s);
}

/* The older needs a page while the younger one's token is on the way. */
static void stopped_sequence_takes_its_token_and_samples_it_once(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_groups = 2,
                                                    .n_pages = 3,
                                                    .window = 3,
                                                    .max_rows = 600,
                                                    .context = 2 * P });
    const ndl_request a = { .prompt = ids, .n_prompt = 250, .max_new = 90 };
    const ndl_request z = { .prompt = counted, .n_prompt = 254, .max_new = 90 };
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &a);
    ndl_scheduler_submit(s, &z);
    step(s, 100);
    assert_true(ndl_scheduler_next(s, &b));
    /* They take turns; the row of one is always on its way. */
    int i = 0;
    for (;; i = !i) {
        assert_true(ndl_scheduler_next(s, &b));
        if (ndl_scheduler_count(s).preemptions > 0) break;
        assert_int_equal(ndl_scheduler_token(s, i, 200), NDL_FINISH_NONE);
        done(s, b.id - 1);
    }
    assert_int_equal(i, 1);
    assert_int_equal(b.seqs[0].pos, P);
    ndl_scheduler_cancel(s, 0);
    /* Slots and pages are free, but its token is not here yet. */
    assert_false(ndl_scheduler_next(s, &b));
    assert_int_equal(ndl_scheduler_token(s, 1, 300), NDL_FINISH_NONE);
    done(s, b.id - 1);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.seqs[0].request, 1);
    assert_int_equal(b.seqs[0].ids[b.seqs[0].n_rows - 1], 300);
    assert_true(b.seqs[0].sample);
    assert_int_equal(b.seqs[0].pos, P); /* what it had computed was kept */
    ndl_scheduler_destroy(&s);
}

/* It computes every row exactly once, and nobody gets its pages before. */
static void request_with_logits_is_never_stopped(void **state)
{
    (void)state;
    ndl_scheduler *s = make_tight();
    const ndl_request a = { .prompt = ids, .n_prompt = 5, .max_new = 600 };
    const ndl_request z = {
        .prompt = counted, .n_prompt = 250, .max_new = 200, .want_logits = true
    };
    ndl_scheduler_submit(s, &a);
    ndl_scheduler_submit(s, &z);
    int next_pos = 0;
    for (int i = 0; ndl_scheduler_pending(s) > 0; i++) {
        assert_true(i < 5000);
        const ndl_scheduler_batch b = step(s, 7);
        for (int k = 0; k < b.n_seqs; k++) {
            if (b.seqs[k].request != 1) continue;
            assert_int_equal(b.seqs[k].pos, next_pos);
            next_pos += b.seqs[k].n_rows;
        }
    }
    assert_int_equal(next_pos, 250 + 199);
    assert_int_equal(ndl_scheduler_count(s).preemptions, 0);
    ndl_scheduler_destroy(&s);
}

static void operations_fit_a_batch_however_many_begin_alike(void **state)
{
    (void)state;
    const ndl_scheduler_config config = { .max_requests = 40,
                                          .n_slots = 8,
                                          .n_stages = 1,
                                          .n_groups = 1,
                                          .n_pages = 200,
                                          .window = 1,
                                          .max_rows = 64,
                                          .context = 16 * P };
    static int32_t prompts[40][16 * P];
    ndl_request r[40];
    ndl_scheduler *s = make(config);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 16 * P; k++) prompts[i][k] = k;
        prompts[i][16 * P - 1] = -i;
        r[i] = (ndl_request){ .prompt = prompts[i], .n_prompt = 16 * P };
        r[i].max_new = 1;
        ndl_scheduler_submit(s, &r[i]);
    }
    int most = 0, copies = 0;
    while (ndl_scheduler_pending(s) > 0) {
        const ndl_scheduler_batch b = step(s, 1);
        if (b.n_ops > most) most = b.n_ops;
        copies += count_ops(&b, NDL_PAGE_COPY);
    }
    assert_true(most <= ndl_scheduler_max_ops(&config) && most >= 16);
    assert_true(copies >= 1);
    assert_int_equal(ndl_scheduler_count(s).pages.miss_tokens, 16 * P + 39);
    ndl_scheduler_destroy(&s);
}

/* Two prompts that are alike only further on: a third request has left the
 * beginning of the younger one. */
static void prompt_with_other_ids_before_is_not_waited_for(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 3,
                                                    .n_slots = 2,
                                                    .n_groups = 1,
                                                    .max_rows = 400,
                                                    .context = 2 * P });
    int32_t first[200], second[200];
    for (int k = 0; k < 200; k++) {
        first[k] = k < 40 ? k : 100 + k;
        second[k] = k < 40 ? 1000 + k : 100 + k;
    }
    const ndl_request left = { .prompt = second, .n_prompt = 40 };
    const ndl_request a = { .prompt = first, .n_prompt = 200, .max_new = 2 };
    const ndl_request z = { .prompt = second, .n_prompt = 200, .max_new = 2 };
    ndl_scheduler_submit(s, &left);
    step(s, 1);
    ndl_scheduler_submit(s, &a);
    ndl_scheduler_submit(s, &z);
    const ndl_scheduler_batch b = step(s, 1);
    assert_int_equal(b.n_seqs, 2);
    assert_int_equal(b.seqs[1].pos, 40);
    ndl_scheduler_destroy(&s);
}

/* How many of two requests run beside each other.
 * The first has run its prompt by then. */
static int running_beside(const ndl_request *a, const ndl_request *z,
                          int n_pages, int context)
{
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_groups = 1,
                                                    .n_pages = n_pages,
                                                    .max_rows = 1000,
                                                    .context = context });
    ndl_scheduler_submit(s, a);
    step(s, 1);
    ndl_scheduler_submit(s, z);
    step(s, 1);
    const int n = ndl_scheduler_count(s).n_running;
    assert_int_equal(ndl_scheduler_count(s).n_waiting, 2 - n);
    ndl_scheduler_destroy(&s);
    return n;
}

static void request_waits_for_pages_that_others_hold(void **state)
{
    (void)state;
    const ndl_request a = { .prompt = ids,
                            .n_prompt = 2 * P - 9,
                            .max_new = 9 };
    ndl_request z = { .prompt = counted, .n_prompt = P + 1, .max_new = 9 };
    assert_int_equal(running_beside(&a, &z, 3, 3 * P), 1);
    z.n_prompt = P - 9;
    assert_int_equal(running_beside(&a, &z, 3, 3 * P), 2);
}

static void running_sequences_that_grow_have_a_reserve(void **state)
{
    (void)state;
    ndl_request a = { .prompt = ids, .n_prompt = 9, .max_new = P };
    const ndl_request z = { .prompt = counted, .n_prompt = 9, .max_new = 9 };
    assert_int_equal(running_beside(&a, &z, 2, 2 * P), 1);
    a.max_new = 9;
    assert_int_equal(running_beside(&a, &z, 2, 2 * P), 2);
}

static void shared_pages_need_not_be_there_twice(void **state)
{
    (void)state;
    ndl_request a = { .prompt = counted, .n_prompt = 2 * P + 20, .max_new = 9 };
    ndl_request z = a;
    assert_int_equal(running_beside(&a, &z, 4, 3 * P), 2);
    z.want_logits = true;
    assert_int_equal(running_beside(&a, &z, 4, 3 * P), 1);
}

/* Of four pages, one that has ended has left two and another holds two: who
 * begins like the former finds its two, but then there are no others. */
static void kept_pages_are_not_counted_twice(void **state)
{
    (void)state;
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 3,
                                                    .n_slots = 2,
                                                    .n_groups = 1,
                                                    .n_pages = 4,
                                                    .max_rows = 1000,
                                                    .context = 3 * P });
    const ndl_request left = { .prompt = counted, .n_prompt = 2 * P };
    const ndl_request a = { .prompt = ids, .n_prompt = P + 9, .max_new = 9 };
    const ndl_request z = { .prompt = counted,
                            .n_prompt = 2 * P + 9,
                            .max_new = 9 };
    ndl_scheduler_submit(s, &left);
    ndl_scheduler_submit(s, &a);
    step(s, 1);
    step(s, 1);
    assert_int_equal(ndl_scheduler_count(s).pages.n_kept, 2);
    assert_int_equal(ndl_scheduler_count(s).pages.n_used, 2);
    ndl_scheduler_submit(s, &z);
    step(s, 1);
    assert_int_equal(ndl_scheduler_count(s).n_waiting, 1);
    ndl_scheduler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            equal_beginnings_are_computed_once_even_at_the_same_time),
        cmocka_unit_test(nobody_waits_for_a_prompt_that_was_cancelled),
        cmocka_unit_test(youngest_gives_up_its_pages_and_comes_back),
        cmocka_unit_test(stopped_sequence_takes_its_token_and_samples_it_once),
        cmocka_unit_test(request_with_logits_is_never_stopped),
        cmocka_unit_test(operations_fit_a_batch_however_many_begin_alike),
        cmocka_unit_test(prompt_with_other_ids_before_is_not_waited_for),
        cmocka_unit_test(request_waits_for_pages_that_others_hold),
        cmocka_unit_test(running_sequences_that_grow_have_a_reserve),
        cmocka_unit_test(shared_pages_need_not_be_there_twice),
        cmocka_unit_test(kept_pages_are_not_counted_twice),
    };
    for (int i = 0; i < N_IDS + 64; i++) counted[i] = 1000 + i;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
