/* profiling.c - see profiling.h. */
#include "noodle/profiling.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"
#include "kernels.h"
#include "noodle/clock.h"
#include "noodle/probe.h"
#include "noodle/wire_setup.h"

enum { MAX_CONFIG = 1 << 20 };

#define SPIN_SEC 50e-6 /* as in a run (session.c) */

/* Of measuring on ranks as they are.  Emulated ones take so much longer for as
 * many repeats as their speed says. */
static const double probe_sec = 1.5, most_probe_sec = 30.0;

/* What every rank knows of the measurement. */
typedef struct order {
    ndl_wire_probe probe;
    char *config;         /* (config_bytes) */
    ndl_wire_seat *seats; /* (size) */
} order;

static void order_free(order *o)
{
    free(o->config);
    free(o->seats);
}

/* The wire knows no types of the model. */
static_assert(sizeof(ndl_mix) == NDL_WIRE_MIX, "sent as it is");

static ndl_mix read_mix(const ndl_wire_probe *p)
{
    ndl_mix mix;
    memcpy(&mix, p->mix, sizeof mix);
    return mix;
}

/* Collective: rank 0 has filled in the order, the others get it. */
static ndl_status share_order(ndl_comm *comm, order *o)
{
    const size_t seats = (size_t)comm->size * sizeof *o->seats;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_comm_bcast(comm, &o->probe, sizeof o->probe));
    if (comm->rank != 0) {
        const uint32_t n = o->probe.config_bytes;
        if (o->probe.magic != NDL_WIRE_MAGIC || n == 0 || n > MAX_CONFIG ||
            !ndl_mix_is_valid(read_mix(&o->probe)) ||
            !ndl_kv_types_is_valid(o->probe.type_k, o->probe.type_v))
            st = NDL_FAIL(NDL_EPROTO, "rank 0 speaks another protocol");
        if (st == NDL_OK) o->config = malloc(n);
        if (st == NDL_OK) o->seats = malloc(seats);
    }
    if (st == NDL_OK && (!o->config || !o->seats))
        st = NDL_FAIL(NDL_EOS, "probe: out of memory");
    NDL_TRY(ndl_comm_agree(comm, st));
    NDL_TRY(ndl_comm_bcast(comm, o->config, o->probe.config_bytes));
    return ndl_comm_bcast(comm, o->seats, seats);
}

static double time_limit(const ndl_wire_seat *seats, int n)
{
    double slowest = 1.0;
    for (int r = 0; r < n; r++)
        if (seats[r].n_threads > 0 && seats[r].speed > 0.0f &&
            (double)seats[r].speed < slowest)
            slowest = (double)seats[r].speed;
    const double sec = probe_sec / slowest;
    return sec < most_probe_sec ? sec : most_probe_sec;
}

/* Collective: measure as ordered; rank 0 gets what all have measured. */
static ndl_status measure(ndl_comm *comm, const order *o,
                          ndl_profile_rank *mine, ndl_link *row)
{
    ndl_model model;
    ndl_kernels kernels;
    const ndl_wire_probe *p = &o->probe;
    const ndl_wire_seat *seat = &o->seats[comm->rank];
    const ndl_status st = ndl_model_parse(
        &model, o->config, p->config_bytes - 1, NULL, 0, "the model's config");
    NDL_TRY(ndl_comm_agree(comm, st));
    ndl_kernels_init(&kernels, p->cpu_flags);
    const ndl_probe_setup setup = {
        .model = &model,
        .mix = read_mix(p),
        .kv_types = { (ndl_dtype)p->type_k, (ndl_dtype)p->type_v },
        .kernels = &kernels,
        .n_threads = seat->n_threads,
        .spin_sec = p->sleep_only ? 0.0 : SPIN_SEC,
        .speed = seat->speed > 0.0f ? (double)seat->speed : 1.0,
        .load = (ndl_load)p->load,
        .chunk_rows = (int)p->chunk_rows,
        .context = (int)p->context,
        .n_slots = (int)p->n_slots,
        .max_sec = time_limit(o->seats, comm->size),
    };
    ndl_comm_set_spin(comm, 0.0);
    NDL_TRY(ndl_probe_layers(comm, &setup, mine));
    return ndl_probe_links(comm, row);
}

static ndl_status take_part(ndl_comm *comm, const order *o,
                            ndl_profile_rank *mine, ndl_profile_rank *all,
                            ndl_link *links)
{
    const size_t bytes = (size_t)comm->size * sizeof(ndl_link);
    ndl_link *row = calloc((size_t)comm->size, sizeof *row);
    ndl_status st = row ? NDL_OK : NDL_FAIL(NDL_EOS, "probe: out of memory");
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    NDL_TRY_GOTO(done, st, measure(comm, o, mine, row));
    NDL_TRY_GOTO(done, st, ndl_comm_gather(comm, mine, sizeof *mine, all));
    NDL_TRY_GOTO(done, st, ndl_comm_gather(comm, row, bytes, links));
done:
    free(row);
    return st;
}

static ndl_status write_order(order *o, const ndl_profiling_setup *s,
                              const ndl_fleet *f)
{
    o->config = strdup(s->config);
    o->seats = calloc((size_t)f->size, sizeof *o->seats);
    if (!o->config || !o->seats)
        return NDL_FAIL(NDL_EOS, "probe: out of memory");
    o->probe = (ndl_wire_probe){
        .magic = NDL_WIRE_MAGIC,
        .type_k = (uint16_t)s->kv_types.k,
        .type_v = (uint16_t)s->kv_types.v,
        .cpu_flags = f->cpu_flags,
        .load = s->load,
        .chunk_rows = (uint32_t)s->chunk_rows,
        .context = (uint32_t)s->context,
        .n_slots = (uint32_t)s->n_slots,
        .sleep_only = f->crowded,
        .config_bytes = (uint32_t)strlen(s->config) + 1,
    };
    memcpy(o->probe.mix, &s->mix, sizeof s->mix);
    for (int r = 0; r < f->size; r++)
        o->seats[r] = (ndl_wire_seat){ f->hosts[r] ? f->threads[r] : 0,
                                       s->speeds ? (float)s->speeds[r] : 1.0f };
    return NDL_OK;
}

/* Rank 0, after the greetings. */
static ndl_status lead_fleet(ndl_comm *comm, const ndl_profiling_setup *s,
                             ndl_fleet *f, ndl_profile *p)
{
    order o = { 0 };
    const size_t n = (size_t)comm->size;
    ndl_status st = NDL_OK;
    p->n_ranks = comm->size;
    p->ranks = calloc(n, sizeof *p->ranks);
    p->links = calloc(n * n, sizeof *p->links);
    if (!p->ranks || !p->links) st = NDL_FAIL(NDL_EOS, "probe: out of memory");
    ndl_fleet_give_threads(f, s->n_threads);
    if (st == NDL_OK) st = write_order(&o, s, f);
    if (st == NDL_OK) {
        ndl_fleet_describe(f, s->speeds, p->ranks);
        const ndl_fleet_purpose purpose = { s->model, s->mix, s->kv_types,
                                            s->load, s->speeds };
        p->signature = ndl_fleet_signature(f, &purpose);
        if (!p->signature) st = NDL_FAIL(NDL_EOS, "probe: out of memory");
    }
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    NDL_TRY_GOTO(done, st, share_order(comm, &o));
    ndl_profile_rank *all = calloc(n, sizeof *all);
    st = all ? NDL_OK : NDL_FAIL(NDL_EOS, "probe: out of memory");
    st = ndl_comm_agree(comm, st);
    ndl_profile_rank mine = p->ranks[0];
    if (st == NDL_OK) st = take_part(comm, &o, &mine, all, p->links);
    for (size_t r = 0; st == NDL_OK && r < n; r++) {
        const ndl_profile_rank known = p->ranks[r];
        p->ranks[r] = all[r];
        memcpy(p->ranks[r].host, known.host, sizeof known.host);
        p->ranks[r].rank = known.rank;
        p->ranks[r].node = known.node;
        p->ranks[r].n_threads = known.n_threads;
        p->ranks[r].memory_bytes = known.memory_bytes;
        p->ranks[r].speed = known.speed;
    }
    free(all);
done:
    order_free(&o);
    return st;
}

ndl_status ndl_profiling_lead(ndl_comm *comm, const ndl_profiling_setup *setup,
                              ndl_profile *out)
{
    ndl_wire_job job = { .magic = NDL_WIRE_MAGIC, .kind = NDL_JOB_PROFILE };
    ndl_fleet fleet = { 0 };
    ndl_profile p = { 0 };
    const double begin = ndl_clock_sec();
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, ndl_comm_bcast(comm, &job, sizeof job));
    NDL_TRY_GOTO(done, st, ndl_fleet_greet(comm, &fleet, setup->rank0_hosts));
    NDL_TRY_GOTO(done, st, lead_fleet(comm, setup, &fleet, &p));
    p.took_sec = ndl_clock_sec() - begin;
    *out = p;
    p = (ndl_profile){ 0 };
done:
    ndl_profile_fini(&p);
    ndl_fleet_fini(&fleet);
    return st;
}

ndl_status ndl_profiling_follow(ndl_comm *comm)
{
    order o = { 0 };
    ndl_profile_rank mine = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_fleet_greet(comm, NULL, false));
    NDL_TRY(ndl_comm_agree(comm, NDL_OK)); /* rank 0 has its order */
    NDL_TRY_GOTO(done, st, share_order(comm, &o));
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, NDL_OK));
    st = take_part(comm, &o, &mine, NULL, NULL);
done:
    order_free(&o);
    return st;
}
