/* stage_sessions.c - see stage_sessions.h. */
#include "stage_sessions.h"

#include <string.h>

#include "noodle/message.h"

static size_t lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* At the end all slots may be open. */
static size_t closed_cap(const ndl_wire_job *job)
{
    return NDL_STAGE_CLOSED + (size_t)job->n_slots;
}

size_t ndl_stage_sessions_bytes(const ndl_wire_job *job)
{
    return lines(job->n_slots * sizeof(ndl_span)) +
           lines(job->n_slots * sizeof(uint64_t)) +
           lines(job->n_pages * sizeof(uint64_t)) +
           lines(job->n_slots * sizeof(ndl_wire_account)) +
           lines(closed_cap(job) * sizeof(ndl_wire_account));
}

void ndl_stage_sessions_init(ndl_stage_sessions *s, ndl_arena *arena,
                             const ndl_wire_job *job, int stage)
{
    *s = (ndl_stage_sessions){ .job = job, .stage = stage };
    s->spans = ndl_arena_alloc(arena, job->n_slots * sizeof *s->spans);
    s->used_in = ndl_arena_alloc(arena, job->n_slots * sizeof *s->used_in);
    s->written_in =
        ndl_arena_alloc(arena, job->n_pages * sizeof *s->written_in);
    s->open = ndl_arena_alloc(arena, job->n_slots * sizeof *s->open);
    s->closed = ndl_arena_alloc(arena, closed_cap(job) * sizeof *s->closed);
}

/* Rank 0 takes accounts much faster than sequences end; if it does not, that
 * must not keep the stage. */
static void close_account(ndl_stage_sessions *s, uint32_t slot)
{
    ndl_wire_account *a = &s->open[slot];
    if (a->steps == 0) return;
    if ((size_t)s->n_closed < closed_cap(s->job))
        s->closed[s->n_closed++] = *a;
    else
        s->n_lost++;
    *a = (ndl_wire_account){ 0 };
}

static void carry_out(ndl_stage_sessions *s, const ndl_wire_op *o)
{
    ndl_forward *f = s->forward;
    switch (o->kind) {
    case NDL_OP_MAP:
        ndl_forward_map(f, (int)o->slot, (int)o->a, (int)o->b);
        break;
    case NDL_OP_COPY: ndl_forward_copy_page(f, (int)o->a, (int)o->b); break;
    default: /* OPEN, CLOSE */
        ndl_forward_unmap(f, (int)o->slot);
        close_account(s, o->slot);
        if (o->kind == NDL_OP_OPEN) s->open[o->slot].sequence = o->a;
        break;
    }
}

static ndl_status check_pages(ndl_stage_sessions *s, const ndl_wire_seq *q)
{
    const int end = (int)(q->pos + q->n_rows);
    if (!ndl_forward_has_pages(s->forward, (int)q->slot, end))
        return NDL_FAIL(NDL_EPROTO, "stage %d got rows without pages for them",
                        s->stage);
    for (int e = (int)q->pos / NDL_PAGE_KEYS; e * NDL_PAGE_KEYS < end; e++) {
        const int page = ndl_forward_page(s->forward, (int)q->slot, e);
        if (s->written_in[page] == s->n_batches)
            return NDL_FAIL(NDL_EPROTO, "stage %d got a page twice in a batch",
                            s->stage);
        s->written_in[page] = s->n_batches;
    }
    return NDL_OK;
}

ndl_status ndl_stage_sessions_begin(ndl_stage_sessions *s, ndl_wire_batch *b)
{
    const ndl_wire_seq *seqs = ndl_message_batch_table(b);
    const ndl_wire_op *ops = ndl_message_batch_ops(b);
    s->n_batches++;
    for (uint32_t i = 0; i < b->n_ops; i++) carry_out(s, &ops[i]);
    for (uint32_t i = 0; i < b->n_seqs; i++) {
        const ndl_wire_seq *q = &seqs[i];
        if ((uint64_t)q->pos + q->n_rows > s->job->context)
            return NDL_FAIL(NDL_EPROTO, "stage %d got rows past the context",
                            s->stage);
        if (s->used_in[q->slot] == s->n_batches)
            return NDL_FAIL(NDL_EPROTO, "stage %d got slot %u twice in a batch",
                            s->stage, q->slot);
        s->used_in[q->slot] = s->n_batches;
        NDL_TRY(check_pages(s, q));
        s->spans[i] = (ndl_span){ (int)q->slot, (int)q->pos, (int)q->n_rows };
    }
    return NDL_OK;
}

void ndl_stage_sessions_end(ndl_stage_sessions *s, ndl_wire_batch *b,
                            double busy_sec)
{
    const ndl_wire_seq *seqs = ndl_message_batch_table(b);
    for (uint32_t i = 0; i < b->n_seqs; i++) {
        ndl_wire_account *a = &s->open[seqs[i].slot];
        a->rows += seqs[i].n_rows;
        a->steps++;
        a->busy_sec += busy_sec * seqs[i].n_rows / b->n_rows;
    }
}

void ndl_stage_sessions_close_all(ndl_stage_sessions *s)
{
    for (uint32_t i = 0; i < s->job->n_slots; i++) close_account(s, i);
}

size_t ndl_stage_sessions_write(ndl_stage_sessions *s, int stage, void *msg)
{
    ndl_wire_accounts *h = msg;
    const int n =
        s->n_closed < NDL_WIRE_ACCOUNTS ? s->n_closed : NDL_WIRE_ACCOUNTS;
    *h = (ndl_wire_accounts){ .magic = NDL_WIRE_MAGIC,
                              .kind = NDL_REPORT_ACCOUNTS,
                              .n = (uint32_t)n,
                              .stage = (uint32_t)stage,
                              .lost = s->n_lost };
    memcpy(ndl_message_accounts(msg), s->closed, (size_t)n * sizeof *s->closed);
    s->n_closed -= n;
    s->n_lost = 0;
    memmove(s->closed, s->closed + n, (size_t)s->n_closed * sizeof *s->closed);
    return ndl_message_accounts_bytes(h->n);
}
