/* plan_question.c - see plan_question.h. */
#include "plan_question.h"

#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "noodle/checkpoint.h"
#include "noodle/file.h"
#include "noodle/weights.h"
#include "session_options.h"

enum {
    MAX_CONFIG_BYTES = 1 << 20,
    DEFAULT_CONTEXT = 4096,
    DEFAULT_SEQUENCES = 16,
    DEFAULT_PROMPT = 512,
    DEFAULT_NEW = 128,
    DEFAULT_THREADS = 64 /* of a node that does not say: buffers depend on it */
};

static const char nodes_hint[] =
    "give --nodes FILE with lines like \"nodes: [{name: big, count: 4, memory: "
    "512 GiB, compute: 4 TFLOP/s, bandwidth: 400 GB/s}]\", or --profile FILE "
    "that noodle-mpi profile -o wrote";

/* ---- the model ---- */

static ndl_status unknown_shape(const char *name)
{
    char names[512] = "";
    for (int i = 0; ndl_checkpoint_shape_name(i); i++) {
        const size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                 ndl_checkpoint_shape_name(i));
    }
    return NDL_FAIL(NDL_EUSAGE,
                    "--shape %.100s: no such shape: give one of %s, or "
                    "the path of a config.json",
                    name, names);
}

static bool is_path(const char *name)
{
    const size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".json"));
}

static ndl_status read_shape(const char *name, ndl_model *m)
{
    const char *known = ndl_checkpoint_shape_config(name);
    char *text = NULL;
    size_t n = 0;
    if (known) return ndl_model_parse(m, known, strlen(known), NULL, 0, name);
    if (!is_path(name)) return unknown_shape(name);
    NDL_TRY(ndl_file_read(&text, &n, name, MAX_CONFIG_BYTES));
    const ndl_status st = ndl_model_parse(m, text, n, NULL, 0, name);
    free(text);
    return st;
}

static ndl_status read_weights(const char *given, ndl_model *m, ndl_mix *t)
{
    char *path = NULL;
    ndl_store *store = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, ndl_model_path(given, &path));
    NDL_TRY_GOTO(done, st, ndl_store_open(&store, path));
    NDL_TRY_GOTO(done, st, ndl_weights_read_model(store, m, t));
done:
    ndl_store_close(&store);
    free(path);
    return st;
}

static ndl_status read_model(ndl_plan_question *q, const ndl_options *o)
{
    if (o->model && o->shape)
        return NDL_FAIL(NDL_EUSAGE, "-m and --shape: two models: give one");
    q->mix = ndl_mix_plain(NDL_BF16);
    if (o->shape)
        NDL_TRY(read_shape(o->shape, &q->model));
    else
        NDL_TRY(read_weights(o->model, &q->model, &q->mix));
    if (o->dtype) NDL_TRY(ndl_mix_parse(&q->mix, o->dtype, NULL));
    return ndl_session_options_kv_types(o, q->mix, &q->kv_types);
}

/* ---- the work ---- */

static int least(int a, int b)
{
    return a < b ? a : b;
}

static ndl_status read_workload(ndl_plan_question *q, const ndl_options *o)
{
    const int known = q->model.context;
    if (o->context > known)
        return NDL_FAIL(NDL_EUSAGE,
                        "-c %d: the model knows %d positions: give at most "
                        "that",
                        o->context, known);
    q->context = o->context > 0 ? o->context : least(known, DEFAULT_CONTEXT);
    const int prompt = o->prompt_tokens > 0
                           ? o->prompt_tokens
                           : least(DEFAULT_PROMPT, (q->context + 1) / 2);
    const int fresh = o->new_tokens > 0
                          ? o->new_tokens
                          : least(DEFAULT_NEW, q->context - prompt);
    if (fresh < 0 || prompt > q->context || fresh > q->context - prompt)
        return NDL_FAIL(NDL_EUSAGE,
                        "--prompt-tokens %d and --new-tokens %d: do not fit "
                        "into %d positions: give fewer, or more with -c",
                        prompt, fresh < 0 ? 0 : fresh, q->context);
    const int wanted = o->parallel > 0 ? o->parallel : DEFAULT_SEQUENCES;
    q->n_slots = least(wanted, o->rows);
    q->workload = (ndl_workload){ .prompt_tokens = prompt,
                                  .new_tokens = fresh,
                                  .sequences = q->n_slots,
                                  .chunk_rows = o->rows };
    return NDL_OK;
}

/* ---- the nodes ---- */

/* A profile's times are those of one model. */
static ndl_status check_profile(const ndl_plan_question *q, const char *path)
{
    static const char *const keys[] = { "shape", "dtype", "kv_dtype" };
    const ndl_profile_facts facts = { .model = &q->model,
                                      .mix = q->mix,
                                      .kv_types = q->kv_types,
                                      .kernels = "",
                                      .load = "" };
    json_t *asked = ndl_profile_signature(&facts);
    ndl_status st =
        asked ? NDL_OK : NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && st == NDL_OK; i++) {
        const json_t *is = json_object_get(q->profile.signature, keys[i]);
        const json_t *wanted = json_object_get(asked, keys[i]);
        if (json_equal(is, wanted)) continue;
        const char *text = json_string_value(is);
        st = NDL_FAIL(NDL_ECONFIG,
                      "%s: was measured for another %s, %.120s and not "
                      "%.120s: measure this model with noodle-mpi profile",
                      path, keys[i], text ? text : "none",
                      json_string_value(wanted));
    }
    json_decref(asked);
    return st;
}

static ndl_status read_nodes(const ndl_plan_question *q, const char *path,
                             ndl_mix mix, ndl_kv_types kv_types,
                             ndl_cluster *out)
{
    return ndl_cluster_load(out, path, &q->model, mix, kv_types,
                            q->profile.n_ranks > 0 ? &q->profile : NULL);
}

static ndl_status read_cluster(ndl_plan_question *q, const ndl_options *o)
{
    if (!o->nodes && !o->profile)
        return NDL_FAIL(NDL_EUSAGE, "plan: on which nodes? %s", nodes_hint);
    if (o->profile) {
        NDL_TRY(ndl_profile_load(&q->profile, o->profile));
        NDL_TRY(check_profile(q, o->profile));
    }
    if (o->nodes)
        return read_nodes(q, o->nodes, q->mix, q->kv_types, &q->cluster);
    return ndl_cluster_measured(&q->cluster, &q->profile);
}

/* ---- what it takes ---- */

static int most_threads(const ndl_cluster *c)
{
    int most = 0;
    for (int i = 0; i < c->n; i++) {
        const int n = c->nodes[i].n_threads;
        if (n > most) most = n;
    }
    return most > 0 ? most : DEFAULT_THREADS;
}

static ndl_status read_costs(const ndl_plan_question *q, ndl_mix mix,
                             ndl_kv_types kv_types, ndl_plan_costs *out)
{
    const ndl_forward_limits limits = {
        .max_rows = q->workload.chunk_rows,
        .max_spans = q->n_slots,
        .n_slots = q->n_slots,
        .context = q->context,
        .kv_types = kv_types,
    };
    return ndl_plan_costs_of(out, &q->model, mix, &limits,
                             most_threads(&q->cluster));
}

/* No matrix larger, some smaller.  In ndl_dtype the smaller ones come later;
 * blocks of int8 make no difference worth advice. */
static bool is_smaller(ndl_mix a, ndl_mix b)
{
    bool some = false;
    for (int g = 0; g < NDL_N_GROUPS; g++) {
        if (a.of[g] < b.of[g]) return false;
        some |= a.of[g] > b.of[g];
    }
    return some;
}

static ndl_status add_smaller(ndl_plan_question *q, const ndl_options *o,
                              const char *dtype, ndl_mix mix)
{
    ndl_plan_smaller *s = &q->smaller[q->n_smaller];
    ndl_kv_types kv;
    /* What the user chose stays, a default follows the weights.  Where the two
     * do not go together there is no such run. */
    if (ndl_kv_types_parse(&kv, o->type_k, o->type_v,
                           ndl_kv_types_default(mix)) != NDL_OK) {
        ndl_status_clear();
        return NDL_OK;
    }
    NDL_TRY(read_nodes(q, o->nodes, mix, kv, &s->cluster));
    if (q->n_smaller++ > 0) s[-1].next.then = &s->next;
    s->next = (ndl_strategy_next){ .costs = &s->costs,
                                   .cluster = &s->cluster,
                                   .dtype = dtype };
    return read_costs(q, mix, kv, &s->costs);
}

/* Measured times hold for one dtype; described nodes can be asked again. */
static ndl_status read_smaller(ndl_plan_question *q, const ndl_options *o)
{
    static const char *const dtypes[NDL_PLAN_SMALLER] = { "bf16", "int8",
                                                          "int4" };
    if (!o->nodes || o->profile) return NDL_OK;
    for (int i = 0; i < NDL_PLAN_SMALLER; i++) {
        ndl_mix mix;
        NDL_TRY(ndl_mix_parse(&mix, dtypes[i], NULL));
        if (is_smaller(mix, q->mix)) NDL_TRY(add_smaller(q, o, dtypes[i], mix));
    }
    return NDL_OK;
}

ndl_status ndl_plan_question_read(ndl_plan_question *q, const ndl_options *o)
{
    NDL_TRY(read_model(q, o));
    NDL_TRY(read_workload(q, o));
    NDL_TRY(read_cluster(q, o));
    NDL_TRY(read_costs(q, q->mix, q->kv_types, &q->costs));
    NDL_TRY(read_smaller(q, o));
    const ndl_strategy_context context = { .cluster = &q->cluster,
                                           .n_blocks = q->model.n_layers,
                                           .is_free = o->nodes != NULL };
    return ndl_strategy_options_read(&q->wishes, o, &context);
}

void ndl_plan_question_fini(ndl_plan_question *q)
{
    ndl_cluster_fini(&q->cluster);
    for (int i = 0; i < q->n_smaller; i++)
        ndl_cluster_fini(&q->smaller[i].cluster);
    ndl_profile_fini(&q->profile);
}
