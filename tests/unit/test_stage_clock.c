/* test_stage_clock.c - every moment of a stage belongs to one state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/run/stage_clock.h"
#include "noodle/message.h"

enum { BLOCKS = 3, MODEL_BLOCKS = 8, FIRST = 4 };

typedef struct kit {
    ndl_stage_clock clock;
    ndl_wire_step ring[NDL_STAGE_CLOCK_STEPS];
    ndl_layer_clock layers[BLOCKS + 2];
    _Alignas(64) unsigned char message[64 * 1024];
} kit;

static kit *fresh(void)
{
    static kit k;
    memset(&k, 0, sizeof k);
    k.clock.keeps = true;
    k.clock.ring = k.ring;
    k.clock.layers = k.layers;
    k.clock.first_layer = FIRST;
    k.clock.n_layers = BLOCKS;
    k.clock.n_model_layers = MODEL_BLOCKS;
    ndl_stage_clock_start(&k.clock, 100.0);
    return &k;
}

static const ndl_wire_steps *written(kit *k, size_t *len)
{
    *len = ndl_stage_clock_write(&k->clock, 1, k->message);
    assert_true(*len <= ndl_stage_clock_cap(&k->clock));
    assert_true(ndl_message_steps_is_valid(k->message, *len, MODEL_BLOCKS + 2));
    return (const void *)k->message;
}

static void times_of_a_step_are_those_of_its_states(void **state)
{
    (void)state;
    kit *k = fresh();
    size_t len = 0;
    ndl_stage_clock_to(&k->clock, NDL_STAGE_BUBBLE, 101.0);
    ndl_stage_clock_to(&k->clock, NDL_STAGE_RECEIVE, 103.0);
    ndl_stage_clock_to(&k->clock, NDL_STAGE_SEND, 103.5);
    ndl_stage_clock_to(&k->clock, NDL_STAGE_BUSY, 103.75);
    ndl_stage_clock_step(&k->clock, 7, 107.75);
    ndl_stage_clock_to(&k->clock, NDL_STAGE_BUSY, 108.0);
    ndl_stage_clock_step(&k->clock, 8, 109.0);
    assert_int_equal(written(k, &len)->n_steps, 2);
    const ndl_wire_step *s = ndl_message_steps(k->message);
    assert_int_equal(s[0].batch_id, 7);
    assert_true(s[0].bubble_sec == 2.0f && s[0].receive_sec == 0.5f);
    assert_true(s[0].send_sec == 0.25f && s[0].busy_sec == 4.0f);
    assert_true(s[0].other_sec == 0.0f && s[0].end_sec == 7.75);
    assert_true(s[1].other_sec == 0.25f && s[1].busy_sec == 1.0f);
    assert_true(s[1].bubble_sec == 0.0f && s[1].end_sec == 9.0);
}

static void totals_count_the_state_that_lasts(void **state)
{
    (void)state;
    kit *k = fresh();
    ndl_wire_totals t = { 0 };
    ndl_stage_clock_to(&k->clock, NDL_STAGE_BUSY, 101.0);
    ndl_stage_clock_totals(&k->clock, 104.0, &t);
    assert_true(t.busy_sec == 3.0 && t.wait_sec == 1.0 && t.send_sec == 0.0);
    ndl_stage_clock_step(&k->clock, 1, 105.0);
    ndl_stage_clock_to(&k->clock, NDL_STAGE_SEND, 105.0);
    ndl_stage_clock_totals(&k->clock, 106.0, &t);
    assert_true(t.busy_sec == 4.0 && t.wait_sec == 1.0 && t.send_sec == 1.0);
}

static void totals_of_a_clock_that_never_started_are_zero(void **state)
{
    (void)state;
    const ndl_stage_clock c = { 0 };
    ndl_wire_totals t = { .busy_sec = 1.0 };
    ndl_stage_clock_totals(&c, 1e9, &t);
    assert_true(t.busy_sec == 0.0 && t.wait_sec == 0.0 && t.send_sec == 0.0);
}

static void full_ring_counts_what_it_loses_and_keeps_the_order(void **state)
{
    (void)state;
    enum { MORE = 5 };
    kit *k = fresh();
    size_t len = 0;
    uint64_t next = 1;
    for (int i = 0; i < NDL_STAGE_CLOCK_STEPS + MORE; i++)
        ndl_stage_clock_step(&k->clock, (uint64_t)i + 1, 101.0 + i);
    assert_int_equal(written(k, &len)->lost, MORE);
    for (;;) {
        const ndl_wire_steps *h = (const void *)k->message;
        const ndl_wire_step *s = ndl_message_steps(k->message);
        if (h->n_steps == 0) break;
        for (uint32_t i = 0; i < h->n_steps; i++)
            assert_int_equal(s[i].batch_id, next++);
        assert_int_equal(written(k, &len)->lost, 0);
    }
    assert_int_equal(next, NDL_STAGE_CLOCK_STEPS + 1);
}

static void layers_have_the_models_numbers_and_are_told_once(void **state)
{
    (void)state;
    kit *k = fresh();
    size_t len = 0;
    k->layers[0] = (ndl_layer_clock){ 1, 2, 3.0, 3.0, 3.0 };
    k->layers[2] = (ndl_layer_clock){ 2, 9, 5.0, 2.0, 3.0 };
    k->layers[BLOCKS + 1] = (ndl_layer_clock){ 1, 1, 7.0, 7.0, 7.0 };
    assert_int_equal(written(k, &len)->n_layers, 3);
    const ndl_wire_layer *l = ndl_message_layers(k->message);
    assert_int_equal(l[0].layer, 0);
    assert_int_equal(l[1].layer, FIRST + 2);
    assert_int_equal(l[1].rows, 9);
    assert_true(l[1].sum_sec == 5.0 && l[1].min_sec == 2.0f);
    assert_int_equal(l[2].layer, MODEL_BLOCKS + 1);
    assert_int_equal(written(k, &len)->n_layers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_a_step_are_those_of_its_states),
        cmocka_unit_test(totals_count_the_state_that_lasts),
        cmocka_unit_test(totals_of_a_clock_that_never_started_are_zero),
        cmocka_unit_test(full_ring_counts_what_it_loses_and_keeps_the_order),
        cmocka_unit_test(layers_have_the_models_numbers_and_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
