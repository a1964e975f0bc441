/* cmd_quantize.c - noodle-mpi quantize FILE -o FILE --dtype DTYPE. */
#include "commands.h"
#include "noodle/requantise.h"
#include "progress_line.h"

static ndl_status read_mix(const ndl_options *o, ndl_mix *mix)
{
    if (!o->dtype)
        return NDL_FAIL(NDL_EUSAGE, "quantize: --dtype is missing: give int8, "
                                    "int8:32 or int4");
    NDL_TRY(ndl_mix_parse(mix, o->dtype, o->keep));
    if (ndl_mix_is_quantised(*mix)) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE,
                    "--dtype %s: nothing gets quantised: give int8, int8:32 "
                    "or int4",
                    o->dtype);
}

ndl_status ndl_cmd_quantize(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_mix mix;
    ndl_progress_line p;
    if (!o->out)
        return NDL_FAIL(NDL_EUSAGE, "quantize: -o FILE is missing: name the "
                                    "file to write");
    NDL_TRY(read_mix(o, &mix));
    ndl_progress_line_begin(&p, "quantize", cli->signal);
    const ndl_status st =
        ndl_requantise(o->args[0], o->out, mix, ndl_progress_line_show, &p);
    ndl_progress_line_end(&p);
    return st;
}
