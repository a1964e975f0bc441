/* session_options.c - see session_options.h. */
#include "session_options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link_options.h"

ndl_status ndl_session_options_load(const char *name, ndl_load *out)
{
    if (ndl_load_parse(name, out)) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "--load %s: give auto, map or copy", name);
}

ndl_status ndl_session_options_rank0(const char *name, bool *hosts)
{
    *hosts = strcmp(name, "shared") == 0;
    if (*hosts || strcmp(name, "dedicated") == 0) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE, "--rank0 %s: give dedicated or shared", name);
}

ndl_session_hosts ndl_session_options_hosts(int size, bool rank0_hosts)
{
    return (ndl_session_hosts){ size > 1 && !rank0_hosts, size };
}

ndl_status ndl_session_options_kv_types(const ndl_options *o, ndl_mix mix,
                                        ndl_kv_types *out)
{
    return ndl_kv_types_parse(out, o->type_k, o->type_v,
                              ndl_kv_types_default(mix));
}

static ndl_status bad_emulate(const char *text)
{
    return NDL_FAIL(NDL_EUSAGE,
                    "--emulate %s: give rank=R,speed=S with a rank, or * for "
                    "all, and 0.001 <= S <= 1, or link=A-B,delay=1ms",
                    text);
}

static ndl_status no_such_host(const char *text, const ndl_session_hosts *hosts)
{
    return NDL_FAIL(NDL_EUSAGE,
                    "--emulate %s: that rank hosts no stage: give one from %d "
                    "to %d%s",
                    text, hosts->first, hosts->size - 1,
                    hosts->first > 0 ? ", or --rank0 shared" : "");
}

/* One "rank=R,speed=S"; a star is every rank that may host a stage. */
static ndl_status set_speed(double *speeds, const ndl_session_hosts *hosts,
                            const char *text)
{
    int first = hosts->first, last = hosts->size - 1, used = 0;
    double speed = 0.0;
    if (sscanf(text, "rank=*,speed=%lf%n", &speed, &used) != 1) {
        if (sscanf(text, "rank=%d,speed=%lf%n", &first, &speed, &used) != 2)
            return bad_emulate(text);
        last = first;
    }
    if (text[used] != '\0' || !(speed >= 0.001 && speed <= 1.0))
        return bad_emulate(text);
    if (first < hosts->first || last >= hosts->size)
        return no_such_host(text, hosts);
    for (int r = first; r <= last; r++) speeds[r] = speed;
    return NDL_OK;
}

ndl_status ndl_session_options_speeds(const ndl_options_list *emulate,
                                      const ndl_session_hosts *hosts,
                                      double **out)
{
    if (emulate->n == 0) return NDL_OK;
    double *speeds = malloc((size_t)hosts->size * sizeof *speeds);
    if (!speeds) return NDL_FAIL(NDL_EOS, "--emulate: out of memory");
    for (int r = 0; r < hosts->size; r++) speeds[r] = 1.0;
    ndl_status st = NDL_OK;
    for (int i = 0; i < emulate->n && st == NDL_OK; i++)
        if (!ndl_link_options_is_link(emulate->at[i]))
            st = set_speed(speeds, hosts, emulate->at[i]);
    if (st == NDL_OK)
        *out = speeds;
    else
        free(speeds);
    return st;
}

/* Measuring pays where there is something to choose: with two stages or more.
 */
static void choose_plan(const ndl_options *o, ndl_session_setup *setup)
{
    const int n_hosts = setup->comm->size - !setup->rank0_hosts;
    const bool any = n_hosts > 1 && !o->split;
    if (!o->plan) {
        setup->plan_by = any ? NDL_PLAN_BY_MEASURE : NDL_PLAN_BY_SHAPE;
    } else if (strcmp(o->plan, "estimate") == 0) {
        setup->plan_by = NDL_PLAN_BY_SHAPE;
    } else if (strcmp(o->plan, "measure") == 0) {
        setup->plan_by = NDL_PLAN_BY_MEASURE;
    } else {
        setup->plan_by = NDL_PLAN_BY_FILE;
        setup->plan_file = o->plan;
    }
    setup->save_profile = o->save_profile;
}

static ndl_status check_plan(const ndl_options *o,
                             const ndl_session_setup *setup)
{
    if (o->save_profile && setup->plan_by != NDL_PLAN_BY_MEASURE)
        return NDL_FAIL(NDL_EUSAGE,
                        "--save-profile: nothing is measured: give --plan "
                        "measure");
    if (setup->plan_by == NDL_PLAN_BY_FILE && access(o->plan, F_OK) != 0)
        return NDL_FAIL(NDL_ENOINPUT,
                        "--plan %s: no such file: give estimate, measure, or "
                        "what profile or plan has written with -o",
                        o->plan);
    return NDL_OK;
}

/* The ranks that may host a stage, as the pins call them and in the order in
 * which a profile has them. */
static ndl_status read_wishes(ndl_session_options *s, const ndl_options *o,
                              const ndl_session_setup *setup)
{
    const ndl_session_hosts hosts =
        ndl_session_options_hosts(setup->comm->size, setup->rank0_hosts);
    const int first = hosts.first;
    ndl_cluster ranks = { .n = hosts.size - first };
    const ndl_strategy_context context = { .cluster = &ranks,
                                           .n_blocks = setup->model->n_layers };
    ranks.nodes = calloc((size_t)ranks.n, sizeof *ranks.nodes);
    if (!ranks.nodes) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < ranks.n; i++) {
        ranks.nodes[i].rank = first + i;
        snprintf(ranks.nodes[i].name, sizeof ranks.nodes[i].name, "%d",
                 first + i);
    }
    const ndl_status st = ndl_strategy_options_read(&s->wishes, o, &context);
    free(ranks.nodes);
    return st;
}

/* metrics.h5 in --out or here; the name of a job keeps those of jobs that share
 * a folder apart.  A folder that cannot be written is the user's choice for
 * results, not for this: only a file that was asked for is worth an error. */
static void choose_metrics(ndl_session_options *s, const ndl_options *o,
                           ndl_session_setup *setup)
{
    const char *dir = o->out ? o->out : ".", *job = getenv("SLURM_JOB_ID");
    char suffix[40] = "";
    setup->metrics = NULL;
    if (o->metrics && strcmp(o->metrics, "off") == 0) return;
    if (o->metrics) {
        setup->metrics = o->metrics;
        return;
    }
    if (access(dir, W_OK) != 0) return;
    if (job && strlen(job) < 32 && strspn(job, "0123456789_") == strlen(job))
        snprintf(suffix, sizeof suffix, "-%s", job);
    snprintf(s->metrics, sizeof s->metrics, "%s%smetrics%s.h5",
             o->out ? o->out : "", o->out ? "/" : "", suffix);
    setup->metrics = s->metrics;
}

/* What options say for themselves, whatever the model. */
static ndl_status fill_own(ndl_session_options *s, const ndl_options *o,
                           ndl_session_setup *setup)
{
    NDL_TRY(ndl_session_options_rank0(o->rank0, &setup->rank0_hosts));
    const ndl_session_hosts hosts =
        ndl_session_options_hosts(setup->comm->size, setup->rank0_hosts);
    choose_plan(o, setup);
    NDL_TRY(check_plan(o, setup));
    setup->n_groups = o->groups;
    setup->stall_sec = o->stall_ms / 1e3;
    setup->no_reuse = o->no_reuse;
    setup->n_pages = ndl_pages_of(o->kv_size);
    NDL_TRY(ndl_session_options_kv_types(o, setup->mix, &setup->kv_types));
    NDL_TRY(ndl_session_options_load(o->load, &setup->load));
    NDL_TRY(ndl_session_options_speeds(&o->emulate, &hosts, &s->speeds));
    setup->speeds = s->speeds;
    NDL_TRY(ndl_link_options_read(&o->emulate, setup->comm->size, &s->links,
                                  &s->n_links));
    setup->links = s->links;
    setup->n_links = s->n_links;
    return NDL_OK;
}

ndl_status ndl_session_options_check(const ndl_options *o, ndl_comm *comm)
{
    ndl_session_options *s = calloc(1, sizeof *s);
    ndl_session_setup setup = { .comm = comm };
    if (!s) return NDL_FAIL(NDL_EOS, "options: out of memory");
    const ndl_status st = fill_own(s, o, &setup);
    ndl_session_options_fini(s);
    free(s);
    return st;
}

ndl_status ndl_session_options_fill(ndl_session_options *s,
                                    const ndl_options *o,
                                    ndl_session_setup *setup)
{
    NDL_TRY(fill_own(s, o, setup));
    NDL_TRY(read_wishes(s, o, setup));
    setup->strategy = s->wishes.setup;
    setup->stage_in = o->stage_in;
    choose_metrics(s, o, setup);
    const int n = ndl_options_facts(o, s->facts, NDL_SESSION_FACTS);
    for (int i = 0; i < n; i++)
        s->config[i] = (ndl_metrics_fact){ s->facts[i].name, s->facts[i].text };
    setup->config = s->config;
    setup->n_config = n;
    return NDL_OK;
}

void ndl_session_options_fini(ndl_session_options *s)
{
    free(s->speeds);
    s->speeds = NULL;
    free(s->links);
    s->links = NULL;
}
