/*
 * advice.c - see advice.h: the notes under a plan.  Why there is no plan is in
 * advice_explain.c.
 */
#include "advice.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/clock.h"
#include "strategy_report.h"

/* More kinds than these are not tried for one more node. */
enum { MAX_TRIED = 8 };

static const double worth_telling = 0.001; /* of a gain */

char *ndl_advice_name(const ndl_node *node, char buf[NDL_NODE_NAME])
{
    size_t i = 0;
    for (; i < NDL_NODE_NAME - 1 && node->name[i]; i++) {
        const unsigned char c = (unsigned char)node->name[i];
        buf[i] = (char)(c >= 32 && c < 127 ? c : '?');
    }
    buf[i] = '\0';
    return buf;
}

double ndl_advice_figure(const ndl_plan *plan, ndl_strategy strategy)
{
    double share = 0.0;
    switch (strategy) {
    case NDL_STRATEGY_LATENCY: return plan->latency_sec;
    case NDL_STRATEGY_MEMORY: break;
    default: return plan->period_sec;
    }
    for (int i = 0; i < plan->n_stages; i++) {
        const ndl_plan_stage *s = &plan->stages[i];
        const double used =
            (double)(s->weight_bytes + s->kv_bytes + s->buffer_bytes) /
            (double)s->free_bytes;
        if (used > share) share = used;
    }
    return share;
}

static void note(ndl_plan *plan, const char *text)
{
    if (plan->n_notes == NDL_PLAN_NOTES) return;
    snprintf(plan->notes[plan->n_notes++], sizeof plan->notes[0], "%s", text);
}

/* "12.3 % more tokens/s"; false: nothing to speak of. */
static bool gain_text(const ndl_advice *a, double figure, char *buf, size_t cap)
{
    const double before = a->figure;
    if (!(figure < before * (1.0 - worth_telling))) return false;
    switch (a->task->setup->strategy) {
    case NDL_STRATEGY_LATENCY:
        snprintf(buf, cap, "%.1f %% less latency",
                 100.0 * (1.0 - figure / before));
        return true;
    case NDL_STRATEGY_MEMORY:
        snprintf(buf, cap, "the fullest node at %.1f %% instead of %.1f %%",
                 100.0 * figure, 100.0 * before);
        return true;
    default: break;
    }
    if (figure > 0.0)
        snprintf(buf, cap, "%.1f %% more tokens/s",
                 100.0 * (before / figure - 1.0));
    else
        snprintf(buf, cap, "no time at all");
    return true;
}

/* Solve a changed task.  NDL_ETEMP: no time left for it. */
static ndl_status figure_of(double *out, const ndl_strategy_task *changed,
                            int n_more)
{
    ndl_strategy_task t = *changed;
    const double now = ndl_clock_sec();
    if (now >= t.until_sec) return NDL_ETEMP;
    t.until_sec = now + (t.until_sec - now) / (1 + n_more);
    ndl_solution s = { 0 };
    ndl_plan plan = { 0 };
    NDL_TRY(ndl_solution_find(&s, &t));
    const ndl_status st = ndl_strategy_report(&plan, &t, &s);
    if (st == NDL_OK) *out = ndl_advice_figure(&plan, t.setup->strategy);
    ndl_plan_fini(&plan);
    ndl_solution_fini(&s);
    return st;
}

/* Of figure_of: "no" is an answer too. */
static bool is_answer(ndl_status st)
{
    return st == NDL_EUNAVAIL || st == NDL_ETEMP;
}

ndl_status ndl_advice_more(ndl_cluster *out, const ndl_cluster *c, int kind,
                           int count)
{
    const size_t n = (size_t)c->n, k = (size_t)kind;
    ndl_cluster more = *c;
    more.nodes = malloc(n * sizeof *more.nodes);
    more.links = malloc(n * n * sizeof *more.links);
    more.entry = malloc(n * sizeof *more.entry);
    if (!more.nodes || !more.links || !more.entry) {
        ndl_cluster_fini(&more);
        return NDL_FAIL(NDL_EOS, "plan: out of memory");
    }
    memcpy(more.nodes, c->nodes, n * sizeof *more.nodes);
    memcpy(more.links, c->links, n * n * sizeof *more.links);
    memcpy(more.entry, c->entry, n * sizeof *more.entry);
    ndl_link *own = &more.links[k * n + k];
    if (c->nodes[kind].count == 1 && own->bytes_per_sec <= 0.0) {
        const double bytes = 1 << 20; /* long enough for both terms to count */
        *own = c->entry[kind];
        for (size_t i = 0; i < n; i++)
            if (i != k && ndl_link_sec(&c->links[k * n + i], bytes) >
                              ndl_link_sec(own, bytes))
                *own = c->links[k * n + i];
    }
    more.nodes[kind].count = count;
    *out = more;
    return NDL_OK;
}

/* ---- what bounds it ---- */

/* The same if every node had room for the whole model. */
static ndl_status figure_with_room(double *out, const ndl_advice *a)
{
    ndl_cluster roomy;
    ndl_strategy_task t = *a->task;
    NDL_TRY(ndl_advice_more(&roomy, t.cluster, 0, t.cluster->nodes[0].count));
    for (int k = 0; k < roomy.n; k++)
        roomy.nodes[k].memory_bytes = UINT64_MAX / 4;
    t.cluster = &roomy;
    const ndl_status st = figure_of(out, &t, 2);
    ndl_cluster_fini(&roomy);
    return st;
}

static void stage_text(const ndl_plan *p, int i, char *buf, size_t cap)
{
    const ndl_plan_stage *s = &p->stages[i];
    ndl_node node;
    char name[NDL_NODE_NAME];
    memcpy(node.name, s->host, sizeof node.name);
    snprintf(buf, cap, "stage %d on %.40s", i + 1,
             ndl_advice_name(&node, name));
}

static ndl_status note_stage(ndl_plan *p, const ndl_advice *a)
{
    char text[200], gain[64], stage[64];
    double roomy = 0.0;
    stage_text(p, p->bottleneck, stage, sizeof stage);
    const ndl_status st = figure_with_room(&roomy, a);
    if (!is_answer(st)) NDL_TRY(st);
    if (st != NDL_OK)
        snprintf(text, sizeof text, "bound by %s", stage);
    else if (gain_text(a, roomy, gain, sizeof gain))
        snprintf(text, sizeof text,
                 "bound by %s and by memory: if every node had enough, %s",
                 stage, gain);
    else
        snprintf(text, sizeof text,
                 "bound by %s: its compute, more memory would not help", stage);
    note(p, text);
    return NDL_OK;
}

/* memory-aware: whose share it is that cannot be less. */
static void note_fullest(ndl_plan *p, const ndl_advice *a)
{
    char text[200], stage[80];
    int fullest = 0;
    double most = -1.0;
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan one = { .n_stages = 1, .stages = &p->stages[i] };
        const double share = ndl_advice_figure(&one, a->task->setup->strategy);
        if (share > most) {
            most = share;
            fullest = i;
        }
    }
    stage_text(p, fullest, stage, sizeof stage);
    snprintf(text, sizeof text, "bound by the memory of %s: %.1f %% of it full",
             stage, 100.0 * most);
    note(p, text);
}

/* The link that takes the period. */
static ndl_status note_link(ndl_plan *p, const ndl_advice *a)
{
    const ndl_solution *s = a->solution;
    ndl_terms t = { 0 };
    char text[200], from[80] = "rank 0", to[80] = "rank 0";
    NDL_TRY(ndl_terms_init(&t, a->given));
    ndl_terms_set_batch(&t, ndl_terms_batch_of(a->given->work, s->n));
    double most = t.enter[s->stages[0].type];
    int at = 0; /* the link before stage `at`; n: after the last */
    for (int i = 1; i < s->n; i++) {
        const double sec =
            t.link[(size_t)s->stages[i - 1].type * (size_t)t.n_kinds +
                   (size_t)s->stages[i].type];
        if (sec > most) {
            most = sec;
            at = i;
        }
    }
    if (t.leave[s->stages[s->n - 1].type] > most) at = s->n;
    ndl_terms_fini(&t);
    if (at > 0) stage_text(p, at - 1, from, sizeof from);
    if (at < s->n) stage_text(p, at, to, sizeof to);
    snprintf(text, sizeof text, "bound by the link from %s to %s", from, to);
    note(p, text);
    return NDL_OK;
}

static ndl_status note_bound(ndl_plan *p, const ndl_advice *a)
{
    if (a->task->setup->strategy == NDL_STRATEGY_MEMORY) {
        note_fullest(p, a);
        return NDL_OK;
    }
    if (p->bottleneck < 0) return note_link(p, a);
    return note_stage(p, a);
}

/* ---- who is left out ---- */

static const char *why_idle(const ndl_plan *p, const ndl_advice *a,
                            const ndl_node *node)
{
    const ndl_plan_costs *c = a->given->costs;
    uint64_t least = c->block_bytes + c->kv_bytes;
    if (c->embed_bytes < least) least = c->embed_bytes;
    if (c->head_bytes + c->logits_bytes < least)
        least = c->head_bytes + c->logits_bytes;
    if (least + c->buffer_bytes > node->memory_bytes)
        return "too little memory for any layer";
    if (p->n_stages == c->n_blocks + 2) return "every layer has its own stage";
    if (p->n_stages == a->task->setup->max_stages)
        return "no more stages are allowed";
    return p->gap > 0.0 ? "no better plan that uses it was found"
                        : "no plan that uses it is better";
}

static void append(char *text, size_t cap, const char *more)
{
    const size_t at = strlen(text);
    const size_t left = cap - at;
    if (strlen(more) < left) memcpy(text + at, more, strlen(more) + 1);
}

/* "left out: n3, 2 of old: REASON" for all nodes with that reason. */
static void note_idle_for(ndl_plan *p, const ndl_advice *a, const int *idle,
                          const char *reason)
{
    const ndl_cluster *c = a->given->cluster;
    enum { ROOM = 120 }; /* for names; the reason is to fit behind them */
    char text[200] = "left out: ", name[NDL_NODE_NAME], one[96];
    int skipped = 0;
    const char *sep = "";
    for (int k = 0; k < c->n; k++) {
        if (!idle[k] || strcmp(why_idle(p, a, &c->nodes[k]), reason) != 0)
            continue;
        const char *s = ndl_advice_name(&c->nodes[k], name);
        if (c->nodes[k].rank >= 0)
            snprintf(one, sizeof one, "%srank %d (%.40s)", sep,
                     c->nodes[k].rank, s);
        else
            snprintf(one, sizeof one, "%s%d of %.40s", sep, idle[k], s);
        sep = ", ";
        if (strlen(text) + strlen(one) < ROOM)
            append(text, sizeof text, one);
        else
            skipped += idle[k];
    }
    if (skipped) {
        snprintf(one, sizeof one, " and %d more", skipped);
        append(text, sizeof text, one);
    }
    append(text, sizeof text, ": ");
    append(text, sizeof text, reason);
    note(p, text);
}

static ndl_status note_idle(ndl_plan *p, const ndl_advice *a)
{
    const ndl_cluster *c = a->given->cluster;
    if (p->n_idle == 0) return NDL_OK;
    int *idle = malloc((size_t)c->n * sizeof *idle);
    const char *told[3];
    int n_told = 0;
    if (!idle) return NDL_FAIL(NDL_EOS, "plan: out of memory");
    for (int k = 0; k < c->n; k++) idle[k] = c->nodes[k].count;
    for (int i = 0; i < a->solution->n; i++)
        idle[a->solution->stages[i].type]--;
    for (int k = 0; k < c->n && n_told < 3; k++) {
        if (!idle[k]) continue;
        const char *reason = why_idle(p, a, &c->nodes[k]);
        bool known = false;
        for (int i = 0; i < n_told; i++) known |= told[i] == reason;
        if (known) continue;
        told[n_told++] = reason;
        note_idle_for(p, a, idle, reason);
    }
    free(idle);
    return NDL_OK;
}

/* ---- one more node, a smaller dtype ---- */

/* Seconds of the whole model on a kind: the fastest kinds are tried first. */
static double whole_sec(const ndl_terms *t, int kind)
{
    double sum = 0.0;
    for (int i = 0; i < t->n_items; i++)
        sum += t->busy[(size_t)kind * (size_t)t->n_items + (size_t)i];
    return sum;
}

/* One kind of each group of alike ones, the fastest first. */
static ndl_status pick_kinds(int picked[MAX_TRIED], int *n, const ndl_advice *a)
{
    const bool merged = a->task->cluster != a->given->cluster;
    const int n_kinds = a->task->cluster->n;
    ndl_terms t = { 0 };
    double sec[MAX_TRIED];
    NDL_TRY(ndl_terms_init(&t, a->task));
    *n = 0;
    for (int k = 0; k < n_kinds; k++) {
        bool first = true;
        for (int i = 0; i < k && !merged && first; i++)
            first = a->alike->kind[i] != a->alike->kind[k];
        if (!first) continue;
        const double own = whole_sec(&t, k);
        int at = *n < MAX_TRIED ? (*n)++ : MAX_TRIED;
        while (at > 0 && own < sec[at - 1]) {
            if (at < MAX_TRIED) {
                sec[at] = sec[at - 1];
                picked[at] = picked[at - 1];
            }
            at--;
        }
        if (at == MAX_TRIED) continue;
        sec[at] = own;
        picked[at] = k;
    }
    ndl_terms_fini(&t);
    return NDL_OK;
}

static ndl_status figure_with_more(double *out, const ndl_advice *a, int kind,
                                   int n_more)
{
    ndl_cluster more;
    ndl_strategy_task t = *a->task;
    NDL_TRY(ndl_advice_more(&more, t.cluster, kind,
                            t.cluster->nodes[kind].count + 1));
    t.cluster = &more;
    const ndl_status st = figure_of(out, &t, n_more);
    ndl_cluster_fini(&more);
    return st;
}

static ndl_status note_node(ndl_plan *p, const ndl_advice *a)
{
    int picked[MAX_TRIED], n = 0, best = -1;
    double least = 0.0;
    bool all = true;
    char text[200], gain[80], name[NDL_NODE_NAME];
    if (ndl_cluster_size(a->task->cluster) >= NDL_CLUSTER_NODES) return NDL_OK;
    NDL_TRY(pick_kinds(picked, &n, a));
    for (int i = 0; i < n; i++) {
        double figure = 0.0;
        const ndl_status st = figure_with_more(&figure, a, picked[i], n - i);
        if (!is_answer(st)) NDL_TRY(st);
        all &= st == NDL_OK;
        if (st != NDL_OK || (best >= 0 && figure >= least)) continue;
        best = picked[i];
        least = figure;
    }
    if (best < 0) return NDL_OK;
    if (gain_text(a, least, gain, sizeof gain))
        snprintf(text, sizeof text, "one more node like %.40s: %s",
                 ndl_advice_name(&a->task->cluster->nodes[best], name), gain);
    else if (all)
        snprintf(text, sizeof text, "one more node would not help");
    else
        return NDL_OK;
    note(p, text);
    return NDL_OK;
}

ndl_status ndl_advice_next(ndl_strategy_task *out, ndl_alike *alike,
                           const ndl_advice *a, const ndl_strategy_next *next)
{
    const double row_bytes = 4.0 * next->costs->width;
    const ndl_strategy_setup *setup = a->given->setup;
    NDL_TRY(ndl_alike_merge(alike, next->cluster, setup, row_bytes,
                            row_bytes * a->given->work->chunk_rows));
    *out = *a->given;
    out->costs = next->costs;
    out->cluster = next->cluster;
    if (ndl_alike_helps(next->cluster, setup)) {
        out->setup = &alike->setup;
        out->cluster = &alike->cluster;
    }
    return NDL_OK;
}

static ndl_status note_dtype(ndl_plan *p, const ndl_advice *a)
{
    char text[200], gain[80];
    double figure = 0.0;
    ndl_strategy_task t;
    ndl_alike alike = { 0 };
    if (!a->next) return NDL_OK;
    NDL_TRY(ndl_advice_next(&t, &alike, a, a->next));
    const ndl_status st = figure_of(&figure, &t, 1);
    ndl_alike_fini(&alike);
    if (is_answer(st)) return NDL_OK;
    NDL_TRY(st);
    if (gain_text(a, figure, gain, sizeof gain))
        snprintf(text, sizeof text, "weights in %.16s: %s", a->next->dtype,
                 gain);
    else
        snprintf(text, sizeof text, "weights in %.16s would not help",
                 a->next->dtype);
    note(p, text);
    return NDL_OK;
}

/* ---- what else there is to know ---- */

static void note_few_sequences(ndl_plan *p)
{
    char text[200];
    const int n = p->workload.sequences;
    if (n >= p->n_stages || p->workload.new_tokens == 0) return;
    snprintf(text, sizeof text,
             "%d sequence%s at a time keep%s at most %d of the %d stages "
             "decoding: more of them (--parallel) fill the pipeline",
             n, n == 1 ? "" : "s", n == 1 ? "s" : "", n, p->n_stages);
    note(p, text);
}

static void note_merged(ndl_plan *p, const ndl_advice *a)
{
    char text[200];
    const int n = a->task->cluster->n;
    if (n == a->given->cluster->n) return;
    snprintf(text, sizeof text,
             "%d ranks were planned as %d kind%s: those that measured the "
             "same (times within 3 %%, memory within 5 %%)",
             a->given->cluster->n, n, n == 1 ? "" : "s");
    note(p, text);
}

ndl_status ndl_advice_give(ndl_plan *plan, const ndl_advice *a)
{
    NDL_TRY(note_bound(plan, a));
    NDL_TRY(note_idle(plan, a));
    NDL_TRY(note_dtype(plan, a));
    NDL_TRY(note_node(plan, a));
    note_few_sequences(plan);
    note_merged(plan, a);
    return NDL_OK;
}
