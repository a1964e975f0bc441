/* session_plan.c - see session_plan.h. */
#include "session_plan.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/forward.h"
#include "noodle/hardware.h"
#include "noodle/log.h"
#include "noodle/plan_split.h"
#include "noodle/weights.h"

/* What the ranks are, and which of them may host a stage: all but rank 0,
 * unless it is alone. */
typedef struct fleet {
    int size;
    ndl_hardware *all; /* (size) */
    bool *hosts;       /* (size) */
    int *threads;      /* (size) */
    bool crowded;      /* more threads than processors somewhere */
    unsigned cpu_flags;
} fleet;

static void fleet_free(fleet *f)
{
    free(f->all);
    free(f->hosts);
    free(f->threads);
}

static ndl_status fleet_read(fleet *f, const ndl_wire_hello *hello, int size)
{
    f->size = size;
    f->cpu_flags = ~0u;
    f->all = calloc((size_t)size, sizeof *f->all);
    f->hosts = calloc((size_t)size, sizeof *f->hosts);
    f->threads = calloc((size_t)size, sizeof *f->threads);
    if (!f->all || !f->hosts || !f->threads)
        return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int r = 0; r < size; r++) {
        if (hello[r].magic != NDL_WIRE_MAGIC ||
            hello[r].version != NDL_WIRE_VERSION)
            return NDL_FAIL(NDL_EPROTO,
                            "rank %d speaks protocol version %u, not %u: start "
                            "the same noodle-mpi on all nodes",
                            r, hello[r].version, NDL_WIRE_VERSION);
        ndl_hardware *h = &f->all[r];
        memcpy(h->host, hello[r].host, sizeof h->host - 1);
        memcpy(h->cpus, hello[r].cpus, sizeof h->cpus);
        h->node = hello[r].node;
        h->n_cpus = hello[r].n_cpus;
        h->free_bytes = hello[r].memory_bytes;
        f->hosts[r] = r > 0 || size == 1;
        if (f->hosts[r]) f->cpu_flags &= hello[r].cpu_flags;
    }
    return NDL_OK;
}

/* One line when the launcher has bound a stage to less than the node could
 * give it: Open MPI 4.1 binds np <= 2 to single cores. */
static void warn_of_binding(const fleet *f)
{
    for (int r = 0; r < f->size; r++) {
        int hosting = 0;
        const int own = ndl_hardware_n_cpus(&f->all[r]);
        for (int k = 0; k < f->size; k++)
            hosting += f->hosts[k] && f->all[k].node == f->all[r].node;
        if (!f->hosts[r] || own * hosting >= f->all[r].n_cpus) continue;
        ndl_log_root(NDL_LOG_WARN, "binding",
                     "rank %d may use %d of the %d processors of %s: mpirun "
                     "has bound it; use --bind-to none or --map-by slot:PE=N",
                     r, own, f->all[r].n_cpus, f->all[r].host);
        return;
    }
}

/* Processors are divided among the ranks that got a stage. */
static void give_threads(fleet *f, int wanted, ndl_plan *plan)
{
    memset(f->hosts, 0, (size_t)f->size * sizeof *f->hosts);
    for (int i = 0; i < plan->n_stages; i++)
        f->hosts[plan->stages[i].rank] = true;
    f->crowded = ndl_hardware_threads(f->all, f->size, f->hosts, f->threads);
    for (int r = 0; r < f->size && wanted > 0; r++) {
        if (!f->hosts[r]) continue;
        if (wanted > f->threads[r]) f->crowded = true;
        f->threads[r] = wanted;
    }
    for (int i = 0; i < plan->n_stages; i++)
        plan->stages[i].n_threads = f->threads[plan->stages[i].rank];
    if (wanted == 0) warn_of_binding(f);
}

static ndl_status read_costs(const ndl_session_setup *s, const fleet *f,
                             const ndl_wire_job *job, ndl_plan_costs *out)
{
    const ndl_model *m = s->model;
    int most_threads = s->n_threads;
    for (int r = 0; r < f->size && s->n_threads == 0; r++)
        if (ndl_hardware_n_cpus(&f->all[r]) > most_threads)
            most_threads = ndl_hardware_n_cpus(&f->all[r]);
    const ndl_forward_limits limits = {
        .max_rows = s->max_rows,
        .max_spans = s->n_slots,
        .n_slots = s->n_slots,
        .context = s->context,
        .kv_dtype = (ndl_dtype)job->kv_dtype,
    };
    const ndl_forward_memory mem =
        ndl_forward_memory_of(m, &limits, most_threads);
    const uint64_t rows = (uint64_t)s->max_rows * (uint64_t)m->width * 4;
    ndl_plan_costs c = {
        .n_blocks = m->n_layers,
        .block_params = ndl_model_block_params(m),
        .head_params = ndl_model_head_params(m),
        .embed_params = ndl_model_embed_params(m),
        .kv_bytes = mem.kv_layer,
        .buffer_bytes = mem.buffers + 4 * rows,
        .logits_bytes = mem.logits + rows,
    };
    const ndl_part block = { 0, 1, false, false };
    const ndl_part embed = { 0, 0, true, false };
    const ndl_part head = { 0, 0, false, true };
    const ndl_part both = { 0, 0, true, true };
    uint64_t both_bytes = 0;
    NDL_TRY(ndl_weights_bytes(s->store, &block, &c.block_bytes));
    NDL_TRY(ndl_weights_bytes(s->store, &embed, &c.embed_bytes));
    NDL_TRY(ndl_weights_bytes(s->store, &head, &c.head_bytes));
    NDL_TRY(ndl_weights_bytes(s->store, &both, &both_bytes));
    c.shared_bytes = c.embed_bytes + c.head_bytes - both_bytes;
    c.shared_params = (int64_t)m->n_layers * c.block_params + c.embed_params +
                      c.head_params - ndl_model_params(m);
    *out = c;
    return NDL_OK;
}

static ndl_status choose(const ndl_session_setup *s, const fleet *f,
                         const ndl_plan_costs *costs, ndl_plan *plan)
{
    ndl_plan_rank *ranks = calloc((size_t)f->size, sizeof *ranks);
    int n = 0;
    if (!ranks) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int r = 0; r < f->size; r++) {
        if (!f->hosts[r]) continue;
        ranks[n].rank = r;
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

static ndl_status write_places(const ndl_plan *plan, ndl_wire_place **out)
{
    NDL_ASSERT(plan->n_stages > 0);
    ndl_wire_place *p = calloc((size_t)plan->n_stages, sizeof *p);
    if (!p) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < plan->n_stages; i++) {
        const ndl_plan_stage *s = &plan->stages[i];
        p[i] = (ndl_wire_place){ .rank = s->rank,
                                 .first_layer = s->first_layer,
                                 .n_layers = s->n_layers,
                                 .embed = s->embed,
                                 .head = s->head,
                                 .n_threads = s->n_threads };
    }
    *out = p;
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

static ndl_status write_job(const ndl_session_setup *s, ndl_wire_job *job)
{
    job->n_slots = (uint32_t)s->n_slots;
    job->context = (uint32_t)s->context;
    job->max_rows = (uint32_t)s->max_rows;
    job->kv_dtype = s->dtype == NDL_F32 ? NDL_F32 : NDL_BF16;
    job->log_level = NDL_LOG_ERROR;
    while (job->log_level < NDL_LOG_TRACE &&
           ndl_log_is_on((ndl_log_level)(job->log_level + 1)))
        job->log_level++;
    for (int i = 0; i < s->n_requests; i++)
        if (s->requests[i].want_logits)
            job->logits_rows += (uint32_t)s->requests[i].n_prompt;
    NDL_TRY(copy_path(job->weights, ndl_store_path(s->store)));
    return copy_path(job->logits, s->logits);
}

ndl_status ndl_session_plan(const ndl_session_setup *s,
                            const ndl_wire_hello *all, ndl_wire_job *job,
                            ndl_wire_place **places, ndl_plan *plan)
{
    fleet f = { 0 };
    ndl_plan_costs costs;
    ndl_plan chosen = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, fleet_read(&f, all, s->comm->size));
    NDL_TRY_GOTO(done, st, write_job(s, job));
    NDL_TRY_GOTO(done, st, read_costs(s, &f, job, &costs));
    NDL_TRY_GOTO(done, st, choose(s, &f, &costs, &chosen));
    give_threads(&f, s->n_threads, &chosen);
    NDL_TRY_GOTO(done, st, write_places(&chosen, places));
    job->n_stages = (uint32_t)chosen.n_stages;
    job->cpu_flags = f.cpu_flags;
    job->sleep_only = f.crowded;
    *plan = chosen;
    chosen = (ndl_plan){ 0 };
done:
    ndl_plan_fini(&chosen);
    fleet_free(&f);
    return st;
}
