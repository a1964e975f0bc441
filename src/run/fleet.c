/* fleet.c - see fleet.h. */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "noodle/log.h"
#include "noodle/session.h"

static ndl_status say_hello(ndl_comm *comm, ndl_wire_hello *all)
{
    ndl_wire_hello mine = { .magic = NDL_WIRE_MAGIC,
                            .version = NDL_WIRE_VERSION };
    ndl_hardware h = { 0 };
    unsigned flags = 0;
    ndl_status st = ndl_hardware_read(&h);
    if (st == NDL_OK) st = ndl_session_cpu_flags(&flags);
    NDL_TRY(ndl_comm_agree(comm, st));
    mine.cpu_flags = flags;
    mine.node = comm->node;
    mine.n_cpus = h.n_cpus;
    mine.memory_bytes = h.free_bytes;
    memcpy(mine.cpus, h.cpus, sizeof mine.cpus);
    memcpy(mine.host, h.host, sizeof mine.host);
    return ndl_comm_gather(comm, &mine, sizeof mine, all);
}

static ndl_status read_hello(ndl_fleet *f, int r, const ndl_wire_hello *hello)
{
    if (hello->magic != NDL_WIRE_MAGIC || hello->version != NDL_WIRE_VERSION)
        return NDL_FAIL(NDL_EPROTO,
                        "rank %d speaks protocol version %u, not %u: start "
                        "the same noodle-mpi on all nodes",
                        r, hello->version, NDL_WIRE_VERSION);
    ndl_hardware *h = &f->all[r];
    memcpy(h->host, hello->host, sizeof h->host - 1);
    memcpy(h->cpus, hello->cpus, sizeof h->cpus);
    h->node = hello->node;
    h->n_cpus = hello->n_cpus;
    h->free_bytes = hello->memory_bytes;
    if (f->hosts[r]) f->cpu_flags &= hello->cpu_flags;
    return NDL_OK;
}

static ndl_status make_fleet(ndl_fleet *f, int size, bool rank0_hosts)
{
    *f = (ndl_fleet){ .size = size, .cpu_flags = ~0u };
    f->all = calloc((size_t)size, sizeof *f->all);
    f->hosts = calloc((size_t)size, sizeof *f->hosts);
    f->threads = calloc((size_t)size, sizeof *f->threads);
    if (f->all && f->hosts && f->threads) {
        for (int r = 0; r < size; r++)
            f->hosts[r] = r > 0 || size == 1 || rank0_hosts;
        return NDL_OK;
    }
    return NDL_FAIL(NDL_EOS, "greetings: out of memory");
}

void ndl_fleet_fini(ndl_fleet *f)
{
    free(f->all);
    free(f->hosts);
    free(f->threads);
    *f = (ndl_fleet){ 0 };
}

ndl_status ndl_fleet_greet(ndl_comm *comm, ndl_fleet *out, bool rank0_hosts)
{
    ndl_fleet f = { 0 };
    ndl_wire_hello *all = NULL;
    ndl_status st = NDL_OK;
    if (out) {
        st = make_fleet(&f, comm->size, rank0_hosts);
        all = calloc((size_t)comm->size, sizeof *all);
        if (st == NDL_OK && !all)
            st = NDL_FAIL(NDL_EOS, "greetings: out of memory");
    }
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    NDL_TRY_GOTO(done, st, say_hello(comm, all));
    for (int r = 0; out && r < comm->size && st == NDL_OK; r++)
        st = read_hello(&f, r, &all[r]);
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    if (out) *out = f;
    f = (ndl_fleet){ 0 };
done:
    free(all);
    ndl_fleet_fini(&f);
    return st;
}

void ndl_fleet_give_threads(ndl_fleet *f, int wanted)
{
    f->crowded = ndl_hardware_threads(f->all, f->size, f->hosts, f->threads);
    for (int r = 0; r < f->size && wanted > 0; r++) {
        if (!f->hosts[r]) continue;
        if (wanted > f->threads[r]) f->crowded = true;
        f->threads[r] = wanted;
    }
}

void ndl_fleet_keep(ndl_fleet *f, const ndl_plan *plan)
{
    memset(f->hosts, 0, (size_t)f->size * sizeof *f->hosts);
    for (int i = 0; i < plan->n_stages; i++)
        f->hosts[plan->stages[i].rank] = true;
}

void ndl_fleet_warn_of_binding(const ndl_fleet *f)
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

void ndl_fleet_describe(const ndl_fleet *f, const double *speeds,
                        ndl_profile_rank *out)
{
    memset(out, 0, (size_t)f->size * sizeof *out);
    for (int r = 0; r < f->size; r++) {
        memcpy(out[r].host, f->all[r].host, sizeof out[r].host - 1);
        out[r].rank = r;
        out[r].node = f->all[r].node;
        out[r].n_threads = f->hosts[r] ? f->threads[r] : 0;
        out[r].speed = speeds ? speeds[r] : 1.0;
        if (f->hosts[r])
            out[r].memory_bytes =
                ndl_hardware_share(f->all, f->size, f->hosts, r);
    }
}

json_t *ndl_fleet_signature(const ndl_fleet *f, const ndl_fleet_purpose *p)
{
    ndl_kernels kernels;
    ndl_profile_rank *ranks = calloc((size_t)f->size, sizeof *ranks);
    if (!ranks) return NULL;
    ndl_kernels_init(&kernels, f->cpu_flags);
    ndl_fleet_describe(f, p->speeds, ranks);
    const ndl_profile_facts facts = {
        .model = p->model,
        .mix = p->mix,
        .kv_types = p->kv_types,
        .cpu_flags = f->cpu_flags,
        .kernels = kernels.name,
        .n_ranks = f->size,
        .ranks = ranks,
        .load = ndl_load_name(p->load),
    };
    json_t *signature = ndl_profile_signature(&facts);
    free(ranks);
    return signature;
}
