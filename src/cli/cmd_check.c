/* cmd_check.c - noodle-mpi check FILE: every checksum. */
#include <stdio.h>

#include "commands.h"
#include "noodle/weights.h"
#include "output.h"
#include "progress_line.h"

ndl_status ndl_cmd_check(ndl_cli *cli)
{
    const char *path = cli->options->args[0];
    char line[4200];
    ndl_progress_line p;
    ndl_progress_line_begin(&p, "check", cli->signal);
    const ndl_status st = ndl_weights_check(path, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    NDL_TRY(st);
    snprintf(line, sizeof line, "%s: all checksums match\n", path);
    return ndl_output_text(line);
}
