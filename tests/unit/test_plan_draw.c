/* test_plan_draw.c - a plan as a picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/plan.h"

static ndl_plan_stage stages[3];

static ndl_plan plan_of_three(void)
{
    stages[0] = (ndl_plan_stage){ .rank = -1,
                                  .n_layers = 12,
                                  .embed = true,
                                  .params = 100,
                                  .weight_bytes = UINT64_C(3) << 30,
                                  .busy_sec = 0.5,
                                  .link_sec = 0.0024,
                                  .host = "big" };
    stages[1] = (ndl_plan_stage){ .rank = -1,
                                  .first_layer = 12,
                                  .n_layers = 3,
                                  .params = 50,
                                  .kv_bytes = 1536,
                                  .busy_sec = 0.25,
                                  .host = "medium" };
    stages[2] = (ndl_plan_stage){ .rank = -1,
                                  .first_layer = 15,
                                  .head = true,
                                  .params = 1,
                                  .busy_sec = 1e-9,
                                  .host = "old" };
    return (ndl_plan){ .n_stages = 3, .stages = stages };
}

static char *drawn(const ndl_plan *p, int columns)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    ndl_plan_draw(p, f, columns);
    fclose(f);
    return text;
}

static void expect(const ndl_plan *p, int columns, const char *wanted)
{
    char *text = drawn(p, columns);
    assert_string_equal(text, wanted);
    free(text);
}

static void a_bar_is_as_long_as_its_time(void **state)
{
    (void)state;
    const ndl_plan p = plan_of_three();
    expect(&p, 72,
           "rank 0: tokens in\n"
           "   |\n"
           "   1  big     embed, 0-11  [####################]   500.0 ms     "
           "3.0 GiB\n"
           "   |  2.4 ms\n"
           "   2  medium  12-14        [##########          ]   250.0 ms     "
           "1.5 KiB\n"
           "   |\n"
           "   3  old     head         [#                   ]     1.0 ns     "
           "    0 B\n"
           "   |\n"
           "rank 0: tokens out (bar: time per request, then memory)\n");
}

static void without_times_a_bar_is_as_long_as_its_parameters(void **state)
{
    (void)state;
    const ndl_plan p = plan_of_three();
    for (int i = 0; i < 3; i++) stages[i].busy_sec = 0.0;
    char *text = drawn(&p, 61);
    assert_non_null(strstr(text, "[####################]"));
    assert_non_null(strstr(text, "[##########          ]"));
    assert_non_null(strstr(text, "(bar: parameters, then memory)"));
    assert_null(strstr(text, " ms  "));
    free(text);
}

static void lines_fit_the_terminal(void **state)
{
    (void)state;
    const ndl_plan p = plan_of_three();
    memset(stages[1].host, '\xff', sizeof stages[1].host);
    for (int columns = -5; columns < 300; columns += 7) {
        char *text = drawn(&p, columns);
        size_t most = columns < 76 ? 76 : columns > 160 ? 160 : (size_t)columns;
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
            assert_true(strcspn(line, "\n") <= most);
            assert_true(line[strcspn(line, "\n") - 1] != ' ');
        }
        assert_null(strchr(text, '\xff'));
        free(text);
    }
}

static void nothing_is_drawn_of_no_stages(void **state)
{
    (void)state;
    const ndl_plan p = { 0 };
    expect(&p, 80, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bar_is_as_long_as_its_time),
        cmocka_unit_test(without_times_a_bar_is_as_long_as_its_parameters),
        cmocka_unit_test(lines_fit_the_terminal),
        cmocka_unit_test(nothing_is_drawn_of_no_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
