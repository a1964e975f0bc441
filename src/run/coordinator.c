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
#include "stage_head.h"

#define SILENT_SEC      30.0  /* a stage without a sign of life is dead */
#define ALIVE_EVERY_SEC 5.0   /* our own signs of life                  */
#define LOST_SEC        120.0 /* all live and none works: a message is lost */
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

/* What rank 0 knows of a stage. */
typedef struct watch {
    ndl_comm_op op;
    ndl_wire_report *report; /* or ndl_wire_steps; report_cap bytes */
    ndl_wire_totals totals;
    double last_sign;
    bool is_done;
} watch;

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

    ndl_arena *arena; /* messages to stage 1 */
    outbox *out;      /* (window + 1): batches and STOP */
    ndl_comm_op tokens_op;
    unsigned char *tokens;
    size_t tokens_cap;
    watch *watches; /* (n_stages)  */
    size_t report_cap;
    int n_layers;           /* of the model, with embedding and head */
    ndl_comm_op *order_ops; /* (ranks)     */
    /* Being told to all, one a kind: it must not change on its way. */
    ndl_wire_order orders[NDL_ORDER_LEAVE + 1];
    double last_alive, last_progress, give_up_at;

    phase phase;
    bool draining;
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

static void post_report(ndl_coordinator *c, int stage)
{
    watch *w = &c->watches[stage];
    const ndl_status st =
        ndl_comm_recv_begin(c->comm, &w->op, c->places[stage].rank,
                            NDL_TAG_REPORT, w->report, c->report_cap);
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

/* Tell every rank that hosts a stage or idles; rank 0 only if it hosts. */
static void give_order(ndl_coordinator *c, ndl_order_kind kind)
{
    ndl_wire_order *order = &c->orders[kind];
    *order = (ndl_wire_order){ NDL_WIRE_MAGIC, kind, c->status, 0 };
    for (int r = 0; r < c->comm->size; r++) {
        bool hosts = r != 0;
        for (int s = 0; s < c->n_stages; s++)
            hosts = hosts || c->places[s].rank == r;
        if (!hosts) continue;
        (void)ndl_comm_cancel(c->comm, &c->order_ops[r]);
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

static void hear_fault(ndl_coordinator *c, int stage)
{
    const watch *w = &c->watches[stage];
    const ndl_status st =
        w->report->status < 0 ? w->report->status : NDL_EPROTO;
    if (c->phase >= ABORTING) return; /* the first fault is the cause */
    /* In one process with the stage its message is stored already. */
    if (c->places[stage].rank != 0) {
        ndl_status_clear();
        (void)NDL_FAIL(st, "rank %d: %.900s", c->places[stage].rank,
                       w->report->text);
    }
    abort_run(c, st);
}

/* Has a stage worked since its last report? */
static bool has_worked(const ndl_wire_totals *now, const ndl_wire_totals *then)
{
    return now->batches != then->batches || now->bytes_in != then->bytes_in ||
           now->busy_sec > then->busy_sec;
}

/* Where the time of stage i went. */
static bool hear_steps(ndl_coordinator *c, int i, size_t len)
{
    watch *w = &c->watches[i];
    if (!c->recorder ||
        !ndl_message_steps_is_valid(w->report, len, (uint32_t)c->n_layers))
        return false;
    w->last_sign = c->last_progress = ndl_comm_now(c->comm);
    ndl_recorder_steps(c->recorder, w->report, w->last_sign);
    return true;
}

/* What stage i says; false if it makes no sense. */
static bool hear_report(ndl_coordinator *c, int i, size_t len)
{
    watch *w = &c->watches[i];
    /* Both kinds of reports begin alike. */
    if (len < sizeof(ndl_wire_steps)) return false;
    if (w->report->kind == NDL_REPORT_STEPS)
        return w->report->stage == (uint32_t)i && hear_steps(c, i, len);
    if (!ndl_message_report_is_valid(w->report, len) ||
        w->report->stage != (uint32_t)i)
        return false;
    w->last_sign = ndl_comm_now(c->comm);
    w->is_done = w->report->kind == NDL_REPORT_DONE;
    if (w->is_done || has_worked(&w->report->totals, &w->totals))
        c->last_progress = w->last_sign;
    w->totals = w->report->totals;
    if (w->report->kind == NDL_REPORT_FAULT) hear_fault(c, i);
    return true;
}

static bool hear_reports(ndl_coordinator *c)
{
    bool moved = false;
    for (int i = 0; i < c->n_stages; i++) {
        watch *w = &c->watches[i];
        size_t len = 0;
        if (!tested(c, &w->op, &len)) continue;
        moved = true;
        if (!hear_report(c, i, len)) {
            abort_run(
                c, NDL_FAIL(NDL_EPROTO, "stage %d sent a bad report", i + 1));
            return true;
        }
        if (!w->is_done) post_report(c, i);
    }
    return moved;
}

static void finish_request(ndl_coordinator *c, int request, ndl_finish why)
{
    const double now = ndl_comm_now(c->comm);
    if (c->recorder) ndl_recorder_finish(c->recorder, request, why, now);
    c->client.on_finish(c->client.arg, request, why, now);
}

static void hear_token(ndl_coordinator *c, const ndl_wire_token *t)
{
    const int r = (int)t->sequence;
    const ndl_finish why = ndl_scheduler_token(c->scheduler, r, t->id);
    if (why == NDL_FINISH_STOPPED) return;
    const bool is_text = why != NDL_FINISH_EOS;
    const double now = ndl_comm_now(c->comm);
    if (is_text && c->recorder) ndl_recorder_token(c->recorder, r, now);
    const bool more =
        !is_text || c->client.on_token(c->client.arg, r, t->id, now);
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
    if (!ndl_message_tokens_is_valid(
            c->tokens, len, c->job->n_slots, (uint32_t)c->n_vocab,
            c->job->want_scores ? c->job->max_rows : 0))
        return false;
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
    for (uint32_t i = 0; i < b->n_seqs; i++) hear_token(c, &t[i]);
    const int *ended = NULL;
    const int n = ndl_scheduler_done(c->scheduler, b->batch_id, &ended);
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
    send_batch(c, o, sizeof stop);
    return true;
}

static bool all_done(const ndl_coordinator *c)
{
    for (int i = 0; i < c->n_stages; i++)
        if (!c->watches[i].is_done) return false;
    return true;
}

/* Is everybody alive, and does somebody work when there is work? */
static ndl_status find_silence(const ndl_coordinator *c, double now)
{
    const bool waits =
        c->phase == STOPPING || ndl_scheduler_in_flight(c->scheduler) > 0;
    for (int i = 0; i < c->n_stages; i++) {
        const watch *w = &c->watches[i];
        if (w->is_done || now - w->last_sign < SILENT_SEC) continue;
        return NDL_FAIL(NDL_ETEMP,
                        "stage %d (rank %d) has been silent for %.0f s: its "
                        "node may be down: start again without it",
                        i + 1, c->places[i].rank, now - w->last_sign);
    }
    if (!waits || now - c->last_progress < LOST_SEC) return NDL_OK;
    return NDL_FAIL(NDL_ETEMP,
                    "no stage has worked for %.0f s, though there is work: a "
                    "message was lost: start again",
                    now - c->last_progress);
}

static void watch_time(ndl_coordinator *c)
{
    const double now = ndl_comm_now(c->comm);
    if (c->phase >= ABORTING) return;
    const ndl_status st = find_silence(c, now);
    if (st != NDL_OK)
        abort_run(c, st);
    else if (now - c->last_alive > ALIVE_EVERY_SEC && orders_sent(c)) {
        c->last_alive = now;
        give_order(c, NDL_ORDER_ALIVE);
    }
}

/* The end: all totals are here, or nobody waits for them any longer. */
static bool close_run(ndl_coordinator *c)
{
    const double now = ndl_comm_now(c->comm);
    switch (c->phase) {
    case STOPPING:
        if (!all_done(c)) return false;
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

bool ndl_coordinator_step(ndl_coordinator *c)
{
    if (c->phase == OVER) return false;
    settle_sends(c);
    bool moved = hear_reports(c);
    while (c->phase == RUNNING && hear_tokens(c)) moved = true;
    moved = send_batches(c) || moved;
    moved = maybe_stop(c) || moved;
    watch_time(c);
    return close_run(c) || moved;
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

const ndl_wire_totals *ndl_coordinator_totals(const ndl_coordinator *c, int i)
{
    return &c->watches[i].totals;
}

static ndl_status make_scheduler(ndl_coordinator *c)
{
    const ndl_scheduler_config config = {
        .max_requests = c->n_requests,
        .n_slots = (int)c->job->n_slots,
        .n_groups = c->n_stages,
        .window = c->window,
        .max_rows = (int)c->job->max_rows,
        .context = (int)c->job->context,
    };
    NDL_TRY(ndl_scheduler_create(&c->scheduler, &config));
    for (int i = 0; i < c->n_requests; i++)
        ndl_scheduler_submit(c->scheduler, &c->requests[i]);
    return NDL_OK;
}

static ndl_status make_buffers(ndl_coordinator *c)
{
    const size_t cap = ndl_message_batch_bytes(
        c->job->n_slots, c->job->max_rows, ndl_batch_row_bytes(c->job));
    c->tokens_cap = ndl_stage_head_answer_bytes(c->job);
    c->tokens = malloc(c->tokens_cap);
    c->watches = calloc((size_t)c->n_stages, sizeof *c->watches);
    c->order_ops = calloc((size_t)c->comm->size, sizeof *c->order_ops);
    c->out = calloc((size_t)c->window + 1, sizeof *c->out);
    if (!c->tokens || !c->watches || !c->order_ops || !c->out)
        return NDL_FAIL(NDL_EOS, "coordinator: out of memory");
    const size_t n_out = (size_t)c->window + 1;
    const size_t steps =
        ndl_message_steps_bytes(NDL_WIRE_STEPS, (uint32_t)c->n_layers);
    c->report_cap = sizeof(ndl_wire_report);
    if (c->recorder && steps > c->report_cap) c->report_cap = steps;
    NDL_TRY(ndl_arena_create(&c->arena, "messages",
                             n_out * (cap + 64) +
                                 (size_t)c->n_stages * (c->report_cap + 64)));
    for (int i = 0; i <= c->window; i++)
        c->out[i].bytes = ndl_arena_alloc(c->arena, cap);
    for (int i = 0; i < c->n_stages; i++)
        c->watches[i].report = ndl_arena_alloc(c->arena, c->report_cap);
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
    for (int i = 0; i < c->n_stages; i++) c->n_layers += c->places[i].n_layers;
    c->n_layers += 2;
    /* One more batch than stages: the next is there when a stage gets free. */
    c->window = c->n_stages + 1;
    NDL_TRY_GOTO(done, st, make_buffers(c));
    NDL_TRY_GOTO(done, st, make_scheduler(c));
    c->last_alive = c->last_progress = ndl_comm_now(c->comm);
    for (int i = 0; i < c->n_stages; i++) {
        c->watches[i].last_sign = c->last_alive;
        post_report(c, i);
    }
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
    bool is_read = false;
    for (int i = 0; c->out && i <= c->window; i++)
        is_read = ndl_comm_cancel(c->comm, &c->out[i].op) || is_read;
    for (int i = 0; c->watches && i < c->n_stages; i++)
        (void)ndl_comm_cancel(c->comm, &c->watches[i].op);
    for (int r = 0; c->order_ops && r < c->comm->size; r++)
        (void)ndl_comm_cancel(c->comm, &c->order_ops[r]);
    (void)ndl_comm_cancel(c->comm, &c->tokens_op);
    if (is_read) ndl_arena_abandon(&c->arena);
    ndl_arena_destroy(&c->arena);
    ndl_scheduler_destroy(&c->scheduler);
    free(c->out);
    free(c->tokens);
    free(c->watches);
    free(c->order_ops);
    free(c);
    *cp = NULL;
}
