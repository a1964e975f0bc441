/* registry.c - see registry.h. */
#include "registry.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/arena.h"
#include "noodle/message.h"

/* A stage without a sign of life is dead: it gives one every 2 s, also while
 * it computes. */
static const double SILENT_SEC = 30.0;

typedef struct node {
    ndl_comm_op op;
    ndl_wire_report *report; /* or another kind; report_cap bytes */
    ndl_wire_totals totals;
    double last_sign;
    double ping_sec; /* shortest; 0: none yet */
    bool is_done;
} node;

struct ndl_registry {
    ndl_registry_setup setup;
    ndl_arena *arena; /* reports */
    node *nodes;      /* (n_stages) */
    size_t report_cap;
    uint32_t n_layers; /* of the model, with embedding and head */
    double last_work, begin, pinged;
    uint32_t ping;
    bool awaits_totals;
};

static ndl_status post(ndl_registry *r, int i)
{
    node *n = &r->nodes[i];
    return ndl_comm_recv_begin(r->setup.comm, &n->op, r->setup.places[i].rank,
                               NDL_TAG_REPORT, n->report, r->report_cap);
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static ndl_status make_nodes(ndl_registry *r)
{
    const int n = r->setup.n_stages;
    r->n_layers = 2;
    for (int i = 0; i < n; i++)
        r->n_layers += (uint32_t)r->setup.places[i].n_layers;
    r->report_cap = sizeof(ndl_wire_report);
    if (r->setup.recorder) {
        r->report_cap =
            most(r->report_cap,
                 ndl_message_steps_bytes(NDL_WIRE_STEPS, r->n_layers));
        r->report_cap =
            most(r->report_cap, ndl_message_accounts_bytes(NDL_WIRE_ACCOUNTS));
    }
    r->nodes = calloc((size_t)n, sizeof *r->nodes);
    if (!r->nodes) return NDL_FAIL(NDL_EOS, "registry: out of memory");
    NDL_TRY(ndl_arena_create(&r->arena, "reports",
                             (size_t)n * (r->report_cap + 64)));
    for (int i = 0; i < n; i++) {
        r->nodes[i].report = ndl_arena_alloc(r->arena, r->report_cap);
        r->nodes[i].last_sign = r->begin;
        NDL_TRY(post(r, i));
    }
    ndl_arena_freeze(r->arena);
    return NDL_OK;
}

ndl_status ndl_registry_create(ndl_registry **out,
                               const ndl_registry_setup *setup)
{
    ndl_registry *r = calloc(1, sizeof *r);
    if (!r) return NDL_FAIL(NDL_EOS, "registry: out of memory");
    r->setup = *setup;
    r->begin = r->last_work = ndl_comm_now(setup->comm);
    const ndl_status st = make_nodes(r);
    if (st == NDL_OK)
        *out = r;
    else
        ndl_registry_destroy(&r);
    return st;
}

void ndl_registry_destroy(ndl_registry **rp)
{
    ndl_registry *r = *rp;
    if (!r) return;
    for (int i = 0; r->nodes && i < r->setup.n_stages; i++)
        (void)ndl_comm_cancel(r->setup.comm, &r->nodes[i].op);
    ndl_arena_destroy(&r->arena);
    free(r->nodes);
    free(r);
    *rp = NULL;
}

/* Has a stage worked since its last report? */
static bool has_worked(const ndl_wire_totals *now, const ndl_wire_totals *then)
{
    return now->batches != then->batches || now->bytes_in != then->bytes_in ||
           now->busy_sec > then->busy_sec;
}

static void take_pong(ndl_registry *r, node *n)
{
    if (n->report->pong == 0 || n->report->pong != r->ping) return;
    const double sec = n->last_sign - r->pinged;
    if (n->ping_sec == 0.0 || sec < n->ping_sec) n->ping_sec = sec;
}

/* A sign of life, a fault or the totals. */
static bool take_report(ndl_registry *r, node *n, size_t len)
{
    const ndl_wire_report *w = n->report;
    if (!ndl_message_report_is_valid(w, len)) return false;
    if (w->kind == NDL_REPORT_DONE && !r->awaits_totals) return false;
    n->is_done = w->kind == NDL_REPORT_DONE;
    if (n->is_done || has_worked(&w->totals, &n->totals))
        r->last_work = n->last_sign;
    n->totals = w->totals;
    take_pong(r, n);
    return true;
}

/* What stage i says; false if it makes no sense.  All kinds begin alike. */
static bool take(ndl_registry *r, int i, size_t len)
{
    node *n = &r->nodes[i];
    ndl_recorder *recorder = r->setup.recorder;
    if (len < sizeof(ndl_wire_steps)) return false;
    if (n->report->stage != (uint32_t)i) return false;
    n->last_sign = ndl_comm_now(r->setup.comm);
    switch (n->report->kind) {
    case NDL_REPORT_STEPS:
        if (!recorder ||
            !ndl_message_steps_is_valid(n->report, len, r->n_layers))
            return false;
        r->last_work = n->last_sign;
        ndl_recorder_steps(recorder, n->report, n->last_sign);
        return true;
    case NDL_REPORT_ACCOUNTS:
        return recorder && ndl_message_accounts_is_valid(n->report, len) &&
               ndl_recorder_accounts(recorder, n->report, n->last_sign);
    default: return take_report(r, n, len);
    }
}

/* In one process with the stage its message is stored already. */
static ndl_status fault_of(const ndl_registry *r, int i)
{
    const ndl_wire_report *w = r->nodes[i].report;
    const int rank = r->setup.places[i].rank;
    const ndl_status st = w->status < 0 ? w->status : NDL_EPROTO;
    if (rank == r->setup.comm->rank) return st;
    ndl_status_clear();
    return NDL_FAIL(st, "rank %d: %.900s", rank, w->text);
}

static ndl_status hear_one(ndl_registry *r, int i, bool heed_faults,
                           bool *moved)
{
    node *n = &r->nodes[i];
    bool done = false;
    size_t len = 0;
    NDL_TRY(ndl_comm_test(r->setup.comm, &n->op, &done, &len));
    if (!done) return NDL_OK;
    *moved = true;
    if (!take(r, i, len))
        return NDL_FAIL(NDL_EPROTO, "stage %d sent a bad report", i + 1);
    const ndl_status st = heed_faults && n->report->kind == NDL_REPORT_FAULT
                              ? fault_of(r, i)
                              : NDL_OK;
    if (n->is_done) return st;
    const ndl_status posted = post(r, i);
    return st != NDL_OK ? st : posted;
}

ndl_status ndl_registry_hear(ndl_registry *r, bool heed_faults, bool *moved)
{
    for (int i = 0; i < r->setup.n_stages; i++)
        NDL_TRY(hear_one(r, i, heed_faults, moved));
    return NDL_OK;
}

void ndl_registry_await_totals(ndl_registry *r)
{
    r->awaits_totals = true;
}

uint32_t ndl_registry_ping(ndl_registry *r)
{
    r->pinged = ndl_comm_now(r->setup.comm);
    return ++r->ping;
}

bool ndl_registry_all_done(const ndl_registry *r)
{
    for (int i = 0; i < r->setup.n_stages; i++)
        if (!r->nodes[i].is_done) return false;
    return true;
}

double ndl_registry_last_work(const ndl_registry *r)
{
    return r->last_work;
}

ndl_status ndl_registry_find_silent(const ndl_registry *r, double now)
{
    const ndl_plan *plan = r->setup.plan;
    for (int i = 0; i < r->setup.n_stages; i++) {
        const node *n = &r->nodes[i];
        const double sec = now - n->last_sign;
        if (n->is_done || sec < SILENT_SEC) continue;
        return NDL_FAIL(
            NDL_ETEMP,
            "stage %d (rank %d on %.63s) has been silent for %.0f s, its last "
            "sign of life came %.0f s into the run, after %llu batches: its "
            "node may be down: start again without it; what was finished is "
            "kept",
            i + 1, r->setup.places[i].rank,
            plan ? plan->stages[i].host : "an unknown host", sec,
            n->last_sign - r->begin, (unsigned long long)n->totals.batches);
    }
    return NDL_OK;
}

const ndl_wire_totals *ndl_registry_totals(const ndl_registry *r, int i)
{
    return &r->nodes[i].totals;
}

double ndl_registry_ping_sec(const ndl_registry *r, int i)
{
    return r->nodes[i].ping_sec;
}
