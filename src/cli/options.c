/* options.c - see options.h: the parser.  The tables are in option_table.c. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "option_table.h"

/* Does one of the names, separated by ", ", equal `word` of n characters? */
static bool has_name(const char *names, const char *word, size_t n)
{
    for (const char *at = names; *at;) {
        const size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, word, n) == 0) return true;
        at += len;
        at += strspn(at, ", ");
    }
    return false;
}

static const ndl_option *find(ndl_command command, const char *word, size_t n)
{
    for (int i = 0; i < ndl_n_option_table; i++) {
        const ndl_option *o = &ndl_option_table[i];
        if ((o->commands & (1u << command)) && has_name(o->names, word, n))
            return o;
    }
    return NULL;
}

static void *field(ndl_options *out, const ndl_option *o)
{
    return (char *)out + o->offset;
}

static ndl_status set_number(ndl_options *out, const ndl_option *o,
                             const char *text)
{
    char *end;
    errno = 0;
    if (o->type == NDL_OPTION_REAL) {
        const double v = strtod(text, &end);
        if (*text == '\0' || *end || !isfinite(v) || v < o->min || v > o->max)
            return NDL_FAIL(NDL_EUSAGE, "%s %s: give a number from %g to %g",
                            o->names, text, o->min, o->max);
        *(double *)field(out, o) = v;
        return NDL_OK;
    }
    const long long v = strtoll(text, &end, 10);
    if (*text == '\0' || *end || errno || v < (long long)o->min ||
        v > (long long)o->max)
        return NDL_FAIL(NDL_EUSAGE,
                        "%s %s: give a whole number from %.0f to %.0f",
                        o->names, text, o->min, o->max);
    if (o->type == NDL_OPTION_INT)
        *(int *)field(out, o) = (int)v;
    else
        *(int64_t *)field(out, o) = v;
    return NDL_OK;
}

static ndl_status add_text(ndl_options_list *list, const ndl_option *o,
                           const char *text)
{
    if (list->n == NDL_OPTIONS_LIST)
        return NDL_FAIL(NDL_EUSAGE, "%s: given more than %d times", o->names,
                        NDL_OPTIONS_LIST);
    list->at[list->n++] = text;
    return NDL_OK;
}

static ndl_status set_value(ndl_options *out, const ndl_option *o,
                            const char *text)
{
    switch (o->type) {
    case NDL_OPTION_FLAG: *(bool *)field(out, o) = true; return NDL_OK;
    case NDL_OPTION_TEXT: *(const char **)field(out, o) = text; return NDL_OK;
    case NDL_OPTION_LIST: return add_text(field(out, o), o, text);
    default: return set_number(out, o, text);
    }
}

static ndl_status set_defaults(ndl_options *out)
{
    for (int i = 0; i < ndl_n_option_table; i++)
        if (ndl_option_table[i].fallback)
            NDL_TRY(set_value(out, &ndl_option_table[i],
                              ndl_option_table[i].fallback));
    return NDL_OK;
}

/* Number of single-character edits between two words, cut off at 9. */
static int distance(const char *a, const char *b)
{
    int row[64];
    const int n = (int)strlen(b);
    if (n >= 63 || strlen(a) >= 63) return 9;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int keep = diagonal + (a[i - 1] != b[j - 1]);
            int best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            if (keep < best) best = keep;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

static void consider(const char *names, const char *word, char best[64],
                     int *least)
{
    for (const char *at = names; *at;) {
        char name[64];
        const size_t len = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        const int d = distance(name, word);
        if (d < *least) {
            *least = d;
            memcpy(best, name, sizeof name);
        }
        at += len;
        at += strspn(at, ", ");
    }
}

/* `word` with n characters up to its "=". */
static ndl_status unknown_option(const ndl_options *out, const char *word,
                                 size_t n)
{
    char name[64], best[64] = "";
    snprintf(name, sizeof name, "%.*s", n < 64 ? (int)n : 63, word);
    int least = 4; /* further away is no help */
    for (int i = 0; i < ndl_n_option_table; i++)
        if (ndl_option_table[i].commands & (1u << out->command))
            consider(ndl_option_table[i].names, name, best, &least);
    const char *command = ndl_command_table[out->command].name;
    return NDL_FAIL(NDL_EUSAGE,
                    "%s: no such option of %s%s%s: see noodle-mpi "
                    "help %s",
                    word, command, best[0] ? ": did you mean " : "", best,
                    command);
}

static ndl_status take_option(ndl_options *out, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const ndl_option *o = find(out->command, word, n);
    if (!o) return unknown_option(out, word, n);
    if (o->type == NDL_OPTION_FLAG) {
        if (equals) return NDL_FAIL(NDL_EUSAGE, "%s: takes no value", o->names);
        return set_value(out, o, "");
    }
    if (equals) return set_value(out, o, equals + 1);
    if (*at + 1 >= argc)
        return NDL_FAIL(NDL_EUSAGE, "%s: the value %s is missing", word,
                        o->meta);
    return set_value(out, o, argv[++*at]);
}

static bool parse_command(const char *word, ndl_command *out)
{
    for (int i = 0; i < NDL_N_COMMANDS; i++)
        if (strcmp(word, ndl_command_table[i].name) == 0) {
            *out = (ndl_command)i;
            return true;
        }
    return false;
}

static ndl_status unknown_command(const char *word)
{
    char best[64] = "";
    int least = 4;
    for (int i = 0; i < NDL_N_COMMANDS; i++)
        consider(ndl_command_table[i].name, word, best, &least);
    return NDL_FAIL(NDL_EUSAGE,
                    "%s: no such command%s%s: see noodle-mpi --help", word,
                    best[0] ? ": did you mean " : "", best);
}

static ndl_status check_args(const ndl_options *o)
{
    const ndl_command_entry *c = &ndl_command_table[o->command];
    if (o->help || o->version || o->n_args >= c->min_args) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "%s: %s is missing: see noodle-mpi help %s",
                    c->name, c->args, c->name);
}

ndl_status ndl_options_parse(ndl_options *out, int argc, char **argv)
{
    ndl_options o = { .command = NDL_CMD_RUN };
    int at = 1;
    NDL_TRY(set_defaults(&o));
    if (argc > 1 && argv[1][0] != '-') {
        if (!parse_command(argv[1], &o.command))
            return unknown_command(argv[1]);
        o.named = true;
        at = 2;
    }
    bool only_args = false;
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (!only_args && strcmp(word, "--") == 0) {
            only_args = true;
        } else if (!only_args && word[0] == '-' && word[1] != '\0') {
            NDL_TRY(take_option(&o, argc, argv, &at));
        } else if (o.n_args == ndl_command_table[o.command].max_args) {
            return NDL_FAIL(NDL_EUSAGE,
                            "%s: one word too many: quote texts, and see "
                            "noodle-mpi help %s",
                            word, ndl_command_table[o.command].name);
        } else {
            o.args[o.n_args++] = word;
        }
    }
    NDL_TRY(check_args(&o));
    *out = o;
    return NDL_OK;
}

const char *ndl_options_command(ndl_command command)
{
    return ndl_command_table[command].name;
}
