/* cmd_import.c - noodle-mpi import HF_DIR -o FILE. */
#include <stdio.h>

#include "commands.h"
#include "noodle/checkpoint.h"
#include "progress_line.h"

static ndl_status need_output(const ndl_options *o, const char *command)
{
    if (o->out) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE,
                    "%s: -o FILE is missing: name the file to write", command);
}

/* `mix` stays as it is without --dtype. */
static ndl_status read_mix(const ndl_options *o, ndl_mix *mix)
{
    if (o->dtype) return ndl_mix_parse(mix, o->dtype, o->keep);
    if (!o->keep) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "--keep %s: from what? give --dtype too",
                    o->keep);
}

ndl_status ndl_cmd_import(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_mix mix = ndl_mix_plain(NDL_F32);
    ndl_progress_line p;
    NDL_TRY(need_output(o, "import"));
    NDL_TRY(read_mix(o, &mix));
    ndl_progress_line_begin(&p, "import", cli->signal);
    const ndl_status st = ndl_checkpoint_import(
        o->args[0], o->out, o->dtype ? &mix : NULL, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}

ndl_status ndl_cmd_synth(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_mix mix = ndl_mix_plain(NDL_BF16);
    ndl_progress_line p;
    NDL_TRY(need_output(o, "synth"));
    NDL_TRY(read_mix(o, &mix));
    ndl_progress_line_begin(&p, "synth", cli->signal);
    const ndl_status st =
        ndl_checkpoint_synth(o->args[0], o->out, mix, o->tokenizer,
                             (uint64_t)o->seed, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}
