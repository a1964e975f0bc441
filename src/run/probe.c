/*
 * probe.c - ndl_probe_layers: which rank measures what, when, for how long.
 *
 * A probe is a list of rounds, most telling first.  Before each, rank 0 hears
 * from all how long one run of it will take them and says how long the round
 * is, or that time is short and it is left out.  Durations, not points in
 * time: clocks of ranks are not compared.  In a round for all, everybody works
 * until its end, so that the slowest is not alone when the others are through,
 * and what is measured near both edges, where some may not yet or no longer be
 * at work, does not count.
 */
#include "noodle/probe.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"
#include "noodle/doubles.h"
#include "noodle/hardware.h"
#include "probe_rig.h"

enum {
    ALL_AT_ONCE = -1, /* a round's turn: everybody */
    MAX_ROUNDS = 512,
    MAX_REPEATS = 256,
    PACE_ROUNDS = 3,
    WANT_RUNS = 4,  /* of the slowest rank in a round: 3 whole ones */
    MUST_TURNS = 8, /* ranks of a node that measure alone in any case */
    SHALLOW = 16,   /* keys of a decode step that attends to little */
    DEEP = 512,
    MEMORY_SHARE = 4 /* a quarter of what is free */
};

static const double default_max_sec = 1.5;
/* Of what counts: far above timer slack, and time for a small layer to be
 * found undisturbed once. */
static const double least_round_sec = 8e-3;

/* Of the limit of time: a run that takes more is not done twice for nothing. */
static const double long_run_share = 0.1;

/* Who hosts, by rank. */
typedef struct member {
    int32_t node, hosts, slow;
} member;

typedef struct round {
    ndl_sample what;
    int turn;  /* ALL_AT_ONCE, or which rank of each node is alone */
    bool must; /* also when time is short */
} round;

/* What rank 0 says before a round. */
typedef struct order {
    int32_t go, reserved;
    double counted_sec, edge_sec;
} order;

typedef struct probe {
    ndl_comm *comm;
    const ndl_probe_setup *setup;
    ndl_probe_rig rig; /* only if this rank hosts */
    double begin_sec, max_sec;
    int turn; /* of this rank; -1: no other hosts on its node, or it does not */
    int n_turns;
    bool any_slow;     /* an emulated rank */
    int n_together;    /* hosting ranks of this node */
    double *estimates; /* (size) on rank 0 */
    int n_rounds;
    round rounds[MAX_ROUNDS];
    int n_samples;
    ndl_sample samples[NDL_PROFILE_SAMPLES];
} probe;

/* ---- who ---- */

/* An unknown node is a node of one's own. */
static bool same_node(const member *all, int a, int b)
{
    return a == b || (all[a].node >= 0 && all[a].node == all[b].node);
}

static void take_turns(probe *p, const member *all)
{
    const int me = p->comm->rank;
    p->turn = -1;
    for (int a = 0; a < p->comm->size; a++)
        p->any_slow = p->any_slow || (all[a].hosts && all[a].slow);
    for (int a = 0; a < p->comm->size; a++) {
        int hosts = 0, before = 0;
        if (!all[a].hosts) continue;
        for (int b = 0; b < p->comm->size; b++) {
            if (!all[b].hosts || !same_node(all, a, b)) continue;
            hosts++;
            before += b < a;
        }
        if (hosts > 1 && before + 1 > p->n_turns) p->n_turns = before + 1;
        if (a == me) p->n_together = hosts;
        if (a == me && hosts > 1) p->turn = before;
    }
}

/* Collective. */
static ndl_status meet(probe *p)
{
    const size_t size = (size_t)p->comm->size;
    const member mine = { p->comm->node, p->setup->n_threads > 0,
                          p->setup->speed < 1.0 };
    member *all = calloc(size, sizeof *all);
    ndl_status st = NDL_OK;
    p->estimates = calloc(size, sizeof *p->estimates);
    if (!all || !p->estimates) st = NDL_FAIL(NDL_EOS, "probe: out of memory");
    NDL_TRY_GOTO(done, st, ndl_comm_agree(p->comm, st));
    NDL_TRY_GOTO(done, st, ndl_comm_gather(p->comm, &mine, sizeof mine, all));
    NDL_TRY_GOTO(done, st, ndl_comm_bcast(p->comm, all, size * sizeof *all));
    take_turns(p, all);
done:
    free(all);
    return st;
}

/* ---- what ---- */

static bool is_same(const ndl_sample *a, const ndl_sample *b)
{
    return a->kind == b->kind && a->rows == b->rows &&
           a->sequences == b->sequences && a->context == b->context &&
           a->crowded == b->crowded;
}

/* A round for all, or one a turn; not twice. */
static void add(probe *p, ndl_sample what, bool must)
{
    const int n = what.crowded ? 1 : p->n_turns;
    if (what.rows < 1) return;
    for (int i = 0; i < p->n_rounds; i++)
        if (is_same(&p->rounds[i].what, &what)) return;
    for (int i = 0; i < n && p->n_rounds < MAX_ROUNDS; i++)
        p->rounds[p->n_rounds++] =
            (round){ .what = what,
                     .turn = what.crowded ? ALL_AT_ONCE : i,
                     .must = must && i < MUST_TURNS };
}

static ndl_sample layer(ndl_layer_kind kind, int rows, int crowded)
{
    return (ndl_sample){
        .kind = kind, .rows = rows, .sequences = 1, .crowded = crowded
    };
}

static ndl_sample prompt(int rows, int context, int crowded)
{
    ndl_sample s = layer(NDL_LAYER_BLOCK, rows, crowded);
    s.context = context;
    return s;
}

/* Of several short prompts. */
static ndl_sample prompts(int sequences, int rows, int crowded)
{
    ndl_sample s = prompt(sequences * rows, 0, crowded);
    s.sequences = sequences;
    return s;
}

static ndl_sample decode(int sequences, int context, int crowded)
{
    ndl_sample s = prompt(sequences, context, crowded);
    s.sequences = sequences;
    return s;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* What must be measured, however short the time: without the first a curve
 * would end far from where it is asked, without two contexts keys would be
 * free.  All ranks make the same list: nothing here may depend on how large a
 * rank could make its rig. */
static void list_rounds(probe *p)
{
    const ndl_probe_setup *s = p->setup;
    const int context = least(s->context, NDL_PROBE_CONTEXT);
    const int slots = least(s->n_slots, NDL_PROBE_SEQUENCES);
    const int chunk =
        least(least(s->chunk_rows, NDL_PROBE_ROWS), context > 0 ? context : 1);
    const int shallow = least(SHALLOW, context / 4);
    const int deep = least(DEEP, context / 2);
    const int below = least(DEEP, context - chunk);
    const int sharing = ndl_probe_rig_prompts(s);

    add(p, decode(1, shallow, 1), true);
    add(p, layer(NDL_LAYER_EMBED, 1, 1), true);
    add(p, layer(NDL_LAYER_HEAD, 1, 1), true);
    add(p, prompt(least(8, chunk), 0, 1), true);
    add(p, prompt(least(32, chunk), 0, 1), true);
    add(p, prompt(chunk, 0, 1), true);
    if (sharing > 1) add(p, prompts(sharing, context, 1), true);
    add(p, decode(1, shallow, 0), true);
    add(p, layer(NDL_LAYER_HEAD, 1, 0), true);
    add(p, decode(slots, shallow, 1), true);
    add(p, decode(slots, deep, 1), true);
    add(p, layer(NDL_LAYER_HEAD, NDL_LOGITS_ROWS, 1), false);
    add(p, layer(NDL_LAYER_EMBED, chunk, 1), false);
    add(p, prompt(chunk, below, 1), false);
    for (int n = 2; n < slots; n *= 2) add(p, decode(n, shallow, 1), false);
    add(p, layer(NDL_LAYER_HEAD, 4, 1), false);
    add(p, prompt(chunk, 0, 0), false);
    add(p, decode(1, deep, 1), false);
    for (int n = 2; n < slots; n *= 2) add(p, decode(n, deep, 1), false);
    add(p, prompt(least(32, chunk), below, 1), false);
    add(p, prompt(least(8, chunk), below, 1), false);
}

/* ---- how long ---- */

static bool works_in(const probe *p, const round *r)
{
    if (p->setup->n_threads == 0) return false;
    if (r->what.sequences > p->rig.limits.n_slots) return false;
    return r->turn == ALL_AT_ONCE || r->turn == p->turn;
}

/* Of one run: from the largest measurement of the kind that is no larger.  A
 * quarter in proportion, since rows share the reading of weights: rather too
 * little, which only makes for fewer runs.  0: no idea, the round will have
 * its least duration. */
static double estimate_sec(const probe *p, const ndl_sample *what)
{
    const ndl_sample *from = NULL;
    for (int i = 0; i < p->n_samples; i++) {
        const ndl_sample *s = &p->samples[i];
        if (s->kind == what->kind && s->rows <= what->rows &&
            (!from || s->rows >= from->rows))
            from = s;
    }
    if (!from) return 0.0;
    const double more = 0.25 * what->rows / from->rows;
    return from->sec * ndl_probe_rig_scale(&p->rig, what) *
           (more > 1.0 ? more : 1.0);
}

/* Rank 0, which knows the slowest. */
static order decide(const probe *p, const round *r)
{
    const double left = p->max_sec - (ndl_clock_sec() - p->begin_sec);
    double slowest = 0.0;
    for (int i = 0; i < p->comm->size; i++)
        if (p->estimates[i] > slowest) slowest = p->estimates[i];
    /* Ranks that sleep in a collective notice its end late, by an eighth of
     * the time that they slept, and at most 5 ms. */
    const double late = slowest / 8.0 < 5e-3 ? slowest / 8.0 : 5e-3;
    order o = { .go = 1, .edge_sec = 0.5e-3 + late };
    double sec = WANT_RUNS * slowest;
    if (sec > left / 2.0) sec = left / 2.0;
    if (sec < least_round_sec) sec = least_round_sec;
    o.counted_sec = sec;
    if (!r->must && sec + 2.0 * (slowest + o.edge_sec) > left) o.go = 0;
    return o;
}

static void keep(probe *p, ndl_sample what, double *sec, int n)
{
    if (p->n_samples == NDL_PROFILE_SAMPLES) return;
    ndl_doubles_sort(sec, (size_t)n);
    what.repeats = n;
    what.sec = sec[0];
    what.median_sec = ndl_doubles_median(sec, (size_t)n);
    p->samples[p->n_samples++] = what;
}

/* Work for as long as the round takes.  A run counts if it lies between the
 * edges; if none does, the fastest has to do.  The first may find memory that
 * nobody has touched: unless it takes very long, another follows. */
static void work(probe *p, const round *r, const order *o)
{
    const double begin = ndl_clock_sec();
    const double end = begin + o->counted_sec + 2.0 * o->edge_sec;
    double sec[MAX_REPEATS], fastest = 0.0, now = begin, before = begin;
    int n = 0, n_runs = 0;
    do {
        before = now;
        const double one = ndl_probe_rig_run(&p->rig, &r->what);
        now = ndl_clock_sec();
        if (n_runs++ == 0 || one < fastest) fastest = one;
        if (before >= begin + o->edge_sec && now <= end - o->edge_sec &&
            n < MAX_REPEATS)
            sec[n++] = one;
    } while (now < end ||
             (n_runs == 1 && now - before < long_run_share * p->max_sec));
    if (n == 0) sec[n++] = fastest;
    keep(p, r->what, sec, n);
}

/* Collective.  What a slow rank waits in proportion to is the time of a rank
 * that nobody disturbs: one after the other, and several times, since a busy
 * machine is slow for a tenth of a second at a time. */
static ndl_status find_paces(probe *p, const round *r)
{
    const int n_turns = p->n_turns > 0 ? p->n_turns : 1;
    const int mine = p->turn < 0 ? 0 : p->turn;
    for (int i = 0; p->any_slow && i < PACE_ROUNDS * n_turns; i++) {
        if (works_in(p, r) && i % n_turns == mine)
            ndl_probe_rig_pace(&p->rig, &r->what);
        NDL_TRY(ndl_comm_agree(p->comm, NDL_OK));
    }
    return NDL_OK;
}

/* Collective. */
static ndl_status run_round(probe *p, const round *r)
{
    const bool works = works_in(p, r);
    const double mine = works ? estimate_sec(p, &r->what) : 0.0;
    order o = { 0 };
    NDL_TRY(ndl_comm_gather(p->comm, &mine, sizeof mine, p->estimates));
    if (p->comm->rank == 0) o = decide(p, r);
    NDL_TRY(ndl_comm_bcast(p->comm, &o, sizeof o));
    if (o.go) NDL_TRY(find_paces(p, r));
    if (o.go && works) work(p, r, &o);
    return NDL_OK;
}

/* Who has no neighbour is always alone: what it measured says both. */
static void copy_crowded(probe *p)
{
    const int n = p->n_samples;
    for (int i = 0; p->n_together == 1 && i < n; i++) {
        ndl_sample s = p->samples[i];
        if (s.rows != 1 || s.context > SHALLOW) continue;
        if (s.kind == NDL_LAYER_EMBED || p->n_samples == NDL_PROFILE_SAMPLES)
            continue;
        s.crowded = 0;
        p->samples[p->n_samples++] = s;
    }
}

static ndl_status open_rig(probe *p)
{
    ndl_hardware h;
    if (p->setup->n_threads == 0) return NDL_OK;
    NDL_TRY(ndl_hardware_read(&h));
    const uint64_t share =
        h.free_bytes / MEMORY_SHARE / (uint64_t)p->n_together;
    return ndl_probe_rig_open(&p->rig, p->setup, share);
}

static void tell(const probe *p, ndl_profile_rank *out)
{
    const ndl_probe_setup *s = p->setup;
    out->n_threads = s->n_threads;
    out->speed = s->speed;
    out->load = s->n_threads > 0 ? p->rig.load : s->load;
    out->map_bytes_per_sec = p->rig.facts.map_bytes_per_sec;
    out->copy_bytes_per_sec = p->rig.facts.copy_bytes_per_sec;
    out->n_samples = p->n_samples;
    memset(out->samples, 0, sizeof out->samples);
    memcpy(out->samples, p->samples, (size_t)p->n_samples * sizeof *p->samples);
}

ndl_status ndl_probe_layers(ndl_comm *comm, const ndl_probe_setup *setup,
                            ndl_profile_rank *out)
{
    ndl_status st = NDL_OK;
    probe *p = calloc(1, sizeof *p);
    if (!p) st = NDL_FAIL(NDL_EOS, "probe: out of memory");
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    p->comm = comm;
    p->setup = setup;
    p->begin_sec = ndl_clock_sec();
    p->max_sec = setup->max_sec > 0.0 ? setup->max_sec : default_max_sec;
    NDL_TRY_GOTO(done, st, meet(p));
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, open_rig(p)));
    list_rounds(p);
    for (int i = 0; i < p->n_rounds; i++)
        NDL_TRY_GOTO(done, st, run_round(p, &p->rounds[i]));
    copy_crowded(p);
    tell(p, out);
done:
    if (p) {
        ndl_probe_rig_close(&p->rig);
        free(p->estimates);
        free(p);
    }
    return st;
}
