/* cmd_hardware.c - noodle-mpi hardware: what the nodes are made of, and what
 * they and their links can do at most. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "hardware_report.h"
#include "noodle/file.h"
#include "output.h"

static ndl_status write_report(const ndl_survey *s, bool as_json, FILE *out)
{
    if (!as_json) return ndl_hardware_print(s, out);
    json_t *j = ndl_hardware_json(s);
    const bool ok = j && json_dumpf(j, out, JSON_INDENT(1)) == 0;
    json_decref(j);
    fputc('\n', out);
    return ok ? NDL_OK : NDL_FAIL(NDL_EOS, "hardware: out of memory");
}

/* Made in memory, so that a failed write is found once. */
static ndl_status make_report(const ndl_survey *s, bool as_json, char **text)
{
    size_t n = 0;
    FILE *out = open_memstream(text, &n);
    if (!out) return NDL_FAIL(NDL_EOS, "hardware: out of memory");
    const ndl_status st = write_report(s, as_json, out);
    if (fclose(out) != 0 && st == NDL_OK)
        return NDL_FAIL(NDL_EOS, "hardware: out of memory");
    return st;
}

static ndl_status put(const char *text, const char *path, ndl_file_part *part)
{
    if (!path) return ndl_output_text(text);
    if (fputs(text, part->file) < 0) return ndl_file_fail(path, "write", errno);
    return ndl_file_part_commit(part);
}

/* The file is made first: not after all was measured is it found that it
 * cannot be. */
ndl_status ndl_cmd_hardware(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_file_part part = { .file = NULL };
    ndl_survey survey = { .n_ranks = 0 };
    char *text = NULL;
    ndl_status st = NDL_OK;
    if (o->out) NDL_TRY_GOTO(done, st, ndl_file_part_open(&part, o->out));
    NDL_TRY_GOTO(done, st, ndl_survey_lead(cli->comm, &survey));
    NDL_TRY_GOTO(done, st, make_report(&survey, o->json, &text));
    st = put(text, o->out, &part);
done:
    ndl_file_part_discard(&part);
    ndl_survey_fini(&survey);
    free(text);
    return st;
}
