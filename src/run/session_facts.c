/* session_facts.c - see session_facts.h. */
#include "session_facts.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/topology.h"
#include "noodle/version.h"

/* Stage of a rank, 1 .. S; 0: none. */
static int stage_of(const ndl_plan *plan, int rank)
{
    for (int i = 0; i < plan->n_stages; i++)
        if (plan->stages[i].rank == rank) return i + 1;
    return 0;
}

static ndl_metrics_rank *describe_ranks(const ndl_session_facts *f)
{
    const ndl_fleet *fleet = f->fleet;
    ndl_metrics_rank *ranks = calloc((size_t)fleet->size, sizeof *ranks);
    for (int r = 0; ranks && r < fleet->size; r++) {
        const ndl_hardware *h = &fleet->all[r];
        ranks[r] = (ndl_metrics_rank){
            .rank = r,
            .node = h->node,
            .n_cpus = ndl_hardware_n_cpus(h),
            .n_threads = fleet->hosts[r] ? fleet->threads[r] : 0,
            .stage = stage_of(f->plan, r),
            .memory_bytes = (int64_t)h->free_bytes,
        };
        memcpy(ranks[r].host, h->host, sizeof ranks[r].host);
        ranks[r].host[sizeof ranks[r].host - 1] = '\0';
    }
    return ranks;
}

ndl_status ndl_session_record(ndl_recorder **out, const ndl_session_facts *f)
{
    const ndl_session_setup *s = f->setup;
    ndl_metrics_rank *ranks = describe_ranks(f);
    char dtype[NDL_MIX_TEXT];
    char kv[NDL_KV_TYPES_TEXT];
    if (!ranks) return NDL_FAIL(NDL_EOS, "metrics: out of memory");
    ndl_mix_write(s->mix, dtype);
    ndl_kv_types_write(s->kv_types, kv);
    const ndl_metrics_fact system[] = {
        { "version", ndl_version() },
        { "commit", ndl_version_commit() },
        { "kernels", f->kernels },
        { "mpi", ndl_comm_library() },
        { "hdf5", ndl_store_library() },
        { "hwloc", ndl_topology_library() },
        { "weights", ndl_store_path(s->store) },
        { "arch", s->model->arch },
        { "dtype", dtype },
        { "kv_dtype", kv },
    };
    const ndl_metrics_setup metrics = {
        .path = s->metrics,
        .plan = f->plan,
        .ranks = ranks,
        .n_ranks = f->fleet->size,
        .config = s->config,
        .n_config = s->n_config,
        .system = system,
        .n_system = (int)(sizeof system / sizeof *system),
    };
    const ndl_recorder_setup setup = {
        .metrics = &metrics,
        .plan = f->plan,
        .costs = f->costs,
        .requests = s->requests,
        .n_requests = s->n_requests,
    };
    const ndl_status st = ndl_recorder_create(out, &setup);
    free(ranks);
    return st;
}
