/* cmd_profile.c - noodle-mpi profile: measure layers and links, keep it. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "link_options.h"
#include "noodle/profiling.h"
#include "noodle/slow_links.h"
#include "noodle/weights.h"
#include "output.h"
#include "session_options.h"

enum { DEFAULT_CONTEXT = 4096, DEFAULT_PARALLEL = 16 };

static int context_of(const ndl_options *o, const ndl_model *m)
{
    if (o->context > 0) return o->context;
    return m->context < DEFAULT_CONTEXT ? m->context : DEFAULT_CONTEXT;
}

static ndl_status print(const ndl_options *o, const ndl_profile *p)
{
    if (!o->json) return ndl_profile_print(p, stdout);
    json_t *json = ndl_profile_json(p);
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    if (!text) return NDL_FAIL(NDL_EOS, "JSON: out of memory");
    const ndl_status st = ndl_output_text(text);
    free(text);
    return st == NDL_OK ? ndl_output_text("\n") : st;
}

/* Over the links of --emulate. */
static ndl_status probe(ndl_cli *cli, const ndl_profiling_setup *setup,
                        ndl_profile *p)
{
    ndl_comm *slow = NULL;
    ndl_comm_link *links = NULL;
    int n = 0;
    NDL_TRY(ndl_link_options_read(&cli->options->emulate, cli->comm->size,
                                  &links, &n));
    ndl_status st = NDL_OK;
    if (n > 0) st = ndl_slow_links_lead(cli->comm, links, n, &slow);
    if (st == NDL_OK)
        st = ndl_profiling_lead(slow ? slow : cli->comm, setup, p);
    ndl_comm_close(&slow);
    free(links);
    return st;
}

static ndl_status measure(ndl_cli *cli, const ndl_profiling_setup *setup)
{
    const ndl_options *o = cli->options;
    ndl_profile p;
    NDL_TRY(probe(cli, setup, &p));
    /* Shown first: nothing measured is lost if it cannot be kept. */
    ndl_status st = print(o, &p);
    if (st == NDL_OK && o->out) st = ndl_profile_save(&p, o->out);
    ndl_profile_fini(&p);
    return st;
}

ndl_status ndl_cmd_profile(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_model model;
    ndl_profiling_setup setup = { .model = &model };
    ndl_store *store = NULL;
    char *path = NULL, *config = NULL;
    double *speeds = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_session_options_load(o->load, &setup.load));
    NDL_TRY(ndl_session_options_rank0(o->rank0, &setup.rank0_hosts));
    const ndl_session_hosts hosts =
        ndl_session_options_hosts(cli->comm->size, setup.rank0_hosts);
    NDL_TRY_GOTO(done, st,
                 ndl_session_options_speeds(&o->emulate, &hosts, &speeds));
    NDL_TRY_GOTO(done, st, ndl_model_path(o->model, &path));
    NDL_TRY_GOTO(done, st, ndl_store_open(&store, path));
    NDL_TRY_GOTO(done, st, ndl_weights_read_model(store, &model, &setup.mix));
    NDL_TRY_GOTO(done, st, ndl_store_get_text(store, "/", "config", &config));
    if (o->context > model.context) {
        st = NDL_FAIL(NDL_EUSAGE, "-c %d: the model knows %d positions",
                      o->context, model.context);
        goto done;
    }
    setup.config = config;
    NDL_TRY_GOTO(done, st,
                 ndl_session_options_kv_types(o, setup.mix, &setup.kv_types));
    setup.chunk_rows = o->rows;
    setup.context = context_of(o, &model);
    setup.n_slots = o->parallel > 0 ? o->parallel : DEFAULT_PARALLEL;
    setup.n_threads = o->threads;
    setup.speeds = speeds;
    st = measure(cli, &setup);
done:
    free(speeds);
    free(config);
    free(path);
    ndl_store_close(&store);
    return st;
}
