/* test_scheduler_steps.c - what the scheduler makes of measured times: how
 * many rows of a prompt go into a step, and how many steps are in flight. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fake_cadence.h"
#include "scheduler_drive.h"

enum { N_IDS = 4000 };

static const int32_t ids[N_IDS];

static int three_groups(int n_decoding)
{
    return n_decoding < 3 ? n_decoding : 3;
}

static ndl_scheduler *make_timed(int n_stages, int window, double stall_sec)
{
    return make((ndl_scheduler_config){ .max_requests = 16,
                                        .n_slots = 8,
                                        .n_stages = n_stages,
                                        .window = window,
                                        .max_rows = 256,
                                        .context = 4096,
                                        .stall_sec = stall_sec,
                                        .no_reuse = true });
}

static double sec_of(const ndl_scheduler_batch *b)
{
    ndl_cadence_load load = { 0 };
    for (int i = 0; i < b->n_seqs; i++) {
        const ndl_scheduler_rows *r = &b->seqs[i];
        const double n = r->n_rows;
        if (r->n_rows == 1 && r->sample) {
            load.decode_rows++;
            continue;
        }
        load.prompt_rows += r->n_rows;
        load.prompt_keys += n * r->pos + n * (n + 1) / 2;
    }
    return ndl_cadence_step_sec(NULL, &load);
}

static const ndl_request writes = { .prompt = ids,
                                    .n_prompt = 1,
                                    .max_new = 3000 };

/* n sequences that write on and on, and a prompt beside them. */
static void begin(ndl_scheduler *s, int n, const ndl_request *prompt)
{
    for (int i = 0; i < n; i++) ndl_scheduler_submit(s, &writes);
    step(s, 0);
    ndl_scheduler_submit(s, prompt);
}

/* The next batch takes `sec` in every stage. */
static void step_taking(ndl_scheduler *s, double sec)
{
    step_timed(s, 0, &(ndl_cadence_times){ sec, sec, sec });
}

/* The four texts go, and until they are back no row of a prompt. */
static void check_texts_go_alone(ndl_scheduler *s)
{
    ndl_scheduler_batch b;
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_seqs, 4);
    assert_int_equal(b.n_rows, 4);
    assert_false(ndl_scheduler_next(s, &b));
}

static void later_chunks_are_smaller_so_that_all_take_as_long(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.1, .row_sec = 0.01, .key_sec = 1e-5 };
    const ndl_request r = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(2, 100, 0);
    ndl_scheduler_batch b, before = { .n_rows = 257 };
    ndl_scheduler_submit(s, &r);
    double first = 0;
    int sum = 0, n = 0, sizes[100];
    while (ndl_scheduler_next(s, &b)) {
        const double sec = sec_of(&b);
        if (n == 0) first = sec;
        assert_true(sec <= first * 1.0001);
        assert_true(b.n_rows <= before.n_rows);
        sum += sizes[n++] = b.n_rows;
        before = b;
        /* But for the last two, which even out. */
        if (sum < 2500) assert_true(sec > first * 0.99);
    }
    assert_int_equal(sizes[0], 256);
    assert_int_equal(sum, 3000);
    assert_true(sizes[n - 2] - sizes[n - 1] <= 1);
    ndl_scheduler_destroy(&s);
}

static void alone_on_one_stage_chunks_are_even(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.1, .row_sec = 0.01, .key_sec = 1e-5 };
    const ndl_request r = { .prompt = ids, .n_prompt = 1000 };
    ndl_scheduler *s = make_timed(1, 100, 0);
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &r);
    for (int i = 0; i < 4; i++) {
        assert_true(ndl_scheduler_next(s, &b));
        assert_int_equal(b.n_rows, 250);
    }
    ndl_scheduler_destroy(&s);
}

/* Rows of the prompt in the first step beside four decode rows, when steps came
 * back every `apart` seconds. */
static int rows_beside(int n_stages, double stall_sec, double apart)
{
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(n_stages, 8, stall_sec);
    ndl_scheduler_batch b;
    for (int i = 0; i < 4; i++) ndl_scheduler_submit(s, &writes);
    for (int i = 0; i < 100; i++) step_taking(s, apart);
    ndl_scheduler_submit(s, &prompt);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_seqs, 5);
    ndl_scheduler_destroy(&s);
    return b.n_rows - 4;
}

static void step_with_prompt_rows_takes_twice_as_long_as_without(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    assert_int_equal(rows_beside(1, 0, 0.5), 54);
    assert_int_equal(rows_beside(3, 0, 0.5), 54);
}

static void stall_is_shared_by_the_steps_in_flight(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    /* All but a twentieth of it. */
    assert_int_equal(rows_beside(1, 1.04 / 0.95, 0), 50);
    assert_int_equal(rows_beside(2, 2.08 / 0.95, 1.05), 50);
    assert_int_equal(rows_beside(4, 4.16 / 0.95, 1.05), 50);
    assert_int_equal(rows_beside(4, INFINITY, 0), 250); /* 3000 in 12 */
}

/* Four batches that go at once into four stages: the last one waits for three
 * steps of the first stage and takes four of its own.  If steps came back every
 * 0.4 s, it waits for what each takes longer than that. */
static void steps_are_shorter_while_the_pipeline_fills(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    assert_int_equal(rows_beside(4, 7 * 1.04 / 0.95, 0), 50);
    assert_int_equal(rows_beside(4, (7 * 1.04 - 3 * 0.4) / 0.95, 0.4), 50);
}

/* How long prompts take by themselves, or what nobody has measured, does not
 * tell how often texts come back. */
static void steps_without_texts_do_not_fill_the_pipeline(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(4, 8, 7 * 1.04 / 0.95);
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &prompt);
    while (!ndl_scheduler_is_finished(s, 0)) step_taking(s, 9.0);
    begin(s, 4, &prompt);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_rows, 4 + 50);
    ndl_scheduler_destroy(&s);
}

static void prompts_get_on_however_short_the_stall(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    assert_int_equal(rows_beside(2, 1e-9, 0.5), 8);
}

/* What nobody foretold is taken off before. */
static void stall_has_room_for_steps_that_are_late(void **state)
{
    (void)state;
    fake = (fake_times){
        .step_sec = 0.5, .row_sec = 0.01, .worst = 1.25, .decode_sec = 0.54
    };
    assert_int_equal(rows_beside(2, 1.25 * 2.08 / 0.95, 1.05), 50);
    assert_int_equal(rows_beside(2, 0, 0.5), 54);
}

/* Row 2000 sees so many keys that it takes 0.05 s. */
static void rows_behind_many_keys_do_not_break_a_stall(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .key_sec = 2e-5 };
    fake.decode_sec = 0.54;
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    for (int is_told = 0; is_told < 2; is_told++) {
        ndl_scheduler *s = make_timed(1, 8, is_told ? 1e-9 : 0);
        begin(s, 4, &prompt);
        int rows = 0;
        for (int pos = 0; pos < 2000; pos += rows) rows = step(s, 1).n_rows - 4;
        /* A quarter of 0.54 s at most. */
        assert_int_equal(rows, is_told ? 2 : 10);
        ndl_scheduler_destroy(&s);
    }
}

/* Of the 54 rows that the step has room for, a prompt takes 50: what is left
 * is not worth a chunk of the next one. */
static void second_prompt_gets_no_crumbs(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    const ndl_request first = { .prompt = ids, .n_prompt = 50, .max_new = 2 };
    const ndl_request next = { .prompt = ids, .n_prompt = 100, .max_new = 2 };
    ndl_scheduler *s = make_timed(1, 8, 0);
    ndl_scheduler_batch b;
    begin(s, 4, &first);
    ndl_scheduler_submit(s, &next);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_seqs, 5);
    assert_int_equal(b.n_rows, 54);
    ndl_scheduler_destroy(&s);
}

/* The younger one writes in every batch, and in time takes a page that the
 * prompt of the older one was to have. */
static void oldest_gets_its_page_though_others_are_in_every_batch(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.51 };
    const ndl_request a = { .prompt = ids, .n_prompt = 2950, .max_new = 1 };
    const ndl_request z = { .prompt = ids + 3000,
                            .n_prompt = 5,
                            .max_new = 2000 };
    ndl_scheduler *s =
        make((ndl_scheduler_config){ .max_requests = 2,
                                     .n_groups = 1,
                                     .n_pages = 13,
                                     .max_rows = 300,
                                     .context = 12 * NDL_PAGE_POSITIONS,
                                     .stall_sec = 1e-9 });
    ndl_scheduler_submit(s, &a);
    ndl_scheduler_submit(s, &z);
    for (int i = 0; !ndl_scheduler_is_finished(s, 0); i++) {
        assert_true(i < 400);
        step(s, i);
    }
    assert_int_equal(ndl_scheduler_count(s).preemptions, 1);
    ndl_scheduler_destroy(&s);
}

/* A stall is a number of rows only when a step without prompts was seen; what
 * goes before it could make the second token of each text late. */
static void first_decode_rows_go_without_prompts(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(3, 8, 1.0);
    begin(s, 4, &prompt);
    check_texts_go_alone(s);
    ndl_scheduler_destroy(&s);
}

/* The beginning of a long prompt is with the texts' own prompts. */
static void no_chunk_goes_between_first_and_second_token(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01 };
    const ndl_request text = { .prompt = ids, .n_prompt = 4, .max_new = 9 };
    const ndl_request prompt = { .prompt = ids + 9, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(2, 8, 1.0);
    ndl_scheduler_batch b;
    for (int i = 0; i < 4; i++) ndl_scheduler_submit(s, &text);
    ndl_scheduler_submit(s, &prompt);
    assert_true(ndl_scheduler_next(s, &b));
    assert_int_equal(b.n_seqs, 5);
    assert_false(ndl_scheduler_next(s, &b));
    for (int i = 0; i < 4; i++) ndl_scheduler_token(s, i, 0);
    done(s, b.id);
    check_texts_go_alone(s);
    ndl_scheduler_destroy(&s);
}

/* Texts that all end with their first token show no step to wait for. */
static void what_is_never_seen_is_not_waited_for(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01 };
    static const int32_t end = 7;
    const ndl_request ends = {
        .prompt = ids, .n_prompt = 250, .max_new = 9, .eos = &end, .n_eos = 1
    };
    ndl_scheduler *s = make_timed(2, 3, 1.0);
    ndl_scheduler_batch b;
    for (int i = 0; i < 16; i++) ndl_scheduler_submit(s, &ends);
    for (int i = 0; i < 4; i++) step(s, end);
    assert_true(ndl_scheduler_next(s, &b));
    assert_true(ndl_scheduler_next(s, &b));
    ndl_scheduler_destroy(&s);
}

/* Nor is anything told by texts of one token. */
static void texts_of_one_token_tell_of_no_step(void **state)
{
    (void)state;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01 };
    const ndl_request one = { .prompt = ids, .n_prompt = 250, .max_new = 1 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(2, 3, 1.0);
    for (int i = 0; i < 8; i++) ndl_scheduler_submit(s, &one);
    for (int i = 0; i < 8; i++) step(s, 0);
    begin(s, 4, &prompt);
    check_texts_go_alone(s);
    ndl_scheduler_destroy(&s);
}

/* The older one has all pages but one and is at its prompt; the younger one
 * begins alike, and needs a second page for the first step without prompts. */
static void a_text_without_a_page_does_not_wait_for_itself(void **state)
{
    (void)state;
    enum { PAGE = NDL_PAGE_POSITIONS, ALIKE = PAGE - 50 };
    static int32_t other[PAGE];
    for (int i = ALIKE; i < PAGE; i++) other[i] = i;
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01 };
    const ndl_request a = { .prompt = ids, .n_prompt = 910, .max_new = 1 };
    const ndl_request z = { .prompt = other, .n_prompt = PAGE, .max_new = 10 };
    ndl_scheduler *s = make((ndl_scheduler_config){ .max_requests = 2,
                                                    .n_pages = 5,
                                                    .window = 2,
                                                    .max_rows = 100,
                                                    .context = 5 * PAGE });
    ndl_scheduler_submit(s, &a);
    ndl_scheduler_submit(s, &z);
    assert_true(run_out(s) > 10);
    ndl_scheduler_destroy(&s);
}

/* One is at its last token when the other is not: that one is soon to follow,
 * not to come back first. */
static void last_tokens_hold_up_no_other_text(void **state)
{
    (void)state;
    fake = (fake_times){ .decode_sec = 1, .groups = three_groups };
    const ndl_request ends = { .prompt = ids, .n_prompt = 1, .max_new = 2 };
    const ndl_request goes_on = { .prompt = ids, .n_prompt = 1, .max_new = 9 };
    ndl_scheduler *s = make_timed(2, 8, 0);
    ndl_scheduler_batch b;
    ndl_scheduler_submit(s, &ends);
    ndl_scheduler_submit(s, &goes_on);
    step(s, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(ndl_scheduler_next(s, &b));
        assert_int_equal(b.n_rows, 1);
        assert_int_equal(b.seqs[0].request, i);
    }
    assert_false(ndl_scheduler_next(s, &b));
    ndl_scheduler_destroy(&s);
}

/* Times that nobody tells are not waited for for ever: no limit then. */
static void what_stays_unknown_sets_no_limit(void **state)
{
    (void)state;
    fake = (fake_times){ 0 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(1, 3, 0);
    begin(s, 4, &prompt);
    for (int i = 0; i < 3; i++) assert_int_equal(step(s, 1).n_rows, 4);
    assert_int_equal(step(s, 1).n_rows, 254); /* 3000 in 12 */
    ndl_scheduler_destroy(&s);
}

/* Each step with prompt rows that is in flight is one to wait for. */
static int batches_beside(double stall_sec, double most_sec)
{
    fake = (fake_times){ .step_sec = 0.5, .row_sec = 0.01, .decode_sec = 0.54 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 3000 };
    ndl_scheduler *s = make_timed(3, 10, stall_sec);
    ndl_scheduler_batch b;
    begin(s, 4, &prompt);
    int n = 0, decodes = 0;
    for (; ndl_scheduler_next(s, &b); n++) {
        decodes += b.n_seqs == 5;
        assert_true(sec_of(&b) <= most_sec + 1e-9);
    }
    assert_int_equal(decodes, 1);
    ndl_scheduler_destroy(&s);
    return n;
}

static void prompts_fill_the_pipeline_and_not_the_window(void **state)
{
    (void)state;
    /* One a stage, and one that is there when a stage gets free. */
    assert_int_equal(batches_beside(0, 2 * 0.54), 4);
    assert_int_equal(batches_beside(4 * 1.10, 4 * 1.10 / 3), 4);
}

static void short_stalls_are_shared_by_as_few_as_there_are_stages(void **state)
{
    (void)state;
    assert_int_equal(batches_beside(4 * 1.06, 4 * 1.06 / 3), 3);
}

static void groups_are_as_many_as_pay(void **state)
{
    (void)state;
    fake = (fake_times){ .decode_sec = 1, .groups = three_groups };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 1, .max_new = 1 };
    ndl_scheduler *s = make_timed(4, 10, 0);
    ndl_scheduler_batch b;
    begin(s, 7, &prompt);
    static const int rows[3] = { 3 + 1, 2, 2 };
    for (int i = 0; i < 3; i++) {
        assert_true(ndl_scheduler_next(s, &b));
        assert_int_equal(b.n_rows, rows[i]);
    }
    assert_false(ndl_scheduler_next(s, &b));
    assert_int_equal(ndl_scheduler_count(s).n_groups, 3);
    ndl_scheduler_destroy(&s);
}

static void measured_steps_are_told_with_what_they_carried(void **state)
{
    (void)state;
    fake = (fake_times){ .decode_sec = 1 };
    const ndl_request prompt = { .prompt = ids, .n_prompt = 300 };
    const ndl_cadence_times times = { 1, 2, 3 };
    const int *ended;
    ndl_scheduler *s = make_timed(1, 10, 0);
    ndl_scheduler_batch b, c;
    begin(s, 4, &prompt);
    assert_int_equal(fake.n_learnt, 0); /* the time was not known */
    assert_true(ndl_scheduler_next(s, &b));
    for (int i = 0; i < 4; i++) ndl_scheduler_token(s, i, 0);
    ndl_scheduler_done(s, b.id, &times, &ended);
    assert_int_equal(fake.n_learnt, 1);
    assert_int_equal(fake.learnt.decode_rows, 4);
    assert_int_equal(fake.learnt.prompt_rows, 150);
    assert_true(fake.learnt.prompt_keys == 150 * 151 / 2);
    assert_true(ndl_scheduler_next(s, &c));
    for (int i = 0; i < 4; i++) ndl_scheduler_token(s, i, 0);
    ndl_scheduler_done(s, c.id, &times, &ended);
    assert_true(fake.learnt.prompt_keys == 150 * 150 + 150 * 151 / 2);
    ndl_scheduler_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_chunks_are_smaller_so_that_all_take_as_long),
        cmocka_unit_test(alone_on_one_stage_chunks_are_even),
        cmocka_unit_test(step_with_prompt_rows_takes_twice_as_long_as_without),
        cmocka_unit_test(stall_is_shared_by_the_steps_in_flight),
        cmocka_unit_test(steps_are_shorter_while_the_pipeline_fills),
        cmocka_unit_test(steps_without_texts_do_not_fill_the_pipeline),
        cmocka_unit_test(prompts_get_on_however_short_the_stall),
        cmocka_unit_test(stall_has_room_for_steps_that_are_late),
        cmocka_unit_test(rows_behind_many_keys_do_not_break_a_stall),
        cmocka_unit_test(second_prompt_gets_no_crumbs),
        cmocka_unit_test(oldest_gets_its_page_though_others_are_in_every_batch),
        cmocka_unit_test(first_decode_rows_go_without_prompts),
        cmocka_unit_test(no_chunk_goes_between_first_and_second_token),
        cmocka_unit_test(what_is_never_seen_is_not_waited_for),
        cmocka_unit_test(texts_of_one_token_tell_of_no_step),
        cmocka_unit_test(a_text_without_a_page_does_not_wait_for_itself),
        cmocka_unit_test(last_tokens_hold_up_no_other_text),
        cmocka_unit_test(what_stays_unknown_sets_no_limit),
        cmocka_unit_test(prompts_fill_the_pipeline_and_not_the_window),
        cmocka_unit_test(short_stalls_are_shared_by_as_few_as_there_are_stages),
        cmocka_unit_test(groups_are_as_many_as_pay),
        cmocka_unit_test(measured_steps_are_told_with_what_they_carried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
