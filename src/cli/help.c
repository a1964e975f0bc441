/* help.c - the overview and the pages, made from the tables. */
#include <string.h>

#include "option_table.h"
#include "options.h"

static void print_overview(FILE *out)
{
    fprintf(out,
            "noodle-mpi: transformer language models as a pipeline of MPI "
            "ranks\n\n"
            "usage: mpirun -np N noodle-mpi [COMMAND] [OPTIONS]\n\n"
            "Without anything it runs the bundled model on a prompt of its "
            "own.\n\ncommands:\n");
    for (int i = 0; i < NDL_N_COMMANDS; i++)
        fprintf(out, "  %-9s %-10s %s\n", ndl_command_table[i].name,
                ndl_command_table[i].args, ndl_command_table[i].summary);
    fprintf(out,
            "\nnoodle-mpi help COMMAND shows the options of a command; "
            "options without a\ncommand belong to run.  --version names the "
            "libraries and the kernels.\n");
}

/* Help texts wrap at 79 columns behind their own column. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    int at = column;
    for (const char *word = text; *word;) {
        const int n = (int)strcspn(word, " ");
        if (at > column && at + 1 + n > 79) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(out, "%s%.*s", at > column ? " " : "", n, word);
        word += n;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const ndl_option *o)
{
    char left[96], text[512];
    snprintf(left, sizeof left, "  %s %s", o->names, o->meta);
    fprintf(out, "%-30s", left);
    if (strlen(left) > 29) fprintf(out, "\n%30s", "");
    if (o->fallback)
        snprintf(text, sizeof text, "%s (default %s)", o->help, o->fallback);
    else
        snprintf(text, sizeof text, "%s", o->help);
    print_wrapped(out, text, 30);
}

ndl_status ndl_options_help(FILE *out, const char *command)
{
    if (!command) {
        print_overview(out);
        return NDL_OK;
    }
    for (int c = 0; c < NDL_N_COMMANDS; c++) {
        const ndl_command_entry *e = &ndl_command_table[c];
        if (strcmp(e->name, command) != 0) continue;
        fprintf(out, "noodle-mpi %s%s%s [OPTIONS]\n%s\n\n%s%soptions:\n",
                e->name, e->args[0] ? " " : "", e->args, e->summary, e->text,
                e->text[0] ? "\n" : "");
        for (int i = 0; i < ndl_n_option_table; i++)
            if (ndl_option_table[i].commands & (1u << c))
                print_option(out, &ndl_option_table[i]);
        return NDL_OK;
    }
    return NDL_FAIL(NDL_EUSAGE,
                    "help %s: no such command: see noodle-mpi "
                    "--help",
                    command);
}
