/* cmd_logits.c - noodle-mpi logits: the model's scores for every position. */
#include <stdlib.h>

#include "commands.h"
#include "ids.h"
#include "noodle/session.h"
#include "noodle/weights.h"
#include "session_options.h"

static bool ignore_token(void *arg, int request, const ndl_token *token,
                         double now)
{
    (void)arg, (void)request, (void)token, (void)now;
    return true;
}

static void ignore_finish(void *arg, int request, ndl_finish why, double now)
{
    (void)arg, (void)request, (void)why, (void)now;
}

static ndl_status lead(ndl_cli *cli, ndl_store *store, const ndl_model *model,
                       ndl_mix mix, const int32_t *ids, size_t n)
{
    const ndl_options *o = cli->options;
    ndl_session_result result = { 0 };
    ndl_kv_types kv_types;
    NDL_TRY(ndl_session_options_kv_types(o, mix, &kv_types));
    const int limit = o->context > 0 ? o->context : model->context;
    if (limit > model->context || n > (size_t)limit)
        return NDL_FAIL(NDL_EDATA,
                        "--ids: %zu tokens in a context of %d: the model knows "
                        "%d positions",
                        n, limit, model->context);
    const ndl_request request = { .prompt = ids,
                                  .n_prompt = (int)n,
                                  .want_logits = true };
    const ndl_session_setup setup = {
        .comm = cli->comm,
        .store = store,
        .model = model,
        .mix = mix,
        .kv_types = kv_types,
        .split = o->split,
        .n_threads = o->threads,
        .context = (int)n,
        .n_slots = 1,
        .max_rows = o->chunk,
        .logits = o->out,
        .requests = &request,
        .n_requests = 1,
        .client = { .on_token = ignore_token, .on_finish = ignore_finish },
        .signal = cli->signal,
    };
    cli->session_ran = true;
    const ndl_status st = ndl_session_lead(&setup, &result);
    ndl_session_result_fini(&result);
    return st;
}

ndl_status ndl_cmd_logits(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_store *store = NULL;
    ndl_model model;
    ndl_mix mix;
    char *path = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    ndl_status st = NDL_OK;
    if (!o->ids || !o->out)
        return NDL_FAIL(NDL_EUSAGE,
                        "logits: %s is missing: see noodle-mpi "
                        "help logits",
                        o->ids ? "-o FILE.npy" : "--ids 1,2,3");
    NDL_TRY_GOTO(done, st, ndl_model_path(o->model, &path));
    NDL_TRY_GOTO(done, st, ndl_store_open(&store, path));
    NDL_TRY_GOTO(done, st, ndl_weights_read_model(store, &model, &mix));
    NDL_TRY_GOTO(done, st,
                 ndl_ids_parse("--ids", o->ids, model.vocab, &ids, &n));
    st = lead(cli, store, &model, mix, ids, n);
done:
    free(ids);
    free(path);
    ndl_store_close(&store);
    return st;
}
