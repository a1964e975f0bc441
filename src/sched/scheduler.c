/*
 * scheduler.c - see scheduler.h.
 *
 * A request goes WAITING -> PREFILL -> FLYING <-> READY -> FINISHED.  FLYING
 * means that its next token is on the way; while a prompt is in PREFILL any
 * number of its chunks may be in flight, because only the last one samples.
 */
#include "noodle/scheduler.h"

#include <stdlib.h>
#include <string.h>

typedef enum phase { WAITING, PREFILL, FLYING, READY, FINISHED } phase;

typedef struct sequence {
    const ndl_request *r;
    phase phase;
    int slot, group;
    int pos;      /* of the next row to send          */
    int n_new;    /* tokens that came back            */
    int flying;   /* batches in flight with its rows  */
    int32_t last; /* the newest token, not yet sent  */
    bool cancelled;
} sequence;

/* A batch in flight. */
typedef struct flight {
    uint64_t id; /* 0: free */
    int group;   /* whose decode rows it carries, -1: none */
    int n_seqs, n_sampled;
    int *requests; /* (n_slots): those with rows in it     */
    int *sampled;  /* (n_slots): those that get a token    */
} flight;

struct ndl_scheduler {
    ndl_scheduler_config config;
    sequence *seqs; /* (max_requests), by number */
    int n_submitted, n_started, n_finished;
    int *running; /* (n_slots) request numbers, oldest first */
    int n_running;
    bool *slot_used;    /* (n_slots)  */
    int *group_size;    /* (n_groups) */
    bool *group_flying; /* (n_groups) its decode rows are on the way */
    int last_group;
    bool prompts_waited; /* the last batch had no room for them */
    flight *flights;     /* (window) */
    int n_flights;
    uint64_t last_id, last_done;
    ndl_scheduler_rows *rows; /* (n_slots): the batch being told */
    int *ended;               /* (n_slots): told by done()       */
};

static bool allocate(ndl_scheduler *s)
{
    const ndl_scheduler_config *c = &s->config;
    const size_t slots = (size_t)c->n_slots;
    s->seqs = calloc((size_t)c->max_requests + 1, sizeof *s->seqs);
    s->running = calloc(slots, sizeof *s->running);
    s->slot_used = calloc(slots, sizeof *s->slot_used);
    s->group_size = calloc((size_t)c->n_groups, sizeof *s->group_size);
    s->group_flying = calloc((size_t)c->n_groups, sizeof *s->group_flying);
    s->rows = calloc(slots, sizeof *s->rows);
    s->ended = calloc(slots, sizeof *s->ended);
    s->flights = calloc((size_t)c->window, sizeof *s->flights);
    if (!s->seqs || !s->running || !s->slot_used || !s->group_size ||
        !s->group_flying || !s->rows || !s->ended || !s->flights)
        return false;
    for (int i = 0; i < c->window; i++) {
        s->flights[i].requests = calloc(slots, sizeof(int));
        s->flights[i].sampled = calloc(slots, sizeof(int));
        if (!s->flights[i].requests || !s->flights[i].sampled) return false;
    }
    return true;
}

ndl_status ndl_scheduler_create(ndl_scheduler **out,
                                const ndl_scheduler_config *config)
{
    NDL_ASSERT(config->n_slots >= 1 && config->n_groups >= 1);
    NDL_ASSERT(config->window >= 1 && config->max_requests >= 0);
    NDL_ASSERT((int64_t)config->max_rows * config->n_groups >= config->n_slots);
    ndl_scheduler *s = calloc(1, sizeof *s);
    if (s) s->config = *config;
    if (!s || !allocate(s)) {
        ndl_scheduler_destroy(&s);
        return NDL_FAIL(NDL_EOS, "scheduler: out of memory for %d requests",
                        config->max_requests);
    }
    *out = s;
    return NDL_OK;
}

void ndl_scheduler_destroy(ndl_scheduler **sp)
{
    ndl_scheduler *s = *sp;
    if (!s) return;
    for (int i = 0; s->flights && i < s->config.window; i++) {
        free(s->flights[i].requests);
        free(s->flights[i].sampled);
    }
    free(s->flights);
    free(s->ended);
    free(s->rows);
    free(s->group_flying);
    free(s->group_size);
    free(s->slot_used);
    free(s->running);
    free(s->seqs);
    free(s);
    *sp = NULL;
}

int ndl_scheduler_submit(ndl_scheduler *s, const ndl_request *r)
{
    NDL_ASSERT(s->n_submitted < s->config.max_requests);
    NDL_ASSERT(r->n_prompt >= 1 && r->n_prompt <= s->config.context);
    s->seqs[s->n_submitted] = (sequence){ .r = r, .phase = WAITING };
    return s->n_submitted++;
}

static int smallest_group(const ndl_scheduler *s)
{
    int best = 0;
    for (int g = 1; g < s->config.n_groups; g++)
        if (s->group_size[g] < s->group_size[best]) best = g;
    return best;
}

static int free_slot(const ndl_scheduler *s)
{
    for (int i = 0; i < s->config.n_slots; i++)
        if (!s->slot_used[i]) return i;
    return -1;
}

/* Give waiting requests the free slots, oldest first. */
static void admit(ndl_scheduler *s)
{
    while (s->n_started < s->n_submitted) {
        sequence *q = &s->seqs[s->n_started];
        if (q->phase != WAITING) { /* cancelled while it waited */
            s->n_started++;
            continue;
        }
        const int slot = free_slot(s);
        if (slot < 0) return;
        q->phase = PREFILL;
        q->slot = slot;
        q->group = smallest_group(s);
        s->slot_used[slot] = true;
        s->group_size[q->group]++;
        s->running[s->n_running++] = s->n_started++;
    }
}

static void finish(ndl_scheduler *s, int request)
{
    sequence *q = &s->seqs[request];
    q->phase = FINISHED;
    s->slot_used[q->slot] = false;
    s->group_size[q->group]--;
    s->n_finished++;
    int at = 0;
    while (s->running[at] != request) at++;
    s->n_running--;
    memmove(&s->running[at], &s->running[at + 1],
            sizeof *s->running * (size_t)(s->n_running - at));
}

/* The next group, in turn, that has a token to go on from and nothing in
 * flight; -1: none. */
static int ready_group(const ndl_scheduler *s)
{
    for (int k = 1; k <= s->config.n_groups; k++) {
        const int g = (s->last_group + k) % s->config.n_groups;
        if (s->group_flying[g]) continue;
        for (int i = 0; i < s->n_running; i++) {
            const sequence *q = &s->seqs[s->running[i]];
            if (q->group == g && q->phase == READY) return g;
        }
    }
    return -1;
}

static void add_decode_rows(ndl_scheduler *s, ndl_scheduler_batch *b, int group)
{
    for (int i = 0; i < s->n_running && b->n_rows < s->config.max_rows; i++) {
        sequence *q = &s->seqs[s->running[i]];
        if (q->group != group || q->phase != READY) continue;
        s->rows[b->n_seqs++] =
            (ndl_scheduler_rows){ s->running[i], q->slot, q->pos, 1,
                                  &q->last,      true };
        q->phase = FLYING;
        q->pos++;
        b->n_rows++;
    }
}

/* Chunks of one prompt are of even size: 130 rows at 128 a batch go as 65 and
 * 65, not as 128 and 2, so that every stage has steps of equal length. */
static int chunk_rows(int left, int budget)
{
    const int chunks = (left + budget - 1) / budget;
    return (left + chunks - 1) / chunks;
}

static void add_prompt_rows(ndl_scheduler *s, ndl_scheduler_batch *b)
{
    for (int i = 0; i < s->n_running && b->n_rows < s->config.max_rows; i++) {
        sequence *q = &s->seqs[s->running[i]];
        if (q->phase != PREFILL) continue;
        const int n =
            chunk_rows(q->r->n_prompt - q->pos, s->config.max_rows - b->n_rows);
        const bool last = q->pos + n == q->r->n_prompt;
        s->rows[b->n_seqs++] =
            (ndl_scheduler_rows){ s->running[i],
                                  q->slot,
                                  q->pos,
                                  n,
                                  q->r->prompt + q->pos,
                                  last && q->r->max_new > 0 };
        q->pos += n;
        b->n_rows += n;
        if (last) q->phase = FLYING;
    }
}

static bool prompts_wait(const ndl_scheduler *s)
{
    for (int i = 0; i < s->n_running; i++)
        if (s->seqs[s->running[i]].phase == PREFILL) return true;
    return false;
}

static flight *free_flight(ndl_scheduler *s)
{
    for (int i = 0; i < s->config.window; i++)
        if (s->flights[i].id == 0) return &s->flights[i];
    return NULL;
}

static void book_flight(ndl_scheduler *s, flight *f,
                        const ndl_scheduler_batch *b, int group)
{
    f->id = b->id;
    f->group = group;
    f->n_seqs = b->n_seqs;
    f->n_sampled = 0;
    for (int i = 0; i < b->n_seqs; i++) {
        const int request = b->seqs[i].request;
        f->requests[i] = request;
        if (b->seqs[i].sample) f->sampled[f->n_sampled++] = request;
        s->seqs[request].flying++;
    }
    s->n_flights++;
    if (group < 0) return;
    s->group_flying[group] = true;
    s->last_group = group;
}

bool ndl_scheduler_next(ndl_scheduler *s, ndl_scheduler_batch *out)
{
    flight *f = free_flight(s);
    if (!f) return false;
    admit(s);

    ndl_scheduler_batch b = { .seqs = s->rows };
    /* Decode rows that fill every batch must not keep prompts out for ever. */
    const bool turn_of_prompts = s->prompts_waited && prompts_wait(s);
    const int group = turn_of_prompts ? -1 : ready_group(s);
    if (group >= 0) add_decode_rows(s, &b, group);
    const int decode_rows = b.n_rows;
    add_prompt_rows(s, &b);
    if (b.n_rows == 0) return false;

    s->prompts_waited = b.n_rows == decode_rows && prompts_wait(s);
    b.id = ++s->last_id;
    book_flight(s, f, &b, group);
    *out = b;
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
    sequence *q = &s->seqs[request];
    if (q->cancelled || q->phase == FINISHED) return NDL_FINISH_STOPPED;
    NDL_ASSERT(q->phase == FLYING);

    ndl_finish why = NDL_FINISH_NONE;
    if (is_eos(q->r, id))
        why = NDL_FINISH_EOS;
    else if (++q->n_new >= q->r->max_new)
        why = NDL_FINISH_LENGTH;
    else if (q->pos >= s->config.context)
        why = NDL_FINISH_CONTEXT;

    if (why == NDL_FINISH_NONE) {
        q->last = id;
        q->phase = READY;
    } else {
        finish(s, request);
    }
    return why;
}

static flight *find_flight(const ndl_scheduler *s, uint64_t id)
{
    for (int i = 0; i < s->config.window; i++)
        if (id != 0 && s->flights[i].id == id) return &s->flights[i];
    return NULL;
}

int ndl_scheduler_awaited(const ndl_scheduler *s, uint64_t id,
                          const int **requests)
{
    /* Batches come back in order: nothing older may be in flight. */
    const flight *f = id == s->last_done + 1 ? find_flight(s, id) : NULL;
    if (!f) return -1;
    *requests = f->sampled;
    return f->n_sampled;
}

/* One batch less in flight for the request.  @return true if it has run its
 * prompt, which was all that it wanted. */
static bool leave(ndl_scheduler *s, int request)
{
    sequence *q = &s->seqs[request];
    q->flying--;
    if (q->phase != FLYING || q->flying > 0) return false;
    /* Nothing of it is in flight any more: its slot may be used again. */
    const bool ran = !q->cancelled && q->r->max_new == 0;
    if (ran || q->cancelled) finish(s, request);
    return ran;
}

int ndl_scheduler_done(ndl_scheduler *s, uint64_t id, const int **ended)
{
    flight *f = find_flight(s, id);
    int n = 0;
    NDL_ASSERT(f && id == s->last_done + 1);
    s->last_done = id;
    f->id = 0;
    s->n_flights--;
    if (f->group >= 0) s->group_flying[f->group] = false;
    for (int k = 0; k < f->n_seqs; k++)
        if (leave(s, f->requests[k])) s->ended[n++] = f->requests[k];
    *ended = s->ended;
    return n;
}

void ndl_scheduler_cancel(ndl_scheduler *s, int request)
{
    NDL_ASSERT(request >= 0 && request < s->n_submitted);
    sequence *q = &s->seqs[request];
    if (q->phase == FINISHED || q->cancelled) return;
    q->cancelled = true;
    if (q->phase == WAITING) {
        q->phase = FINISHED;
        s->n_finished++;
    } else if (q->flying == 0) {
        finish(s, request);
    } else {
        q->phase = FLYING; /* send nothing more of it */
    }
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
    return s->seqs[request].phase == FINISHED;
}
