/*
 * test_scheduler_random.c - the rules of scheduler.h, held against random
 * histories.
 *
 * Each request has a text that it would write if it were alone: its prompt,
 * and ids that follow from all before them.  Every batch is carried out by a
 * stage that sees pages only (paged_stage.h), and judged by books of what each
 * request has sent and got; answers come back in the order of the batches, as
 * a pipeline gives them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "fake_cadence.h"
#include "noodle/scheduler.h"
#include "paged_stage.h"

enum {
    MAX_REQUESTS = 24,
    MAX_SLOTS = 12,
    MAX_WINDOW = 8,
    MAX_GROUPS = 6,
    MAX_CONTEXT = 1300,
    MAX_BASES = 4,
    N_HISTORIES = 10000,
    SHARED = 16, /* ids that are worth waiting for */
    EOS = -7
};

static bool chance(int percent)
{
    return between(1, 100) <= percent;
}

/* What the books say of a request. */
typedef struct entry {
    ndl_request r;
    int32_t text[MAX_CONTEXT + 1]; /* that it would write alone   */
    uint64_t hashes[MAX_CONTEXT];  /* of its positions            */
    ndl_finish why;                /* it would end so             */
    int n_end;                     /* tokens that it would get    */
    int n_known;                   /* ids of the text so far      */
    int n_new;                     /* tokens got                  */
    int n_rows;                    /* rows sent in all            */
    int end;                       /* of the rows sent last       */
    int waits; /* batches without it since it could go, being the oldest */
    uint64_t last_sent;
    bool awaits, cancelled, finished, begun;
    bool may_wait; /* an older one begins alike */
} entry;

typedef struct flown {
    uint64_t id;
    int n, n_sampled;
    int requests[MAX_SLOTS], sampled[MAX_SLOTS];
} flown;

typedef struct books {
    ndl_scheduler *s;
    ndl_scheduler_config config;
    paged_stage stage;
    entry all[MAX_REQUESTS];
    int n, n_submitted, n_finished;
    flown flights[MAX_WINDOW]; /* oldest first */
    int n_flights;
    uint64_t last_id;
    int eos_percent, cancel_percent;
    bool is_tight; /* short prompts, long answers, few pages */
} books;

/* What the histories have had between them: a rule that nothing comes under
 * is not tested. */
typedef struct seen {
    int64_t shared, copies, evictions, preemptions, hits, overtakes;
} seen;

static seen all_seen;

static bool is_live(const entry *e)
{
    return !e->cancelled && !e->finished;
}

static bool is_exact(const entry *e)
{
    return e->r.want_logits || e->r.score_from > 0;
}

static void book_finished(books *b, int i)
{
    assert_false(b->all[i].finished);
    b->all[i].finished = true;
    b->n_finished++;
}

/* First come, first served; but who waits for rows of an older one that it
 * will have as well may be overtaken. */
static void check_order(books *b, int i)
{
    for (int k = 0; k < i; k++) {
        const entry *older = &b->all[k];
        if (older->begun || !is_live(older)) continue;
        assert_true(older->may_wait);
        all_seen.overtakes++;
    }
    b->all[i].begun = true;
}

static void check_rows(books *b, const ndl_scheduler_rows *r, flown *f)
{
    const int i = r->request;
    assert_in_range(i, 0, b->n_submitted - 1);
    entry *e = &b->all[i];
    assert_true(is_live(e) && !e->awaits);
    assert_int_not_equal(e->last_sent, f->id);
    if (!e->begun) check_order(b, i);
    assert_in_range(r->n_rows, 1, e->n_known - r->pos);
    assert_int_equal(
        memcmp(r->ids, e->text + r->pos, sizeof *r->ids * (size_t)r->n_rows),
        0);
    const bool last = r->pos + r->n_rows == e->n_known;
    assert_int_equal(r->sample, last && e->r.max_new > 0);
    paged_stage_rows(&b->stage, r, e->hashes);
    if (is_exact(e) || b->config.no_reuse)
        assert_true(r->pos == e->n_rows || (r->pos == e->end && !is_exact(e)) ||
                    (r->pos == 0 && !is_exact(e)));
    e->n_rows += r->n_rows;
    e->end = r->pos + r->n_rows;
    e->last_sent = f->id;
    f->requests[f->n++] = i;
    if (!r->sample) return;
    f->sampled[f->n_sampled++] = i;
    e->awaits = true;
}

/* The oldest is never kept from going on for long. */
static void note_waiting(books *b, uint64_t id)
{
    for (int i = 0; i < b->n_submitted; i++) {
        entry *e = &b->all[i];
        if (!is_live(e)) continue;
        const bool all_sent = e->r.max_new == 0 && e->end == e->n_known;
        e->waits =
            e->last_sent == id || e->awaits || all_sent ? 0 : e->waits + 1;
        assert_true(e->waits <= 2 * MAX_SLOTS + 2 * b->config.window);
        return;
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
    *f = (flown){ .id = batch.id };
    paged_stage_ops(&b->stage, &batch);
    int rows = 0;
    for (int k = 0; k < batch.n_seqs; k++) {
        check_rows(b, &batch.seqs[k], f);
        rows += batch.seqs[k].n_rows;
    }
    assert_int_equal(rows, batch.n_rows);
    b->n_flights++;
    note_waiting(b, batch.id);
    assert_int_equal(ndl_scheduler_in_flight(b->s), b->n_flights);
    return true;
}

static void give_token(books *b, int i)
{
    entry *e = &b->all[i];
    const int32_t id = e->text[e->n_known];
    const ndl_finish why = ndl_scheduler_token(b->s, i, id);
    if (e->cancelled) {
        assert_int_equal(why, NDL_FINISH_STOPPED);
        return;
    }
    assert_true(e->awaits);
    e->awaits = false;
    e->n_new++;
    e->n_known++;
    assert_int_equal(why, e->n_new == e->n_end ? e->why : NDL_FINISH_NONE);
    if (why != NDL_FINISH_NONE) book_finished(b, i);
}

static void cancel(books *b, int i)
{
    ndl_scheduler_cancel(b->s, i);
    entry *e = &b->all[i];
    if (!is_live(e)) return;
    e->cancelled = true;
    book_finished(b, i);
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
    const ndl_cadence_times times = { 1, 1, 1 };
    const int n_ended =
        ndl_scheduler_done(b->s, f.id, chance(50) ? &times : NULL, &list);
    int n_ran = 0;
    for (int k = 0; k < f.n; k++) {
        const entry *e = &b->all[f.requests[k]];
        if (!is_live(e) || e->r.max_new > 0 || e->last_sent != f.id ||
            e->end < e->r.n_prompt)
            continue;
        assert_true(n_ran < n_ended);
        assert_int_equal(list[n_ran++], f.requests[k]);
        book_finished(b, f.requests[k]);
    }
    assert_int_equal(n_ran, n_ended);
}

static void submit(books *b)
{
    const int i = b->n_submitted;
    assert_int_equal(ndl_scheduler_submit(b->s, &b->all[i].r), i);
    b->n_submitted++;
}

/* The text that a request writes, from its prompt; and why it ends. */
static void write_text(const books *b, entry *e)
{
    const int context = b->config.context;
    uint64_t hash = 0;
    e->why = NDL_FINISH_LENGTH;
    e->n_end = e->r.max_new;
    for (int pos = 0; pos < context; pos++) {
        hash = e->hashes[pos] = paged_stage_hash(hash, e->text[pos]);
        const int n_new = pos + 2 - e->r.n_prompt; /* with the next id */
        if (n_new <= 0) continue;
        if (n_new > e->r.max_new) return;
        const bool ends = (int)((hash >> 8) % 100) < b->eos_percent;
        e->text[pos + 1] = ends ? EOS : (int32_t)(hash % 5000);
        const bool is_eos = ends && e->r.n_eos > 0;
        const bool is_full = pos + 1 == context && n_new < e->r.max_new;
        if (!is_eos && !is_full) continue;
        e->why = is_eos ? NDL_FINISH_EOS : NDL_FINISH_CONTEXT;
        e->n_end = n_new;
        return;
    }
}

static int common(const entry *a, const entry *b)
{
    int n = 0;
    while (n < a->r.n_prompt && n < b->r.n_prompt && a->text[n] == b->text[n])
        n++;
    return n;
}

/* A prompt that begins as one of the bases does, up to somewhere. */
static void make_prompt(entry *e, int n_bases, int n)
{
    const int alphabet = chance(10) ? 1 : 5000;
    const int base = between(1, n_bases);
    int same = chance(30) ? 0 : between(0, n);
    if (chance(20)) same = n;
    for (int k = 0; k < n; k++)
        e->text[k] = k < same ? base * 100000 + k : between(0, alphabet - 1);
}

static void make_requests(books *b)
{
    static const int32_t eos[2] = { 1 << 21, EOS };
    /* Short, any, long prompts. */
    const int mostly = b->is_tight ? 0 : between(0, 2);
    const int exact_percent = chance(70) ? 0 : between(0, 100);
    const int n_bases = between(1, MAX_BASES);
    const int longest = b->is_tight ? between(200, 900) : 20;
    for (int i = 0; i < b->n; i++) {
        entry *e = &b->all[i];
        const int context = b->config.context;
        const int least = mostly == 2 ? (context + 1) / 2 : 1;
        const int most = mostly == 0 ? (context + 3) / 4 : context;
        *e = (entry){ .why = NDL_FINISH_LENGTH };
        e->r = (ndl_request){ .prompt = e->text,
                              .n_prompt = between(least, most),
                              .max_new = chance(15) ? 0 : between(0, longest),
                              .eos = eos,
                              .n_eos = chance(80) ? 2 : 0 };
        if (chance(exact_percent)) e->r.want_logits = true;
        if (chance(exact_percent)) e->r.score_from = 1;
        e->n_known = e->r.n_prompt;
        make_prompt(e, n_bases, e->r.n_prompt);
        write_text(b, e);
        for (int k = 0; k < i; k++)
            e->may_wait |= common(&b->all[k], e) >= SHARED;
    }
}

static int any_groups(int n_decoding)
{
    return between(1, n_decoding < MAX_GROUPS ? n_decoding : MAX_GROUPS);
}

static void make_config(books *b)
{
    ndl_scheduler_config *c = &b->config;
    const bool is_small = !b->is_tight && chance(40);
    c->max_requests = b->n;
    c->n_slots = between(b->is_tight ? 4 : 1, MAX_SLOTS);
    c->n_stages = between(1, 4);
    c->n_groups = chance(50) ? 0 : between(1, MAX_GROUPS);
    c->window = between(1, MAX_WINDOW);
    const int groups = c->n_groups > 0 ? c->n_groups : MAX_SLOTS;
    const int least = (c->n_slots + groups - 1) / groups;
    c->context = is_small ? between(1, 40)
                          : between(b->is_tight ? 800 : 200, MAX_CONTEXT);
    c->max_rows = least + (is_small ? between(0, 30) : between(25, 400));
    const int table = ndl_pages_of(c->context);
    c->n_pages =
        table + (chance(50) ? between(0, 3) : between(0, table * c->n_slots));
    c->stall_sec = chance(50) ? 0 : chance(50) ? INFINITY : between(1, 40);
    c->no_reuse = chance(10);
}

static void begin(books *b)
{
    *b = (books){ .is_tight = chance(10) };
    b->n = between(0, MAX_REQUESTS);
    make_config(b);
    fake = (fake_times){ .groups = any_groups };
    if (chance(70))
        fake = (fake_times){ .groups = any_groups,
                             .step_sec = 1,
                             .row_sec = between(0, 10) * 0.02,
                             .key_sec = between(0, 10) * 0.0002,
                             .decode_sec = between(0, 3) };
    b->eos_percent = b->is_tight || chance(50) ? 0 : between(0, 20);
    b->cancel_percent = b->is_tight || chance(60) ? 0 : between(0, 20);
    make_requests(b);
    paged_stage_init(&b->stage, &b->config);
    assert_int_equal(ndl_scheduler_create(&b->s, &b->config), NDL_OK);
}

static void check_end(books *b)
{
    assert_int_equal(b->n_finished, b->n);
    for (int i = 0; i < b->n; i++)
        assert_true(ndl_scheduler_is_finished(b->s, i));
    assert_int_equal(ndl_scheduler_in_flight(b->s), 0);
    ndl_scheduler_batch batch;
    assert_false(ndl_scheduler_next(b->s, &batch));
    const ndl_scheduler_counts c = ndl_scheduler_count(b->s);
    assert_int_equal(c.n_waiting, 0);
    assert_int_equal(c.n_running, 0);
    assert_int_equal(c.pages.n_used, 0);
    if (b->config.no_reuse) assert_int_equal(c.pages.n_kept, 0);
    all_seen.shared += b->stage.n_shared;
    all_seen.copies += b->stage.n_copies;
    all_seen.evictions += c.pages.evictions;
    all_seen.preemptions += c.preemptions;
    all_seen.hits += c.pages.hit_tokens;
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
    paged_stage_fini(&b->stage);
}

static void rules_hold_in_random_histories(void **state)
{
    (void)state;
    static books b;
    const uint64_t seed = chance_seed(20240607);
    const int n = CHANCE_CASES(N_HISTORIES);
    for (int i = 0; i < n; i++) {
        random_state = seed + (uint64_t)i * 1000003;
        run_history(&b);
    }
    printf("%lld pages shared, %lld copied, %lld evicted; %lld stopped; "
           "%lld positions reused; %lld overtaken\n",
           (long long)all_seen.shared, (long long)all_seen.copies,
           (long long)all_seen.evictions, (long long)all_seen.preemptions,
           (long long)all_seen.hits, (long long)all_seen.overtakes);
    assert_true(all_seen.shared > n / 8 && all_seen.copies > n / 4);
    assert_true(all_seen.evictions > n / 4 && all_seen.preemptions > n / 16);
    assert_true(all_seen.hits > n && all_seen.overtakes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_hold_in_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
