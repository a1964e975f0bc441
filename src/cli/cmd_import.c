/* cmd_import.c - noodle-mpi import HF_DIR -o FILE. */
#include <stdio.h>

#include "commands.h"
#include "noodle/checkpoint.h"
#include "progress_line.h"

/* --dtype, NULL if it was not given. */
static ndl_status read_dtype(const char *name, ndl_dtype *out)
{
    if (ndl_dtype_parse(name, out)) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "--dtype %s: give f32 or bf16", name);
}

static ndl_status need_output(const ndl_options *o, const char *command)
{
    if (o->out) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE,
                    "%s: -o FILE is missing: name the file to write", command);
}

ndl_status ndl_cmd_import(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_dtype dtype = NDL_F32;
    ndl_progress_line p;
    NDL_TRY(need_output(o, "import"));
    if (o->dtype) NDL_TRY(read_dtype(o->dtype, &dtype));
    ndl_progress_line_begin(&p, "import", cli->signal);
    const ndl_status st =
        ndl_checkpoint_import(o->args[0], o->out, o->dtype ? &dtype : NULL,
                              ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}

ndl_status ndl_cmd_synth(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_dtype dtype = NDL_BF16;
    ndl_progress_line p;
    NDL_TRY(need_output(o, "synth"));
    if (o->dtype) NDL_TRY(read_dtype(o->dtype, &dtype));
    ndl_progress_line_begin(&p, "synth", cli->signal);
    const ndl_status st =
        ndl_checkpoint_synth(o->args[0], o->out, dtype, o->tokenizer,
                             (uint64_t)o->seed, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}
