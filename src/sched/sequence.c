/* sequence.c - see sequence.h: slots and pages come and go. */
#include "sequence.h"

#include <string.h>

int ndl_line_find(const ndl_line *l, int item)
{
    int i = 0;
    while (i < l->n && l->items[i] != item) i++;
    return i;
}

void ndl_line_push(ndl_line *l, int item)
{
    l->items[l->n++] = item;
}

void ndl_line_insert(ndl_line *l, int item)
{
    int i = l->n++;
    for (; i > 0 && l->items[i - 1] > item; i--) l->items[i] = l->items[i - 1];
    l->items[i] = item;
}

void ndl_line_remove(ndl_line *l, int item)
{
    const int at = ndl_line_find(l, item);
    NDL_ASSERT(at < l->n);
    l->n--;
    memmove(&l->items[at], &l->items[at + 1],
            sizeof *l->items * (size_t)(l->n - at));
}

bool ndl_sequence_can_stop(const ndl_sequence *q)
{
    return !q->r->want_logits && q->r->score_from <= 0;
}

int ndl_sequence_most_rows(const ndl_scheduler *s, const ndl_sequence *q)
{
    /* The row of the last token is not needed. */
    const int64_t rows =
        (int64_t)q->r->n_prompt + (q->r->max_new > 1 ? q->r->max_new - 1 : 0);
    return rows < s->config.context ? (int)rows : s->config.context;
}

/* Take slot and pages; the text stays. */
static void take_slot(ndl_scheduler *s, int request)
{
    ndl_sequence *q = &s->seqs[request];
    ndl_pages_close(s->pages, q->slot, q->text, q->pos);
    s->free_slots[s->n_free_slots++] = q->slot;
    q->slot = -1;
    ndl_line_remove(&s->running, request);
    if (q->phase == NDL_PHASE_READY) ndl_line_remove(&s->ready, request);
}

static void drop_text(ndl_scheduler *s, ndl_sequence *q)
{
    s->free_texts[s->n_free_texts++] = q->text;
    q->text = NULL;
}

void ndl_sequence_release(ndl_scheduler *s, int request)
{
    take_slot(s, request);
    drop_text(s, &s->seqs[request]);
}

void ndl_sequence_finish(ndl_scheduler *s, int request)
{
    ndl_sequence *q = &s->seqs[request];
    if (q->slot >= 0) {
        ndl_sequence_release(s, request);
    } else if (q->phase == NDL_PHASE_DRAINING) {
        s->n_draining--;
    } else if (q->text) {
        ndl_line_remove(&s->stopped, request);
        drop_text(s, q);
    }
    q->phase = NDL_PHASE_FINISHED;
    s->n_finished++;
}

static void stop(ndl_scheduler *s, int request)
{
    ndl_sequence *q = &s->seqs[request];
    take_slot(s, request);
    q->phase = NDL_PHASE_WAITING;
    q->pos = q->sent = 0;
    ndl_line_insert(&s->stopped, request);
    s->preemptions++;
}

bool ndl_sequences_stop_one(ndl_scheduler *s, int request)
{
    for (int i = s->running.n - 1; i >= 0; i--) {
        const int other = s->running.items[i];
        const ndl_sequence *q = &s->seqs[other];
        if (other <= request) return false;
        if (!ndl_sequence_can_stop(q)) continue;
        if (ndl_pages_held(s->pages, q->slot) == 0) continue;
        if (q->last_sent == s->last_id + 1) continue;
        stop(s, other);
        return true;
    }
    return false;
}

static bool get_page(ndl_scheduler *s, ndl_sequence *q)
{
    if (!ndl_prompt_is_reusing(s, q))
        return ndl_pages_extend(s->pages, q->slot, q->pos);
    const int pos =
        ndl_pages_reuse(s->pages, q->slot, q->text, q->goal, q->pos);
    if (pos >= 0) q->pos = pos;
    return pos >= 0;
}

bool ndl_sequence_take_page(ndl_scheduler *s, int request)
{
    ndl_sequence *q = &s->seqs[request];
    while (!get_page(s, q))
        if (!ndl_sequences_stop_one(s, request)) return false;
    return true;
}

/* The next to be admitted, -1: nobody waits. */
static int first_in_line(ndl_scheduler *s)
{
    if (s->stopped.n > 0) return s->stopped.items[0];
    while (s->n_started < s->n_submitted &&
           s->seqs[s->n_started].phase != NDL_PHASE_WAITING)
        s->n_started++; /* cancelled while it waited */
    return s->n_started < s->n_submitted ? s->n_started : -1;
}

/* Requests that cannot be stopped must never stand in the way of an older
 * one: all that they may come to need is theirs from the start. */
static bool fits_beside_unstoppable(const ndl_scheduler *s, int request)
{
    const ndl_sequence *q = &s->seqs[request];
    if (ndl_sequence_can_stop(q)) return true;
    int64_t fixed = ndl_pages_of(ndl_sequence_most_rows(s, q));
    int largest = 0;
    for (int i = 0; i < s->running.n; i++) {
        const ndl_sequence *other = &s->seqs[s->running.items[i]];
        const int n = ndl_pages_of(ndl_sequence_most_rows(s, other));
        if (!ndl_sequence_can_stop(other))
            fixed += n;
        else if (n > largest)
            largest = n;
    }
    return fixed + largest <= s->config.n_pages;
}

/* Pages that a running sequence still needs for its text; counts it if it may
 * come to need another after that. */
static int pages_to_come(const ndl_scheduler *s, const ndl_sequence *q,
                         int *n_growing)
{
    const int held = ndl_pages_held(s->pages, q->slot);
    const int text = ndl_pages_of(q->goal);
    const int most = held > text ? held : text;
    *n_growing += ndl_pages_of(ndl_sequence_most_rows(s, q)) > most;
    return most - held;
}

/* Pages for its text, for what the prompts under way still need, and some for
 * those that write: one more each for a quarter of them. */
static bool fits_pages(ndl_scheduler *s, int request)
{
    const ndl_sequence *q = &s->seqs[request];
    const int32_t *text = q->text ? q->text : q->r->prompt;
    const int n_text = q->text ? q->n_text : q->r->n_prompt;
    int64_t need = ndl_pages_of(n_text);
    int n_growing = 0;
    for (int i = 0; i < s->running.n; i++)
        need += pages_to_come(s, &s->seqs[s->running.items[i]], &n_growing);
    need += (n_growing + 3) / 4;
    const int available = ndl_pages_available(s->pages);
    if (need <= available) return true;
    if (s->config.no_reuse || !ndl_sequence_can_stop(q)) return false;
    /* What is shared with others need not be there twice; what is only kept
     * is no longer to be had for anything else. */
    const ndl_pages_match match = ndl_pages_find(s->pages, 0, text, n_text, 0);
    return need - match.n_shared <= available - match.n_kept;
}

static bool can_admit(ndl_scheduler *s, int request)
{
    if (s->n_free_slots == 0) return false;
    /* It would sample twice what is on the way. */
    if (s->seqs[request].awaits) return false;
    if (s->running.n == 0 || request < s->running.items[0]) return true;
    return fits_beside_unstoppable(s, request) && fits_pages(s, request);
}

static void admit(ndl_scheduler *s, int request)
{
    ndl_sequence *q = &s->seqs[request];
    if (q->text) {
        ndl_line_remove(&s->stopped, request);
    } else {
        q->text = s->free_texts[--s->n_free_texts];
        q->n_text = q->r->n_prompt;
        memcpy(q->text, q->r->prompt, sizeof *q->text * (size_t)q->n_text);
        s->n_started++;
    }
    q->phase = NDL_PHASE_PREFILL;
    q->goal = q->n_text;
    q->leader_end = 0;
    q->slot = s->free_slots[--s->n_free_slots];
    ndl_pages_open(s->pages, q->slot, request);
    ndl_line_insert(&s->running, request);
}

void ndl_sequences_admit(ndl_scheduler *s)
{
    for (;;) {
        const int request = first_in_line(s);
        if (request < 0 || !can_admit(s, request)) return;
        admit(s, request);
    }
}
