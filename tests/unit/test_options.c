/* test_options.c - the command line: the tables are walked, so that a new
 * option is tested without a new line here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cli/option_table.h"
#include "../../src/cli/options.h"

enum { MAX_ARGV = 16 };

/* A command line, in writable memory as main gets it. */
typedef struct line {
    char text[MAX_ARGV][400];
    char *argv[MAX_ARGV + 1];
    int argc;
} line;

static void add(line *l, const char *word)
{
    assert_true(l->argc < MAX_ARGV);
    snprintf(l->text[l->argc], sizeof l->text[0], "%s", word);
    l->argv[l->argc] = l->text[l->argc];
    l->argv[++l->argc] = NULL;
}

/* Borrowed until the next call, as are the texts of parsed options. */
static line *line_of(const char *words)
{
    static char copy[400];
    static line l;
    l.argc = 0;
    add(&l, "noodle-mpi");
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) add(&l, w);
    return &l;
}

static ndl_status parse(const char *words, ndl_options *o)
{
    line *l = line_of(words);
    return ndl_options_parse(o, l->argc, l->argv);
}

static void expect_eusage(const char *words, const char *says)
{
    ndl_options o = { .top_k = -77 };
    assert_int_equal(parse(words, &o), NDL_EUSAGE);
    assert_int_equal(o.top_k, -77);
    if (!strstr(ndl_status_message(), says))
        fail_msg("%s: \"%s\" is not in: %s", words, says, ndl_status_message());
    ndl_status_clear();
}

/* The words that a command needs beside its options. */
static void add_needed(line *l, int command)
{
    for (int i = 0; i < ndl_command_table[command].min_args; i++)
        add(l, "word");
}

static const void *field(const ndl_options *o, const ndl_option *opt)
{
    return (const char *)o + opt->offset;
}

/* A value other than the default. */
static double number_for(const ndl_option *o)
{
    return o->max >= 17 ? 17 : o->max / 4 + o->min / 2;
}

static void value_text(const ndl_option *o, char *out, size_t cap)
{
    if (o->type == NDL_OPTION_TEXT || o->type == NDL_OPTION_LIST)
        snprintf(out, cap, "-a=b");
    else if (o->type == NDL_OPTION_REAL)
        snprintf(out, cap, "%.9g", number_for(o));
    else
        snprintf(out, cap, "%.0f", number_for(o));
}

static void check_value(const ndl_options *o, const ndl_option *opt)
{
    const void *at = field(o, opt);
    switch (opt->type) {
    case NDL_OPTION_FLAG: assert_true(*(const bool *)at); break;
    case NDL_OPTION_TEXT:
        assert_string_equal(*(const char *const *)at, "-a=b");
        break;
    case NDL_OPTION_LIST:
        assert_int_equal(((const ndl_options_list *)at)->n, 1);
        assert_string_equal(((const ndl_options_list *)at)->at[0], "-a=b");
        break;
    case NDL_OPTION_INT:
        assert_int_equal(*(const int *)at, (int)number_for(opt));
        break;
    case NDL_OPTION_INT64:
        assert_int_equal(*(const int64_t *)at, (int64_t)number_for(opt));
        break;
    case NDL_OPTION_REAL:
        assert_true(*(const double *)at == number_for(opt));
        break;
    }
}

static void check_one(int command, const ndl_option *opt, const char *name)
{
    char value[64], joined[160];
    value_text(opt, value, sizeof value);
    snprintf(joined, sizeof joined, "%s=%s", name, value);
    for (int with_equals = 0; with_equals < 2; with_equals++) {
        const bool is_flag = opt->type == NDL_OPTION_FLAG;
        if (with_equals && (is_flag || strncmp(name, "--", 2) != 0)) continue;
        line *l = line_of(ndl_command_table[command].name);
        add_needed(l, command);
        add(l, with_equals ? joined : name);
        if (!with_equals && !is_flag) add(l, value);
        ndl_options o;
        if (ndl_options_parse(&o, l->argc, l->argv) != NDL_OK)
            fail_msg("%s", ndl_status_message());
        assert_int_equal(o.command, command);
        check_value(&o, opt);
    }
}

/* Call `each` with every name of an option. */
static void for_names(int command, const ndl_option *opt,
                      void (*each)(int, const ndl_option *, const char *))
{
    for (const char *at = opt->names; *at; at += strspn(at, ", ")) {
        char name[64];
        const size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        each(command, opt, name);
        at += n;
    }
}

static void every_option_lands_in_its_field(void **state)
{
    (void)state;
    for (int c = 0; c < NDL_N_COMMANDS; c++)
        for (int i = 0; i < ndl_n_option_table; i++)
            if (ndl_option_table[i].commands & (1u << c))
                for_names(c, &ndl_option_table[i], check_one);
}

static void check_lonely_name(int command, const ndl_option *opt,
                              const char *name)
{
    char words[160];
    snprintf(words, sizeof words, "%s %s", ndl_command_table[command].name,
             name);
    if (opt->type != NDL_OPTION_FLAG) {
        expect_eusage(words, "is missing");
        return;
    }
    snprintf(words, sizeof words, "%s %s=1", ndl_command_table[command].name,
             name);
    expect_eusage(words, name[1] == '-' ? "takes no value" : "no such option");
}

static void value_that_is_missing_or_too_much_is_eusage(void **state)
{
    (void)state;
    for (int c = 0; c < NDL_N_COMMANDS; c++)
        for (int i = 0; i < ndl_n_option_table; i++)
            if (ndl_option_table[i].commands & (1u << c))
                for_names(c, &ndl_option_table[i], check_lonely_name);
}

/* No two options of a command share a name, or the first would win unseen. */
static void names_are_unique_in_a_command(void **state)
{
    (void)state;
    for (int i = 0; i < ndl_n_option_table; i++)
        for (int k = 0; k < i; k++) {
            const ndl_option *a = &ndl_option_table[i];
            const ndl_option *b = &ndl_option_table[k];
            char list[100];
            if (!(a->commands & b->commands)) continue;
            snprintf(list, sizeof list, ", %s,", b->names);
            for (const char *at = a->names; *at; at += strspn(at, ", ")) {
                char name[64];
                const size_t n = strcspn(at, ",");
                snprintf(name, sizeof name, ", %.*s,", (int)n, at);
                assert_null(strstr(list, name));
                at += n;
            }
        }
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("run", &o), NDL_OK);
    for (int i = 0; i < ndl_n_option_table; i++) {
        const ndl_option *opt = &ndl_option_table[i];
        const char *text = opt->fallback;
        const void *at = field(&o, opt);
        switch (opt->type) {
        case NDL_OPTION_FLAG: assert_false(*(const bool *)at); break;
        case NDL_OPTION_TEXT:
            assert_ptr_equal(*(const char *const *)at, text);
            break;
        case NDL_OPTION_LIST:
            assert_int_equal(((const ndl_options_list *)at)->n, 0);
            break;
        case NDL_OPTION_INT:
            assert_int_equal(*(const int *)at, text ? atoi(text) : 0);
            break;
        case NDL_OPTION_INT64:
            assert_int_equal(*(const int64_t *)at, text ? atoll(text) : 0);
            break;
        case NDL_OPTION_REAL:
            assert_true(*(const double *)at == (text ? atof(text) : 0.0));
            break;
        }
    }
}

static void no_command_means_run(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("", &o), NDL_OK);
    assert_int_equal(o.command, NDL_CMD_RUN);
    assert_false(o.named);
    assert_int_equal(parse("-n 5", &o), NDL_OK);
    assert_int_equal(o.command, NDL_CMD_RUN);
    assert_false(o.named);
    assert_int_equal(o.predict, 5);
    assert_int_equal(parse("run -n 5", &o), NDL_OK);
    assert_true(o.named);
}

static void last_of_two_values_wins(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("run -n 5 --predict=6 -n 7", &o), NDL_OK);
    assert_int_equal(o.predict, 7);
}

static void value_may_begin_with_a_dash_or_be_empty(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("run -n -1 -p -h --seed -1", &o), NDL_OK);
    assert_int_equal(o.predict, -1);
    assert_string_equal(o.prompt, "-h");
    assert_false(o.help);
    assert_int_equal(o.seed, -1);
    assert_int_equal(parse("run --prompt=", &o), NDL_OK);
    assert_string_equal(o.prompt, "");
    assert_int_equal(parse("run --prompt=a=b", &o), NDL_OK);
    assert_string_equal(o.prompt, "a=b");
}

static void numbers_have_ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "run -n -2",
        "run -n 16777217",
        "run -n x",
        "run -n 5x",
        "run -n 1.5",
        "run --predict=",
        "run -n 0x10",
        "run -n 99999999999999999999",
        "run --temp -0.1",
        "run --temp 101",
        "run --temp nan",
        "run --temp inf",
        "run --temp 1e999",
        "run --temp 1,5",
        "run --temp=",
        "run --top-p 1.01",
        "run --top-p -0.01",
        "run --min-p 2",
        "run --top-k -1",
        "run -b 0",
        "run -b 65537",
        "run -s -2",
        "run -s 9007199254740993",
        "run -t 4097",
        "logits --chunk 0",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_eusage(bad[i], "number from");
    ndl_options o;
    assert_int_equal(parse("run -b 1 --top-p 1 --min-p 0 --temp 1e-3 -s "
                           "9007199254740992",
                           &o),
                     NDL_OK);
    assert_int_equal(o.seed, INT64_C(9007199254740992));
    assert_true(o.temperature == 1e-3);
}

static void unknown_word_names_its_nearest(void **state)
{
    (void)state;
    expect_eusage("run --tmep 1", "did you mean --temp");
    expect_eusage("run --tmep=0.25", "did you mean --temp");
    expect_eusage("run --promt x", "did you mean --prompt");
    expect_eusage("run --thread 1", "did you mean --threads");
    expect_eusage("rum", "did you mean run");
    expect_eusage("improt dir", "did you mean import");
    expect_eusage("import --prompt x", "no such option of import");
    expect_eusage("frobnicate", "frobnicate: no such command");
    /* Nothing is near this. */
    ndl_options o;
    assert_int_equal(parse("run --frobnicate-all-of-it", &o), NDL_EUSAGE);
    assert_null(strstr(ndl_status_message(), "did you mean"));
    assert_non_null(strstr(ndl_status_message(), "noodle-mpi help run"));
    ndl_status_clear();
}

static void word_of_any_length_is_refused_in_peace(void **state)
{
    (void)state;
    char words[390];
    memset(words, 'x', sizeof words);
    words[0] = words[1] = '-';
    words[sizeof words - 1] = '\0';
    expect_eusage(words, "no such option");
    expect_eusage(words + 2, "no such command");
}

static void words_that_are_no_options_are_arguments(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("import dir -o x", &o), NDL_OK);
    assert_int_equal(o.n_args, 1);
    assert_string_equal(o.args[0], "dir");
    assert_string_equal(o.out, "x");
    assert_int_equal(parse("tokenize -- --special", &o), NDL_OK);
    assert_string_equal(o.args[0], "--special");
    assert_false(o.special);
    assert_int_equal(parse("tokenize -", &o), NDL_OK);
    assert_string_equal(o.args[0], "-");
    assert_int_equal(parse("tokenize -- --", &o), NDL_OK);
    assert_string_equal(o.args[0], "--");
    expect_eusage("run more", "one word too many");
    expect_eusage("import a b", "one word too many");
    expect_eusage("import", "HF_DIR is missing");
    expect_eusage("import --", "HF_DIR is missing");
    assert_int_equal(parse("import --help", &o), NDL_OK);
    assert_true(o.help);
    assert_int_equal(parse("help", &o), NDL_OK);
    assert_int_equal(o.n_args, 0);
}

static char *help_of(const char *command)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    const ndl_status st = ndl_options_help(f, command);
    fclose(f);
    assert_int_equal(st, NDL_OK);
    return text;
}

static void check_lines(const char *text)
{
    for (const char *at = text; *at;) {
        const size_t n = strcspn(at, "\n");
        if (n > 80) fail_msg("wider than 80: %.*s", (int)n, at);
        if (n > 0 && at[n - 1] == ' ')
            fail_msg("ends with a blank: %.*s", (int)n, at);
        at += n;
        assert_int_equal(*at, '\n');
        at++;
    }
}

static void pages_of_help_are_complete_and_narrow(void **state)
{
    (void)state;
    char *overview = help_of(NULL);
    check_lines(overview);
    for (int c = 0; c < NDL_N_COMMANDS; c++) {
        const char *name = ndl_options_command((ndl_command)c);
        assert_string_equal(name, ndl_command_table[c].name);
        assert_non_null(strstr(overview, ndl_command_table[c].summary));
        char *page = help_of(name);
        check_lines(page);
        for (int i = 0; i < ndl_n_option_table; i++) {
            const ndl_option *o = &ndl_option_table[i];
            char left[96];
            snprintf(left, sizeof left, "\n  %s%s%s", o->names,
                     o->meta[0] ? " " : "", o->meta);
            const bool is_there = strstr(page, left) != NULL;
            if (is_there != ((o->commands >> c & 1) != 0))
                fail_msg("help %s and %s", name, o->names);
        }
        free(page);
    }
    free(overview);
}

static void option_of_a_list_keeps_every_value(void **state)
{
    (void)state;
    ndl_options o;
    assert_int_equal(parse("run --emulate a --emulate=b", &o), NDL_OK);
    assert_int_equal(o.emulate.n, 2);
    assert_string_equal(o.emulate.at[0], "a");
    assert_string_equal(o.emulate.at[1], "b");
    char *argv[2 * NDL_OPTIONS_LIST + 5];
    char name[] = "--emulate", value[] = "x", tool[] = "noodle-mpi";
    int argc = 0;
    argv[argc++] = tool;
    for (int i = 0; i <= NDL_OPTIONS_LIST; i++) {
        argv[argc++] = name;
        argv[argc++] = value;
    }
    argv[argc] = NULL;
    assert_int_equal(ndl_options_parse(&o, argc, argv), NDL_EUSAGE);
    ndl_status_clear();
}

static const char *fact(const ndl_options_fact *facts, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(facts[i].name, name) == 0) return facts[i].text;
    fail_msg("no fact is called %s", name);
    return NULL;
}

static void facts_say_what_all_options_are_set_to(void **state)
{
    (void)state;
    enum { CAP = 96 };
    ndl_options o;
    ndl_options_fact facts[CAP];
    assert_int_equal(parse("run -n 7 --temp 0.5 --json --emulate a "
                           "--emulate b --split 1,2",
                           &o),
                     NDL_OK);
    const int n = ndl_options_facts(&o, facts, CAP);
    assert_true(n > 10 && n < CAP);
    assert_string_equal(fact(facts, n, "predict"), "7");
    assert_string_equal(fact(facts, n, "temp"), "0.5");
    assert_string_equal(fact(facts, n, "json"), "yes");
    assert_string_equal(fact(facts, n, "ignore-eos"), "no");
    assert_string_equal(fact(facts, n, "emulate"), "a b");
    assert_string_equal(fact(facts, n, "split"), "1,2");
    assert_string_equal(fact(facts, n, "top-k"), "40");
    assert_string_equal(fact(facts, n, "prompt"), "");
    assert_int_equal(ndl_options_facts(&o, facts, 3), 3);
}

static void help_for_no_command_is_eusage(void **state)
{
    (void)state;
    FILE *f = fopen("/dev/null", "w");
    assert_non_null(f);
    assert_int_equal(ndl_options_help(f, "rum"), NDL_EUSAGE);
    assert_int_equal(ndl_options_help(f, ""), NDL_EUSAGE);
    fclose(f);
    ndl_status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_lands_in_its_field),
        cmocka_unit_test(value_that_is_missing_or_too_much_is_eusage),
        cmocka_unit_test(names_are_unique_in_a_command),
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(no_command_means_run),
        cmocka_unit_test(last_of_two_values_wins),
        cmocka_unit_test(value_may_begin_with_a_dash_or_be_empty),
        cmocka_unit_test(numbers_have_ranges),
        cmocka_unit_test(unknown_word_names_its_nearest),
        cmocka_unit_test(word_of_any_length_is_refused_in_peace),
        cmocka_unit_test(words_that_are_no_options_are_arguments),
        cmocka_unit_test(pages_of_help_are_complete_and_narrow),
        cmocka_unit_test(option_of_a_list_keeps_every_value),
        cmocka_unit_test(facts_say_what_all_options_are_set_to),
        cmocka_unit_test(help_for_no_command_is_eusage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
