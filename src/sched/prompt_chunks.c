/*
 * prompt_chunks.c - which rows of prompts go into a batch.
 *
 * The oldest first, in chunks that keep the step short enough for those that
 * decode beside it, or the stages of a pipeline equally busy.  A prompt that
 * begins like an older one under way waits for the rows that they share.
 */
#include <math.h>
#include <string.h>

#include "sequence.h"

enum {
    /* A prompt gets on by at least so many rows a batch, however short the
     * steps are to be: fewer cost about as much as these, because the
     * weights are read once for all rows. */
    LEAST_CHUNK = 8
};

/* Where somebody has said how long texts may wait, rows behind thousands of
 * keys must not cost as much as they please: then prompts get on by what makes
 * a step so many times as long as one without them. */
static const double LEAST_TIMES = 1.25;

bool ndl_prompt_is_reusing(const ndl_scheduler *s, const ndl_sequence *q)
{
    return q->phase == NDL_PHASE_PREFILL && !s->config.no_reuse &&
           ndl_sequence_can_stop(q);
}

static bool is_equal(const int32_t *a, const int32_t *b, int n)
{
    return memcmp(a, b, sizeof *a * (size_t)n) == 0;
}

/* Up to where rows of q from `pos` on will be there soon, because an older one
 * has them before it; 0: they will not.  Of its rows in this batch nobody may
 * make use yet. */
static int shared_to_come(const ndl_sequence *older, const ndl_sequence *q,
                          int pos)
{
    const int most = older->goal < q->goal - 1 ? older->goal : q->goal - 1;
    const int least = NDL_PAGE_LEAST_COMMON;
    int n = pos + least;
    if (most < n || older->sent >= most) return 0;
    if (!is_equal(older->text + pos, q->text + pos, least)) return 0;
    if (!is_equal(older->text, q->text, pos)) return 0;
    while (n < most && older->text[n] == q->text[n]) n++;
    return older->sent < n ? n : 0;
}

static bool follows_leader(const ndl_scheduler *s, const ndl_sequence *q)
{
    if (q->leader_end == 0) return false;
    const ndl_sequence *leader = &s->seqs[q->leader];
    return leader->slot >= 0 && leader->sent < q->leader_end;
}

/* Look for one to wait for.  Texts are long: this is not done in every batch.
 */
static bool find_leader(ndl_scheduler *s, int i, int pos)
{
    ndl_sequence *q = &s->seqs[s->running.items[i]];
    q->leader_end = 0;
    for (int k = 0; k < i && q->leader_end == 0; k++) {
        q->leader = s->running.items[k];
        q->leader_end = shared_to_come(&s->seqs[q->leader], q, pos);
    }
    return q->leader_end > 0;
}

/* Chunks of one prompt are of even size: 130 rows at 128 a batch go as 65 and
 * 65, not as 128 and 2. */
static int even_rows(int left, int room)
{
    const int chunks = (left + room - 1) / room;
    return (left + chunks - 1) / chunks;
}

/* Rows of a batch's first chunk, of which n hold the stall. */
static int least_rows(const ndl_scheduler *s, const ndl_draft *d, int pos,
                      int room, int n)
{
    const bool is_told = s->config.stall_sec > 0 && d->alone_sec > 0;
    int least = LEAST_CHUNK < room ? LEAST_CHUNK : room;
    if (is_told)
        least = ndl_cadence_rows(s->cadence, &d->load, pos, least,
                                 LEAST_TIMES * d->alone_sec);
    if (least < 1) least = 1;
    return n > least ? n : least;
}

/* Rows of a chunk from `pos` on; 0: no room for one worth its while. */
static int chunk_rows(const ndl_scheduler *s, const ndl_draft *d,
                      const ndl_sequence *q, int pos)
{
    const int room = s->config.max_rows - d->b.n_rows, left = q->goal - pos;
    if (isinf(d->sec)) return even_rows(left, room);
    int n = ndl_cadence_rows(s->cadence, &d->load, pos, room, d->sec);
    if (n >= left) return left;
    if (n < LEAST_CHUNK) {
        if (d->load.prompt_rows > 0) return 0;
        n = least_rows(s, d, pos, room, n);
        return n < left ? n : left;
    }
    /* Of the last two chunks none is a small rest. */
    return left < 2 * n ? (left + 1) / 2 : n;
}

/* Of n rows those that pages can be had for without taking any away. */
static int rows_with_pages(ndl_scheduler *s, const ndl_sequence *q, int n)
{
    int end = q->pos;
    while (end < q->pos + n && ndl_pages_extend(s->pages, q->slot, end))
        end += NDL_PAGE_POSITIONS - end % NDL_PAGE_POSITIONS;
    return end < q->pos + n ? end - q->pos : n;
}

/* @return false: the batch takes no more prompts. */
static bool add_prompt(ndl_scheduler *s, ndl_draft *d, int i)
{
    const int request = s->running.items[i];
    const ndl_sequence *q = &s->seqs[request];
    int pos = q->pos;
    if (follows_leader(s, q)) return true;
    if (ndl_prompt_is_reusing(s, q)) {
        pos = ndl_pages_find(s->pages, q->slot, q->text, q->goal, pos).end;
        if (find_leader(s, i, pos)) return true;
    }
    if (chunk_rows(s, d, q, pos) == 0) return false;
    if (!ndl_sequence_take_page(s, request)) return false;
    int n = chunk_rows(s, d, q, q->pos);
    n = rows_with_pages(s, q, n > 0 ? n : 1);
    const double keys = ndl_cadence_keys(q->pos, n);
    ndl_draft_add(s, d, request, n);
    d->load.prompt_rows += n;
    d->load.prompt_keys += keys;
    s->miss_tokens += n;
    return true;
}

void ndl_prompts_add(ndl_scheduler *s, ndl_draft *d)
{
    /* Operations that one prompt may need, and those that it may stop. */
    const int most_ops = ndl_pages_of(s->config.context) +
                         ndl_pages_of(s->config.max_rows) + s->config.n_slots +
                         4;
    for (int i = 0; i < s->running.n; i++) {
        const ndl_sequence *q = &s->seqs[s->running.items[i]];
        if (q->phase != NDL_PHASE_PREFILL) continue;
        if (d->b.n_rows >= s->config.max_rows) return;
        if (ndl_pages_room(s->pages) < most_ops) return;
        if (!add_prompt(s, d, i)) return;
    }
}
