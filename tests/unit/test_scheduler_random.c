/*
 * test_scheduler_random.c - the rules of scheduler.h, held against random
 * histories.
 *
 * The simulation keeps its own books of what each request has sent and got and
 * judges every batch by them; answers come back in the order of the batches,
 * as a pipeline gives them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/scheduler.h"

enum {
    MAX_REQUESTS = 24,
    MAX_SLOTS = 12,
    MAX_WINDOW = 8,
    MAX_CONTEXT = 40,
    N_HISTORIES = 4000,
    EOS = -7
};

static bool chance(int percent)
{
    return between(1, 100) <= percent;
}

/* What the books say of a request. */
typedef struct entry {
    ndl_request r;
    int32_t prompt[MAX_CONTEXT];
    int pos;    /* rows sent */
    int n_new;  /* tokens got */
    int slot;   /* -1: none yet */
    int flying; /* batches in flight with its rows */
    int waits;  /* batches that have gone without it since it could go */
    int parent; /* of the tree of those that have decoded together */
    int32_t last;
    bool has_token, cancelled, finished;
} entry;

typedef struct flown {
    uint64_t id;
    int n, n_sampled, decodes; /* decodes: one of its decode rows, or -1 */
    int requests[MAX_SLOTS], sampled[MAX_SLOTS];
} flown;

typedef struct pair {
    int a, b;
} pair;

typedef struct books {
    ndl_scheduler *s;
    ndl_scheduler_config config;
    entry all[MAX_REQUESTS];
    int n, n_submitted, n_finished, first_unsent;
    int owner[MAX_SLOTS];
    flown flights[MAX_WINDOW]; /* oldest first */
    int n_flights;
    uint64_t last_id;
    pair apart[4096]; /* decode rows that were in flight at the same time */
    int n_apart;
    int eos_percent, cancel_percent;
} books;

static int root_of(books *b, int i)
{
    while (b->all[i].parent != i) i = b->all[i].parent;
    return i;
}

static bool is_live(const entry *e)
{
    return !e->cancelled && !e->finished;
}

static bool wants_prompt(const entry *e)
{
    return is_live(e) && e->slot >= 0 && e->pos < e->r.n_prompt;
}

/* It has left: its slot is free, unless rows of it are still in flight. */
static void maybe_free_slot(books *b, int i)
{
    entry *e = &b->all[i];
    if (e->slot < 0 || e->flying > 0) return;
    if (!e->cancelled && !e->finished) return;
    assert_int_equal(b->owner[e->slot], i);
    b->owner[e->slot] = -1;
    e->slot = -1;
}

static void book_finished(books *b, int i)
{
    assert_false(b->all[i].finished);
    b->all[i].finished = true;
    b->n_finished++;
}

/* First rows come in the order of submission. */
static void check_first_rows(books *b, int i, int slot)
{
    assert_in_range(slot, 0, b->config.n_slots - 1);
    assert_int_equal(b->owner[slot], -1);
    b->owner[slot] = i;
    b->all[i].slot = slot;
    while (b->first_unsent < i) {
        assert_true(b->all[b->first_unsent].cancelled);
        b->first_unsent++;
    }
    assert_int_equal(b->first_unsent, i);
    b->first_unsent++;
}

static void check_prompt_rows(const entry *e, const ndl_scheduler_rows *r)
{
    assert_in_range(r->n_rows, 1, e->r.n_prompt - e->pos);
    assert_memory_equal(r->ids, e->prompt + e->pos,
                        sizeof *r->ids * (size_t)r->n_rows);
    const bool last = e->pos + r->n_rows == e->r.n_prompt;
    assert_int_equal(r->sample, last && e->r.max_new > 0);
}

static void check_decode_row(entry *e, const ndl_scheduler_rows *r)
{
    assert_int_equal(r->n_rows, 1);
    assert_true(r->sample);
    assert_true(e->has_token);
    assert_int_equal(r->ids[0], e->last);
    e->has_token = false;
}

static void check_rows(books *b, const ndl_scheduler_rows *r, flown *f)
{
    const int i = r->request;
    assert_in_range(i, 0, b->n_submitted - 1);
    entry *e = &b->all[i];
    assert_true(is_live(e));
    for (int k = 0; k < f->n; k++) assert_int_not_equal(f->requests[k], i);
    if (e->slot < 0) check_first_rows(b, i, r->slot);
    assert_int_equal(r->slot, e->slot);
    assert_int_equal(r->pos, e->pos);
    if (e->pos < e->r.n_prompt) {
        check_prompt_rows(e, r);
    } else {
        check_decode_row(e, r);
        if (f->decodes >= 0)
            b->all[root_of(b, i)].parent = root_of(b, f->decodes);
        f->decodes = i;
    }
    e->pos += r->n_rows;
    e->waits = 0;
    assert_true(e->pos <= b->config.context);
    e->flying++;
    f->requests[f->n++] = i;
    if (r->sample) f->sampled[f->n_sampled++] = i;
}

/* A group has decode rows in flight once at a time. */
static void note_groups(books *b, const flown *f)
{
    int decoding = f->decodes >= 0;
    for (int k = 0; k < b->n_flights && f->decodes >= 0; k++) {
        if (b->flights[k].decodes < 0) continue;
        decoding++;
        if (b->n_apart < (int)(sizeof b->apart / sizeof *b->apart))
            b->apart[b->n_apart++] =
                (pair){ f->decodes, b->flights[k].decodes };
    }
    assert_true(decoding <= b->config.n_groups);
}

/* Who could go and did not; the oldest prompt and every token get their turn
 * within two rounds of the groups, after the batches that fill the window while
 * their group is in flight. */
static void note_waiting(books *b)
{
    bool oldest = true;
    for (int i = 0; i < b->n_submitted; i++) {
        entry *e = &b->all[i];
        const bool prompt = wants_prompt(e);
        if (is_live(e) && (e->has_token || (prompt && oldest))) e->waits++;
        assert_true(e->waits <= 2 * b->config.n_groups + b->config.window);
        if (prompt) oldest = false;
    }
}

static bool send(books *b)
{
    ndl_scheduler_batch batch;
    if (!ndl_scheduler_next(b->s, &batch)) return false;
    assert_true(b->n_flights < b->config.window);
    assert_int_equal(batch.id, ++b->last_id);
    assert_in_range(batch.n_rows, 1, b->config.max_rows);
    assert_in_range(batch.n_seqs, 1, b->config.n_slots);
    flown *f = &b->flights[b->n_flights];
    *f = (flown){ .id = batch.id, .decodes = -1 };
    int rows = 0;
    for (int k = 0; k < batch.n_seqs; k++) {
        check_rows(b, &batch.seqs[k], f);
        rows += batch.seqs[k].n_rows;
    }
    assert_int_equal(rows, batch.n_rows);
    note_groups(b, f);
    b->n_flights++;
    note_waiting(b);
    assert_int_equal(ndl_scheduler_in_flight(b->s), b->n_flights);
    return true;
}

static void give_token(books *b, int i)
{
    entry *e = &b->all[i];
    const int32_t id = chance(b->eos_percent) ? EOS : between(0, 1 << 20);
    const ndl_finish why = ndl_scheduler_token(b->s, i, id);
    if (e->cancelled) {
        assert_int_equal(why, NDL_FINISH_STOPPED);
        return;
    }
    ndl_finish expected = NDL_FINISH_NONE;
    if (id == EOS && e->r.n_eos > 0)
        expected = NDL_FINISH_EOS;
    else if (++e->n_new == e->r.max_new)
        expected = NDL_FINISH_LENGTH;
    else if (e->pos == b->config.context)
        expected = NDL_FINISH_CONTEXT;
    assert_int_equal(why, expected);
    e->last = id;
    e->has_token = why == NDL_FINISH_NONE;
    if (why != NDL_FINISH_NONE) book_finished(b, i);
}

static void cancel(books *b, int i)
{
    ndl_scheduler_cancel(b->s, i);
    entry *e = &b->all[i];
    if (!is_live(e)) return;
    e->cancelled = true;
    e->has_token = false;
    maybe_free_slot(b, i);
    if (e->flying == 0) book_finished(b, i);
}

/* The oldest batch comes back. */
static void come_back(books *b)
{
    flown f = b->flights[0];
    const int *list = NULL;
    assert_int_equal(ndl_scheduler_awaited(b->s, f.id, &list), f.n_sampled);
    assert_memory_equal(list, f.sampled, sizeof *list * (size_t)f.n_sampled);
    if (b->n_flights > 1)
        assert_int_equal(ndl_scheduler_awaited(b->s, b->flights[1].id, &list),
                         -1);
    for (int k = 0; k < f.n_sampled; k++) {
        give_token(b, f.sampled[k]);
        if (chance(b->cancel_percent)) cancel(b, f.sampled[k]);
    }
    b->n_flights--;
    memmove(&b->flights[0], &b->flights[1], sizeof f * (size_t)b->n_flights);
    const int n_ended = ndl_scheduler_done(b->s, f.id, &list);
    int n_ran = 0;
    for (int k = 0; k < f.n; k++) {
        entry *e = &b->all[f.requests[k]];
        e->flying--;
        const bool ran = is_live(e) && e->flying == 0 &&
                         e->pos == e->r.n_prompt && e->r.max_new == 0;
        if (ran) {
            assert_true(n_ran < n_ended);
            assert_int_equal(list[n_ran++], f.requests[k]);
        }
        if (!e->finished && e->flying == 0 && (e->cancelled || ran))
            book_finished(b, f.requests[k]);
        maybe_free_slot(b, f.requests[k]);
    }
    assert_int_equal(n_ran, n_ended);
}

static void submit(books *b)
{
    const int i = b->n_submitted;
    assert_int_equal(ndl_scheduler_submit(b->s, &b->all[i].r), i);
    b->n_submitted++;
}

static void make_requests(books *b)
{
    static const int32_t eos[2] = { 1 << 21, EOS };
    const int mostly = between(0, 2); /* short, any, long prompts */
    for (int i = 0; i < b->n; i++) {
        entry *e = &b->all[i];
        const int context = b->config.context;
        const int least = mostly == 2 ? (context + 1) / 2 : 1;
        const int most = mostly == 0 ? (context + 3) / 4 : context;
        *e = (entry){ .slot = -1, .parent = i };
        for (int k = 0; k < MAX_CONTEXT; k++) e->prompt[k] = 1000 * i + k;
        e->r = (ndl_request){ .prompt = e->prompt,
                              .n_prompt = between(least, most),
                              .max_new = chance(15) ? 0 : between(0, 20),
                              .eos = eos,
                              .n_eos = chance(80) ? 2 : 0 };
    }
}

static void begin(books *b)
{
    *b = (books){ .n = between(0, MAX_REQUESTS) };
    ndl_scheduler_config *c = &b->config;
    c->max_requests = b->n;
    c->n_slots = between(1, MAX_SLOTS);
    c->n_groups = between(1, 6);
    c->window = between(1, MAX_WINDOW);
    const int least = (c->n_slots + c->n_groups - 1) / c->n_groups;
    c->max_rows = least + (chance(30) ? 0 : between(0, 30));
    c->context = between(1, MAX_CONTEXT);
    b->eos_percent = chance(50) ? 0 : between(0, 20);
    b->cancel_percent = chance(60) ? 0 : between(0, 20);
    for (int i = 0; i < MAX_SLOTS; i++) b->owner[i] = -1;
    make_requests(b);
    assert_int_equal(ndl_scheduler_create(&b->s, c), NDL_OK);
}

static void check_end(books *b)
{
    assert_int_equal(b->n_finished, b->n);
    for (int i = 0; i < b->n; i++) {
        const entry *e = &b->all[i];
        assert_true(ndl_scheduler_is_finished(b->s, i));
        assert_true(e->finished && e->flying == 0 && e->slot == -1);
        if (!e->cancelled) assert_true(e->pos >= e->r.n_prompt);
    }
    for (int i = 0; i < b->n_apart; i++)
        assert_int_not_equal(root_of(b, b->apart[i].a),
                             root_of(b, b->apart[i].b));
    assert_int_equal(ndl_scheduler_in_flight(b->s), 0);
    ndl_scheduler_batch batch;
    assert_false(ndl_scheduler_next(b->s, &batch));
}

static void run_history(books *b)
{
    const bool all_at_once = chance(50);
    begin(b);
    while (all_at_once && b->n_submitted < b->n) submit(b);
    while (b->n_finished < b->n) {
        if (b->n_submitted < b->n && chance(20)) submit(b);
        if (b->n_submitted > 0 && between(1, 300) <= b->cancel_percent)
            cancel(b, between(0, b->n_submitted - 1));
        bool sent = false;
        while (chance(70) && send(b)) sent = true;
        if (b->n_flights > 0 && chance(50)) {
            come_back(b);
        } else if (!sent && b->n_flights == 0 && !send(b)) {
            /* Never stuck: nothing in flight, nothing to send, all over. */
            assert_int_equal(b->n_submitted - b->n_finished, 0);
        }
        assert_int_equal(ndl_scheduler_pending(b->s),
                         b->n_submitted - b->n_finished);
    }
    while (b->n_flights > 0) come_back(b);
    check_end(b);
    ndl_scheduler_destroy(&b->s);
}

static void rules_hold_in_random_histories(void **state)
{
    (void)state;
    static books b;
    const uint64_t seed = chance_seed(20240607);
    for (int i = 0; i < N_HISTORIES; i++) {
        random_state = seed + (uint64_t)i * 1000003;
        run_history(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_hold_in_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
