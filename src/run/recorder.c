/* recorder.c - see recorder.h. */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/log.h"
#include "noodle/message.h"

enum { REMEMBERED = 8192 /* batches whose steps may still be reported */ };

/* A flush costs some milliseconds of rank 0, which may use 1 % of a core. */
static const double FLUSH_EVERY_SEC = 2.0;

typedef struct batch_note {
    uint64_t id;
    ndl_work work;
    int n_sequences, in_flight;
} batch_note;

typedef struct request_note {
    double first, last; /* tokens; 0: none yet */
    int n_new;
} request_note;

struct ndl_recorder {
    ndl_metrics *metrics; /* NULL once writing has failed */
    const ndl_plan *plan;
    const ndl_cost *costs;
    const ndl_request *requests;
    int n_requests;
    request_note *notes; /* (n_requests) */
    batch_note *batches; /* (REMEMBERED), by id */
    double begin;
    int64_t lost;
};

/* Give up writing, not the run. */
static void check(ndl_recorder *r, ndl_status st)
{
    if (st == NDL_OK) return;
    ndl_log_root(NDL_LOG_WARN, "metrics", "%s: recording stops here",
                 ndl_status_message());
    ndl_status_clear();
    (void)ndl_metrics_close(&r->metrics);
    ndl_status_clear();
}

ndl_status ndl_recorder_create(ndl_recorder **out,
                               const ndl_recorder_setup *setup)
{
    ndl_status st = NDL_OK;
    ndl_recorder *r = calloc(1, sizeof *r);
    if (!r) return NDL_FAIL(NDL_EOS, "metrics: out of memory");
    r->plan = setup->plan;
    r->costs = setup->costs;
    r->requests = setup->requests;
    r->n_requests = setup->n_requests;
    r->notes = calloc((size_t)setup->n_requests + 1, sizeof *r->notes);
    r->batches = calloc(REMEMBERED, sizeof *r->batches);
    if (!r->notes || !r->batches) {
        st = NDL_FAIL(NDL_EOS, "metrics: out of memory");
        goto done;
    }
    NDL_TRY_GOTO(done, st, ndl_metrics_create(&r->metrics, setup->metrics));
    *out = r;
    r = NULL;
done:
    ndl_recorder_close(&r);
    return st;
}

void ndl_recorder_begin(ndl_recorder *r, double now)
{
    r->begin = now;
}

/* The sum of what ndl_work_prompt gives for each sequence. */
static ndl_work work_of(const ndl_scheduler_batch *b)
{
    ndl_work w = { .n_rows = b->n_rows, .n_sequences = b->n_seqs };
    for (int i = 0; i < b->n_seqs; i++) {
        w.keys += ndl_cadence_keys(b->seqs[i].pos, b->seqs[i].n_rows);
        w.n_samples += b->seqs[i].sample;
    }
    return w;
}

void ndl_recorder_batch(ndl_recorder *r, const ndl_scheduler_batch *b,
                        int in_flight)
{
    const int others = r->plan->n_stages - 1;
    ndl_work w = work_of(b);
    w.crowd = others > 0 ? (double)(in_flight - 1) / others : 1.0;
    if (w.crowd > 1.0) w.crowd = 1.0;
    r->batches[b->id % REMEMBERED] =
        (batch_note){ b->id, w, b->n_seqs, in_flight };
}

/* Busy time of a stage for a batch, by the cost model. */
static double expect(const ndl_recorder *r, int stage, const ndl_work *w)
{
    const ndl_plan_stage *s = &r->plan->stages[stage];
    if (!r->costs) return 0.0;
    const ndl_cost *c = &r->costs[stage];
    double sec = s->n_layers * ndl_cost_sec(c, NDL_LAYER_BLOCK, w);
    if (s->embed) sec += ndl_cost_sec(c, NDL_LAYER_EMBED, w);
    if (s->head && w->n_samples > 0) sec += ndl_cost_sec(c, NDL_LAYER_HEAD, w);
    return sec;
}

static ndl_metrics_step row_of(const ndl_recorder *r, int stage,
                               const ndl_wire_step *s)
{
    const batch_note *b = &r->batches[s->batch_id % REMEMBERED];
    ndl_metrics_step row = {
        .batch = (int64_t)s->batch_id,
        .stage = stage + 1,
        .end_sec = s->end_sec,
        .receive_sec = s->receive_sec,
        .busy_sec = s->busy_sec,
        .send_sec = s->send_sec,
        .bubble_sec = s->bubble_sec,
        .other_sec = s->other_sec,
    };
    if (b->id != s->batch_id) return row;
    row.rows = b->work.n_rows;
    row.sequences = b->n_sequences;
    row.crowd = b->in_flight;
    row.expected_sec = expect(r, stage, &b->work);
    return row;
}

static ndl_status write_steps(ndl_recorder *r, void *msg)
{
    enum { PIECE = 64 };
    const ndl_wire_steps *h = msg;
    const ndl_wire_step *s = ndl_message_steps(msg);
    ndl_metrics_step rows[PIECE];
    for (uint32_t i = 0; i < h->n_steps;) {
        int n = 0;
        while (i < h->n_steps && n < PIECE)
            rows[n++] = row_of(r, (int)h->stage, &s[i++]);
        NDL_TRY(ndl_metrics_steps(r->metrics, rows, n));
    }
    return NDL_OK;
}

static ndl_status write_layers(ndl_recorder *r, void *msg, double now)
{
    const ndl_wire_steps *h = msg;
    const ndl_wire_layer *l = ndl_message_layers(msg);
    for (uint32_t i = 0; i < h->n_layers; i++) {
        const ndl_metrics_layer row = {
            .stage = (int32_t)h->stage + 1,
            .layer = (int32_t)l[i].layer,
            .steps = l[i].steps,
            .rows = (int64_t)l[i].rows,
            .sum_sec = l[i].sum_sec,
            .min_sec = l[i].min_sec,
            .max_sec = l[i].max_sec,
            .end_sec = now - r->begin,
        };
        NDL_TRY(ndl_metrics_layers(r->metrics, &row, 1));
    }
    return NDL_OK;
}

void ndl_recorder_steps(ndl_recorder *r, void *msg, double now)
{
    const ndl_wire_steps *h = msg;
    if (!r->metrics) return;
    r->lost += h->lost;
    ndl_status st = write_steps(r, msg);
    if (st == NDL_OK) st = write_layers(r, msg, now);
    if (st == NDL_OK) st = ndl_metrics_flush(r->metrics, now, FLUSH_EVERY_SEC);
    check(r, st);
}

bool ndl_recorder_accounts(ndl_recorder *r, void *msg, double now)
{
    const ndl_wire_accounts *h = msg;
    const ndl_wire_account *a = ndl_message_accounts(msg);
    r->lost += h->lost;
    for (uint32_t i = 0; i < h->n; i++) {
        const ndl_metrics_account row = {
            .request = (int32_t)a[i].sequence,
            .stage = (int32_t)h->stage + 1,
            .rows = a[i].rows,
            .steps = a[i].steps,
            .busy_sec = a[i].busy_sec,
            .end_sec = now - r->begin,
        };
        if (a[i].sequence >= (uint64_t)r->n_requests) return false;
        if (r->metrics) check(r, ndl_metrics_account_for(r->metrics, &row));
    }
    return true;
}

void ndl_recorder_token(ndl_recorder *r, int request, double now)
{
    request_note *n = &r->notes[request];
    if (n->n_new++ == 0) n->first = now;
    n->last = now;
}

void ndl_recorder_finish(ndl_recorder *r, int request, ndl_finish why,
                         double now)
{
    const request_note *n = &r->notes[request];
    if (!r->metrics) return;
    ndl_metrics_request row = {
        .request = request,
        .prompt_tokens = r->requests[request].n_prompt,
        .new_tokens = n->n_new,
        .ttft_sec = n->n_new > 0 ? n->first - r->begin : 0.0,
        .tpot_sec = n->n_new > 1 ? (n->last - n->first) / (n->n_new - 1) : 0.0,
        .end_sec = now - r->begin,
    };
    strncpy(row.finish, ndl_finish_name(why), sizeof row.finish - 1);
    check(r, ndl_metrics_finish(r->metrics, &row));
}

void ndl_recorder_close(ndl_recorder **rp)
{
    ndl_recorder *r = *rp;
    if (!r) return;
    if (r->lost > 0)
        ndl_log_root(NDL_LOG_WARN, "metrics",
                     "%lld records are missing: rank 0 was too slow for them",
                     (long long)r->lost);
    if (r->metrics) check(r, ndl_metrics_close(&r->metrics));
    free(r->notes);
    free(r->batches);
    free(r);
    *rp = NULL;
}
