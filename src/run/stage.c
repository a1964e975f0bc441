/*
 * stage.c - see stage.h.
 *
 * Two buffers in, two out: while a batch is computed the next one arrives and
 * the last one leaves.  Rows are computed in place in the outgoing buffer.
 * The pool calls poll() while it works, so that messages move meanwhile.
 */
#include "noodle/stage.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/arena.h"
#include "noodle/forward.h"
#include "noodle/kvcache.h"
#include "noodle/log.h"
#include "noodle/message.h"
#include "noodle/pool.h"
#include "noodle/weights.h"
#include "stage_clock.h"
#include "stage_head.h"
#include "stage_reports.h"
#include "stage_sessions.h"

enum { DEPTH = 2 }; /* buffers each way */
/* Without a word from rank 0, which gives one every 5 s. */
static const double ORPHAN_SEC = 60.0;
typedef enum phase {
    RUNNING,
    DRAINED, /* STOP has passed: only sends and the report remain  */
    FAULTED, /* something failed; waiting for rank 0 to let us go  */
    LEFT
} phase;

typedef struct box {
    ndl_comm_op op;
    unsigned char *bytes;
    size_t len;
    bool is_full; /* in: a message to work on; out: not yet sent */
} box;

struct ndl_stage {
    ndl_comm *comm;
    const ndl_wire_job *job;
    int index, prev, next; /* ranks; next of the last stage is 0 */
    bool first, last;
    bool is_made; /* messages may come and go */
    void (*meanwhile)(void *arg);
    void *meanwhile_arg;
    ndl_message_batch_limits limits;
    uint32_t target_bytes; /* of a row: what it says follows it */

    ndl_weights *weights;
    ndl_pool *pool;
    ndl_kernels kernels;
    ndl_forward *forward;
    ndl_stage_head *head; /* last stage only */
    ndl_arena *arena;     /* messages and rows */
    float *x;             /* last stage: (T, D) */
    ndl_stage_sessions sessions;

    size_t box_cap;
    box in[DEPTH], out[DEPTH];
    int in_at, out_at; /* the next to work on, to fill */

    ndl_comm_op order_op;
    ndl_wire_order order;
    ndl_stage_reports reports;

    phase phase;
    ndl_status status;
    ndl_wire_totals totals;
    ndl_stage_clock clock;
    double work_begin; /* on the batch in hand */
    double last_word;  /* from rank 0, or when it could be heard again */
};

static ndl_part part_of(const ndl_wire_place *p)
{
    return (ndl_part){ p->first_layer, p->n_layers, p->embed != 0,
                       p->head != 0 };
}

static void fail(ndl_stage *s, ndl_status st)
{
    if (s->phase == FAULTED || s->phase == LEFT) return;
    s->phase = FAULTED;
    s->status = st;
    s->reports.fault_due = true;
}

/* Everything below runs on whatever status a call gives: a failed message is
 * a fault of the stage, reported to rank 0 once. */
static bool tested(ndl_stage *s, ndl_comm_op *op, size_t *len)
{
    bool done = false;
    const ndl_status st = ndl_comm_test(s->comm, op, &done, len);
    if (st != NDL_OK) fail(s, st);
    return st == NDL_OK && done;
}

static void post_receive(ndl_stage *s, box *b)
{
    b->is_full = false;
    const ndl_status st = ndl_comm_recv_begin(
        s->comm, &b->op, s->prev, NDL_TAG_BATCH, b->bytes, s->box_cap);
    if (st != NDL_OK) fail(s, st);
}

static void post_order(ndl_stage *s)
{
    if (s->order_op.is_active) return;
    const ndl_status st = ndl_comm_recv_begin(
        s->comm, &s->order_op, 0, NDL_TAG_ORDER, &s->order, sizeof s->order);
    if (st != NDL_OK) fail(s, st);
}

static bool all_sent(const ndl_stage *s)
{
    for (int i = 0; i < DEPTH; i++)
        if (s->out[i].is_full) return false;
    return true;
}

static void obey(ndl_stage *s, size_t len)
{
    s->last_word = ndl_comm_now(s->comm);
    if (!ndl_message_order_is_valid(&s->order, len)) {
        fail(s, NDL_FAIL(NDL_EPROTO, "stage %d got a bad order", s->index + 1));
    } else if (s->order.kind == NDL_ORDER_ALIVE) {
        s->reports.pong_due = s->order.ping;
    } else {
        s->status = s->order.status;
        s->phase = LEFT;
    }
}

/* Let messages move; the only part that may run while a batch is computed. */
static bool poll(ndl_stage *s)
{
    bool moved = false;
    size_t len = 0;
    /* The pool also works while the weights are loaded. */
    if (s->phase == LEFT || !s->is_made) return false;
    for (int i = 0; i < DEPTH; i++) {
        if (s->out[i].is_full && tested(s, &s->out[i].op, NULL)) {
            s->out[i].is_full = false;
            moved = true;
        }
        if (s->in[i].op.is_active && tested(s, &s->in[i].op, &len)) {
            s->in[i].len = len;
            s->in[i].is_full = true;
            s->totals.bytes_in += len;
            moved = true;
        }
    }
    if (s->reports.is_busy && tested(s, &s->reports.op, NULL))
        s->reports.is_busy = false;
    ndl_stage_reports_send(&s->reports, s->status, all_sent(s));
    return moved;
}

static void poll_hook(void *arg)
{
    ndl_stage *s = arg;
    poll(s);
    if (s->meanwhile && s->is_made) s->meanwhile(s->meanwhile_arg);
}

static void send_out(ndl_stage *s, box *b, size_t len, ndl_tag tag)
{
    b->is_full = true;
    s->out_at = (s->out_at + 1) % DEPTH;
    s->totals.bytes_out += len;
    const ndl_status st =
        ndl_comm_send_begin(s->comm, &b->op, s->next, tag, b->bytes, len);
    if (st != NDL_OK) fail(s, st);
}

static ndl_status check_ids(const ndl_stage *s, ndl_wire_batch *b)
{
    const int32_t vocab = ndl_weights_model(s->weights)->vocab;
    const int32_t *ids = ndl_message_batch_rows(b);
    for (uint32_t i = 0; i < b->n_rows; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return NDL_FAIL(NDL_EPROTO, "stage %d got token %d of %d",
                            s->index + 1, (int)ids[i], (int)vocab);
    return NDL_OK;
}

/* The hosted layers: rows from the message into x, in place from there. */
static void compute(ndl_stage *s, ndl_wire_batch *b, float *x)
{
    const ndl_model *m = ndl_weights_model(s->weights);
    if (s->first)
        ndl_forward_embed(s->forward, ndl_message_batch_rows(b),
                          s->sessions.spans, (int)b->n_seqs, x);
    else
        memcpy(x, ndl_message_batch_rows(b),
               (size_t)b->n_rows * (size_t)m->width * sizeof *x);
    ndl_forward_blocks(s->forward, s->sessions.spans, (int)b->n_seqs, x);
}

/* What the stages up to here took for the batch: the scheduler goes by it. */
static void tell_time(const ndl_stage *s, const ndl_wire_batch *b,
                      ndl_wire_batch *out)
{
    const float sec = (float)(ndl_comm_now(s->comm) - s->work_begin);
    out->slowest_sec = sec > b->slowest_sec ? sec : b->slowest_sec;
    out->sum_sec = b->sum_sec + sec;
}

static void pass_rows(ndl_stage *s, ndl_wire_batch *b, box *out)
{
    const ndl_model *m = ndl_weights_model(s->weights);
    ndl_wire_batch *next = (ndl_wire_batch *)(void *)out->bytes;
    memcpy(next, b, ndl_message_front_bytes(b->n_seqs, b->n_ops));
    next->row_bytes =
        (uint32_t)((size_t)m->width * sizeof(float)) + s->target_bytes;
    compute(s, b, ndl_message_batch_rows(next));
    tell_time(s, b, next);
    if (s->target_bytes)
        memcpy(ndl_message_batch_targets(next), ndl_message_batch_targets(b),
               b->n_rows * sizeof(int32_t));
    send_out(s, out,
             ndl_message_batch_bytes(b->n_seqs, b->n_ops, b->n_rows,
                                     next->row_bytes),
             NDL_TAG_BATCH);
}

static void pass_tokens(ndl_stage *s, ndl_wire_batch *b, box *out)
{
    compute(s, b, s->x);
    size_t len = 0;
    const ndl_status st =
        ndl_stage_head_run(s->head, b, s->x, out->bytes, &len);
    if (st == NDL_OK) tell_time(s, b, (ndl_wire_batch *)(void *)out->bytes);
    if (st != NDL_OK)
        fail(s, st);
    else
        send_out(s, out, len, NDL_TAG_TOKENS);
}

static void stop(ndl_stage *s, ndl_wire_batch *b, box *out)
{
    if (!s->last) {
        memcpy(out->bytes, b, sizeof *b);
        send_out(s, out, sizeof *b, NDL_TAG_BATCH);
    }
    s->phase = DRAINED;
    s->reports.done_due = true;
    ndl_stage_sessions_close_all(&s->sessions);
    if (s->last && b->batch_id == 0) {
        const ndl_status st = ndl_stage_head_finish(s->head);
        if (st != NDL_OK) fail(s, st);
    }
}

/* Is it a message that may be computed? */
static ndl_status check_batch(ndl_stage *s, const box *in, ndl_wire_batch *b)
{
    if (!ndl_message_batch_is_valid(b, in->len, &s->limits))
        return NDL_FAIL(NDL_EPROTO,
                        "stage %d got a malformed batch from rank %d",
                        s->index + 1, s->prev);
    if (b->kind == NDL_BATCH_STOP) return NDL_OK;
    NDL_TRY(ndl_stage_sessions_begin(&s->sessions, b));
    return s->first ? check_ids(s, b) : NDL_OK;
}

static void work(ndl_stage *s, box *in, box *out)
{
    ndl_wire_batch *b = (ndl_wire_batch *)(void *)in->bytes;
    s->work_begin = ndl_comm_now(s->comm);
    const ndl_status st = check_batch(s, in, b);
    if (st != NDL_OK) {
        fail(s, st);
        return;
    }
    if (b->kind == NDL_BATCH_STOP) {
        stop(s, b, out);
        return;
    }
    ndl_stage_clock_to(&s->clock, NDL_STAGE_BUSY, s->work_begin);
    if (s->last)
        pass_tokens(s, b, out);
    else
        pass_rows(s, b, out);
    s->last_word = ndl_comm_now(s->comm); /* nobody could be heard meanwhile */
    ndl_stage_clock_step(&s->clock, b->batch_id, s->last_word);
    ndl_stage_sessions_end(&s->sessions, b, s->last_word - s->work_begin);
    s->totals.batches++;
    s->totals.rows += b->n_rows;
}

/* A launcher that lets survivors live would leave us waiting for ever. */
static void leave_if_orphaned(ndl_stage *s)
{
    if (s->phase == LEFT) return;
    if (ndl_comm_now(s->comm) - s->last_word < ORPHAN_SEC) return;
    s->status = NDL_FAIL(NDL_ETEMP,
                         "stage %d has heard nothing from rank 0 for %.0f s: "
                         "its node may be down: start again",
                         s->index + 1, ORPHAN_SEC);
    s->phase = LEFT;
}

/* What a stage that does nothing waits for. */
static ndl_stage_state waiting_for(const ndl_stage *s)
{
    const box *in = &s->in[s->in_at];
    if (s->totals.batches == 0) return NDL_STAGE_IDLE;
    if (in->is_full) return NDL_STAGE_SEND;
    return in->op.is_active && in->op.is_arriving ? NDL_STAGE_RECEIVE
                                                  : NDL_STAGE_BUBBLE;
}

/* Work on the next message, if it is here and its result has room. */
static bool advance(ndl_stage *s)
{
    box *in = &s->in[s->in_at], *out = &s->out[s->out_at];
    if (s->phase != RUNNING || !in->is_full || out->is_full) return false;
    work(s, in, out);
    if (s->phase == RUNNING) {
        post_receive(s, in);
        s->in_at = (s->in_at + 1) % DEPTH;
    }
    return true;
}

bool ndl_stage_step(ndl_stage *s)
{
    size_t len = 0;
    /* The first step comes when all ranks are ready: time counts from here. */
    if (!s->clock.is_started) {
        s->last_word = s->reports.last_records = ndl_comm_now(s->comm);
        ndl_stage_clock_start(&s->clock, s->last_word);
    }
    bool moved = poll(s);
    if (s->phase != LEFT && tested(s, &s->order_op, &len)) {
        obey(s, len);
        moved = true;
    }
    if (s->phase != LEFT) post_order(s);
    leave_if_orphaned(s);
    moved = advance(s) || moved;
    const ndl_stage_state state = waiting_for(s);
    if (state != s->clock.state)
        ndl_stage_clock_to(&s->clock, state, ndl_comm_now(s->comm));
    return moved;
}

void ndl_stage_fail(ndl_stage *s, ndl_status st)
{
    fail(s, st);
}

bool ndl_stage_has_left(const ndl_stage *s, ndl_status *status)
{
    if (s->phase != LEFT) return false;
    *status = s->status;
    return true;
}

static size_t clock_bytes(const ndl_stage *s)
{
    if (!s->clock.keeps) return 0;
    return NDL_STAGE_CLOCK_STEPS * sizeof(ndl_wire_step) + 64 +
           ((size_t)s->clock.n_layers + 2) * sizeof(ndl_layer_clock);
}

static void make_clock(ndl_stage *s)
{
    ndl_stage_clock *c = &s->clock;
    const size_t layers = ((size_t)c->n_layers + 2) * sizeof *c->layers;
    c->ring =
        ndl_arena_alloc(s->arena, NDL_STAGE_CLOCK_STEPS * sizeof *c->ring);
    c->layers = ndl_arena_alloc(s->arena, layers);
    memset(c->layers, 0, layers);
}

static ndl_status make_buffers(ndl_stage *s)
{
    const ndl_wire_job *job = s->job;
    const size_t width = (size_t)ndl_weights_model(s->weights)->width;
    const size_t row = width * sizeof(float);
    const size_t answer = ndl_stage_head_answer_bytes(job);
    s->box_cap =
        ndl_message_batch_bytes(job->n_slots, job->max_ops, job->max_rows,
                                (uint32_t)row + s->target_bytes);
    if (s->box_cap < answer) s->box_cap = answer;
    const size_t rows = (size_t)job->max_rows * row;
    const size_t all = 2 * DEPTH * (s->box_cap + 64) + rows +
                       ndl_stage_sessions_bytes(job) + clock_bytes(s) +
                       ndl_stage_reports_bytes(&s->clock) + 512;
    NDL_TRY(ndl_arena_create(&s->arena, "messages", all));
    for (int i = 0; i < DEPTH; i++) {
        s->in[i].bytes = ndl_arena_alloc(s->arena, s->box_cap);
        s->out[i].bytes = ndl_arena_alloc(s->arena, s->box_cap);
    }
    if (s->last) s->x = ndl_arena_alloc(s->arena, rows);
    ndl_stage_sessions_init(&s->sessions, s->arena, job, s->index + 1);
    if (s->clock.keeps) make_clock(s);
    ndl_stage_reports_init(&s->reports, s->arena);
    ndl_arena_freeze(s->arena);
    return NDL_OK;
}

static ndl_status make_pool(ndl_stage *s, const ndl_stage_setup *setup)
{
    const ndl_pool_config config = {
        .n_threads = setup->places[setup->index].n_threads,
        .spin_sec = setup->spin_sec,
        .hook = poll_hook,
        .hook_arg = s,
        .thread_init = ndl_fp_setup,
    };
    return ndl_pool_create(&s->pool, &config);
}

static ndl_status make_forward(ndl_stage *s, const ndl_part *part, float speed)
{
    const ndl_wire_job *job = s->job;
    const ndl_forward_limits limits = {
        .max_rows = (int)job->max_rows,
        .max_spans = (int)job->n_slots,
        .n_slots = (int)job->n_slots,
        .context = (int)job->context,
        .n_pages = (int)job->n_pages,
        .kv_types = { (ndl_dtype)job->type_k, (ndl_dtype)job->type_v },
    };
    ndl_kernels_init(&s->kernels, job->cpu_flags);
    NDL_TRY(ndl_forward_create(&s->forward, s->weights, part, &limits,
                               &s->kernels, s->pool));
    s->sessions.forward = s->forward;
    if (s->clock.keeps) ndl_forward_watch(s->forward, s->clock.layers);
    if (speed > 0.0f && speed < 1.0f)
        NDL_TRY(ndl_forward_slow(s->forward, (double)speed, poll_hook, s));
    if (!s->last) return NDL_OK;
    return ndl_stage_head_create(
        &s->head,
        &(ndl_stage_head_setup){ .forward = s->forward,
                                 .model = ndl_weights_model(s->weights),
                                 .kernels = &s->kernels,
                                 .pool = s->pool,
                                 .job = job });
}

static ndl_status load(ndl_stage *s, const ndl_stage_setup *setup,
                       const ndl_part *part)
{
    const ndl_wire_job *job = s->job;
    const ndl_wire_place *place = &setup->places[setup->index];
    const ndl_weights_how how = {
        .load = (ndl_load)place->load,
        .free_bytes = place->free_bytes,
        .pool = s->pool,
        .stage_in = job->stage_in[0] ? job->stage_in : NULL,
        .progress = setup->progress,
        .arg = setup->progress_arg,
    };
    return ndl_weights_open(&s->weights, job->weights, part, &how);
}

static void start(ndl_stage *s)
{
    s->reports.last_alive = ndl_comm_now(s->comm);
    s->is_made = true;
    post_order(s);
    for (int i = 0; i < DEPTH; i++) post_receive(s, &s->in[i]);
}

static ndl_message_batch_limits limits_of(const ndl_stage *s)
{
    const ndl_wire_job *job = s->job;
    const uint32_t width = (uint32_t)ndl_weights_model(s->weights)->width;
    const uint32_t row = s->first ? 1 : width;
    return (ndl_message_batch_limits){
        .row_bytes = row * 4u + s->target_bytes,
        .max_rows = job->max_rows,
        .n_slots = job->n_slots,
        .max_ops = job->max_ops,
        .n_pages = job->n_pages,
        .n_entries = (uint32_t)ndl_kvcache_entries((int)job->context),
    };
}

ndl_status ndl_stage_create(ndl_stage **out, const ndl_stage_setup *setup)
{
    const int n = (int)setup->job->n_stages, i = setup->index;
    const ndl_part part = part_of(&setup->places[i]);
    ndl_status st = NDL_OK;
    ndl_stage *s = calloc(1, sizeof *s);
    if (!s) return NDL_FAIL(NDL_EOS, "stage %d: out of memory", i + 1);
    s->comm = setup->comm;
    s->job = setup->job;
    s->index = i;
    s->first = i == 0;
    s->last = i == n - 1;
    s->target_bytes = s->job->want_scores ? sizeof(int32_t) : 0;
    s->meanwhile = setup->meanwhile;
    s->meanwhile_arg = setup->meanwhile_arg;
    s->reports.comm = s->comm;
    s->reports.clock = &s->clock;
    s->reports.sessions = &s->sessions;
    s->reports.totals = &s->totals;
    s->reports.index = i;
    s->prev = s->first ? 0 : setup->places[i - 1].rank;
    s->next = s->last ? 0 : setup->places[i + 1].rank;

    NDL_TRY_GOTO(done, st, make_pool(s, setup));
    NDL_TRY_GOTO(done, st, load(s, setup, &part));
    s->limits = limits_of(s);
    s->clock.first_layer = part.first_layer;
    s->clock.n_layers = part.n_layers;
    s->clock.keeps = s->job->want_steps != 0;
    s->clock.n_model_layers = ndl_weights_model(s->weights)->n_layers;
    NDL_TRY_GOTO(done, st, make_buffers(s));
    NDL_TRY_GOTO(done, st, make_forward(s, &part, setup->places[i].speed));
    start(s);
    ndl_log(NDL_LOG_DEBUG, "stage", "%d ready: %d layers, %d threads, %s",
            i + 1, part.n_layers, ndl_pool_size(s->pool), s->kernels.name);
    *out = s;
    s = NULL;
done:
    ndl_stage_destroy(&s);
    return st;
}

void ndl_stage_destroy(ndl_stage **sp)
{
    ndl_stage *s = *sp;
    if (!s) return;
    bool is_read = false;
    for (int i = 0; i < DEPTH; i++) {
        (void)ndl_comm_cancel(s->comm, &s->in[i].op);
        is_read = ndl_comm_cancel(s->comm, &s->out[i].op) || is_read;
    }
    (void)ndl_comm_cancel(s->comm, &s->order_op);
    is_read = ndl_comm_cancel(s->comm, &s->reports.op) || is_read;
    ndl_stage_head_destroy(&s->head);
    ndl_forward_destroy(&s->forward);
    ndl_pool_destroy(&s->pool);
    if (is_read) ndl_arena_abandon(&s->arena);
    ndl_arena_destroy(&s->arena);
    ndl_weights_destroy(&s->weights);
    free(s);
    *sp = NULL;
}
