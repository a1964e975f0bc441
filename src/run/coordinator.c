/*
 * coordinator.c - see coordinator.h.
 *
 * RUNNING: batches go out while the window has room, tokens come back.  When
 * nothing is left, STOP follows the last batch through the pipeline and every
 * stage answers with its totals; then all ranks, idle ones too, are let go.  A
 * fault or a silent stage skips the stream: ABORT goes to every rank directly.
 */
#include "noodle/coordinator.h"

#include <stdlib.h>
#include <string.h>

#include "batch_write.h"
#include "noodle/arena.h"
#include "noodle/log.h"
#include "noodle/message.h"
#include "noodle/scheduler.h"
#include "recorder.h"
#include "registry.h"
#include "stage_head.h"

#define ALIVE_EVERY_SEC 5.0   /* our own signs of life                  */
#define LOST_SEC        120.0 /* all live and none works: a message is lost */
#define PROGRESS_SEC    1.0   /* between two words to the client */
#define GOODBYE_SEC     3.0   /* for the last orders to get through     */

typedef enum phase {
    RUNNING,
    STOPPING, /* STOP is in the stream: waiting for the totals */
    ABORTING, /* every rank was told to give up                */
    LEAVING,  /* every rank was told to leave                  */
    OVER
} phase;

typedef struct outbox {
    ndl_comm_op op;
    unsigned char *bytes;
} outbox;

struct ndl_coordinator {
    ndl_comm *comm;
    const ndl_wire_job *job;
    const ndl_wire_place *places;
    const ndl_request *requests;
    ndl_client client;
    ndl_score_fn on_score;
    void *score_arg;
    ndl_recorder *recorder; /* or NULL */
    ndl_scheduler *scheduler;
    int n_requests, n_vocab, n_stages, window;

    ndl_arena *arena; /* messages to others */
    outbox *out;      /* (window + 1): batches and STOP */
    double *sent;     /* (n_sent) when batch id % n_sent went out */
    uint64_t n_sent;
    ndl_comm_op tokens_op;
    unsigned char *tokens;
    size_t tokens_cap;
    ndl_registry *registry;
    ndl_comm_op *order_ops; /* (ranks)     */
    /* Being told to all, one a kind: it must not change on its way. */
    ndl_wire_order *orders; /* (NDL_ORDER_LEAVE + 1) */
    bool is_read; /* by MPI, what was not sent in time: memory is left to it */
    double last_alive, last_progress, give_up_at, last_told;

    phase phase;
    bool draining;
    bool has_finished; /* requests, since the client was told of a pause */
    ndl_status status;
};

static void abort_run(ndl_coordinator *c, ndl_status st);

/* A failure of our own messages ends the run as a stage's fault does. */
static bool tested(ndl_coordinator *c, ndl_comm_op *op, size_t *len)
{
    bool done = false;
    const ndl_status st = ndl_comm_test(c->comm, op, &done, len);
    if (st != NDL_OK) abort_run(c, st);
    return st == NDL_OK && done;
}

static void post_tokens(ndl_coordinator *c)
{
    const ndl_status st = ndl_comm_recv_begin(
        c->comm, &c->tokens_op, c->places[c->n_stages - 1].rank, NDL_TAG_TOKENS,
        c->tokens, c->tokens_cap);
    if (st != NDL_OK) abort_run(c, st);
}

static bool orders_sent(ndl_coordinator *c)
{
    bool all = true;
    for (int r = 0; r < c->comm->size; r++)
        if (c->order_ops[r].is_active && !tested(c, &c->order_ops[r], NULL))
            all = false;
    return all;
}

static void take_back(ndl_coordinator *c, ndl_comm_op *op)
{
    if (ndl_comm_cancel(c->comm, op)) c->is_read = true;
}

/* Tell every rank that hosts a stage or idles; rank 0 only if it hosts. */
static void give_order(ndl_coordinator *c, ndl_order_kind kind)
{
    ndl_wire_order *order = &c->orders[kind];
    *order = (ndl_wire_order){ NDL_WIRE_MAGIC, kind, c->status, 0 };
    if (kind == NDL_ORDER_ALIVE) order->ping = ndl_registry_ping(c->registry);
    for (int r = 0; r < c->comm->size; r++) {
        bool hosts = r != 0;
        for (int s = 0; s < c->n_stages; s++)
            hosts = hosts || c->places[s].rank == r;
        if (!hosts) continue;
        take_back(c, &c->order_ops[r]);
        /* A rank that cannot be told will be found silent or is dead. */
        (void)ndl_comm_send_begin(c->comm, &c->order_ops[r], r, NDL_TAG_ORDER,
                                  order, sizeof *order);
    }
}

static void abort_run(ndl_coordinator *c, ndl_status st)
{
    if (c->phase >= ABORTING) return;
    c->phase = ABORTING;
    c->status = st;
    c->give_up_at = ndl_comm_now(c->comm) + GOODBYE_SEC;
    give_order(c, NDL_ORDER_ABORT);
}

static bool hear_reports(ndl_coordinator *c)
{
    bool moved = false;
    /* The first fault is the cause. */
    const ndl_status st =
        ndl_registry_hear(c->registry, c->phase < ABORTING, &moved);
    if (st != NDL_OK) abort_run(c, st);
    return moved;
}

static void finish_request(ndl_coordinator *c, int request, ndl_finish why)
{
    const double now = ndl_comm_now(c->comm);
    c->has_finished = true;
    if (c->recorder) ndl_recorder_finish(c->recorder, request, why, now);
    c->client.on_finish(c->client.arg, request, why, now);
}

/* @param top  the candidates of the token */
static void hear_token(ndl_coordinator *c, const ndl_wire_token *t,
                       const ndl_wire_candidate *top)
{
    const ndl_token token = { t->id, t->log_p, (int)t->n_top, top };
    const int r = (int)t->sequence;
    const ndl_finish why = ndl_scheduler_token(c->scheduler, r, t->id);
    if (why == NDL_FINISH_STOPPED) return;
    const bool is_text = why != NDL_FINISH_EOS;
    const double now = ndl_comm_now(c->comm);
    if (is_text && c->recorder) ndl_recorder_token(c->recorder, r, now);
    const bool more =
        !is_text || c->client.on_token(c->client.arg, r, &token, now);
    if (why != NDL_FINISH_NONE) {
        finish_request(c, r, why);
    } else if (!more) {
        ndl_scheduler_cancel(c->scheduler, r);
        finish_request(c, r, NDL_FINISH_STOPPED);
    }
}

/* Is it the answer to the oldest batch in flight, with a token for each
 * sequence that awaits one, and for no other? */
static bool is_tokens(const ndl_coordinator *c, size_t len)
{
    const ndl_message_token_limits limits = {
        .max_tokens = c->job->n_slots,
        .n_vocab = (uint32_t)c->n_vocab,
        .max_scores = c->job->want_scores ? c->job->max_rows : 0
    };
    if (!ndl_message_tokens_is_valid(c->tokens, len, &limits)) return false;
    const ndl_wire_batch *b = (const ndl_wire_batch *)(void *)c->tokens;
    const ndl_wire_token *t = ndl_message_tokens(c->tokens);
    const int *awaited = NULL;
    const int n = ndl_scheduler_awaited(c->scheduler, b->batch_id, &awaited);
    if ((int)b->n_seqs != n) return false;
    for (int i = 0; i < n; i++)
        if (t[i].sequence != (uint64_t)awaited[i]) return false;
    return true;
}

/* Only what was asked for reaches the client. */
static bool hear_score(ndl_coordinator *c, const ndl_wire_score *s)
{
    if (s->sequence >= (uint64_t)c->n_requests) return false;
    const ndl_request *q = &c->requests[s->sequence];
    if (q->score_from == 0 || s->pos < (uint32_t)q->score_from ||
        s->pos >= (uint32_t)q->n_prompt)
        return false;
    c->on_score(c->score_arg, s);
    return true;
}

static bool hear_scores(ndl_coordinator *c)
{
    const ndl_wire_batch *b = (const ndl_wire_batch *)(void *)c->tokens;
    const ndl_wire_score *s = ndl_message_scores(c->tokens);
    for (uint32_t i = 0; i < b->n_rows; i++)
        if (!hear_score(c, &s[i])) return false;
    return true;
}

static bool hear_tokens(ndl_coordinator *c)
{
    size_t len = 0;
    if (!tested(c, &c->tokens_op, &len)) return false;
    ndl_wire_batch *b = (ndl_wire_batch *)(void *)c->tokens;
    if (!is_tokens(c, len) || !hear_scores(c)) {
        abort_run(c, NDL_FAIL(NDL_EPROTO, "the last stage sent bad tokens"));
        return true;
    }
    const ndl_wire_token *t = ndl_message_tokens(c->tokens);
    const ndl_wire_candidate *top = ndl_message_candidates(c->tokens);
    for (uint32_t i = 0; i < b->n_seqs; top += t[i++].n_top)
        hear_token(c, &t[i], top);
    const ndl_cadence_times times = {
        .slowest_sec = (double)b->slowest_sec,
        .sum_sec = (double)b->sum_sec,
        .trip_sec = ndl_comm_now(c->comm) - c->sent[b->batch_id % c->n_sent],
    };
    const int *ended = NULL;
    const int n = ndl_scheduler_done(c->scheduler, b->batch_id, &times, &ended);
    for (int i = 0; i < n; i++) finish_request(c, ended[i], NDL_FINISH_LENGTH);
    c->last_progress = ndl_comm_now(c->comm);
    post_tokens(c);
    return true;
}

/* Take note of sends that are complete.  While one is not known to be, a wait
 * wakes up again and again to help it along: most of what rank 0 would cost. */
static void settle_sends(ndl_coordinator *c)
{
    for (int i = 0; i <= c->window; i++)
        if (c->out[i].op.is_active) (void)tested(c, &c->out[i].op, NULL);
    (void)orders_sent(c);
}

static outbox *free_outbox(ndl_coordinator *c)
{
    for (int i = 0; i <= c->window; i++)
        if (!c->out[i].op.is_active) return &c->out[i];
    return NULL;
}

static void send_batch(ndl_coordinator *c, outbox *o, size_t len)
{
    const ndl_status st = ndl_comm_send_begin(
        c->comm, &o->op, c->places[0].rank, NDL_TAG_BATCH, o->bytes, len);
    if (st != NDL_OK) abort_run(c, st);
    c->last_progress = ndl_comm_now(c->comm);
}

static bool send_batches(ndl_coordinator *c)
{
    bool moved = false;
    ndl_scheduler_batch b;
    while (c->phase == RUNNING && !c->draining) {
        outbox *o = free_outbox(c);
        if (!o || !ndl_scheduler_next(c->scheduler, &b)) break;
        c->sent[b.id % c->n_sent] = ndl_comm_now(c->comm);
        send_batch(c, o, ndl_batch_write(c->job, c->requests, &b, o->bytes));
        if (c->recorder)
            ndl_recorder_batch(c->recorder, &b,
                               ndl_scheduler_in_flight(c->scheduler));
        moved = true;
    }
    return moved;
}

/* Everything has come back, or nothing more is wanted: close the stream. */
static bool maybe_stop(ndl_coordinator *c)
{
    if (c->phase != RUNNING) return false;
    const bool nothing_left = ndl_scheduler_pending(c->scheduler) == 0;
    if (ndl_scheduler_in_flight(c->scheduler) > 0) return false;
    if (!nothing_left && !c->draining) return false;
    outbox *o = free_outbox(c);
    if (!o) return false;
    const ndl_wire_batch stop = { .magic = NDL_WIRE_MAGIC,
                                  .kind = NDL_BATCH_STOP,
                                  .batch_id = nothing_left ? 0 : 1 };
    memcpy(o->bytes, &stop, sizeof stop);
    c->phase = STOPPING;
    ndl_registry_await_totals(c->registry);
    send_batch(c, o, sizeof stop);
    return true;
}

/* Is everybody alive, and does somebody work when there is work? */
static ndl_status find_silence(const ndl_coordinator *c, double now)
{
    const bool waits =
        c->phase == STOPPING || ndl_scheduler_in_flight(c->scheduler) > 0;
    const double work = ndl_registry_last_work(c->registry);
    const double last = work > c->last_progress ? work : c->last_progress;
    /* A file of logits goes to the disk at the end, and nothing is told
     * meanwhile. */
    if (c->phase != STOPPING || c->job->logits[0] == '\0')
        NDL_TRY(ndl_registry_find_silent(c->registry, now));
    if (!waits || now - last < LOST_SEC) return NDL_OK;
    return NDL_FAIL(NDL_ETEMP,
                    "no stage has worked for %.0f s, though there is work: a "
                    "message was lost: start again",
                    now - last);
}

static void tell_alive(ndl_coordinator *c)
{
    const double now = ndl_comm_now(c->comm);
    if (now - c->last_alive <= ALIVE_EVERY_SEC || !orders_sent(c)) return;
    c->last_alive = now;
    give_order(c, NDL_ORDER_ALIVE);
}

/* @param begun  when this step began: what it has done itself since, waiting
 *               for a disk, is nobody's silence */
static void watch_time(ndl_coordinator *c, double begun)
{
    if (c->phase >= ABORTING) return;
    const ndl_status st = find_silence(c, begun);
    if (st != NDL_OK)
        abort_run(c, st);
    else
        tell_alive(c);
}

void ndl_coordinator_keep_alive(ndl_coordinator *c)
{
    if (c->phase < ABORTING) tell_alive(c);
}

/* The end: all totals are here, or nobody waits for them any longer. */
static bool close_run(ndl_coordinator *c)
{
    const double now = ndl_comm_now(c->comm);
    switch (c->phase) {
    case STOPPING:
        if (!ndl_registry_all_done(c->registry)) return false;
        c->phase = LEAVING;
        c->give_up_at = now + GOODBYE_SEC;
        give_order(c, NDL_ORDER_LEAVE);
        return true;
    case ABORTING:
    case LEAVING:
        if (!orders_sent(c) && now < c->give_up_at) return false;
        c->phase = OVER;
        return true;
    default: return false;
    }
}

static void settle(ndl_coordinator *c)
{
    if (!c->has_finished) return;
    c->has_finished = false;
    if (c->client.on_settled) c->client.on_settled(c->client.arg);
}

static void tell_progress(ndl_coordinator *c, double every_sec)
{
    const double now = ndl_comm_now(c->comm);
    if (!c->client.on_progress || now - c->last_told < every_sec) return;
    c->last_told = now;
    const ndl_scheduler_counts counts = ndl_scheduler_count(c->scheduler);
    c->client.on_progress(c->client.arg, &counts, now);
}

bool ndl_coordinator_step(ndl_coordinator *c)
{
    if (c->phase == OVER) return false;
    settle_sends(c);
    const double begun = ndl_comm_now(c->comm);
    bool moved = hear_reports(c);
    while (c->phase == RUNNING && hear_tokens(c)) moved = true;
    moved = send_batches(c) || moved;
    moved = maybe_stop(c) || moved;
    watch_time(c, begun);
    settle(c);
    tell_progress(c, PROGRESS_SEC);
    moved = close_run(c) || moved;
    if (c->phase == OVER) tell_progress(c, 0.0);
    return moved;
}

void ndl_coordinator_stop(ndl_coordinator *c, ndl_status status)
{
    if (c->phase != RUNNING || c->draining) return;
    c->draining = true;
    c->status = status;
}

bool ndl_coordinator_is_over(const ndl_coordinator *c, ndl_status *status)
{
    if (c->phase != OVER) return false;
    *status = c->status;
    return true;
}

ndl_scheduler_counts ndl_coordinator_counts(const ndl_coordinator *c)
{
    return ndl_scheduler_count(c->scheduler);
}

double ndl_coordinator_ping_sec(const ndl_coordinator *c, int i)
{
    return ndl_registry_ping_sec(c->registry, i);
}

const ndl_wire_totals *ndl_coordinator_totals(const ndl_coordinator *c, int i)
{
    return ndl_registry_totals(c->registry, i);
}

static ndl_status make_scheduler(ndl_coordinator *c,
                                 const ndl_coordinator_setup *setup)
{
    const ndl_scheduler_config config = {
        .max_requests = c->n_requests,
        .n_slots = (int)c->job->n_slots,
        .n_pages = (int)c->job->n_pages,
        .n_stages = c->n_stages,
        .n_groups = setup->n_groups,
        .window = c->window,
        .max_rows = (int)c->job->max_rows,
        .context = (int)c->job->context,
        .stall_sec = setup->stall_sec,
        .no_reuse = setup->no_reuse,
    };
    NDL_TRY(ndl_scheduler_create(&c->scheduler, &config));
    for (int i = 0; i < c->n_requests; i++)
        ndl_scheduler_submit(c->scheduler, &c->requests[i]);
    return NDL_OK;
}

static ndl_status make_buffers(ndl_coordinator *c)
{
    const size_t cap =
        ndl_message_batch_bytes(c->job->n_slots, c->job->max_ops,
                                c->job->max_rows, ndl_batch_row_bytes(c->job));
    c->tokens_cap = ndl_stage_head_answer_bytes(c->job);
    c->tokens = malloc(c->tokens_cap);
    c->order_ops = calloc((size_t)c->comm->size, sizeof *c->order_ops);
    c->out = calloc((size_t)c->window + 1, sizeof *c->out);
    c->n_sent = (uint64_t)c->window + 1;
    c->sent = calloc(c->n_sent, sizeof *c->sent);
    if (!c->tokens || !c->order_ops || !c->out || !c->sent)
        return NDL_FAIL(NDL_EOS, "coordinator: out of memory");
    const size_t n_out = (size_t)c->window + 1;
    const size_t orders = (NDL_ORDER_LEAVE + 1) * sizeof *c->orders;
    NDL_TRY(ndl_arena_create(&c->arena, "messages",
                             n_out * (cap + 64) + orders + 64));
    c->orders = ndl_arena_alloc(c->arena, orders);
    for (int i = 0; i <= c->window; i++)
        c->out[i].bytes = ndl_arena_alloc(c->arena, cap);
    ndl_arena_freeze(c->arena);
    return NDL_OK;
}

ndl_status ndl_coordinator_create(ndl_coordinator **out,
                                  const ndl_coordinator_setup *setup)
{
    ndl_status st = NDL_OK;
    ndl_coordinator *c = calloc(1, sizeof *c);
    if (!c) return NDL_FAIL(NDL_EOS, "coordinator: out of memory");
    c->comm = setup->comm;
    c->job = setup->job;
    c->places = setup->places;
    c->requests = setup->requests;
    c->n_requests = setup->n_requests;
    c->n_vocab = setup->n_vocab;
    c->client = setup->client;
    c->on_score = setup->on_score;
    c->score_arg = setup->score_arg;
    c->recorder = setup->recorder;
    c->n_stages = (int)c->job->n_stages;
    /* Half as many more than stages: the next batch is there when a stage gets
     * free, though one before it was late (test_scheduler_busy has the share of
     * the time that stages are busy with, against one more than stages). */
    c->window = c->n_stages + (c->n_stages + 1) / 2;
    if (c->window < setup->n_groups) c->window = setup->n_groups;
    NDL_TRY_GOTO(done, st, make_buffers(c));
    NDL_TRY_GOTO(done, st, make_scheduler(c, setup));
    NDL_TRY_GOTO(
        done, st,
        ndl_registry_create(&c->registry,
                            &(ndl_registry_setup){ .comm = c->comm,
                                                   .places = c->places,
                                                   .n_stages = c->n_stages,
                                                   .plan = setup->plan,
                                                   .recorder = c->recorder }));
    /* The first word goes out at once: its answer is the ping. */
    c->last_progress = ndl_comm_now(c->comm);
    c->last_alive = c->last_progress - 2.0 * ALIVE_EVERY_SEC;
    post_tokens(c);
    *out = c;
    c = NULL;
done:
    ndl_coordinator_destroy(&c);
    return st;
}

void ndl_coordinator_destroy(ndl_coordinator **cp)
{
    ndl_coordinator *c = *cp;
    if (!c) return;
    for (int i = 0; c->out && i <= c->window; i++) take_back(c, &c->out[i].op);
    ndl_registry_destroy(&c->registry);
    for (int r = 0; c->order_ops && r < c->comm->size; r++)
        take_back(c, &c->order_ops[r]);
    (void)ndl_comm_cancel(c->comm, &c->tokens_op);
    if (c->is_read) ndl_arena_abandon(&c->arena);
    ndl_arena_destroy(&c->arena);
    ndl_scheduler_destroy(&c->scheduler);
    free(c->out);
    free(c->sent);
    free(c->tokens);
    free(c->order_ops);
    free(c);
    *cp = NULL;
}
