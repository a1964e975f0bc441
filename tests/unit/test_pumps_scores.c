/*
 * test_pumps_scores.c - the scores of a pipeline are those of one thread's
 * logits, to the bit, whatever the split; and what nobody asked for is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"
#include "kernels.h"
#include "noodle/divergence.h"
#include "pump_world.h"

enum { N_TEXTS = 5, LENGTH = 37, N_SCORED = 11, FROM = LENGTH - N_SCORED };

static test_folder folder;
static char path[2][320], logits[320];
static int32_t prompt[N_TEXTS * LENGTH];
static ndl_request requests[N_TEXTS];
static float *truth[2][N_TEXTS]; /* (LENGTH, V) of both models */
static ndl_wire_score got[N_TEXTS][N_SCORED];
static int n_got;
static world w;

static int make_toys(void **state)
{
    (void)state;
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(logits, sizeof logits, "%s", test_folder_at(&folder, "x.npy"));
    toy_prompt(5, prompt, N_TEXTS * LENGTH);
    for (int i = 0; i < N_TEXTS; i++)
        requests[i] = (ndl_request){ .prompt = prompt + i * LENGTH,
                                     .n_prompt = LENGTH,
                                     .score_from = FROM,
                                     .logits_row = i * N_SCORED - (FROM - 1) };
    for (int m = 0; m < 2; m++) {
        const toy_how how = { toys[m].kv_types, ndl_cpu_flags() };
        snprintf(path[m], sizeof path[m], "%s",
                 test_folder_at(&folder, toys[m].name));
        assert_int_equal(toy_write(m, path[m]), NDL_OK);
        for (int i = 0; i < N_TEXTS; i++)
            assert_int_equal(toy_logits(path[m], how, requests[i].prompt,
                                        LENGTH, &truth[m][i]),
                             NDL_OK);
    }
    return 0;
}

static int remove_toys(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < N_TEXTS; i++) free(truth[m][i]);
    return test_folder_remove(&folder);
}

static void on_score(void *arg, const ndl_wire_score *s)
{
    (void)arg;
    assert_true(s->sequence < N_TEXTS);
    assert_in_range(s->pos, FROM, LENGTH - 1);
    got[s->sequence][s->pos - FROM] = *s;
    n_got++;
}

static world_setup setup_of(int model, int n_stages)
{
    world_setup s = { .weights = path[model],
                      .n_stages = n_stages,
                      .n_slots = 3,
                      .max_rows = 19,
                      .context = LENGTH,
                      .n_threads = 1,
                      .kv_types = toys[model].kv_types,
                      .cpu_flags = ndl_cpu_flags(),
                      .latency_sec = 1e-5,
                      .compute_sec = 1e-4,
                      .eager_bytes = 4096,
                      .requests = requests,
                      .n_requests = N_TEXTS,
                      .logits = logits,
                      .on_score = on_score };
    for (int i = 0; i < n_stages; i++) s.blocks[i] = TOY_BLOCKS / n_stages;
    s.blocks[0] += TOY_BLOCKS % n_stages;
    return s;
}

static void run_pass(int model, int n_stages, bool compare)
{
    world_setup s = setup_of(model, n_stages);
    s.compare = compare;
    n_got = 0;
    memset(got, 0, sizeof got);
    world_open(&w, &s);
    assert_int_equal(world_run(&w, 100.0), NDL_OK);
    world_close(&w);
    assert_int_equal(n_got, N_TEXTS * N_SCORED);
}

/* Row that scores token k of those that count. */
static const float *row_of(int model, int text, int k)
{
    return truth[model][text] + (size_t)(FROM - 1 + k) * (size_t)toy_vocab();
}

static void check_probabilities(int model)
{
    for (int i = 0; i < N_TEXTS; i++)
        for (int k = 0; k < N_SCORED; k++) {
            const float *row = row_of(model, i, k);
            const double log_p =
                (double)row[requests[i].prompt[FROM + k]] -
                ndl_divergence_log_sum(row, (size_t)toy_vocab());
            assert_true(got[i][k].log_p == log_p);
        }
}

static void scores_are_those_of_one_thread(void **state)
{
    (void)state;
    for (int n = 1; n <= WORLD_STAGES; n++) {
        run_pass(0, n, false);
        check_probabilities(0);
        for (int i = 0; i < N_TEXTS; i++)
            for (int k = 0; k < N_SCORED; k++)
                assert_true(got[i][k].divergence == 0.0);
    }
}

static void comparison_with_another_model_is_exact(void **state)
{
    (void)state;
    bool differs = false;
    for (int n = 1; n <= WORLD_STAGES; n++) {
        run_pass(0, n, false);
        run_pass(1, WORLD_STAGES + 1 - n, true);
        check_probabilities(1);
        for (int i = 0; i < N_TEXTS; i++)
            for (int k = 0; k < N_SCORED; k++) {
                const ndl_divergence d = ndl_divergence_of(
                    row_of(0, i, k), row_of(1, i, k), (size_t)toy_vocab());
                assert_true(got[i][k].divergence == d.kl);
                assert_true(got[i][k].max_diff == d.max_diff);
                assert_int_equal(got[i][k].same_top, d.same_top);
                differs = differs || d.kl > 1e-3;
            }
        /* What was compared with is gone. */
        assert_int_equal(access(logits, F_OK), -1);
    }
    assert_true(differs);
}

/* ---- Rank 0 gets scores: the test plays the only stage ---- */

typedef struct scores_message {
    _Alignas(64) ndl_wire_batch head;
    ndl_wire_score score;
} scores_message;

static void answer(uint64_t sequence, uint32_t pos)
{
    static _Alignas(64) unsigned char bytes[4096];
    world_setup s = setup_of(0, 1);
    s.no_stage[0] = true;
    world_open(&w, &s);
    world_receive(&w, 0, 1, NDL_TAG_BATCH, bytes, sizeof bytes, 1.0);
    const ndl_wire_batch *b = (const ndl_wire_batch *)(void *)bytes;
    const scores_message m = {
        .head = { .magic = NDL_WIRE_MAGIC,
                  .kind = NDL_BATCH_ROWS,
                  .batch_id = b->batch_id,
                  .n_rows = 1 },
        .score = { .sequence = sequence, .pos = pos, .log_p = -1.0 }
    };
    n_got = 0;
    world_send(&w, 1, 0, NDL_TAG_TOKENS, &m, sizeof m.head + sizeof m.score);
    for (int i = 0; i < 50; i++) world_turn(&w);
}

static void score_that_nobody_asked_for_is_a_fault(void **state)
{
    (void)state;
    static const struct {
        uint64_t sequence;
        uint32_t pos;
    } bad[] = { { N_TEXTS, FROM },
                { UINT64_MAX, FROM },
                { 0, FROM - 1 },
                { 0, LENGTH },
                { 0, INT32_MAX } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        answer(bad[i].sequence, bad[i].pos);
        assert_int_equal(n_got, 0);
        assert_int_equal(world_run(&w, 10.0), NDL_EPROTO);
        assert_non_null(strstr(ndl_status_message(), "bad tokens"));
        world_close(&w);
    }
    answer(0, FROM); /* all else was right */
    assert_int_equal(n_got, 1);
    world_close(&w);
}

/* ---- The last stage gets targets: the test plays rank 0 ---- */

typedef struct batch_message {
    _Alignas(64) ndl_wire_batch head;
    ndl_wire_seq seq;
    ndl_wire_op ops[4];
    int32_t ids[2], targets[2];
} batch_message;

static void expect_fault(int32_t target, bool scores, const char *says)
{
    world_setup s = setup_of(0, 1);
    ndl_wire_report report;
    batch_message m = {
        .head = { .magic = NDL_WIRE_MAGIC,
                  .kind = NDL_BATCH_ROWS,
                  .batch_id = 1,
                  .n_rows = 2,
                  .n_seqs = 1,
                  .row_bytes = scores ? 8 : 4,
                  .n_ops = 1 },
        .ops = { { .kind = NDL_OP_MAP } },
        .seq = { .n_rows = 2, .flags = NDL_SEQ_SCORE, .top_p = 1.0f },
        .targets = { -1, target }
    };
    const size_t len = offsetof(batch_message, ids) + 2 * m.head.row_bytes;
    s.no_coordinator = true;
    if (!scores) s.on_score = NULL;
    world_open(&w, &s);
    world_send(&w, 0, 1, NDL_TAG_BATCH, &m, len);
    world_receive(&w, 1, 0, NDL_TAG_REPORT, &report, sizeof report, 1.0);
    assert_int_equal(report.kind, NDL_REPORT_FAULT);
    assert_int_equal(report.status, NDL_EPROTO);
    if (!strstr(report.text, says))
        fail_msg("\"%s\" is not in: %s", says, report.text);
    const ndl_wire_order leave = { NDL_WIRE_MAGIC, NDL_ORDER_ABORT, NDL_EPROTO,
                                   0 };
    world_send(&w, 0, 1, NDL_TAG_ORDER, &leave, sizeof leave);
    for (int i = 0; i < 1000 && !w.has_left[0]; i++) world_turn(&w);
    assert_true(w.has_left[0]);
    world_close(&w);
}

static void target_that_is_no_token_is_a_fault(void **state)
{
    (void)state;
    expect_fault(toy_vocab(), true, "to score");
    expect_fault(INT32_MAX, true, "to score");
    expect_fault(0, false, "in a job that does not");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_one_thread),
        cmocka_unit_test(comparison_with_another_model_is_exact),
        cmocka_unit_test(score_that_nobody_asked_for_is_a_fault),
        cmocka_unit_test(target_that_is_no_token_is_a_fault),
    };
    return cmocka_run_group_tests(tests, make_toys, remove_toys);
}
