/* batch_write.c - see batch_write.h. */
#include "batch_write.h"

#include <string.h>

#include "noodle/message.h"

static_assert((int)NDL_PAGE_OPEN == (int)NDL_OP_OPEN &&
                  (int)NDL_PAGE_MAP == (int)NDL_OP_MAP &&
                  (int)NDL_PAGE_COPY == (int)NDL_OP_COPY &&
                  (int)NDL_PAGE_CLOSE == (int)NDL_OP_CLOSE &&
                  sizeof(ndl_page_op) == sizeof(ndl_wire_op),
              "what the scheduler decides travels as it is");

uint32_t ndl_batch_row_bytes(const ndl_wire_job *job)
{
    return job->want_scores ? 2 * sizeof(int32_t) : sizeof(int32_t);
}

/* The tokens after rows of a prompt, where they are to be scored. */
static void write_targets(const ndl_request *q, const ndl_scheduler_rows *r,
                          int32_t *out)
{
    for (int i = 0; i < r->n_rows; i++) {
        const int next = r->pos + i + 1;
        const bool counts =
            q->score_from > 0 && next >= q->score_from && next < q->n_prompt;
        out[i] = counts ? q->prompt[next] : -1;
    }
}

/* And zeros up to the rows. */
static void write_ops(const ndl_scheduler_batch *b, ndl_wire_batch *w)
{
    ndl_wire_op *ops = ndl_message_batch_ops(w);
    unsigned char *end = ndl_message_batch_rows(w);
    memset(ops, 0, (size_t)(end - (unsigned char *)ops));
    if (b->n_ops > 0) memcpy(ops, b->ops, (size_t)b->n_ops * sizeof *ops);
}

size_t ndl_batch_write(const ndl_wire_job *job, const ndl_request *requests,
                       const ndl_scheduler_batch *b, void *out)
{
    ndl_wire_batch *w = out;
    memset(w, 0, sizeof *w);
    w->magic = NDL_WIRE_MAGIC;
    w->kind = NDL_BATCH_ROWS;
    w->batch_id = b->id;
    w->n_rows = (uint32_t)b->n_rows;
    w->n_seqs = (uint32_t)b->n_seqs;
    w->n_ops = (uint32_t)b->n_ops;
    w->row_bytes = ndl_batch_row_bytes(job);
    write_ops(b, w);
    ndl_wire_seq *seqs = ndl_message_batch_table(w);
    int32_t *ids = ndl_message_batch_rows(w), *targets = ids + b->n_rows;
    for (int i = 0; i < b->n_seqs; i++) {
        const ndl_scheduler_rows *r = &b->seqs[i];
        const ndl_request *q = &requests[r->request];
        seqs[i] = (ndl_wire_seq){
            .sequence = (uint64_t)r->request,
            .seed = q->sampling.seed,
            .slot = (uint32_t)r->slot,
            .pos = (uint32_t)r->pos,
            .n_rows = (uint32_t)r->n_rows,
            .flags = (r->sample ? NDL_SEQ_SAMPLE : 0u) |
                     (q->want_logits ? NDL_SEQ_LOGITS : 0u) |
                     (q->score_from > 0 ? NDL_SEQ_SCORE : 0u) |
                     (q->want_log_p ? NDL_SEQ_LOG_P : 0u),
            .temperature = q->sampling.temperature,
            .top_p = q->sampling.top_p,
            .min_p = q->sampling.min_p,
            .top_k = q->sampling.top_k,
            .logits_row = q->logits_row + r->pos,
            .n_top = (uint32_t)q->n_top,
        };
        memcpy(ids, r->ids, (size_t)r->n_rows * sizeof *ids);
        ids += r->n_rows;
        if (!job->want_scores) continue;
        write_targets(q, r, targets);
        targets += r->n_rows;
    }
    return ndl_message_batch_bytes(w->n_seqs, w->n_ops, w->n_rows,
                                   w->row_bytes);
}
