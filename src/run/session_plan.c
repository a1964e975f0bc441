/* session_plan.c - see session_plan.h. */
#include "session_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/file.h"
#include "noodle/forward.h"
#include "noodle/log.h"
#include "noodle/plan_split.h"
#include "noodle/weights.h"

/* Of the KV cache: one context at least, so that every request can run. */
static int n_pages(const ndl_session_setup *s)
{
    const int each = ndl_pages_of(s->context);
    if (s->n_pages == 0) return s->n_slots * each;
    return s->n_pages > each ? s->n_pages : each;
}

static ndl_status read_costs(const ndl_session_setup *s, const ndl_fleet *f,
                             ndl_plan_costs *out)
{
    int most_threads = s->n_threads;
    for (int r = 0; r < f->size && s->n_threads == 0; r++)
        if (ndl_hardware_n_cpus(&f->all[r]) > most_threads)
            most_threads = ndl_hardware_n_cpus(&f->all[r]);
    const ndl_forward_limits limits = {
        .max_rows = s->max_rows,
        .max_spans = s->n_slots,
        .n_slots = s->n_slots,
        .context = s->context,
        .n_pages = n_pages(s),
        .kv_types = s->kv_types,
    };
    return ndl_plan_costs_of(out, s->model, s->mix, &limits, most_threads);
}

/* By shape or as the user says: no times. */
static ndl_status split(const ndl_session_setup *s, const ndl_fleet *f,
                        const ndl_plan_costs *costs, ndl_plan *plan)
{
    ndl_plan_rank *ranks = calloc((size_t)f->size, sizeof *ranks);
    int n = 0;
    if (!ranks) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int r = 0; r < f->size; r++) {
        if (!f->hosts[r]) continue;
        ranks[n].rank = r;
        ranks[n].n_threads = f->threads[r];
        ranks[n].free_bytes = ndl_hardware_share(f->all, f->size, f->hosts, r);
        memcpy(ranks[n].host, f->all[r].host, sizeof ranks[n].host);
        n++;
    }
    const ndl_status st = s->split
                              ? ndl_plan_split(plan, s->split, costs, ranks, n)
                              : ndl_plan_equal(plan, costs, ranks, n);
    free(ranks);
    return st;
}

/* What is known of the ranks that got a stage. */
static ndl_status keep_measured(ndl_session_choice *out,
                                const ndl_cluster *cluster,
                                const ndl_profile *profile)
{
    const size_t n = (size_t)out->plan.n_stages;
    out->costs = calloc(n, sizeof *out->costs);
    out->loads = calloc(n, sizeof *out->loads);
    if (!out->costs || !out->loads)
        return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (size_t i = 0; i < n; i++) {
        const int rank = out->plan.stages[i].rank;
        out->loads[i] = (ndl_load)profile->ranks[rank].load;
        for (int k = 0; k < cluster->n; k++)
            if (cluster->nodes[k].rank == rank)
                out->costs[i] = cluster->nodes[k].cost;
    }
    return NDL_OK;
}

/* A split of the user's gets its times, else a strategy plans.  Memory is what
 * is free now, whatever it was when the profile was made. */
static ndl_status by_profile(const ndl_session_setup *s, const ndl_fleet *f,
                             const ndl_profile *profile,
                             const ndl_plan_costs *costs,
                             ndl_session_choice *out)
{
    ndl_cluster cluster;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_cluster_measured(&cluster, profile));
    for (int i = 0; i < cluster.n; i++)
        cluster.nodes[i].memory_bytes = ndl_hardware_share(
            f->all, f->size, f->hosts, cluster.nodes[i].rank);
    if (s->split) {
        NDL_TRY_GOTO(done, st, split(s, f, costs, &out->plan));
        st = ndl_strategy_judge(&out->plan, costs, &cluster, &s->workload);
    } else {
        st = ndl_strategy_plan(&out->plan, &s->strategy, costs, &cluster,
                               &s->workload, NULL);
    }
    if (st != NDL_OK) goto done;
    st = keep_measured(out, &cluster, profile);
done:
    ndl_cluster_fini(&cluster);
    return st;
}

/* A saved profile, if it was made for just this. */
static ndl_status by_profile_file(const ndl_session_setup *s,
                                  const ndl_fleet *f,
                                  const ndl_plan_costs *costs,
                                  ndl_session_choice *out)
{
    ndl_profile p;
    NDL_TRY(ndl_profile_load(&p, s->plan_file));
    const ndl_fleet_purpose purpose = { s->model, s->mix, s->kv_types, s->load,
                                        s->speeds };
    json_t *now = ndl_fleet_signature(f, &purpose);
    ndl_status st = now ? NDL_OK : NDL_FAIL(NDL_EOS, "profile: out of memory");
    if (st == NDL_OK) st = ndl_profile_match(&p, now, s->plan_file);
    if (st == NDL_OK) st = by_profile(s, f, &p, costs, out);
    json_decref(now);
    ndl_profile_fini(&p);
    return st;
}

static ndl_status check_stage(const ndl_plan_stage *stage, int i,
                              const ndl_fleet *f, const char *path)
{
    char need[32], have[32];
    const uint64_t bytes =
        stage->weight_bytes + stage->kv_bytes + stage->buffer_bytes;
    const int r = stage->rank;
    if (r < 0 || r >= f->size || !f->hosts[r])
        return NDL_FAIL(NDL_ECONFIG,
                        "%s: stage %d is for rank %d, and of the %d ranks here "
                        "rank %d to %d may host one: plan for these ranks, or "
                        "use --split",
                        path, i + 1, r, f->size, f->hosts[0] ? 0 : 1,
                        f->size - 1);
    const uint64_t free_bytes =
        ndl_hardware_share(f->all, f->size, f->hosts, r);
    if (bytes > free_bytes)
        return NDL_FAIL(NDL_EUNAVAIL,
                        "%s: stage %d does not fit: it needs %s and rank %d "
                        "has %s free: plan again, or use less context (-c)",
                        path, i + 1,
                        ndl_plan_bytes_text(bytes, need, sizeof need), r,
                        ndl_plan_bytes_text(free_bytes, have, sizeof have));
    return NDL_OK;
}

/* What a stage needs here, whatever the file said. */
static void renew_stage(ndl_plan_stage *s, const ndl_plan_costs *c,
                        const ndl_fleet *f)
{
    ndl_plan_stage_needs(s, c);
    if (s->rank < 0 || s->rank >= f->size) return;
    s->free_bytes = ndl_hardware_share(f->all, f->size, f->hosts, s->rank);
    memcpy(s->host, f->all[s->rank].host, sizeof s->host);
}

static ndl_status by_plan_file(const ndl_session_setup *s, const ndl_fleet *f,
                               const ndl_plan_costs *costs, ndl_plan *out)
{
    ndl_plan p;
    int n_blocks = 0;
    NDL_TRY(ndl_plan_load(&p, s->plan_file));
    ndl_status st = NDL_OK;
    for (int i = 0; i < p.n_stages; i++) n_blocks += p.stages[i].n_layers;
    if (n_blocks != costs->n_blocks)
        st = NDL_FAIL(NDL_ECONFIG,
                      "%s: is a plan for a model of %d blocks, this one has "
                      "%d: plan for this model",
                      s->plan_file, n_blocks, costs->n_blocks);
    for (int i = 0; i < p.n_stages && st == NDL_OK; i++) {
        renew_stage(&p.stages[i], costs, f);
        st = check_stage(&p.stages[i], i, f, s->plan_file);
    }
    if (st == NDL_OK)
        *out = p;
    else
        ndl_plan_fini(&p);
    return st;
}

/* HDF5 files begin with this. */
static ndl_status is_hdf5(const char *path, bool *answer)
{
    static const unsigned char magic[8] = "\x89HDF\r\n\x1a\n";
    unsigned char begin[8] = { 0 };
    FILE *f = fopen(path, "rbe");
    if (!f) return ndl_file_fail(path, "open", errno);
    const size_t n = fread(begin, 1, sizeof begin, f);
    fclose(f);
    *answer = n == sizeof magic && memcmp(begin, magic, sizeof magic) == 0;
    return NDL_OK;
}

static ndl_status by_file(const ndl_session_setup *s, const ndl_fleet *f,
                          const ndl_plan_costs *costs, ndl_session_choice *out)
{
    bool hdf5 = false;
    NDL_TRY(is_hdf5(s->plan_file, &hdf5));
    if (!hdf5 && s->split)
        return NDL_FAIL(NDL_EUSAGE,
                        "--split and --plan %s, which is a plan: give one of "
                        "them, or a profile as --plan",
                        s->plan_file);
    return hdf5 ? by_profile_file(s, f, costs, out)
                : by_plan_file(s, f, costs, &out->plan);
}

static ndl_status choose(const ndl_session_setup *s, const ndl_fleet *f,
                         const ndl_profile *profile, ndl_session_choice *out)
{
    ndl_plan_costs costs;
    NDL_TRY(read_costs(s, f, &costs));
    if (profile) return by_profile(s, f, profile, &costs, out);
    if (s->plan_by == NDL_PLAN_BY_FILE) return by_file(s, f, &costs, out);
    return split(s, f, &costs, &out->plan);
}

/* Processors are divided among the ranks that got a stage. */
static void give_threads(const ndl_session_setup *s, ndl_fleet *f,
                         ndl_plan *plan)
{
    ndl_fleet_keep(f, plan);
    ndl_fleet_give_threads(f, s->n_threads);
    for (int i = 0; i < plan->n_stages; i++)
        plan->stages[i].n_threads = f->threads[plan->stages[i].rank];
    if (s->n_threads == 0) ndl_fleet_warn_of_binding(f);
}

static void note_emulation(const ndl_session_setup *s, const ndl_fleet *f,
                           ndl_plan *plan)
{
    for (int r = 0; s->speeds && r < f->size; r++)
        if (s->speeds[r] < 1.0 && plan->n_notes < NDL_PLAN_NOTES)
            snprintf(plan->notes[plan->n_notes++], sizeof plan->notes[0],
                     "rank %d is emulated at %g of its speed", r, s->speeds[r]);
}

static ndl_status write_places(const ndl_session_setup *s,
                               ndl_session_choice *c)
{
    const ndl_plan *plan = &c->plan;
    NDL_ASSERT(plan->n_stages > 0);
    c->places = calloc((size_t)plan->n_stages, sizeof *c->places);
    if (!c->places) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < plan->n_stages; i++) {
        const ndl_plan_stage *t = &plan->stages[i];
        c->places[i] = (ndl_wire_place){
            .rank = t->rank,
            .first_layer = t->first_layer,
            .n_layers = t->n_layers,
            .embed = t->embed,
            .head = t->head,
            .n_threads = t->n_threads,
            .speed = s->speeds ? (float)s->speeds[t->rank] : 1.0f,
            .load =
                s->load == NDL_LOAD_AUTO && c->loads ? c->loads[i] : s->load,
            .free_bytes = t->free_bytes,
        };
    }
    return NDL_OK;
}

/* A path in the job; the stages open it themselves. */
static ndl_status copy_path(char out[NDL_WIRE_PATH], const char *path)
{
    if (!path) return NDL_OK;
    char *full = path[0] == '/' ? NULL : realpath(".", NULL);
    const int n = full ? snprintf(out, NDL_WIRE_PATH, "%s/%s", full, path)
                       : snprintf(out, NDL_WIRE_PATH, "%s", path);
    free(full);
    if (n < 0 || n >= NDL_WIRE_PATH)
        return NDL_FAIL(NDL_EUSAGE, "%.100s...: the path is too long", path);
    return NDL_OK;
}

static uint32_t max_ops(const ndl_session_setup *s)
{
    const ndl_scheduler_config config = { .max_requests = s->n_requests,
                                          .n_slots = s->n_slots,
                                          .n_pages = n_pages(s),
                                          .max_rows = s->max_rows,
                                          .context = s->context };
    return (uint32_t)ndl_scheduler_max_ops(&config);
}

static ndl_status write_job(const ndl_session_setup *s, ndl_wire_job *job)
{
    job->n_slots = (uint32_t)s->n_slots;
    job->context = (uint32_t)s->context;
    job->max_rows = (uint32_t)s->max_rows;
    job->n_pages = (uint32_t)n_pages(s);
    job->max_ops = max_ops(s);
    job->type_k = (uint16_t)s->kv_types.k;
    job->type_v = (uint16_t)s->kv_types.v;
    job->want_steps = s->metrics != NULL;
    job->log_level = NDL_LOG_ERROR;
    while (job->log_level < NDL_LOG_TRACE &&
           ndl_log_is_on((ndl_log_level)(job->log_level + 1)))
        job->log_level++;
    job->want_scores = s->on_score != NULL;
    job->compare = s->compare;
    job->more = s->more;
    for (int i = 0; i < s->n_requests; i++) {
        const ndl_request *r = &s->requests[i];
        if (r->want_logits)
            job->logits_rows += (uint32_t)r->n_prompt;
        else if (r->score_from > 0)
            job->logits_rows += (uint32_t)(r->n_prompt - r->score_from);
    }
    NDL_TRY(copy_path(job->weights, ndl_store_path(s->store)));
    NDL_TRY(copy_path(job->stage_in, s->stage_in));
    return copy_path(job->logits, s->logits);
}

ndl_status ndl_session_choose(const ndl_session_setup *s, ndl_fleet *fleet,
                              const ndl_profile *profile, ndl_wire_job *job,
                              ndl_session_choice *out)
{
    ndl_session_choice c = { 0 };
    ndl_status st = NDL_OK;
    ndl_fleet_give_threads(fleet, s->n_threads);
    NDL_TRY_GOTO(done, st, write_job(s, job));
    NDL_TRY_GOTO(done, st, choose(s, fleet, profile, &c));
    give_threads(s, fleet, &c.plan);
    note_emulation(s, fleet, &c.plan);
    NDL_TRY_GOTO(done, st, write_places(s, &c));
    job->n_stages = (uint32_t)c.plan.n_stages;
    job->cpu_flags = fleet->cpu_flags;
    job->sleep_only = fleet->crowded;
    *out = c;
    c = (ndl_session_choice){ 0 };
done:
    ndl_session_choice_fini(&c);
    return st;
}

void ndl_session_choice_fini(ndl_session_choice *c)
{
    ndl_plan_fini(&c->plan);
    free(c->places);
    free(c->costs);
    free(c->loads);
    *c = (ndl_session_choice){ 0 };
}
