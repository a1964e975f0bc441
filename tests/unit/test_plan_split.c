/* test_plan.c - plans are as good as can be, fit, and say why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/plan_split.h"

enum { MAX_RANKS = 6, N_INSTANCES = 3000 };

static void make_ranks(ndl_plan_rank *ranks, int n, uint64_t free_bytes)
{
    for (int i = 0; i < n; i++) {
        ranks[i] = (ndl_plan_rank){ .rank = 10 + i,
                                    .free_bytes = free_bytes,
                                    .n_threads = 1 + i };
        snprintf(ranks[i].host, sizeof ranks[i].host, "node%d", i);
    }
}

/* Bytes equal to parameters, nothing but weights. */
static const ndl_plan_costs plain = { .n_blocks = 8,
                                      .block_params = 100,
                                      .head_params = 40,
                                      .embed_params = 30,
                                      .block_bytes = 100,
                                      .embed_bytes = 30,
                                      .head_bytes = 40 };

/* ---- The truth for a few layers: every contiguous split is tried. ---- */

typedef struct stage_need {
    int64_t work;
    uint64_t bytes;
} stage_need;

/* Items first .. first + n - 1 of n_blocks blocks and the head. */
static stage_need need_of(const ndl_plan_costs *c, int first, int n)
{
    const bool head = first + n == c->n_blocks + 1;
    const int blocks = n - head;
    stage_need s = { blocks * c->block_params,
                     (uint64_t)blocks * (c->block_bytes + c->kv_bytes) +
                         c->buffer_bytes };
    if (head) {
        s.work += c->head_params;
        s.bytes += c->head_bytes + c->logits_bytes;
    }
    if (first == 0) s.bytes += c->embed_bytes;
    if (first == 0 && head) s.bytes -= c->shared_bytes;
    return s;
}

/* Least possible work of the largest stage; -1 if nothing fits. */
static int64_t least_bottleneck(const ndl_plan_costs *c,
                                const ndl_plan_rank *ranks, int n_ranks,
                                int first)
{
    const int left = c->n_blocks + 1 - first;
    int64_t best = -1;
    if (left == 0) return 0;
    if (n_ranks == 0) return -1;
    for (int n = 0; n <= left; n++) {
        const stage_need s = n ? need_of(c, first, n) : (stage_need){ 0, 0 };
        if (s.bytes > ranks[0].free_bytes) continue;
        int64_t all = least_bottleneck(c, ranks + 1, n_ranks - 1, first + n);
        if (all < 0) continue;
        if (s.work > all) all = s.work;
        if (best < 0 || all < best) best = all;
    }
    return best;
}

/* Is it a split of the whole model over these ranks, within their memory?
 * Returns the work of its largest stage. */
static int64_t check_plan(const ndl_plan *p, const ndl_plan_costs *c,
                          const ndl_plan_rank *ranks, int n_ranks)
{
    int first = 0, at = -1;
    int64_t largest = 0;
    assert_in_range(p->n_stages, 1, n_ranks);
    assert_int_equal(p->n_idle, n_ranks - p->n_stages);
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan_stage *s = &p->stages[i];
        const bool head = i == p->n_stages - 1;
        const stage_need need = need_of(c, first, s->n_layers + head);
        do at++;
        while (at < n_ranks && ranks[at].rank != s->rank);
        assert_true(at < n_ranks); /* in rank order, none twice */
        assert_int_equal(s->first_layer, first);
        assert_true(s->n_layers + head > 0);
        assert_int_equal(s->embed, i == 0);
        assert_int_equal(s->head, head);
        assert_int_equal(s->weight_bytes + s->kv_bytes + s->buffer_bytes,
                         need.bytes);
        assert_true(need.bytes <= ranks[at].free_bytes);
        assert_int_equal(s->free_bytes, ranks[at].free_bytes);
        assert_int_equal(s->n_threads, ranks[at].n_threads);
        assert_string_equal(s->host, ranks[at].host);
        int64_t params = need.work + (s->embed ? c->embed_params : 0);
        if (s->embed && s->head) params -= c->shared_params;
        assert_int_equal(s->params, params);
        if (need.work > largest) largest = need.work;
        first += s->n_layers;
    }
    assert_int_equal(first, c->n_blocks);
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan_stage *s = &p->stages[i];
        const int64_t work =
            s->n_layers * c->block_params + (s->head ? c->head_params : 0);
        assert_int_equal(strstr(s->why, "bottleneck") != NULL, work == largest);
        assert_int_equal(strstr(s->why, "embedding") != NULL, s->embed);
        assert_int_equal(strstr(s->why, "head") != NULL, s->head);
    }
    return largest;
}

static ndl_plan_costs random_costs(void)
{
    ndl_plan_costs c = { .n_blocks = between(1, 7),
                         .block_params = between(1, 20),
                         .head_params = between(1, 60),
                         .embed_params = between(1, 60),
                         .kv_bytes = (uint64_t)between(0, 15),
                         .buffer_bytes = (uint64_t)between(0, 5),
                         .logits_bytes = (uint64_t)between(0, 10) };
    c.block_bytes = (uint64_t)c.block_params;
    c.head_bytes = (uint64_t)c.head_params;
    c.embed_bytes = (uint64_t)c.embed_params;
    if (between(0, 1)) { /* tied */
        const int most = c.embed_params < c.head_params ? (int)c.embed_params
                                                        : (int)c.head_params;
        c.shared_params = between(0, most);
        c.shared_bytes = (uint64_t)c.shared_params;
    }
    return c;
}

static void equal_plan_is_as_good_as_the_best_of_all_splits(void **state)
{
    (void)state;
    const uint64_t seed = chance_seed(20240608);
    int n_fit = 0;
    for (int i = 0; i < N_INSTANCES; i++) {
        random_state = seed + (uint64_t)i * 1000003;
        const ndl_plan_costs c = random_costs();
        const int n = between(1, MAX_RANKS);
        const int whole = (int)need_of(&c, 0, c.n_blocks + 1).bytes;
        const bool tight = between(0, 2) > 0;
        ndl_plan_rank ranks[MAX_RANKS];
        make_ranks(ranks, n, 0);
        for (int r = 0; r < n; r++)
            ranks[r].free_bytes =
                (uint64_t)(tight ? between(0, 2 * whole / n + 20) : whole + 9);
        const int64_t best = least_bottleneck(&c, ranks, n, 0);
        ndl_plan p = { 0 };
        const ndl_status st = ndl_plan_equal(&p, &c, ranks, n);
        assert_int_equal(st, best < 0 ? NDL_EUNAVAIL : NDL_OK);
        if (best >= 0) {
            assert_int_equal(check_plan(&p, &c, ranks, n), best);
            n_fit++;
        }
        ndl_plan_fini(&p);
        ndl_status_clear();
    }
    assert_in_range(n_fit, N_INSTANCES / 4, N_INSTANCES - N_INSTANCES / 20);
}

static void more_ranks_than_layers_leaves_tail_idle(void **state)
{
    (void)state;
    ndl_plan_rank ranks[20];
    ndl_plan p = { 0 };
    make_ranks(ranks, 20, 1000);
    assert_int_equal(ndl_plan_equal(&p, &plain, ranks, 20), NDL_OK);
    assert_int_equal(p.n_stages, 9); /* 8 blocks and the head */
    assert_int_equal(p.n_idle, 11);
    check_plan(&p, &plain, ranks, 20);
    assert_int_equal(p.stages[8].rank, 18);
    ndl_plan_fini(&p);
    assert_null(p.stages);
}

static void rank_with_too_little_memory_stays_idle(void **state)
{
    (void)state;
    ndl_plan_rank ranks[3];
    ndl_plan p = { 0 };
    make_ranks(ranks, 3, 1000);
    ranks[1].free_bytes = 99;
    assert_int_equal(ndl_plan_equal(&p, &plain, ranks, 3), NDL_OK);
    assert_int_equal(p.n_stages, 2);
    assert_int_equal(p.stages[0].rank, 10);
    assert_int_equal(p.stages[1].rank, 12);
    check_plan(&p, &plain, ranks, 3);
    ndl_plan_fini(&p);
}

static void same_facts_give_the_same_plan(void **state)
{
    (void)state;
    ndl_plan_rank ranks[3];
    ndl_plan p = { 0 }, q = { 0 };
    make_ranks(ranks, 3, 1000);
    assert_int_equal(ndl_plan_equal(&p, &plain, ranks, 3), NDL_OK);
    assert_int_equal(ndl_plan_equal(&q, &plain, ranks, 3), NDL_OK);
    assert_int_equal(p.n_stages, q.n_stages);
    assert_memory_equal(p.stages, q.stages,
                        sizeof *p.stages * (size_t)p.n_stages);
    ndl_plan_fini(&p);
    ndl_plan_fini(&q);
}

/* A tied matrix is one piece of memory for a stage that has both ends. */
static void shared_matrix_counts_once_on_a_single_stage(void **state)
{
    (void)state;
    ndl_plan_costs c = plain;
    c.shared_params = 25;
    c.shared_bytes = 25;
    ndl_plan_rank ranks[2];
    ndl_plan p = { 0 };
    make_ranks(ranks, 2, 8 * 100 + 30 + 40 - 25);
    assert_int_equal(ndl_plan_equal(&p, &c, ranks, 1), NDL_OK);
    assert_int_equal(p.stages[0].params, 8 * 100 + 30 + 40 - 25);
    assert_int_equal(p.stages[0].weight_bytes, 8 * 100 + 30 + 40 - 25);
    ndl_plan_fini(&p);
    assert_int_equal(ndl_plan_split(&p, "8", &c, ranks, 1), NDL_OK);
    assert_int_equal(p.stages[0].weight_bytes, 8 * 100 + 30 + 40 - 25);
    ndl_plan_fini(&p);
    assert_int_equal(ndl_plan_split(&p, "4,4", &c, ranks, 2), NDL_OK);
    assert_int_equal(p.stages[0].weight_bytes, 430);
    assert_int_equal(p.stages[1].weight_bytes, 440);
    assert_int_equal(p.stages[1].params, 440);
    ndl_plan_fini(&p);
}

static void assert_says(const char *text)
{
    if (!strstr(ndl_status_message(), text))
        fail_msg("\"%s\" is not in: %s", text, ndl_status_message());
    ndl_status_clear();
}

static void model_that_does_not_fit_says_need_and_have(void **state)
{
    (void)state;
    ndl_plan_costs c = plain;
    c.kv_bytes = 50;
    c.buffer_bytes = 10;
    c.logits_bytes = 5;
    ndl_plan_rank ranks[2];
    ndl_plan p = { .n_idle = 77 };
    make_ranks(ranks, 2, 300);
    assert_int_equal(ndl_plan_equal(&p, &c, ranks, 2), NDL_EUNAVAIL);
    assert_int_equal(p.n_idle, 77);
    /* 8 * 150 + 30 + 40 + 5, and buffers on both ranks */
    assert_non_null(strstr(ndl_status_message(), "needs 1.3 KiB"));
    assert_non_null(strstr(ndl_status_message(), "400 B for the KV cache"));
    assert_says("2 ranks have 600 B free, at most 300 B each");
}

/* In sum there is enough, but no rank has room for its largest part. */
static void part_that_no_rank_can_hold_is_named(void **state)
{
    (void)state;
    ndl_plan_costs c = plain;
    c.head_bytes = 900;
    ndl_plan_rank ranks[3];
    ndl_plan p = { 0 };
    make_ranks(ranks, 3, 800);
    assert_int_equal(ndl_plan_equal(&p, &c, ranks, 3), NDL_EUNAVAIL);
    assert_says("at least 900 B in one place, and 3 ranks have 2.3 KiB free, "
                "at most 800 B each");
}

/* ---- --split ---- */

static void split_takes_the_blocks_that_it_is_given(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n, blocks[9];
    } cases[] = {
        { "8", 1, { 8 } },
        { "3,5", 2, { 3, 5 } },
        { "3,2,3", 3, { 3, 2, 3 } },
        { "8,0", 2, { 8, 0 } },
        { "1,1,1,1,1,1,1,1,0", 9, { 1, 1, 1, 1, 1, 1, 1, 1, 0 } },
        { "007,1", 2, { 7, 1 } },
    };
    ndl_plan_rank ranks[9];
    make_ranks(ranks, 9, 2000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ndl_plan p = { 0 };
        assert_int_equal(ndl_plan_split(&p, cases[i].text, &plain, ranks, 9),
                         NDL_OK);
        assert_int_equal(p.n_stages, cases[i].n);
        for (int k = 0; k < p.n_stages; k++)
            assert_int_equal(p.stages[k].n_layers, cases[i].blocks[k]);
        check_plan(&p, &plain, ranks, 9);
        ndl_plan_fini(&p);
    }
}

static void split_that_makes_no_sense_is_eusage(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "not a list" },
        { ",", "not a list" },
        { "8,", "not a list" },
        { ",8", "not a list" },
        { "4,,4", "not a list" },
        { "4;4", "not a list" },
        { "4 4", "not a list" },
        { " 8", "not a list" },
        { "4, 4", "not a list" },
        { "-1,9", "not a list" },
        { "+8", "not a list" },
        { "8x", "not a list" },
        { "x", "not a list" },
        { "4.0,4", "not a list" },
        { "0x8", "not a list" },
        { "99999999999999999999", "not a list" },
        { "0", "a stage of 0 blocks" },
        { "0,8", "a stage of 0 blocks" },
        { "4,0,4", "a stage of 0 blocks" },
        { "8,0,0", "a stage of 0 blocks" },
        { "9", "more than the model's 8 blocks" },
        { "5,4", "more than the model's 8 blocks" },
        { "2147483640,8", "not a list" },
        { "7", "adds up to 7 blocks" },
        { "3,4", "adds up to 7 blocks" },
        { "1,1,1,5", "more stages than the 3 ranks" },
        { "3,2,3,0", "more stages than the 3 ranks" },
    };
    ndl_plan_rank ranks[3];
    make_ranks(ranks, 3, 2000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ndl_plan p = { .n_idle = 77 };
        assert_int_equal(ndl_plan_split(&p, cases[i].text, &plain, ranks, 3),
                         NDL_EUSAGE);
        assert_int_equal(p.n_idle, 77);
        assert_non_null(strstr(ndl_status_message(), cases[i].text));
        assert_says(cases[i].says);
    }
}

static void split_must_fit_every_rank(void **state)
{
    (void)state;
    ndl_plan_rank ranks[2];
    ndl_plan p = { 0 };
    make_ranks(ranks, 2, 440);
    assert_int_equal(ndl_plan_split(&p, "4,4", &plain, ranks, 2), NDL_OK);
    ndl_plan_fini(&p);
    ranks[1].free_bytes = 439;
    assert_int_equal(ndl_plan_split(&p, "4,4", &plain, ranks, 2), NDL_EUNAVAIL);
    assert_says("stage 2 does not fit: it needs 440 B and rank 11 on node1 "
                "has 439 B free");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_plan_is_as_good_as_the_best_of_all_splits),
        cmocka_unit_test(more_ranks_than_layers_leaves_tail_idle),
        cmocka_unit_test(rank_with_too_little_memory_stays_idle),
        cmocka_unit_test(same_facts_give_the_same_plan),
        cmocka_unit_test(shared_matrix_counts_once_on_a_single_stage),
        cmocka_unit_test(model_that_does_not_fit_says_need_and_have),
        cmocka_unit_test(part_that_no_rank_can_hold_is_named),
        cmocka_unit_test(split_takes_the_blocks_that_it_is_given),
        cmocka_unit_test(split_that_makes_no_sense_is_eusage),
        cmocka_unit_test(split_must_fit_every_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
