/* option_facts.c - options.h: what the options are set to, as texts. */
#include <inttypes.h>
#include <string.h>

#include "option_table.h"
#include "options.h"

/* The first name with two dashes, else the first. */
static void write_name(const ndl_option *o, char *out, size_t cap)
{
    const char *at = strstr(o->names, "--");
    at = at ? at + 2 : o->names + 1;
    snprintf(out, cap, "%.*s", (int)strcspn(at, ","), at);
}

static void write_list(const ndl_options_list *list, char *out, size_t cap)
{
    size_t at = 0;
    for (int i = 0; i < list->n && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? " " : "",
                               list->at[i]);
}

static void write_value(const ndl_options *o, const ndl_option *option,
                        char *out, size_t cap)
{
    const void *v = (const char *)o + option->offset;
    const char *text = NULL;
    switch (option->type) {
    case NDL_OPTION_FLAG:
        snprintf(out, cap, "%s", *(const bool *)v ? "yes" : "no");
        break;
    case NDL_OPTION_TEXT:
        text = *(const char *const *)v;
        snprintf(out, cap, "%s", text ? text : "");
        break;
    case NDL_OPTION_LIST: write_list(v, out, cap); break;
    case NDL_OPTION_INT: snprintf(out, cap, "%d", *(const int *)v); break;
    case NDL_OPTION_INT64:
        snprintf(out, cap, "%" PRId64, *(const int64_t *)v);
        break;
    case NDL_OPTION_REAL: snprintf(out, cap, "%g", *(const double *)v); break;
    }
}

int ndl_options_facts(const ndl_options *o, ndl_options_fact *facts, int cap)
{
    int n = 0;
    for (int i = 0; i < ndl_n_option_table && n < cap; i++) {
        const ndl_option *option = &ndl_option_table[i];
        if (!(option->commands & (1u << o->command))) continue;
        ndl_options_fact *f = &facts[n++];
        memset(f, 0, sizeof *f);
        write_name(option, f->name, sizeof f->name);
        write_value(o, option, f->text, sizeof f->text);
    }
    return n;
}
