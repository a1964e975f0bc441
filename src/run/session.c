/* session.c - see session.h. */
#include "noodle/session.h"

#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "noodle/clock.h"
#include "noodle/hardware.h"
#include "noodle/log.h"
#include "noodle/message.h"
#include "noodle/profiling.h"
#include "noodle/slow_links.h"
#include "noodle/stage.h"
#include "noodle/survey.h"
#include "recorder.h"
#include "session_facts.h"
#include "session_plan.h"

#define SPIN_SEC                                                               \
    50e-6               /* ARCHITECTURE decision 5: waking a sleeper costs     \
                           about 25 us, so spinning twice that never loses     \
                           more than a factor */
#define WAIT_SEC   0.1  /* between two looks at signals and deadlines */
#define ORPHAN_SEC 60.0 /* without a word from rank 0 */
#define TERM_SEC   3.0  /* from a signal to leaving without an order */

ndl_status ndl_session_cpu_flags(unsigned *flags)
{
    const unsigned have = ndl_cpu_flags();
    const char *name = getenv("NDL_CPU");
    if (!name || name[0] == '\0') {
        *flags = have;
        return NDL_OK;
    }
    const int want = ndl_cpu_parse(name);
    if (want < 0)
        return NDL_FAIL(NDL_EUSAGE,
                        "NDL_CPU=%s: unknown: give ref, avx2, avx512, vnni or "
                        "bf16",
                        name);
    if ((unsigned)want & ~have)
        return NDL_FAIL(NDL_EUSAGE,
                        "NDL_CPU=%s: this processor cannot do that: leave it "
                        "unset",
                        name);
    *flags = (unsigned)want;
    return NDL_OK;
}

ndl_status ndl_session_signal_status(int sig)
{
    return sig == SIGINT ? NDL_EINT : sig == SIGUSR1 ? NDL_ETEMP : NDL_ETERM;
}

/* A rank's pumps: either may be absent. */
typedef struct pumps {
    ndl_comm *comm;
    const volatile sig_atomic_t *signal; /* NULL: nobody sends any */
    ndl_progress_fn on_load;             /* or NULL */
    void *on_load_arg;
    ndl_coordinator *coordinator;
    ndl_stage *stage;
} pumps;

static int stage_of(const ndl_wire_job *job, const ndl_wire_place *places,
                    int rank)
{
    for (int i = 0; i < (int)job->n_stages; i++)
        if (places[i].rank == rank) return i;
    return -1;
}

/* Loading may take minutes; a signal ends it. */
static ndl_status heed_load(void *arg, uint64_t done, uint64_t all)
{
    const pumps *p = arg;
    if (p->signal && *p->signal)
        return NDL_FAIL(ndl_session_signal_status(*p->signal),
                        "%s while loading",
                        ndl_status_text(ndl_session_signal_status(*p->signal)));
    return p->on_load ? p->on_load(p->on_load_arg, done, all) : NDL_OK;
}

/* Rank 0 has both pumps in one thread. */
static void keep_alive(void *arg)
{
    const pumps *p = arg;
    if (p->coordinator) ndl_coordinator_keep_alive(p->coordinator);
}

static ndl_status make_stage(pumps *p, const ndl_wire_job *job,
                             const ndl_wire_place *places)
{
    const int index = stage_of(job, places, p->comm->rank);
    if (!ndl_kv_types_is_valid(job->type_k, job->type_v))
        return NDL_FAIL(NDL_EPROTO, "rank 0 speaks another protocol");
    const double spin = job->sleep_only ? 0.0 : SPIN_SEC;
    /* Rank 0 alone has time: its answers are awaited, not its cores. */
    ndl_comm_set_spin(p->comm, index >= 0 ? spin : 0.0);
    if (index < 0) return NDL_OK;
    const ndl_stage_setup setup = { .comm = p->comm,
                                    .job = job,
                                    .places = places,
                                    .index = index,
                                    .spin_sec = spin,
                                    .progress = heed_load,
                                    .progress_arg = p,
                                    .meanwhile = keep_alive,
                                    .meanwhile_arg = p };
    return ndl_stage_create(&p->stage, &setup);
}

static void heed_stop(const ndl_session_setup *setup, ndl_coordinator *c)
{
    if (setup->signal && *setup->signal)
        ndl_coordinator_stop(c, ndl_session_signal_status(*setup->signal));
    else if (setup->stop && setup->stop->requested)
        ndl_coordinator_stop(c, setup->stop->status);
}

static ndl_status lead_loop(const ndl_session_setup *setup, pumps *p)
{
    ndl_status status = NDL_OK, ignored = NDL_OK;
    for (;;) {
        bool moved = ndl_coordinator_step(p->coordinator);
        if (p->stage) moved = ndl_stage_step(p->stage) || moved;
        heed_stop(setup, p->coordinator);
        if (ndl_coordinator_is_over(p->coordinator, &status) &&
            (!p->stage || ndl_stage_has_left(p->stage, &ignored)))
            return status;
        if (!moved) ndl_comm_wait(p->comm, WAIT_SEC);
    }
}

/* A rank without a stage only waits for the order to leave. */
typedef struct idler {
    ndl_comm_op op;
    ndl_wire_order order;
    double last_word;
} idler;

static ndl_status idle_step(ndl_comm *comm, idler *w, bool *left)
{
    bool done = false;
    size_t len = 0;
    if (!w->op.is_active)
        NDL_TRY(ndl_comm_recv_begin(comm, &w->op, 0, NDL_TAG_ORDER, &w->order,
                                    sizeof w->order));
    NDL_TRY(ndl_comm_test(comm, &w->op, &done, &len));
    if (!done) return NDL_OK;
    if (!ndl_message_order_is_valid(&w->order, len))
        return NDL_FAIL(NDL_EPROTO, "rank %d got a bad order", comm->rank);
    w->last_word = ndl_comm_now(comm);
    *left = w->order.kind != NDL_ORDER_ALIVE;
    return *left ? w->order.status : NDL_OK;
}

static ndl_status idle_loop(ndl_comm *comm, const volatile sig_atomic_t *signal)
{
    idler w = { .last_word = ndl_comm_now(comm) };
    ndl_status st = NDL_OK;
    bool left = false;
    double signalled = 0.0;
    while (st == NDL_OK && !left) {
        st = idle_step(comm, &w, &left);
        if (st != NDL_OK || left) break;
        const double now = ndl_comm_now(comm);
        if (*signal && signalled == 0.0) signalled = now;
        if (now - w.last_word > ORPHAN_SEC ||
            (signalled > 0.0 && now - signalled > TERM_SEC))
            st = *signal ? ndl_session_signal_status(*signal) : NDL_ETEMP;
        else
            ndl_comm_wait(comm, WAIT_SEC);
    }
    (void)ndl_comm_cancel(comm, &w.op);
    return st;
}

/* Rank 0 drains when a signal comes, and its order follows.  A rank that was
 * told to end and gets none reports that, because to go without a word would
 * leave the others with half a message; it does go if nobody answers. */
static ndl_status follow_loop(pumps *p, const volatile sig_atomic_t *signal)
{
    ndl_status status = NDL_OK;
    double signalled = 0.0;
    bool reported = false;
    if (!p->stage) return idle_loop(p->comm, signal);
    for (;;) {
        const bool moved = ndl_stage_step(p->stage);
        if (ndl_stage_has_left(p->stage, &status)) return status;
        const double now = ndl_comm_now(p->comm);
        if (*signal && signalled == 0.0) signalled = now;
        if (signalled > 0.0 && now - signalled > TERM_SEC) {
            if (reported) return ndl_session_signal_status(*signal);
            ndl_stage_fail(p->stage,
                           NDL_FAIL(ndl_session_signal_status(*signal),
                                    "got signal %d, but rank 0 did not: send "
                                    "it to rank 0 or to all",
                                    (int)*signal));
            reported = true;
            signalled = now;
        }
        if (!moved) ndl_comm_wait(p->comm, WAIT_SEC);
    }
}

static ndl_status take_places(ndl_comm *comm, ndl_wire_job *job,
                              ndl_wire_place **places)
{
    NDL_TRY(ndl_comm_bcast(comm, job, sizeof *job));
    const size_t bytes = job->n_stages * sizeof **places;
    if (comm->rank != 0) *places = malloc(bytes);
    NDL_TRY(ndl_comm_agree(
        comm, *places ? NDL_OK : NDL_FAIL(NDL_EOS, "plan: out of memory")));
    return ndl_comm_bcast(comm, *places, bytes);
}

/* What rank 0 holds during a run. */
typedef struct lead {
    const ndl_session_setup *setup;
    ndl_session_result *result;
    ndl_wire_job job;
    ndl_fleet fleet;
    ndl_session_choice choice; /* its plan is handed to the result */
    ndl_recorder *recorder;
    pumps pumps;
} lead;

static ndl_status make_coordinator(lead *l)
{
    const ndl_session_setup *s = l->setup;
    const ndl_coordinator_setup setup = { .comm = s->comm,
                                          .job = &l->job,
                                          .places = l->choice.places,
                                          .plan = &l->result->plan,
                                          .requests = s->requests,
                                          .n_requests = s->n_requests,
                                          .n_vocab = s->model->vocab,
                                          .n_groups = s->n_groups,
                                          .stall_sec = s->stall_sec,
                                          .no_reuse = s->no_reuse,
                                          .client = s->client,
                                          .on_score = s->on_score,
                                          .score_arg = s->score_arg,
                                          .recorder = l->recorder };
    return ndl_coordinator_create(&l->pumps.coordinator, &setup);
}

static ndl_status make_recorder(lead *l)
{
    const ndl_session_facts facts = {
        .setup = l->setup,
        .fleet = &l->fleet,
        .plan = &l->result->plan,
        .costs = l->choice.costs,
        .kernels = l->result->kernels,
    };
    return l->setup->metrics ? ndl_session_record(&l->recorder, &facts)
                             : NDL_OK;
}

static ndl_status run_pipeline(lead *l)
{
    const ndl_session_setup *setup = l->setup;
    ndl_session_result *result = l->result;
    if (setup->on_ready) setup->on_ready(setup->arg);
    const double cpu = ndl_clock_cpu_sec();
    result->ready_sec = ndl_clock_sec();
    if (l->recorder) ndl_recorder_begin(l->recorder, ndl_comm_now(setup->comm));
    const ndl_status st = lead_loop(setup, &l->pumps);
    result->end_sec = ndl_clock_sec();
    result->rank0_cpu_sec = ndl_clock_cpu_sec() - cpu;
    for (int i = 0; i < result->plan.n_stages; i++) {
        result->totals[i] = *ndl_coordinator_totals(l->pumps.coordinator, i);
        result->ping_sec[i] = ndl_coordinator_ping_sec(l->pumps.coordinator, i);
    }
    result->counts = ndl_coordinator_counts(l->pumps.coordinator);
    return st;
}

/* Rank 0, after the greetings: who hosts what. */
static ndl_status decide(lead *l, const ndl_profile *profile)
{
    ndl_session_result *r = l->result;
    r->kv_types = l->setup->kv_types;
    NDL_TRY(
        ndl_session_choose(l->setup, &l->fleet, profile, &l->job, &l->choice));
    r->plan = l->choice.plan;
    l->choice.plan = (ndl_plan){ 0 };
    r->totals = calloc((size_t)r->plan.n_stages, sizeof *r->totals);
    r->ping_sec = calloc((size_t)r->plan.n_stages, sizeof *r->ping_sec);
    return r->totals && r->ping_sec
               ? NDL_OK
               : NDL_FAIL(NDL_EOS, "totals: out of memory");
}

/* Collective: from the job to places. */
static ndl_status plan_run(lead *l, const ndl_profile *profile)
{
    ndl_comm *comm = l->setup->comm;
    NDL_TRY(ndl_comm_bcast(comm, &l->job, sizeof l->job));
    NDL_TRY(ndl_fleet_greet(comm, &l->fleet, l->setup->rank0_hosts));
    NDL_TRY(ndl_comm_agree(comm, decide(l, profile)));
    if (l->setup->on_plan) l->setup->on_plan(l->setup->arg, &l->result->plan);
    return NDL_OK;
}

/* Collective, rank 0: a job of its own, before the pipeline's. */
static ndl_status probe(const ndl_session_setup *s, ndl_profile *out)
{
    char *config = NULL;
    NDL_TRY(ndl_store_get_text(s->store, "/", "config", &config));
    const ndl_profiling_setup setup = {
        .model = s->model,
        .config = config,
        .mix = s->mix,
        .kv_types = s->kv_types,
        .load = s->load,
        .chunk_rows = s->max_rows,
        .context = s->context,
        .n_slots = s->n_slots,
        .n_threads = s->n_threads,
        .rank0_hosts = s->rank0_hosts,
        .speeds = s->speeds,
    };
    if (s->on_probe) s->on_probe(s->arg);
    ndl_status st = ndl_profiling_lead(s->comm, &setup, out);
    free(config);
    if (st != NDL_OK || !s->save_profile) return st;
    st = ndl_profile_save(out, s->save_profile);
    if (st != NDL_OK) ndl_profile_fini(out);
    return st;
}

static ndl_status lead_pipeline(lead *l, const ndl_profile *profile)
{
    ndl_comm *comm = l->setup->comm;
    ndl_kernels kernels;
    NDL_TRY(plan_run(l, profile));
    NDL_TRY(take_places(comm, &l->job, &l->choice.places));
    ndl_kernels_init(&kernels, l->job.cpu_flags);
    l->result->kernels = kernels.name;
    NDL_TRY(
        ndl_comm_agree(comm, make_stage(&l->pumps, &l->job, l->choice.places)));
    /* A run that never starts leaves no file. */
    ndl_status st = make_recorder(l);
    if (st == NDL_OK) st = make_coordinator(l);
    NDL_TRY(ndl_comm_agree(comm, st));
    return run_pipeline(l);
}

static ndl_status lead_run(const ndl_session_setup *setup,
                           ndl_session_result *result)
{
    ndl_profile profile = { 0 };
    lead l = { .setup = setup,
               .result = result,
               .job = { .magic = NDL_WIRE_MAGIC, .kind = NDL_JOB_PIPELINE },
               .pumps = { .comm = setup->comm,
                          .signal = setup->signal,
                          .on_load = setup->on_load,
                          .on_load_arg = setup->arg } };
    ndl_status st = NDL_OK;
    if (setup->plan_by == NDL_PLAN_BY_MEASURE) {
        st = probe(setup, &profile);
        result->probe_sec = profile.took_sec;
        if (st != NDL_OK) {
            (void)ndl_session_dismiss(setup->comm, st);
            return st;
        }
    }
    st = lead_pipeline(&l, profile.ranks ? &profile : NULL);
    ndl_coordinator_destroy(&l.pumps.coordinator);
    ndl_recorder_close(&l.recorder);
    ndl_stage_destroy(&l.pumps.stage);
    ndl_session_choice_fini(&l.choice);
    ndl_fleet_fini(&l.fleet);
    ndl_profile_fini(&profile);
    return st;
}

ndl_status ndl_session_lead(const ndl_session_setup *setup,
                            ndl_session_result *result)
{
    ndl_session_setup own = *setup;
    ndl_comm *slow = NULL;
    if (setup->n_links == 0) return lead_run(setup, result);
    ndl_status st =
        ndl_slow_links_lead(setup->comm, setup->links, setup->n_links, &slow);
    if (st != NDL_OK) {
        (void)ndl_session_dismiss(setup->comm, st);
        return st;
    }
    own.comm = slow;
    st = lead_run(&own, result);
    ndl_comm_close(&slow);
    return st;
}

void ndl_session_result_fini(ndl_session_result *r)
{
    ndl_plan_fini(&r->plan);
    free(r->totals);
    free(r->ping_sec);
    *r = (ndl_session_result){ 0 };
}

static ndl_status follow_run(pumps *p, ndl_wire_job *job,
                             ndl_wire_place **places,
                             const volatile sig_atomic_t *signal)
{
    NDL_TRY(ndl_fleet_greet(p->comm, NULL, false));
    NDL_TRY(ndl_comm_agree(p->comm, NDL_OK)); /* the plan */
    NDL_TRY(take_places(p->comm, job, places));
    ndl_log_init(p->comm->rank, (ndl_log_level)job->log_level);
    NDL_TRY(ndl_comm_agree(p->comm, make_stage(p, job, *places)));
    NDL_TRY(ndl_comm_agree(p->comm, NDL_OK)); /* rank 0 is ready, too */
    return follow_loop(p, signal);
}

static ndl_status follow_pipeline(ndl_comm *comm, ndl_wire_job *job,
                                  const volatile sig_atomic_t *signal)
{
    ndl_wire_place *places = NULL;
    pumps p = { .comm = comm, .signal = signal };
    const ndl_status st = follow_run(&p, job, &places, signal);
    ndl_stage_destroy(&p.stage);
    free(places);
    return st;
}

/* A job that fails fails for all; rank 0 then says what is next, or that it is
 * over.  Once there are slow links, the jobs that follow run over them. */
static ndl_status follow_jobs(ndl_comm *world, ndl_comm **slow,
                              const volatile sig_atomic_t *signal)
{
    ndl_wire_job job;
    ndl_status st = NDL_OK;
    for (;;) {
        ndl_comm *comm = *slow ? *slow : world;
        NDL_TRY(ndl_comm_bcast(comm, &job, sizeof job));
        if (job.magic != NDL_WIRE_MAGIC)
            return NDL_FAIL(NDL_EPROTO, "rank 0 speaks another protocol");
        switch (job.kind) {
        case NDL_JOB_HARDWARE: (void)ndl_survey_follow(comm); break;
        case NDL_JOB_PROFILE: (void)ndl_profiling_follow(comm); break;
        case NDL_JOB_LINKS: (void)ndl_slow_links_follow(world, slow); break;
        case NDL_JOB_PIPELINE:
            st = follow_pipeline(comm, &job, signal);
            if (st != NDL_OK || !job.more) return st;
            break;
        default: return job.status;
        }
    }
}

ndl_status ndl_session_follow(ndl_comm *comm,
                              const volatile sig_atomic_t *signal)
{
    ndl_comm *slow = NULL;
    const ndl_status st = follow_jobs(comm, &slow, signal);
    ndl_comm_close(&slow);
    return st;
}

ndl_status ndl_session_dismiss(ndl_comm *comm, ndl_status status)
{
    ndl_wire_job job = { .magic = NDL_WIRE_MAGIC,
                         .kind = NDL_JOB_LEAVE,
                         .status = status };
    return ndl_comm_bcast(comm, &job, sizeof job);
}
