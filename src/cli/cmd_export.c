/* cmd_export.c - noodle-mpi export FILE -o DIR. */
#include "commands.h"
#include "noodle/checkpoint.h"
#include "progress_line.h"

ndl_status ndl_cmd_export(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_progress_line p;
    if (!o->out)
        return NDL_FAIL(NDL_EUSAGE,
                        "export: -o DIR is missing: name the folder to write");
    ndl_progress_line_begin(&p, "export", cli->signal);
    const ndl_status st =
        ndl_checkpoint_export(o->args[0], o->out, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}
