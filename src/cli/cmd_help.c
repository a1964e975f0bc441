/* cmd_help.c - noodle-mpi help [COMMAND], and --help.  Made in memory, so that
 * a stdout that takes nothing is found as for every other command. */
#include <stdlib.h>

#include "commands.h"
#include "output.h"

ndl_status ndl_cmd_help(const char *command)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) return NDL_FAIL(NDL_EOS, "help: out of memory");
    ndl_status st = ndl_options_help(out, command);
    if (fclose(out) != 0 && st == NDL_OK)
        st = NDL_FAIL(NDL_EOS, "help: out of memory");
    if (st == NDL_OK) st = ndl_output_text(text);
    free(text);
    return st;
}
