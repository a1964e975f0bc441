/*
 * strategy_solve.c - the five strategies as questions to the exact solver.
 *
 * How many sequences a decode step serves, b = ceil(sequences / stages),
 * depends on how many stages there are.  So stage counts with the same b form
 * a class, times are constants within a class, every class is solved under the
 * condition that the count lies in it, and the best of all is taken: exact.
 * A class is first solved without that condition, which is quick, gives a
 * bound by which most classes are left, and often meets the condition anyway.
 *
 *   throughput        least period with links, then least sum with links
 *   balanced          most stages; least period of stages; least squares (with
 *                     a free order: over the nodes in the order that the
 *                     period's solution has)
 *   bottleneck-first  the layer whose least time over the kinds of nodes is
 *                     greatest (any of those, if several are equally slow) on
 *                     a kind than which as few as possible are faster for it;
 *                     then least period of stages, least sum
 *   memory-aware      least share; least period of stages, least sum
 *   latency           sum + (chunks - 1) * period of one request alone
 */
#include "strategy_solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"

/* Equal blocks at other places of the chain differ in the last bits of their
 * prefix sums; a second objective is not to be bound by that. */
static const double rounding = 1e-12;

typedef enum objective { PERIOD, SUM, MIXED } objective;

typedef struct question {
    ndl_terms_view view;
    objective what;
    double bound;  /* SUM: of the period */
    double weight; /* MIXED: of the period */
    int min_stages, max_stages;
    int level; /* kinds faster for the slowest layer than its own; -1: any */
    double until_sec; /* of the clock */
} question;

typedef struct answer {
    bool found;
    ndl_partition partition;
    double value, bound;
} answer;

void ndl_solution_fini(ndl_solution *s)
{
    free(s->stages);
    *s = (ndl_solution){ 0 };
}

/* ---- one call of the solver ---- */

static double value_of(const question *q, const ndl_partition *p)
{
    switch (q->what) {
    case SUM: return p->sum;
    case MIXED: return p->sum + q->weight * p->period;
    case PERIOD: break;
    }
    return p->period;
}

static ndl_status ask(ndl_partition *out, const question *q,
                      const ndl_partition_problem *p)
{
    const double left = q->until_sec - ndl_clock_sec();
    const double sec = left > 0.01 ? left : 0.01; /* 0 would mean: no limit */
    switch (q->what) {
    case SUM: return ndl_partition_sum(out, p, q->bound, sec);
    case MIXED: return ndl_partition_mixed(out, p, q->weight, sec);
    case PERIOD: break;
    }
    return ndl_partition_period(out, p, sec);
}

/* Take over `p` if it is better than what there is; else free it. */
static void offer(answer *best, const question *q, ndl_partition *p)
{
    const double value = value_of(q, p);
    if (!best->found || value < best->value) {
        ndl_partition_fini(&best->partition);
        best->partition = *p;
        best->value = value;
        best->found = true;
        *p = (ndl_partition){ 0 };
    } else {
        ndl_partition_fini(p);
    }
}

/* ---- the slowest layer ---- */

static int n_faster(const ndl_terms *t, int kind, int item)
{
    const size_t n = (size_t)t->n_items;
    const double own = t->busy[(size_t)kind * n + (size_t)item];
    int faster = 0;
    for (int k = 0; k < t->n_kinds; k++)
        faster += t->busy[(size_t)k * n + (size_t)item] < own;
    return faster;
}

static double least_time(const ndl_terms *t, int item)
{
    double least = INFINITY;
    for (int k = 0; k < t->n_kinds; k++) {
        const size_t at = (size_t)k * (size_t)t->n_items + (size_t)item;
        if (t->busy[at] < least) least = t->busy[at];
    }
    return least;
}

static bool is_slowest(const ndl_terms *t, int item)
{
    /* Blocks are alike, so three items stand for all. */
    const int items[] = { 0, 1, t->n_items - 1 };
    const double own = least_time(t, item);
    for (int i = 0; i < 3; i++)
        if (least_time(t, items[i]) > own) return false;
    return true;
}

/* Does one of the slowest layers have what the level asks for? */
static bool has_level(const ndl_terms *t, const ndl_partition *p, int level)
{
    if (level < 0) return true;
    for (int s = 0; s < p->n_stages; s++) {
        const ndl_partition_stage *stage = &p->stages[s];
        for (int i = stage->first; i < stage->first + stage->n; i++)
            if (is_slowest(t, i) && n_faster(t, stage->type, i) == level)
                return true;
    }
    return false;
}

/* ---- one class of stage counts ---- */

/* Every way to put one of the slowest layers on a kind of the level, until one
 * is as good as without that condition. */
static ndl_status ask_pinned(answer *best, const question *q,
                             const ndl_partition_problem *p, ndl_terms *t,
                             double enough)
{
    bool out_of_time = false;
    for (int i = 0; i < t->n_items; i++) {
        if (!is_slowest(t, i)) continue;
        const int user = t->pin[i];
        for (int k = 0; k < t->n_kinds && !out_of_time; k++) {
            if ((user >= 0 && user != k) || n_faster(t, k, i) != q->level)
                continue;
            ndl_partition found = { 0 };
            t->pin[i] = k; /* `p` borrows it */
            const ndl_status st = ask(&found, q, p);
            t->pin[i] = user;
            if (st == NDL_EUNAVAIL) continue;
            NDL_TRY(st);
            if (found.bound < best->bound) best->bound = found.bound;
            offer(best, q, &found);
            if (best->value <= enough) return NDL_OK;
            out_of_time = ndl_clock_sec() > q->until_sec;
        }
    }
    if (out_of_time && enough < best->bound) best->bound = enough;
    return NDL_OK;
}

/* The class's own answer, from the limited problem. */
static ndl_status ask_limited(answer *best, const question *q, ndl_terms *t,
                              const ndl_partition_problem *p)
{
    ndl_partition found = { 0 };
    const ndl_status st = ask(&found, q, p);
    if (st != NDL_OK) return st == NDL_EUNAVAIL ? NDL_OK : st;
    if (has_level(t, &found, q->level)) {
        if (found.bound < best->bound) best->bound = found.bound;
        offer(best, q, &found);
        return NDL_OK;
    }
    const double bound = found.bound;
    ndl_partition_fini(&found);
    return ask_pinned(best, q, p, t, bound);
}

/* The best of the class from .. to, where the times of the terms hold. */
static ndl_status ask_class(answer *best, const question *q, ndl_terms *t,
                            int from, int to)
{
    ndl_partition_problem p = ndl_terms_problem(t, q->view);
    const bool all = from == 1 && (to == t->n_nodes || to == t->n_items);
    if (!all && q->min_stages < q->max_stages) {
        ndl_partition found = { 0 };
        question quick = *q;
        quick.until_sec -= (q->until_sec - ndl_clock_sec()) / 2.0;
        const ndl_status st = ask(&found, &quick, &p);
        if (st != NDL_OK) return st == NDL_EUNAVAIL ? NDL_OK : st;
        const bool beaten = best->found && found.bound >= best->value;
        const bool fits = found.n_stages >= from && found.n_stages <= to &&
                          has_level(t, &found, q->level);
        if (!beaten && fits) {
            if (found.bound < best->bound) best->bound = found.bound;
            offer(best, q, &found);
        }
        ndl_partition_fini(&found);
        if (beaten || fits) return NDL_OK;
    }
    if (from > 1) p.min_stages = from;
    if (to < t->n_nodes && to < t->n_items) p.max_stages = to;
    return ask_limited(best, q, t, &p);
}

/* Least stage count with the same batch as `to`. */
static int class_begin(const ndl_workload *w, int to, int min_stages)
{
    const int begin = ndl_terms_batch_of(w, ndl_terms_batch_of(w, to));
    return begin > min_stages ? begin : min_stages;
}

static int n_classes(const question *q, const ndl_workload *w)
{
    int n = 0;
    for (int at = q->max_stages; at >= q->min_stages; n++)
        at = class_begin(w, at, q->min_stages) - 1;
    return n;
}

/* The best over all classes; NDL_EUNAVAIL if there is none.  From many stages
 * to few: the better the first answers, the more of the others are left. */
static ndl_status ask_all(answer *out, const question *q, ndl_terms *t)
{
    const ndl_workload *w = t->task->work;
    const bool by_batch =
        (q->view != NDL_TERMS_ALONE && q->view != NDL_TERMS_MEMORY) ||
        t->task->setup->stage_sec > 0.0;
    answer best = { .bound = INFINITY };
    question part = *q;
    ndl_status st = NDL_OK;
    int left = by_batch ? n_classes(q, w) : 1;
    for (int to = q->max_stages, from; to >= q->min_stages; to = from - 1) {
        const double now = ndl_clock_sec();
        part.until_sec = now + (q->until_sec - now) / left--;
        from = by_batch ? class_begin(w, to, q->min_stages) : q->min_stages;
        if (by_batch) ndl_terms_set_batch(t, ndl_terms_batch_of(w, to));
        NDL_TRY_GOTO(failed, st, ask_class(&best, &part, t, from, to));
        if (best.found && best.value <= 0.0) break; /* nothing is less */
    }
    if (!best.found) return NDL_EUNAVAIL;
    *out = best;
    return NDL_OK;
failed:
    ndl_partition_fini(&best.partition);
    return st;
}

/* ---- strategies ---- */

static question question_of(const ndl_terms *t, ndl_terms_view view)
{
    const ndl_strategy_setup *s = t->task->setup;
    const int most = t->n_nodes < t->n_items ? t->n_nodes : t->n_items;
    return (question){
        .view = view,
        .min_stages = s->min_stages > 1 ? s->min_stages : 1,
        .max_stages =
            s->max_stages > 0 && s->max_stages < most ? s->max_stages : most,
        .level = -1,
        .until_sec = t->task->until_sec,
    };
}

static double gap_of(const answer *a)
{
    const double gap = (a->value - a->bound) / a->value;
    return a->value > 0.0 && gap > 0.0 ? gap : 0.0;
}

/* Hand the stages over. */
static void take(ndl_solution *out, answer *a, double gap)
{
    *out = (ndl_solution){ a->partition.n_stages, a->partition.stages, gap };
    a->partition.stages = NULL;
    ndl_partition_fini(&a->partition);
}

/* Least period, then least sum of those that have it. */
static ndl_status least_period_then_sum(ndl_solution *out, ndl_terms *t,
                                        question q)
{
    const double until = q.until_sec;
    answer first = { 0 }, second = { 0 };
    q.until_sec -= 0.3 * (until - ndl_clock_sec());
    NDL_TRY(ask_all(&first, &q, t));
    q.until_sec = until;
    q.what = SUM;
    q.bound = first.value * (1.0 + rounding);
    const ndl_status st = ask_all(&second, &q, t);
    if (st == NDL_OK) {
        take(out, &second, gap_of(&first));
        ndl_partition_fini(&first.partition);
        return NDL_OK;
    }
    /* Out of time: the first objective stands. */
    if (st == NDL_EUNAVAIL)
        take(out, &first, gap_of(&first));
    else
        ndl_partition_fini(&first.partition);
    return st == NDL_EUNAVAIL ? NDL_OK : st;
}

ndl_status ndl_solution_least(ndl_solution *out, ndl_terms *t,
                              ndl_terms_view view, double until_sec)
{
    question q = question_of(t, view);
    q.until_sec = until_sec;
    answer a = { 0 };
    NDL_TRY(ask_all(&a, &q, t));
    take(out, &a, gap_of(&a));
    return NDL_OK;
}

static ndl_status balanced(ndl_solution *out, ndl_terms *t)
{
    question q = question_of(t, NDL_TERMS_STAGES);
    answer a = { 0 };
    for (int n = q.max_stages; n >= q.min_stages && !a.found; n--) {
        question exact = q;
        exact.min_stages = exact.max_stages = n;
        const ndl_status st = ask_all(&a, &exact, t);
        if (st != NDL_EUNAVAIL) NDL_TRY(st);
    }
    if (!a.found) return NDL_EUNAVAIL;
    const ndl_partition_problem p = ndl_terms_problem(t, NDL_TERMS_STAGES);
    const double period = a.value * (1.0 + rounding);
    take(out, &a, gap_of(&a));
    const ndl_status st = ndl_squares_lower(out, &p, period);
    if (st != NDL_OK) ndl_solution_fini(out);
    return st;
}

static ndl_status bottleneck_first(ndl_solution *out, ndl_terms *t)
{
    question q = question_of(t, NDL_TERMS_STAGES);
    for (q.level = 0; q.level < t->n_kinds; q.level++) {
        const ndl_status st = least_period_then_sum(out, t, q);
        if (st != NDL_EUNAVAIL) return st;
    }
    return NDL_EUNAVAIL;
}

static ndl_status memory_aware(ndl_solution *out, ndl_terms *t)
{
    NDL_TRY(ndl_share_lower(t));
    return least_period_then_sum(out, t, question_of(t, NDL_TERMS_STAGES));
}

static ndl_status latency(ndl_solution *out, ndl_terms *t)
{
    question q = question_of(t, NDL_TERMS_ALONE);
    answer a = { 0 };
    q.what = t->n_chunks > 1 ? MIXED : SUM;
    q.bound = INFINITY;
    q.weight = t->n_chunks - 1;
    NDL_TRY(ask_all(&a, &q, t));
    take(out, &a, gap_of(&a));
    return NDL_OK;
}

ndl_status ndl_solution_find(ndl_solution *out, const ndl_strategy_task *task)
{
    ndl_terms t = { 0 };
    ndl_solution s = { 0 };
    NDL_TRY(ndl_terms_init(&t, task));
    ndl_status st = NDL_ESOFTWARE;
    switch (task->setup->strategy) {
    case NDL_STRATEGY_BALANCED: st = balanced(&s, &t); break;
    case NDL_STRATEGY_BOTTLENECK: st = bottleneck_first(&s, &t); break;
    case NDL_STRATEGY_MEMORY: st = memory_aware(&s, &t); break;
    case NDL_STRATEGY_LATENCY: st = latency(&s, &t); break;
    case NDL_STRATEGY_THROUGHPUT:
        st = least_period_then_sum(&s, &t, question_of(&t, NDL_TERMS_LINKED));
        break;
    case NDL_N_STRATEGIES: break;
    }
    ndl_terms_fini(&t);
    if (st == NDL_OK) *out = s;
    return st;
}
