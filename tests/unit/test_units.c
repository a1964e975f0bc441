/* test_units.c - quantities as people write them. */
#include "noodle/units.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, ndl_unit unit, double wanted)
{
    double v = -1.0;
    if (!ndl_units_parse(text, unit, &v)) fail_msg("%s is refused", text);
    if (fabs(v - wanted) > 1e-12 * wanted) fail_msg("%s is %.17g", text, v);
}

static void numbers_are_read_with_their_unit(void **state)
{
    (void)state;
    expect("64 GiB", NDL_UNIT_BYTES, 64.0 * 1024 * 1024 * 1024);
    expect("64GB", NDL_UNIT_BYTES, 64e9);
    expect("1.5 TiB", NDL_UNIT_BYTES, 1.5 * 1024 * 1024 * 1024 * 1024);
    expect("3 kB", NDL_UNIT_BYTES, 3000);
    expect("12", NDL_UNIT_BYTES, 12);
    expect("7 B", NDL_UNIT_BYTES, 7);
    expect("2us", NDL_UNIT_SEC, 2e-6);
    expect(".5 ms", NDL_UNIT_SEC, 5e-4);
    expect("1e-3", NDL_UNIT_SEC, 1e-3);
    expect("3 ns", NDL_UNIT_SEC, 3e-9);
    expect("0", NDL_UNIT_SEC, 0);
    expect("12 GB/s", NDL_UNIT_BYTES_PER_SEC, 12e9);
    expect("10 Gbit/s", NDL_UNIT_BYTES_PER_SEC, 1.25e9);
    expect("100Mbit/s", NDL_UNIT_BYTES_PER_SEC, 12.5e6);
    expect("2 GiB/s", NDL_UNIT_BYTES_PER_SEC, 2147483648.0);
    expect("1.5 TFLOP/s", NDL_UNIT_FLOP_PER_SEC, 1.5e12);
    expect("2.E2 GFLOPS", NDL_UNIT_FLOP_PER_SEC, 2e11);
}

static void malformed_quantities_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ndl_unit unit;
    } bad[] = {
        { "", NDL_UNIT_BYTES },
        { " 1", NDL_UNIT_BYTES },
        { "GiB", NDL_UNIT_BYTES },
        { "-1 GiB", NDL_UNIT_BYTES },
        { "+1", NDL_UNIT_BYTES },
        { "nan", NDL_UNIT_SEC },
        { "inf", NDL_UNIT_SEC },
        { "1e999", NDL_UNIT_SEC },
        { "1e308 TiB", NDL_UNIT_BYTES },
        { "0x10", NDL_UNIT_BYTES },
        { "1e", NDL_UNIT_SEC },
        { "1e+", NDL_UNIT_SEC },
        { ".", NDL_UNIT_SEC },
        { "1 gib", NDL_UNIT_BYTES },
        { "1 GiB ", NDL_UNIT_BYTES },
        { "1 GiB/s", NDL_UNIT_BYTES },
        { "1 GiB", NDL_UNIT_BYTES_PER_SEC },
        { "1 GB/s", NDL_UNIT_FLOP_PER_SEC },
        { "1 2 s", NDL_UNIT_SEC },
        { "1,5 s", NDL_UNIT_SEC },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double v = 7.0;
        if (ndl_units_parse(bad[i].text, bad[i].unit, &v))
            fail_msg("\"%s\" is taken as %g", bad[i].text, v);
        assert_true(v == 7.0);
    }
}

static void texts_have_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        double v;
        ndl_unit unit;
        const char *text;
    } cases[] = {
        { 0, NDL_UNIT_BYTES, "0 B" },
        { 1023, NDL_UNIT_BYTES, "1023 B" },
        { 1536, NDL_UNIT_BYTES, "1.5 KiB" },
        { 1048575, NDL_UNIT_BYTES, "1.0 MiB" },
        { 0, NDL_UNIT_SEC, "0 s" },
        { 12.4e-6, NDL_UNIT_SEC, "12.4 us" },
        { 0.5e-9, NDL_UNIT_SEC, "0.5 ns" },
        { 0.99999, NDL_UNIT_SEC, "1.0 s" },
        { 0.9994, NDL_UNIT_SEC, "999.4 ms" },
        { 1e6, NDL_UNIT_SEC, "1000000.0 s" },
        { 12e9, NDL_UNIT_BYTES_PER_SEC, "12.0 GB/s" },
        { 1.5e12, NDL_UNIT_FLOP_PER_SEC, "1.50 TFLOP/s" },
        { INFINITY, NDL_UNIT_SEC, "?" },
        { NAN, NDL_UNIT_BYTES, "?" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[32];
        assert_string_equal(
            ndl_units_text(cases[i].v, cases[i].unit, buf, sizeof buf),
            cases[i].text);
    }
}

static void a_short_buffer_is_not_overrun(void **state)
{
    (void)state;
    char buf[6] = "#####";
    assert_string_equal(ndl_units_text(12e9, NDL_UNIT_BYTES_PER_SEC, buf, 4),
                        "12.");
    assert_int_equal(buf[4], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_with_their_unit),
        cmocka_unit_test(malformed_quantities_are_refused),
        cmocka_unit_test(texts_have_the_unit_that_fits),
        cmocka_unit_test(a_short_buffer_is_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
