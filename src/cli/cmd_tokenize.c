/* cmd_tokenize.c - noodle-mpi tokenize -m FILE TEXT: the ids on one line. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ids.h"
#include "noodle/tokenizer.h"
#include "output.h"

ndl_status ndl_cmd_tokenize(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_store *store = NULL;
    ndl_tokenizer *t = NULL;
    char *path = NULL, *line = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, ndl_model_path(o->model, &path));
    NDL_TRY_GOTO(done, st, ndl_store_open(&store, path));
    NDL_TRY_GOTO(done, st, ndl_tokenizer_load(&t, store));
    NDL_TRY_GOTO(done, st,
                 ndl_tokenizer_encode(t, o->args[0], strlen(o->args[0]),
                                      o->special, &ids, &n));
    line = ndl_ids_text(ids, n);
    st = line ? ndl_output_text(line) : NDL_FAIL(NDL_EOS, "out of memory");
done:
    free(line);
    free(ids);
    free(path);
    ndl_tokenizer_destroy(&t);
    ndl_store_close(&store);
    return st;
}
