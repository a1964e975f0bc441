/* test_message_reports.c - what stages tell rank 0 and what it orders: hostile
 * messages are told from good ones.  Batches and tokens: test_message.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/message.h"

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
    return (steps_message){ .head = { .magic = NDL_WIRE_MAGIC,
                                      .kind = NDL_REPORT_STEPS,
                                      .n_steps = 2,
                                      .n_layers = 1 },
                            .steps = { { .batch_id = 1 }, { .batch_id = 2 } },
                            .layers = { { .layer = 9 } } };
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
    for (int i = 0; i < 9; i++) {
        m = good_steps();
        if (i == 0) m.head.magic++;
        if (i == 1) m.head.kind = NDL_REPORT_DONE;
        if (i == 2) m.head.n_steps = UINT32_MAX;
        if (i == 3) m.head.n_layers = UINT32_MAX;
        if (i == 4) m.steps[1].batch_id = 0;
        if (i == 5) m.steps[0].busy_sec = -1.0f;
        if (i == 6) m.steps[1].end_sec = strtod("nan", NULL);
        if (i == 7) m.layers[0].layer = 10;
        if (i == 8) m.layers[0].sum_sec = strtod("inf", NULL);
        assert_false(steps_ok(&m, sizeof m));
    }
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

typedef struct accounts_message {
    ndl_wire_accounts head;
    ndl_wire_account accounts[2];
} accounts_message;

static accounts_message good_accounts(void)
{
    return (accounts_message){
        .head = { .magic = NDL_WIRE_MAGIC, .kind = NDL_REPORT_ACCOUNTS, .n = 2 }
    };
}

static bool accounts_ok(const accounts_message *m, size_t len)
{
    return ndl_message_accounts_is_valid(m, len);
}

static void accounts_are_valid_only_if_whole_and_sane(void **state)
{
    (void)state;
    accounts_message m = good_accounts();
    assert_ptr_equal(ndl_message_accounts(&m), m.accounts);
    assert_int_equal(ndl_message_accounts_bytes(2), sizeof m);
    for (size_t len = 0; len <= sizeof m; len++)
        assert_int_equal(accounts_ok(&m, len), len == sizeof m);
    for (int i = 0; i < 5; i++) {
        m = good_accounts();
        if (i == 0) m.head.magic++;
        if (i == 1) m.head.kind = NDL_REPORT_STEPS;
        if (i == 2) m.head.n = UINT32_MAX;
        if (i == 3) m.accounts[1].busy_sec = -1.0;
        if (i == 4) m.accounts[1].busy_sec = strtod("nan", NULL);
        assert_false(accounts_ok(&m, sizeof m));
    }
}

static void more_records_than_a_message_has_are_refused(void **state)
{
    (void)state;
    static struct {
        ndl_wire_steps head;
        ndl_wire_step steps[NDL_WIRE_STEPS + 1];
    } steps;
    static struct {
        ndl_wire_accounts head;
        ndl_wire_account accounts[NDL_WIRE_ACCOUNTS + 1];
    } accounts;
    steps.head = good_steps().head;
    steps.head.n_layers = 0;
    accounts.head = good_accounts().head;
    for (int i = 0; i <= NDL_WIRE_STEPS; i++) steps.steps[i].batch_id = 1;
    for (uint32_t more = 0; more < 2; more++) {
        steps.head.n_steps = NDL_WIRE_STEPS + more;
        assert_int_equal(
            ndl_message_steps_is_valid(
                &steps, ndl_message_steps_bytes(NDL_WIRE_STEPS + more, 0), 10),
            more == 0);
        accounts.head.n = NDL_WIRE_ACCOUNTS + more;
        assert_int_equal(ndl_message_accounts_is_valid(
                             &accounts, ndl_message_accounts_bytes(
                                            NDL_WIRE_ACCOUNTS + more)),
                         more == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_without_an_end_of_text_is_invalid),
        cmocka_unit_test(steps_are_valid_only_if_whole_and_sane),
        cmocka_unit_test(accounts_are_valid_only_if_whole_and_sane),
        cmocka_unit_test(more_records_than_a_message_has_are_refused),
        cmocka_unit_test(order_of_unknown_kind_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
