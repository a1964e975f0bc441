/* pump_world.c - see pump_world.h. */
#include "pump_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_POSTED = 64 };
#define WAIT_SEC 0.1 /* as the loops of a session wait */

/* Messages of ranks that the test plays, borrowed until the world's end. */
static struct posted {
    ndl_comm_op op;
    unsigned char *copy;
} posted[MAX_POSTED];
static int n_posted;

/* What a stage or coordinator leaves to MPI, which may still read it, stays
 * until the process ends: no leak. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:ndl_arena_create\n";
}

int world_rank(const world *w, int stage)
{
    return w->setup.hosted ? 0 : stage + 1;
}

static bool on_token(void *arg, int request, const ndl_token *token, double now)
{
    world_text *t = &((world *)arg)->texts[request];
    (void)now;
    assert_int_equal(t->n_finishes, 0);
    assert_true(t->n < WORLD_NEW);
    t->ids[t->n++] = token->id;
    return t->refuse_at == 0 || t->n < t->refuse_at;
}

static void on_finish(void *arg, int request, ndl_finish why, double now)
{
    world_text *t = &((world *)arg)->texts[request];
    (void)now;
    assert_int_equal(t->n_finishes, 0);
    t->n_finishes++;
    t->why = why;
}

/* Whole contexts for all slots, unless the setup says otherwise. */
static int world_pages(const world_setup *s)
{
    return s->n_pages > 0 ? s->n_pages : s->n_slots * ndl_pages_of(s->context);
}

static void write_job(world *w)
{
    const world_setup *s = &w->setup;
    w->job = (ndl_wire_job){ .magic = NDL_WIRE_MAGIC,
                             .kind = NDL_JOB_PIPELINE,
                             .n_stages = (uint32_t)s->n_stages,
                             .n_slots = (uint32_t)s->n_slots,
                             .context = (uint32_t)s->context,
                             .max_rows = (uint32_t)s->max_rows,
                             .type_k = (uint16_t)s->kv_types.k,
                             .type_v = (uint16_t)s->kv_types.v,
                             .want_scores = s->on_score != NULL,
                             .compare = s->compare,
                             .cpu_flags = s->cpu_flags };
    snprintf(w->job.weights, sizeof w->job.weights, "%s", s->weights);
    const ndl_scheduler_config config = { .n_slots = s->n_slots,
                                          .n_pages = world_pages(s),
                                          .max_rows = s->max_rows,
                                          .context = s->context };
    w->job.n_pages = (uint32_t)config.n_pages;
    w->job.max_ops = (uint32_t)ndl_scheduler_max_ops(&config);
    if (s->logits)
        snprintf(w->job.logits, sizeof w->job.logits, "%s", s->logits);
    for (int i = 0; i < s->n_requests; i++) {
        const ndl_request *r = &s->requests[i];
        if (r->want_logits) w->job.logits_rows += (uint32_t)r->n_prompt;
        if (r->score_from > 0)
            w->job.logits_rows += (uint32_t)(r->n_prompt - r->score_from);
    }
    int first = 0;
    for (int i = 0; i < s->n_stages; i++) {
        w->places[i] = (ndl_wire_place){ .rank = world_rank(w, i),
                                         .first_layer = first,
                                         .n_layers = s->blocks[i],
                                         .embed = i == 0,
                                         .head = i == s->n_stages - 1,
                                         .n_threads = s->n_threads,
                                         .load = NDL_LOAD_MAP };
        first += s->blocks[i];
    }
    assert_int_equal(first, TOY_BLOCKS);
}

static void make_pumps(world *w)
{
    const world_setup *s = &w->setup;
    const ndl_coordinator_setup c = {
        .comm = ndl_fake_comm(w->fake, 0),
        .job = &w->job,
        .places = w->places,
        .requests = s->requests,
        .n_requests = s->n_requests,
        .n_vocab = toy_vocab(),
        .on_score = s->on_score,
        .score_arg = s->score_arg,
        .client = { .arg = w, .on_token = on_token, .on_finish = on_finish }
    };
    for (int i = 0; i < s->n_stages; i++) {
        const ndl_stage_setup stage = { .comm = ndl_fake_comm(w->fake,
                                                              world_rank(w, i)),
                                        .job = &w->job,
                                        .places = w->places,
                                        .index = i };
        if (s->no_stage[i]) continue;
        const ndl_status st = ndl_stage_create(&w->stages[i], &stage);
        if (st != NDL_OK) fail_msg("%s", ndl_status_message());
    }
    if (!s->no_coordinator)
        assert_int_equal(ndl_coordinator_create(&w->coordinator, &c), NDL_OK);
}

void world_open(world *w, const world_setup *setup)
{
    *w = (world){ .setup = *setup };
    ndl_status_clear();
    w->n_ranks = setup->hosted ? 1 : setup->n_stages + 1 + setup->n_idle;
    assert_true(!setup->hosted || setup->n_stages == 1);
    assert_true(setup->n_requests <= WORLD_REQUESTS);
    w->fake = ndl_fake_create(
        &(ndl_fake_config){ .n_ranks = w->n_ranks,
                            .latency_sec = setup->latency_sec,
                            .bytes_per_sec = setup->bytes_per_sec,
                            .jitter_sec = setup->jitter_sec,
                            .seed = setup->seed,
                            .eager_bytes = setup->eager_bytes });
    write_job(w);
    make_pumps(w);
}

void world_close_pumps(world *w)
{
    ndl_coordinator_destroy(&w->coordinator);
    for (int i = 0; i < w->setup.n_stages; i++)
        ndl_stage_destroy(&w->stages[i]);
}

void world_close(world *w)
{
    world_close_pumps(w);
    ndl_fake_destroy(&w->fake);
    for (int i = 0; i < n_posted; i++) free(posted[i].copy);
    memset(posted, 0, sizeof posted);
    n_posted = 0;
    ndl_status_clear();
}

/* Some time that the step of a stage takes. */
static void spend(world *w, int rank)
{
    uint64_t z = w->setup.seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    const double share = (double)((z ^ (z >> 27)) >> 11) * 0x1p-53;
    if (w->setup.compute_sec > 0.0)
        ndl_fake_spend(w->fake, rank, share * w->setup.compute_sec);
}

static bool step_stage(world *w, int i)
{
    const int rank = world_rank(w, i);
    if (!w->stages[i] || w->is_dead[i] || w->has_left[i]) return false;
    if (!ndl_fake_is_ready(w->fake, rank)) return false;
    const bool moved = ndl_stage_step(w->stages[i]);
    w->has_left[i] = ndl_stage_has_left(w->stages[i], &w->left[i]);
    if (moved) spend(w, rank);
    return moved;
}

bool world_turn(world *w)
{
    bool moved = false;
    if (w->coordinator && ndl_fake_is_ready(w->fake, 0))
        moved = ndl_coordinator_step(w->coordinator);
    for (int i = 0; i < w->setup.n_stages; i++)
        moved = step_stage(w, i) || moved;
    if (moved) return true;
    for (int r = 0; r < w->n_ranks; r++)
        if (ndl_fake_is_ready(w->fake, r))
            ndl_comm_wait(ndl_fake_comm(w->fake, r), WAIT_SEC);
    return ndl_fake_advance_or_wake(w->fake);
}

static bool is_over(const world *w, ndl_status *status)
{
    if (!ndl_coordinator_is_over(w->coordinator, status)) return false;
    for (int i = 0; i < w->setup.n_stages; i++)
        if (w->stages[i] && !w->is_dead[i] && !w->has_left[i]) return false;
    return true;
}

ndl_status world_run(world *w, double sec)
{
    const double end = ndl_fake_now(w->fake) + sec;
    ndl_status status = NDL_OK;
    while (!is_over(w, &status)) {
        assert_true(world_turn(w));
        if (ndl_fake_now(w->fake) > end)
            fail_msg("not over after %.0f s: %s", sec, ndl_status_message());
    }
    return status;
}

void world_kill(world *w, int stage)
{
    ndl_fake_kill(w->fake, world_rank(w, stage));
    w->is_dead[stage] = true;
}

void world_send(world *w, int from, int to, ndl_tag tag, const void *msg,
                size_t len)
{
    assert_true(n_posted < MAX_POSTED);
    struct posted *p = &posted[n_posted++];
    p->copy = malloc(len + 1);
    assert_non_null(p->copy);
    if (len > 0) memcpy(p->copy, msg, len);
    assert_int_equal(ndl_comm_send_begin(ndl_fake_comm(w->fake, from), &p->op,
                                         to, tag, p->copy, len),
                     NDL_OK);
}

size_t world_receive(world *w, int from, int to, ndl_tag tag, void *msg,
                     size_t cap, double sec)
{
    ndl_comm *comm = ndl_fake_comm(w->fake, to);
    const double end = ndl_fake_now(w->fake) + sec;
    ndl_comm_op op = { .is_active = false };
    size_t len = 0;
    assert_int_equal(ndl_comm_recv_begin(comm, &op, from, tag, msg, cap),
                     NDL_OK);
    for (bool done = false;;) {
        assert_int_equal(ndl_comm_test(comm, &op, &done, &len), NDL_OK);
        if (done) return len;
        assert_true(world_turn(w));
        if (ndl_fake_now(w->fake) > end)
            fail_msg("no message of tag %d within %.0f s", (int)tag, sec);
    }
}
