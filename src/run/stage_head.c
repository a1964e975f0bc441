/* stage_head.c - see stage_head.h.  Logits are made in tiles of rows, so that
 * a long prompt with a large vocabulary needs no more memory than a short. */
#include "stage_head.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/arena.h"
#include "noodle/message.h"
#include "noodle/npy.h"
#include "noodle/sampler.h"

/* A row that the head must compute, and what for. */
typedef struct wanted {
    int row;
    const ndl_wire_seq *seq;
    uint32_t pos; /* of the row in its sequence */
    bool sample, write;
} wanted;

struct ndl_stage_head {
    ndl_forward *forward;
    ndl_arena *arena;
    ndl_sampler *sampler;
    ndl_npy *npy; /* NULL: no file */
    wanted tile[NDL_LOGITS_ROWS];
    int n_tile;
};

ndl_status ndl_stage_head_create(ndl_stage_head **out, ndl_forward *forward,
                                 const ndl_model *model,
                                 const ndl_kernels *kernels,
                                 const ndl_wire_job *job)
{
    ndl_status st = NDL_OK;
    ndl_stage_head *h = calloc(1, sizeof *h);
    if (!h) return NDL_FAIL(NDL_EOS, "last stage: out of memory");
    h->forward = forward;
    NDL_TRY_GOTO(done, st,
                 ndl_arena_create(&h->arena, "sampler",
                                  ndl_sampler_bytes(model->vocab)));
    NDL_TRY_GOTO(
        done, st,
        ndl_sampler_create(&h->sampler, h->arena, model->vocab, kernels));
    if (job->logits[0] != '\0')
        NDL_TRY_GOTO(done, st,
                     ndl_npy_create(&h->npy, job->logits, job->logits_rows,
                                    (uint64_t)model->vocab));
    *out = h;
    h = NULL;
done:
    ndl_stage_head_destroy(&h);
    return st;
}

void ndl_stage_head_destroy(ndl_stage_head **h)
{
    if (!*h) return;
    ndl_npy_discard(&(*h)->npy);
    ndl_arena_destroy(&(*h)->arena);
    free(*h);
    *h = NULL;
}

ndl_status ndl_stage_head_finish(ndl_stage_head *h)
{
    return h->npy ? ndl_npy_commit(&h->npy) : NDL_OK;
}

static int32_t sample(ndl_stage_head *h, const wanted *w, const float *logits)
{
    const ndl_sampling how = { .temperature = w->seq->temperature,
                               .top_k = w->seq->top_k,
                               .top_p = w->seq->top_p,
                               .min_p = w->seq->min_p,
                               .seed = w->seq->seed };
    return ndl_sampler_draw(h->sampler, logits, &how, w->pos + 1);
}

/* Compute the rows collected so far; append the tokens sampled from them. */
static ndl_status flush(ndl_stage_head *h, const float *x, ndl_wire_batch *out)
{
    int rows[NDL_LOGITS_ROWS];
    size_t ld = 0;
    ndl_wire_token *tokens = (ndl_wire_token *)(out + 1);
    for (int i = 0; i < h->n_tile; i++) rows[i] = h->tile[i].row;
    const float *logits =
        ndl_forward_logits(h->forward, x, rows, h->n_tile, &ld);
    for (int i = 0; i < h->n_tile; i++) {
        const wanted *w = &h->tile[i];
        const float *row = logits + (size_t)i * ld;
        if (w->write && h->npy) NDL_TRY(ndl_npy_write(h->npy, w->pos, row));
        if (w->sample)
            tokens[out->n_seqs++] =
                (ndl_wire_token){ w->seq->sequence, w->pos + 1,
                                  sample(h, w, row) };
    }
    h->n_tile = 0;
    return NDL_OK;
}

ndl_status ndl_stage_head_run(ndl_stage_head *h, ndl_wire_batch *b,
                              const float *x, void *out, size_t *len)
{
    const ndl_wire_seq *seqs = ndl_message_batch_table(b);
    ndl_wire_batch *answer = out;
    int first = 0;
    memset(answer, 0, sizeof *answer);
    answer->magic = NDL_WIRE_MAGIC;
    answer->kind = NDL_BATCH_ROWS;
    answer->batch_id = b->batch_id;

    for (uint32_t s = 0; s < b->n_seqs; s++) {
        const uint32_t n = seqs[s].n_rows;
        const bool all = seqs[s].flags & NDL_SEQ_LOGITS;
        const bool draw = seqs[s].flags & NDL_SEQ_SAMPLE;
        for (uint32_t i = all ? 0 : n - 1; i < n; i++) {
            const bool take = draw && i == n - 1;
            if (!all && !take) continue;
            h->tile[h->n_tile++] = (wanted){ first + (int)i, &seqs[s],
                                             seqs[s].pos + i, take, all };
            if (h->n_tile == NDL_LOGITS_ROWS) NDL_TRY(flush(h, x, answer));
        }
        first += (int)n;
    }
    if (h->n_tile > 0) NDL_TRY(flush(h, x, answer));
    *len = sizeof *answer + answer->n_seqs * sizeof(ndl_wire_token);
    return NDL_OK;
}
