/*
 * plan_split.c - split a chain of layers over ranks in order.
 *
 * Items are the blocks and, last, the head.  For a bound T on the parameters
 * of a stage the greedy choice (each rank takes as many items as T and its
 * memory allow) reaches at least as far as any other, because what fits a
 * rank also fits it with items left out.  So T is feasible if greedy gets to
 * the end, feasibility is monotone in T, and bisection over the integers finds
 * the least T exactly.
 */
#include "noodle/plan_split.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A stage being tried: items first .. first + n - 1; item n_blocks is the head.
 */
typedef struct piece {
    int rank_index, first, n;
} piece;

static int n_items(const ndl_plan_costs *c)
{
    return c->n_blocks + 1;
}

static bool has_head(const ndl_plan_costs *c, const piece *p)
{
    return p->first + p->n == n_items(c);
}

/* Both ends of the model: a tied matrix is there once. */
static bool has_both_ends(const ndl_plan_costs *c, const piece *p)
{
    return p->first == 0 && has_head(c, p);
}

static int n_blocks_of(const ndl_plan_costs *c, const piece *p)
{
    return p->n - (has_head(c, p) ? 1 : 0);
}

/* Parameters that a token passes through in this piece: its work. */
static int64_t work_of(const ndl_plan_costs *c, const piece *p)
{
    return n_blocks_of(c, p) * c->block_params +
           (has_head(c, p) ? c->head_params : 0);
}

static uint64_t weights_of(const ndl_plan_costs *c, const piece *p)
{
    return (uint64_t)n_blocks_of(c, p) * c->block_bytes +
           (p->first == 0 ? c->embed_bytes : 0) +
           (has_head(c, p) ? c->head_bytes : 0) -
           (has_both_ends(c, p) ? c->shared_bytes : 0);
}

static uint64_t buffers_of(const ndl_plan_costs *c, const piece *p)
{
    return c->buffer_bytes + (has_head(c, p) ? c->logits_bytes : 0);
}

static uint64_t memory_of(const ndl_plan_costs *c, const piece *p)
{
    return weights_of(c, p) + (uint64_t)n_blocks_of(c, p) * c->kv_bytes +
           buffers_of(c, p);
}

/* Greedy under the bound; returns the number of pieces, or 0 if the end is not
 * reached.  A rank that cannot take even one item is left out. */
static int reach(const ndl_plan_costs *c, const ndl_plan_rank *ranks, int n,
                 int64_t bound, piece *out)
{
    int at = 0, used = 0;
    for (int r = 0; r < n && at < n_items(c); r++) {
        piece p = { r, at, 0 };
        while (at + p.n < n_items(c)) {
            const piece more = { r, at, p.n + 1 };
            if (work_of(c, &more) > bound) break;
            if (memory_of(c, &more) > ranks[r].free_bytes) break;
            p = more;
        }
        if (p.n == 0) continue;
        at += p.n;
        out[used++] = p;
    }
    return at == n_items(c) ? used : 0;
}

/* What cannot be divided further: the first block with the embedding, a block,
 * or the head. */
static uint64_t largest_part(const ndl_plan_costs *c)
{
    const piece first = { 0, 0, 1 }, head = { 0, c->n_blocks, 1 };
    const uint64_t a = memory_of(c, &first), b = memory_of(c, &head);
    return a > b ? a : b;
}

static ndl_status does_not_fit(const ndl_plan_costs *c,
                               const ndl_plan_rank *ranks, int n)
{
    const piece all = { 0, 0, n_items(c) };
    const int stages = n < n_items(c) ? n : n_items(c);
    const uint64_t need =
        memory_of(c, &all) + (uint64_t)(stages - 1) * c->buffer_bytes;
    uint64_t have = 0, most = 0;
    char text[5][32];
    for (int r = 0; r < n; r++) {
        have += ranks[r].free_bytes;
        if (ranks[r].free_bytes > most) most = ranks[r].free_bytes;
    }
    return NDL_FAIL(
        NDL_EUNAVAIL,
        "the model does not fit: it needs %s (of that %s for the KV cache), "
        "at least %s in one place, and %d rank%s %s free, at most %s each: use "
        "more nodes, or less context (-c) or fewer sequences at once "
        "(--parallel, --kv-size)",
        ndl_plan_bytes_text(need, text[0], sizeof text[0]),
        ndl_plan_bytes_text((uint64_t)c->n_blocks * c->kv_bytes, text[1],
                            sizeof text[1]),
        ndl_plan_bytes_text(largest_part(c), text[2], sizeof text[2]), n,
        n == 1 ? " has" : "s have",
        ndl_plan_bytes_text(have, text[3], sizeof text[3]),
        ndl_plan_bytes_text(most, text[4], sizeof text[4]));
}

static void say_why(const ndl_plan_costs *c, const piece *p, int64_t largest,
                    ndl_plan_stage *s)
{
    const int64_t all = c->n_blocks * c->block_params + c->head_params;
    const int64_t work = work_of(c, p);
    const double share = all > 0 ? 100.0 * (double)work / (double)all : 0.0;
    snprintf(s->why, sizeof s->why, "%.1f %% of the work%s%s%s", share,
             s->embed ? ", embedding" : "", s->head ? ", head" : "",
             work == largest ? ", bottleneck" : "");
}

static ndl_status build(ndl_plan *out, const ndl_plan_costs *c,
                        const ndl_plan_rank *ranks, int n_ranks,
                        const piece *pieces, int n)
{
    ndl_plan_stage *stages = calloc((size_t)n, sizeof *stages);
    int64_t largest = 0;
    if (!stages) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int i = 0; i < n; i++)
        if (work_of(c, &pieces[i]) > largest) largest = work_of(c, &pieces[i]);
    for (int i = 0; i < n; i++) {
        const piece *p = &pieces[i];
        const ndl_plan_rank *r = &ranks[p->rank_index];
        ndl_plan_stage *s = &stages[i];
        s->rank = r->rank;
        s->first_layer = p->first;
        s->n_layers = n_blocks_of(c, p);
        s->embed = i == 0;
        s->head = has_head(c, p);
        s->n_threads = r->n_threads;
        ndl_plan_stage_needs(s, c);
        s->free_bytes = r->free_bytes;
        memcpy(s->host, r->host, sizeof s->host);
        say_why(c, p, largest, s);
    }
    *out = (ndl_plan){
        .n_stages = n, .n_idle = n_ranks - n, .stages = stages, .bottleneck = -1
    };
    return NDL_OK;
}

/* How the plan came about. */
static void name(ndl_plan *p, const char *strategy, const char *source)
{
    snprintf(p->strategy, sizeof p->strategy, "%s", strategy);
    snprintf(p->source, sizeof p->source, "%s", source);
}

ndl_status ndl_plan_equal(ndl_plan *out, const ndl_plan_costs *c,
                          const ndl_plan_rank *ranks, int n_ranks)
{
    piece *pieces = calloc((size_t)n_items(c), sizeof *pieces);
    if (!pieces) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    const piece all = { 0, 0, n_items(c) };
    int64_t low = 0, high = work_of(c, &all); /* low: not feasible */
    ndl_status st = NDL_OK;

    if (reach(c, ranks, n_ranks, high, pieces) == 0) {
        st = does_not_fit(c, ranks, n_ranks);
        goto done;
    }
    while (high - low > 1) {
        const int64_t mid = low + (high - low) / 2;
        if (reach(c, ranks, n_ranks, mid, pieces) > 0)
            high = mid;
        else
            low = mid;
    }
    const int n = reach(c, ranks, n_ranks, high, pieces);
    NDL_TRY_GOTO(done, st, build(out, c, ranks, n_ranks, pieces, n));
    name(out, "parameters", "parameters");
done:
    free(pieces);
    return st;
}

/* One number of the list; -1 if there is none. */
static int parse_count(const char **at)
{
    if (!isdigit((unsigned char)**at)) return -1;
    char *end;
    const long v = strtol(*at, &end, 10);
    *at = end;
    return v > INT_MAX / 2 ? -1 : (int)v;
}

static ndl_status parse_split(const char *split, const ndl_plan_costs *c,
                              int n_ranks, piece *pieces, int *n_out)
{
    const char *at = split;
    int n = 0, sum = 0;
    for (;;) {
        const int count = parse_count(&at);
        const bool last = *at == '\0';
        if (count < 0 || (!last && *at != ','))
            return NDL_FAIL(NDL_EUSAGE,
                            "--split %s: not a list of block counts: write it "
                            "like 3,2,3",
                            split);
        if (count == 0 && !(last && n > 0))
            return NDL_FAIL(NDL_EUSAGE,
                            "--split %s: a stage of 0 blocks: only the last "
                            "one may be 0, for the head alone",
                            split);
        if (n == n_ranks)
            return NDL_FAIL(NDL_EUSAGE,
                            "--split %s: more stages than the %d rank%s that "
                            "can host one: start more ranks (mpirun -np)",
                            split, n_ranks, n_ranks == 1 ? "" : "s");
        if (count > c->n_blocks - sum)
            return NDL_FAIL(NDL_EUSAGE,
                            "--split %s: more than the model's %d blocks",
                            split, c->n_blocks);
        pieces[n] = (piece){ n, sum, count };
        n++;
        sum += count;
        if (last) break;
        at++;
    }
    if (sum != c->n_blocks)
        return NDL_FAIL(NDL_EUSAGE,
                        "--split %s: adds up to %d blocks, the model has %d",
                        split, sum, c->n_blocks);
    pieces[n - 1].n++; /* the head */
    *n_out = n;
    return NDL_OK;
}

static ndl_status check_memory(const ndl_plan_costs *c,
                               const ndl_plan_rank *ranks, const piece *pieces,
                               int n)
{
    char need[32], have[32];
    for (int i = 0; i < n; i++) {
        const ndl_plan_rank *r = &ranks[pieces[i].rank_index];
        if (memory_of(c, &pieces[i]) <= r->free_bytes) continue;
        return NDL_FAIL(
            NDL_EUNAVAIL,
            "stage %d does not fit: it needs %s and rank %d on %s has %s "
            "free: give it fewer blocks, or use less context (-c)",
            i + 1,
            ndl_plan_bytes_text(memory_of(c, &pieces[i]), need, sizeof need),
            r->rank, r->host,
            ndl_plan_bytes_text(r->free_bytes, have, sizeof have));
    }
    return NDL_OK;
}

ndl_status ndl_plan_split(ndl_plan *out, const char *split,
                          const ndl_plan_costs *c, const ndl_plan_rank *ranks,
                          int n_ranks)
{
    piece *pieces = calloc((size_t)n_ranks + 1, sizeof *pieces);
    if (!pieces) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    int n = 0;
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, parse_split(split, c, n_ranks, pieces, &n));
    NDL_TRY_GOTO(done, st, check_memory(c, ranks, pieces, n));
    NDL_TRY_GOTO(done, st, build(out, c, ranks, n_ranks, pieces, n));
    name(out, "split", "user");
done:
    free(pieces);
    return st;
}
