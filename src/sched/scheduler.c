/*
 * scheduler.c - see scheduler.h.
 *
 * What a batch is made of is decided here and in prompt_chunks.c; who has a
 * slot and pages, in sequence.c.
 */
#include "noodle/scheduler.h"

#include <math.h>
#include <stdlib.h>

#include "sequence.h"

/* Times a step without prompts: of 1, 1.5, 2, 3 the one whose prompts are soon
 * through at stalls that hold (test_scheduler_busy with each). */
static const double TIGHT = 2.0;

/* Of a stall that was asked for; the rest is for what comes by chance. */
static const double HOLD = 0.95;

static bool allocate_lists(ndl_scheduler *s)
{
    const ndl_scheduler_config *c = &s->config;
    const size_t slots = (size_t)c->n_slots, window = (size_t)c->window;
    s->flights = calloc(window, sizeof *s->flights);
    s->flown = calloc(window, 2 * sizeof *s->flown * slots);
    s->rows = calloc(slots, sizeof *s->rows);
    s->ended = calloc(slots, sizeof *s->ended);
    if (!s->flights || !s->flown || !s->rows || !s->ended) return false;
    for (size_t i = 0; i < window; i++) {
        s->flights[i].requests = s->flown + 2 * i * slots;
        s->flights[i].sampled = s->flights[i].requests + slots;
    }
    return true;
}

static bool allocate(ndl_scheduler *s)
{
    const ndl_scheduler_config *c = &s->config;
    const size_t slots = (size_t)c->n_slots;
    s->seqs = calloc((size_t)c->max_requests + 1, sizeof *s->seqs);
    s->running.items = calloc(slots, sizeof *s->running.items);
    s->stopped.items = calloc(slots, sizeof *s->stopped.items);
    s->ready.items = calloc(slots, sizeof *s->ready.items);
    s->free_slots = calloc(slots, sizeof *s->free_slots);
    s->texts = calloc(slots, sizeof *s->texts * (size_t)c->context);
    s->free_texts = calloc(slots, sizeof *s->free_texts);
    if (!s->seqs || !s->running.items || !s->stopped.items || !s->ready.items ||
        !s->free_slots || !s->texts || !s->free_texts || !allocate_lists(s))
        return false;
    for (size_t i = slots; i > 0; i--) {
        s->free_slots[s->n_free_slots++] = (int)i - 1;
        s->free_texts[s->n_free_texts++] =
            s->texts + (i - 1) * (size_t)c->context;
    }
    return true;
}

int ndl_scheduler_max_ops(const ndl_scheduler_config *c)
{
    /* A slot is closed, opened and gets a copy; a page of its own, one in
     * place of an equal one, and one more where a page ends; a prompt, all of
     * its table, which may be decided on twice. */
    const int batch = ndl_pages_of(c->max_rows),
              table = ndl_pages_of(c->context);
    return 8 * c->n_slots + 2 * batch + 2 * table + 8;
}

static ndl_status create_parts(ndl_scheduler *s)
{
    const ndl_scheduler_config *c = &s->config;
    const ndl_pages_config pages = {
        .n_pages = c->n_pages,
        .n_slots = c->n_slots,
        .n_entries = ndl_pages_of(c->context),
        .max_ops = ndl_scheduler_max_ops(c),
        .no_reuse = c->no_reuse,
    };
    NDL_TRY(ndl_pages_create(&s->pages, &pages));
    return ndl_cadence_create(&s->cadence, c->n_stages, c->max_rows);
}

static void check(const ndl_scheduler_config *c)
{
    NDL_ASSERT(c->n_slots >= 1 && c->n_stages >= 1 && c->n_groups >= 0);
    NDL_ASSERT(c->window >= 1 && c->max_requests >= 0 && c->max_rows >= 1);
    NDL_ASSERT(c->n_groups == 0 ||
               (int64_t)c->max_rows * c->n_groups >= c->n_slots);
    NDL_ASSERT(c->context >= 1 && c->n_pages >= ndl_pages_of(c->context));
    NDL_ASSERT(c->stall_sec >= 0);
}

ndl_status ndl_scheduler_create(ndl_scheduler **out,
                                const ndl_scheduler_config *config)
{
    check(config);
    ndl_status st = NDL_OK;
    ndl_scheduler *s = calloc(1, sizeof *s);
    if (s) s->config = *config;
    if (!s || !allocate(s))
        st = NDL_FAIL(NDL_EOS, "scheduler: out of memory for %d requests",
                      config->max_requests);
    else
        st = create_parts(s);
    if (st != NDL_OK)
        ndl_scheduler_destroy(&s);
    else
        *out = s;
    return st;
}

void ndl_scheduler_destroy(ndl_scheduler **sp)
{
    ndl_scheduler *s = *sp;
    if (!s) return;
    ndl_cadence_destroy(&s->cadence);
    ndl_pages_destroy(&s->pages);
    free(s->ended);
    free(s->rows);
    free(s->flown);
    free(s->flights);
    free(s->free_texts);
    free(s->texts);
    free(s->free_slots);
    free(s->ready.items);
    free(s->stopped.items);
    free(s->running.items);
    free(s->seqs);
    free(s);
    *sp = NULL;
}

int ndl_scheduler_submit(ndl_scheduler *s, const ndl_request *r)
{
    NDL_ASSERT(s->n_submitted < s->config.max_requests);
    NDL_ASSERT(r->n_prompt >= 1 && r->n_prompt <= s->config.context);
    s->seqs[s->n_submitted] =
        (ndl_sequence){ .r = r, .phase = NDL_PHASE_WAITING, .slot = -1 };
    return s->n_submitted++;
}

/* Steps that a batch waits for at most: those of the others in flight, of which
 * there is one a stage at least. */
static int abreast(const ndl_scheduler *s, int n_groups)
{
    return n_groups > s->config.n_stages ? n_groups : s->config.n_stages;
}

/* How long a step may take for a stall to hold.  In a full pipeline of n
 * batches a text waits for n steps.  Behind short ones batches come back, and
 * new ones go, more often: every `apart` seconds.  Of n that go so, each taking
 * t, the last waits (n - 1) (t - apart) at the first stage and goes through all
 * of them.  Either may be so much longer than foretold as steps were at worst.
 */
static double told_sec(const ndl_scheduler *s, const ndl_draft *d)
{
    const ndl_scheduler_config *c = &s->config;
    const int n = abreast(s, d->n_groups);
    const double all = HOLD * c->stall_sec;
    const double apart = s->apart_sec * ndl_cadence_worst(s->cadence);
    const double filling = (all + (n - 1) * apart) / (n - 1 + c->n_stages);
    return fmin(all / n, filling) / ndl_cadence_worst(s->cadence);
}

/* How long a step with rows of prompts may take. */
static double most_sec(const ndl_scheduler *s, const ndl_draft *d)
{
    const ndl_scheduler_config *c = &s->config;
    double sec = INFINITY;
    if (d->n_decoding > 0) {
        if (c->stall_sec > 0)
            sec = told_sec(s, d);
        else if (d->alone_sec > 0)
            sec = 2 * d->alone_sec * abreast(s, d->n_alone) /
                  abreast(s, d->n_groups);
    } else if (c->n_stages > 1) {
        const ndl_cadence_load full = {
            .prompt_rows = c->max_rows,
            .prompt_keys = ndl_cadence_keys(0, c->max_rows),
        };
        const double first = ndl_cadence_step_sec(s->cadence, &full);
        if (first > 0) sec = first;
    }
    return sec;
}

/* Batches to have in flight while prompts come in.  One more than there are
 * stages: the next is there when a stage gets free.  But where that leaves a
 * step little more than what it takes to read the weights, it is better read
 * once less. */
static int full_groups(const ndl_scheduler *s, const ndl_draft *d)
{
    const int n = s->config.n_stages;
    const double stall = s->config.stall_sec;
    if (stall > 0 && stall < TIGHT * d->alone_sec * (n + 1)) return n;
    return n > 1 ? n + 1 : d->n_alone;
}

/* While prompts come in, rows of theirs fill every batch up to the same time,
 * and an even share of the decode rows is what keeps the batches alike. */
static void choose_groups(ndl_scheduler *s, ndl_draft *d)
{
    const ndl_scheduler_config *c = &s->config;
    const bool has_prompts = d->n_decoding < s->running.n;
    d->n_alone = 1;
    if (c->n_groups > 0)
        d->n_alone = c->n_groups;
    else if (d->n_decoding > 0)
        d->n_alone = ndl_cadence_groups(s->cadence, d->n_decoding);
    d->n_groups = d->n_alone;
    if (c->n_groups > 0 || !s->prompts_flow || !has_prompts) return;
    if (d->n_decoding == 0 || d->is_blind) return;
    const int full = full_groups(s, d);
    d->n_groups = d->n_decoding < full ? d->n_decoding : full;
}

static ndl_draft begin_draft(ndl_scheduler *s)
{
    ndl_draft d = { .b = { .id = s->last_id + 1, .seqs = s->rows } };
    for (int i = 0; i < s->running.n; i++)
        d.n_decoding += s->seqs[s->running.items[i]].phase != NDL_PHASE_PREFILL;
    d.alone_sec = ndl_cadence_decode_sec(s->cadence);
    /* What a stall means in rows follows from steps that were measured, one of
     * them without prompts.  It is waited for while one may come, and not for
     * ever: a text may lack a page that only a prompt will set free, or end
     * with its first token. */
    d.is_blind = isfinite(s->config.stall_sec) && d.alone_sec <= 0 &&
                 s->n_unmixed < s->config.window;
    const bool is_coming =
        d.is_blind && s->n_flights > 0 && s->n_begun <= s->config.window;
    choose_groups(s, &d);
    d.has_room = d.n_decoding == 0 ||
                 (!is_coming && s->n_flights < abreast(s, d.n_groups));
    d.sec = most_sec(s, &d);
    return d;
}

static bool ends_with_next_token(const ndl_scheduler *s, const ndl_sequence *q)
{
    return q->n_new + 1 >= q->r->max_new || q->n_text >= s->config.context;
}

void ndl_draft_add(ndl_scheduler *s, ndl_draft *d, int request, int n_rows)
{
    ndl_sequence *q = &s->seqs[request];
    const bool is_last = q->pos + n_rows == q->n_text;
    s->rows[d->b.n_seqs++] = (ndl_scheduler_rows){
        .request = request,
        .slot = q->slot,
        .pos = q->pos,
        .n_rows = n_rows,
        .ids = q->text + q->pos,
        .sample = is_last && q->r->max_new > 0,
    };
    d->b.n_rows += n_rows;
    q->pos += n_rows;
    q->last_sent = d->b.id;
    if (!is_last) return;
    q->phase = NDL_PHASE_FLYING;
    q->awaits = q->r->max_new > 0;
}

/* Rows of decodes for one batch: an equal share of the groups, and of what is
 * not on the way yet an equal share of the groups that are not. */
static int decode_share(const ndl_scheduler *s, const ndl_draft *d)
{
    int here = 0;
    for (int i = 0; i < s->running.n; i++) {
        const ndl_sequence *q = &s->seqs[s->running.items[i]];
        here += q->phase == NDL_PHASE_READY ||
                (q->phase == NDL_PHASE_FLYING && q->pos == q->goal);
    }
    const int groups = d->n_groups - s->n_decode_flights;
    if (groups <= 0) return 0;
    const int even = (d->n_decoding + d->n_groups - 1) / d->n_groups;
    const int rest = (here + groups - 1) / groups;
    return even < rest ? even : rest;
}

static void add_decode_rows(ndl_scheduler *s, ndl_draft *d)
{
    int most = decode_share(s, d);
    if (most > s->config.max_rows) most = s->config.max_rows;
    for (int i = 0; i < s->ready.n && d->load.decode_rows < most;) {
        const int request = s->ready.items[i];
        const bool goes = ndl_sequence_take_page(s, request);
        /* Others may have been stopped for it. */
        i = ndl_line_find(&s->ready, request);
        if (goes) {
            ndl_line_remove(&s->ready, request);
            ndl_draft_add(s, d, request, 1);
            d->load.decode_rows++;
        } else {
            i++;
        }
    }
}

/* The oldest request gets its page before others fill the batch, so that it
 * always gets on. */
static void serve_oldest(ndl_scheduler *s, const ndl_draft *d)
{
    if (s->running.n == 0) return;
    const int oldest = s->running.items[0];
    const ndl_phase phase = s->seqs[oldest].phase;
    if ((phase == NDL_PHASE_READY && s->n_decode_flights < d->n_groups) ||
        (phase == NDL_PHASE_PREFILL && d->has_room))
        (void)ndl_sequence_take_page(s, oldest);
}

static bool prompts_wait(const ndl_scheduler *s)
{
    for (int i = 0; i < s->running.n; i++)
        if (s->seqs[s->running.items[i]].phase == NDL_PHASE_PREFILL)
            return true;
    return false;
}

static ndl_flight *free_flight(ndl_scheduler *s)
{
    for (int i = 0; i < s->config.window; i++)
        if (s->flights[i].id == 0) return &s->flights[i];
    return NULL;
}

/* The batch goes: what it computes may be used from the next one on. */
static void book_sequence(ndl_scheduler *s, const ndl_scheduler_rows *r)
{
    ndl_sequence *q = &s->seqs[r->request];
    /* One id more in a page that is being written is not worth telling. */
    if (r->n_rows > 1 || q->pos % NDL_PAGE_POSITIONS == 0)
        ndl_pages_sent(s->pages, q->slot, q->text, q->pos);
    q->sent = q->pos;
    if (q->phase != NDL_PHASE_FLYING || !ends_with_next_token(s, q)) return;
    ndl_sequence_release(s, r->request);
    q->phase = NDL_PHASE_DRAINING;
    s->n_draining++;
}

static void book_flight(ndl_scheduler *s, ndl_flight *f, const ndl_draft *d)
{
    f->id = s->last_id = d->b.id;
    f->load = d->load;
    f->n_seqs = d->b.n_seqs;
    f->n_sampled = 0;
    f->goes_on = f->is_group = false;
    for (int i = 0; i < d->b.n_seqs; i++) {
        const ndl_scheduler_rows *r = &d->b.seqs[i];
        f->requests[i] = r->request;
        if (r->sample) f->sampled[f->n_sampled++] = r->request;
        book_sequence(s, r);
        const bool is_last = s->seqs[r->request].phase == NDL_PHASE_DRAINING;
        if (r->sample && !is_last) f->goes_on = true;
        /* Decode rows come first.  Those that are the last of their texts
         * must not hold up texts that go on. */
        if (i < d->load.decode_rows && !is_last) f->is_group = true;
    }
    s->n_flights++;
    s->n_decode_flights += f->is_group;
    if (d->load.decode_rows == 0) return;
    s->n_unmixed += d->load.prompt_rows == 0;
    s->n_groups = d->n_groups;
}

bool ndl_scheduler_next(ndl_scheduler *s, ndl_scheduler_batch *out)
{
    ndl_flight *f = free_flight(s);
    if (!f) return false;
    ndl_draft d = begin_draft(s);
    ndl_sequences_admit(s);
    serve_oldest(s, &d);
    /* Decode rows that fill every batch must not keep prompts out for ever. */
    const bool turn_of_prompts = s->prompts_waited && d.has_room;
    if (turn_of_prompts) ndl_prompts_add(s, &d);
    if (d.b.n_rows == 0) {
        add_decode_rows(s, &d);
        if (d.load.decode_rows > 0 && d.is_blind) d.has_room = false;
        if (d.has_room) ndl_prompts_add(s, &d);
    }
    if (d.b.n_rows == 0) return false;
    if (d.has_room) s->prompts_flow = d.load.prompt_rows > 0;
    s->prompts_waited = d.load.prompt_rows == 0 && prompts_wait(s) &&
                        d.b.n_rows >= s->config.max_rows;
    d.b.n_ops = ndl_pages_take_ops(s->pages, &d.b.ops);
    book_flight(s, f, &d);
    *out = d.b;
    return true;
}

static bool is_eos(const ndl_request *r, int32_t id)
{
    for (int i = 0; i < r->n_eos; i++)
        if (r->eos[i] == id) return true;
    return false;
}

ndl_finish ndl_scheduler_token(ndl_scheduler *s, int request, int32_t id)
{
    NDL_ASSERT(request >= 0 && request < s->n_submitted);
    ndl_sequence *q = &s->seqs[request];
    if (q->phase == NDL_PHASE_FINISHED) return NDL_FINISH_STOPPED;
    NDL_ASSERT(q->awaits);
    q->awaits = false;

    ndl_finish why = NDL_FINISH_NONE;
    if (is_eos(q->r, id))
        why = NDL_FINISH_EOS;
    else if (++q->n_new >= q->r->max_new)
        why = NDL_FINISH_LENGTH;
    else if (q->n_text >= s->config.context)
        why = NDL_FINISH_CONTEXT;
    if (why != NDL_FINISH_NONE) {
        ndl_sequence_finish(s, request);
        return why;
    }
    q->text[q->n_text++] = id;
    if (q->phase == NDL_PHASE_FLYING) {
        q->phase = NDL_PHASE_READY;
        ndl_line_push(&s->ready, request);
    }
    return why;
}

static ndl_flight *find_flight(const ndl_scheduler *s, uint64_t id)
{
    for (int i = 0; i < s->config.window; i++)
        if (id != 0 && s->flights[i].id == id) return &s->flights[i];
    return NULL;
}

int ndl_scheduler_awaited(const ndl_scheduler *s, uint64_t id,
                          const int **requests)
{
    /* Batches come back in order: nothing older may be in flight. */
    const ndl_flight *f = id == s->last_done + 1 ? find_flight(s, id) : NULL;
    if (!f) return -1;
    *requests = f->sampled;
    return f->n_sampled;
}

int ndl_scheduler_done(ndl_scheduler *s, uint64_t id,
                       const ndl_cadence_times *times, const int **ended)
{
    ndl_flight *f = find_flight(s, id);
    int n = 0;
    NDL_ASSERT(f && id == s->last_done + 1);
    s->last_done = id;
    f->id = 0;
    s->n_flights--;
    s->n_decode_flights -= f->is_group;
    if (f->goes_on && s->n_begun <= s->config.window) s->n_begun++;
    if (times && times->slowest_sec > 0.0 && f->load.decode_rows > 0)
        s->apart_sec +=
            (times->slowest_sec - s->apart_sec) / s->config.n_stages;
    if (times) ndl_cadence_learn(s->cadence, &f->load, times);
    for (int k = 0; k < f->n_seqs; k++) {
        const ndl_sequence *q = &s->seqs[f->requests[k]];
        if (q->phase != NDL_PHASE_DRAINING || q->r->max_new > 0) continue;
        if (q->last_sent != id) continue;
        ndl_sequence_finish(s, f->requests[k]);
        s->ended[n++] = f->requests[k];
    }
    *ended = s->ended;
    return n;
}

void ndl_scheduler_cancel(ndl_scheduler *s, int request)
{
    NDL_ASSERT(request >= 0 && request < s->n_submitted);
    if (s->seqs[request].phase != NDL_PHASE_FINISHED)
        ndl_sequence_finish(s, request);
}

int ndl_scheduler_pending(const ndl_scheduler *s)
{
    return s->n_submitted - s->n_finished;
}

int ndl_scheduler_in_flight(const ndl_scheduler *s)
{
    return s->n_flights;
}

bool ndl_scheduler_is_finished(const ndl_scheduler *s, int request)
{
    return s->seqs[request].phase == NDL_PHASE_FINISHED;
}

ndl_scheduler_counts ndl_scheduler_count(const ndl_scheduler *s)
{
    ndl_scheduler_counts c = {
        .pages = ndl_pages_count(s->pages),
        .preemptions = s->preemptions,
        .n_waiting =
            s->n_submitted - s->n_finished - s->running.n - s->n_draining,
        .n_running = s->running.n,
        .n_groups = s->n_groups,
    };
    c.pages.miss_tokens = s->miss_tokens;
    return c;
}
