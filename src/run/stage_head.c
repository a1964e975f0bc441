/* stage_head.c - see stage_head.h.  Logits are made in tiles of rows, so that
 * a long prompt with a large vocabulary needs no more memory than a short. */
#include "stage_head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/arena.h"
#include "noodle/divergence.h"
#include "noodle/message.h"
#include "noodle/npy.h"
#include "noodle/sampler.h"

/* A row that the head must compute, and what for. */
typedef struct wanted {
    int row;
    const ndl_wire_seq *seq;
    uint32_t pos;   /* of the row in its sequence        */
    uint64_t at;    /* in the file of logits             */
    int32_t target; /* what follows it; -1: do not score */
    bool sample, write;
} wanted;

/* The logits of a tile, for the threads that score its rows. */
typedef struct tile_logits {
    ndl_stage_head *head;
    const float *rows; /* (n_tile, ld) */
    size_t ld;
} tile_logits;

struct ndl_stage_head {
    ndl_forward *forward;
    ndl_pool *pool;
    ndl_arena *arena;
    ndl_sampler *sampler;
    int32_t vocab;
    ndl_npy *npy;           /* NULL: no file to write       */
    ndl_npy_rows *base;     /* NULL: nothing to compare with */
    float *base_rows;       /* (NDL_LOGITS_ROWS, vocab)     */
    ndl_wire_score *scores; /* (max_rows); NULL: none asked */
    uint32_t n_scores;
    ndl_wire_candidate *candidates; /* (n_slots, NDL_WIRE_TOP) */
    uint32_t n_candidates;
    wanted tile[NDL_LOGITS_ROWS];
    int n_tile;
};

static ndl_status open_logits(ndl_stage_head *h, const ndl_wire_job *job)
{
    const uint64_t vocab = (uint64_t)h->vocab;
    if (job->logits[0] == '\0') return NDL_OK;
    if (!job->compare) {
        NDL_TRY(ndl_npy_create(&h->npy, job->logits, job->logits_rows, vocab));
        /* Only for the job that comes next: waiting for the disk would look
         * as if this stage had died. */
        if (job->more) ndl_npy_scratch(h->npy);
        return NDL_OK;
    }
    NDL_TRY(ndl_npy_rows_open(&h->base, job->logits, job->logits_rows, vocab));
    (void)unlink(job->logits);
    return NDL_OK;
}

static ndl_status make_memory(ndl_stage_head *h, const ndl_wire_job *job)
{
    const size_t scores = job->max_rows * sizeof *h->scores;
    const size_t rows =
        NDL_LOGITS_ROWS * (size_t)h->vocab * sizeof *h->base_rows;
    const size_t candidates =
        job->n_slots * NDL_WIRE_TOP * sizeof *h->candidates;
    NDL_TRY(ndl_arena_create(&h->arena, "sampler and scores",
                             ndl_sampler_bytes(h->vocab) + 256 + candidates +
                                 (job->want_scores ? scores : 0) +
                                 (h->base ? rows : 0)));
    h->candidates = ndl_arena_alloc(h->arena, candidates);
    if (job->want_scores) h->scores = ndl_arena_alloc(h->arena, scores);
    if (h->base) h->base_rows = ndl_arena_alloc(h->arena, rows);
    return NDL_OK;
}

ndl_status ndl_stage_head_create(ndl_stage_head **out,
                                 const ndl_stage_head_setup *setup)
{
    ndl_status st = NDL_OK;
    ndl_stage_head *h = calloc(1, sizeof *h);
    if (!h) return NDL_FAIL(NDL_EOS, "last stage: out of memory");
    h->forward = setup->forward;
    h->pool = setup->pool;
    h->vocab = setup->model->vocab;
    NDL_TRY_GOTO(done, st, open_logits(h, setup->job));
    NDL_TRY_GOTO(done, st, make_memory(h, setup->job));
    st = ndl_sampler_create(&h->sampler, h->arena, h->vocab, setup->kernels);
    if (st != NDL_OK) goto done;
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
    ndl_npy_rows_close(&(*h)->base);
    ndl_arena_destroy(&(*h)->arena);
    free(*h);
    *h = NULL;
}

size_t ndl_stage_head_answer_bytes(const ndl_wire_job *job)
{
    const size_t token =
        sizeof(ndl_wire_token) + NDL_WIRE_TOP * sizeof(ndl_wire_candidate);
    return sizeof(ndl_wire_batch) + job->n_slots * token +
           (job->want_scores ? job->max_rows * sizeof(ndl_wire_score) : 0);
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

/* A natural logarithm as it travels: at most 0, and finite, whatever a broken
 * model's logits are. */
static float log_p_of(const float *logits, int32_t id, double log_sum)
{
    const double x = (double)logits[id] - log_sum;
    if (!(x >= -9999.0)) return -9999.0f;
    return x < 0.0 ? (float)x : 0.0f;
}

/* How likely the token was, and the likeliest beside it. */
static void tell_likeliest(ndl_stage_head *h, const ndl_wire_seq *seq,
                           const float *logits, ndl_wire_token *t)
{
    int32_t ids[NDL_WIRE_TOP];
    if (!(seq->flags & NDL_SEQ_LOG_P)) return;
    const double log_sum = ndl_divergence_log_sum(logits, (size_t)h->vocab);
    const int n = (int)seq->n_top < h->vocab ? (int)seq->n_top : h->vocab;
    t->log_p = log_p_of(logits, t->id, log_sum);
    t->n_top = (uint32_t)n;
    ndl_sampler_likeliest(h->sampler, logits, n, ids);
    for (int i = 0; i < n; i++)
        h->candidates[h->n_candidates++] =
            (ndl_wire_candidate){ ids[i], log_p_of(logits, ids[i], log_sum) };
}

/* Probability of what followed a row, and how far another model is away. */
static void score_row(void *arg, int task, int thread)
{
    const tile_logits *t = arg;
    const ndl_stage_head *h = t->head;
    const wanted *w = &h->tile[task];
    const float *row = t->rows + (size_t)task * t->ld;
    (void)thread;
    if (w->target < 0) return;
    ndl_wire_score *s = &h->scores[h->n_scores + (uint32_t)task];
    *s = (ndl_wire_score){ .sequence = w->seq->sequence, .pos = w->pos + 1 };
    s->log_p =
        (double)row[w->target] - ndl_divergence_log_sum(row, (size_t)h->vocab);
    if (!h->base) return;
    const ndl_divergence d = ndl_divergence_of(
        h->base_rows + (size_t)task * (size_t)h->vocab, row, (size_t)h->vocab);
    s->divergence = d.kl;
    s->max_diff = d.max_diff;
    s->same_top = d.same_top;
}

/* Rows without a target leave gaps: close them, and judge the rest. */
static ndl_status keep_scores(ndl_stage_head *h)
{
    const ndl_wire_score *from = h->scores + h->n_scores;
    for (int i = 0; i < h->n_tile; i++) {
        const ndl_wire_score s = from[i];
        if (h->tile[i].target < 0) continue;
        if (!isfinite(s.log_p) || !isfinite(s.divergence) ||
            !isfinite(s.max_diff))
            return NDL_FAIL(NDL_EDATA,
                            "the logits for position %u of text %llu are not "
                            "finite: check the weights file",
                            s.pos, (unsigned long long)s.sequence + 1);
        h->scores[h->n_scores++] = s;
    }
    return NDL_OK;
}

static ndl_status score(ndl_stage_head *h, const float *logits, size_t ld)
{
    tile_logits t = { h, logits, ld };
    bool any = false;
    for (int i = 0; i < h->n_tile; i++) {
        const wanted *w = &h->tile[i];
        if (w->target < 0) continue;
        any = true;
        if (h->base)
            NDL_TRY(ndl_npy_rows_read(
                h->base, w->at, h->base_rows + (size_t)i * (size_t)h->vocab));
    }
    if (!any) return NDL_OK;
    ndl_pool_run(h->pool, h->n_tile, score_row, &t);
    return keep_scores(h);
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
        if (w->write && h->npy) NDL_TRY(ndl_npy_write(h->npy, w->at, row));
        if (!w->sample) continue;
        ndl_wire_token *t = &tokens[out->n_seqs++];
        *t = (ndl_wire_token){ .sequence = w->seq->sequence,
                               .pos = w->pos + 1,
                               .id = sample(h, w, row),
                               .log_p = NAN };
        tell_likeliest(h, w->seq, row, t);
    }
    NDL_TRY(score(h, logits, ld));
    h->n_tile = 0;
    return NDL_OK;
}

/* What is asked of row i of a sequence. */
static wanted want(const ndl_wire_seq *s, uint32_t i, const int32_t *targets)
{
    const bool all = s->flags & NDL_SEQ_LOGITS;
    const bool scores = s->flags & NDL_SEQ_SCORE;
    const int32_t target = scores ? targets[i] : -1;
    return (wanted){ .seq = s,
                     .pos = s->pos + i,
                     .at = (uint64_t)s->logits_row + i,
                     .target = target,
                     .sample = s->flags & NDL_SEQ_SAMPLE && i == s->n_rows - 1,
                     .write = all || target >= 0 };
}

static ndl_status check_target(const ndl_stage_head *h, const wanted *w)
{
    if (w->target < h->vocab) return NDL_OK;
    return NDL_FAIL(NDL_EPROTO, "the last stage got token %d of %d to score",
                    (int)w->target, (int)h->vocab);
}

static ndl_status run_sequence(ndl_stage_head *h, const ndl_wire_seq *s,
                               const int32_t *targets, int first,
                               const float *x, ndl_wire_batch *answer)
{
    for (uint32_t i = 0; i < s->n_rows; i++) {
        wanted w = want(s, i, targets);
        if (!w.sample && !w.write) continue;
        NDL_TRY(check_target(h, &w));
        w.row = first + (int)i;
        h->tile[h->n_tile++] = w;
        if (h->n_tile == NDL_LOGITS_ROWS) NDL_TRY(flush(h, x, answer));
    }
    return NDL_OK;
}

static ndl_status run_rows(ndl_stage_head *h, ndl_wire_batch *b, const float *x,
                           ndl_wire_batch *answer)
{
    const ndl_wire_seq *seqs = ndl_message_batch_table(b);
    const int32_t *targets = h->scores ? ndl_message_batch_targets(b) : NULL;
    int first = 0;
    for (uint32_t s = 0; s < b->n_seqs; s++) {
        if (seqs[s].flags & NDL_SEQ_SCORE && !targets)
            return NDL_FAIL(NDL_EPROTO, "the last stage is to score in a job "
                                        "that does not");
        NDL_TRY(run_sequence(h, &seqs[s], targets ? targets + first : NULL,
                             first, x, answer));
        first += (int)seqs[s].n_rows;
    }
    return h->n_tile > 0 ? flush(h, x, answer) : NDL_OK;
}

ndl_status ndl_stage_head_run(ndl_stage_head *h, ndl_wire_batch *b,
                              const float *x, void *out, size_t *len)
{
    ndl_wire_batch *answer = out;
    memset(answer, 0, sizeof *answer);
    answer->magic = NDL_WIRE_MAGIC;
    answer->kind = NDL_BATCH_ROWS;
    answer->batch_id = b->batch_id;
    h->n_scores = h->n_candidates = 0;
    NDL_TRY(run_rows(h, b, x, answer));
    answer->n_rows = h->n_scores;
    answer->n_ops = h->n_candidates;
    const size_t likely = h->n_candidates * sizeof *h->candidates;
    const size_t scored = h->n_scores * sizeof *h->scores;
    if (likely) memcpy(ndl_message_candidates(answer), h->candidates, likely);
    if (scored) memcpy(ndl_message_scores(answer), h->scores, scored);
    *len = sizeof *answer + answer->n_seqs * sizeof(ndl_wire_token) + likely +
           scored;
    return NDL_OK;
}
