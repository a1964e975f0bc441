/*
 * partition_split.c - a split and its price.  The price is defined once, in
 * `pay`: costs of stages are differences of prefix sums, which rounding keeps
 * monotone, and the sum is added in the order of the stages.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "partition_chain.h"

/* What was paid so far. */
typedef struct bill {
    double period, sum;
} bill;

static void pay(bill *b, double of_period, double of_sum)
{
    b->period = fmax(b->period, of_period);
    b->sum += of_sum;
}

ndl_status ndl_split_init(ndl_split *s, const ndl_chain *c)
{
    *s = (ndl_split){ .period = INFINITY, .sum = INFINITY };
    s->stage = malloc((size_t)c->max * sizeof *s->stage);
    if (s->stage) return NDL_OK;
    return NDL_FAIL(NDL_EOS, "partition: no memory: use fewer stages");
}

void ndl_split_fini(ndl_split *s)
{
    free(s->stage);
    *s = (ndl_split){ 0 };
}

void ndl_split_push(ndl_split *s, ndl_partition_stage stage)
{
    s->stage[s->n++] = stage;
}

void ndl_split_reverse(ndl_split *s)
{
    for (int a = 0, b = s->n - 1; a < b; a++, b--) {
        const ndl_partition_stage stage = s->stage[a];
        s->stage[a] = s->stage[b];
        s->stage[b] = stage;
    }
}

void ndl_split_copy(ndl_split *to, const ndl_split *from)
{
    to->n = from->n;
    to->period = from->period;
    to->sum = from->sum;
    memcpy(to->stage, from->stage, (size_t)from->n * sizeof *to->stage);
}

bool ndl_split_price(ndl_split *s, const ndl_chain *c)
{
    const size_t row = (size_t)c->n + 1, k = (size_t)c->k;
    bill b = { 0, 0 };
    for (int i = 0; i < s->n; i++) {
        const ndl_partition_stage *t = &s->stage[i];
        const size_t v = (size_t)t->type, from = v * row + (size_t)t->first;
        const size_t to = from + (size_t)t->n;
        const size_t hop = i ? (size_t)t[-1].type * k + v : 0;
        if (i)
            pay(&b, c->p->link[hop], c->sum_link[hop]);
        else
            pay(&b, c->enter[v], c->enter[v]);
        pay(&b, c->time[to] - c->time[from], c->sum[to] - c->sum[from]);
    }
    const double out = s->n ? c->leave[s->stage[s->n - 1].type] : INFINITY;
    pay(&b, out, out);
    s->period = b.period;
    s->sum = b.sum;
    return s->n >= 1 && s->n >= c->min && s->n <= c->max;
}

/* From here on: a split that somebody else made; nothing is prepared. */

static double difference(const double *x, int first, int n)
{
    double begin = 0;
    for (int i = 0; i < first; i++) begin += x[i];
    double end = begin;
    for (int i = first; i < first + n; i++) end += x[i];
    return end - begin;
}

static bool stage_fits(const ndl_partition_problem *p,
                       const ndl_partition_stage *s)
{
    const size_t row = (size_t)s->type * (size_t)p->n_items;
    const double *limited = (p->limited ? p->limited : p->time) + row;
    if (p->stage_limit > 0 &&
        difference(limited, s->first, s->n) > p->stage_limit)
        return false;
    uint64_t bytes = p->stage_bytes;
    for (int i = s->first; i < s->first + s->n; i++) {
        if (p->bytes[i] > UINT64_MAX - bytes) return false;
        bytes += p->bytes[i];
        if (p->pin && p->pin[i] >= 0 && p->pin[i] != s->type) return false;
    }
    if (s->n == p->n_items)
        bytes -= p->shared_bytes < bytes ? p->shared_bytes : bytes;
    return bytes <= p->memory[s->type];
}

/* `place`: the last place in use so far. */
static bool place_fits(const ndl_partition_problem *p,
                       const ndl_partition_stage *s, int *place)
{
    if (!p->order) return true;
    if (s->place <= *place || s->place >= p->n_order ||
        p->order[s->place] != s->type)
        return false;
    *place = s->place;
    return true;
}

static bool nodes_suffice(const ndl_partition_problem *p,
                          const ndl_partition_stage *s, int n, int last)
{
    int used = 0;
    for (int i = 0; i <= last && i < n; i++) used += s[i].type == s[last].type;
    return used <= p->count[s[last].type];
}

static void stage_pays(bill *b, const ndl_partition_problem *p,
                       const ndl_partition_stage *s, int previous)
{
    const size_t v = (size_t)s->type, k = (size_t)p->n_types;
    const size_t row = v * (size_t)p->n_items;
    const double *sum = (p->sum ? p->sum : p->time) + row;
    if (previous >= 0) {
        const size_t hop = (size_t)previous * k + v;
        const double *sum_link = p->sum_link ? p->sum_link : p->link;
        pay(b, p->link[hop], sum_link[hop]);
    } else {
        const double enter = p->enter ? p->enter[v] : 0;
        pay(b, enter, enter);
    }
    pay(b, difference(p->time + row, s->first, s->n),
        difference(sum, s->first, s->n));
}

bool ndl_partition_judge(const ndl_partition_problem *p,
                         const ndl_partition_stage *stages, int n_stages,
                         double *period, double *sum)
{
    bill b = { 0, 0 };
    int at = 0, place = -1, previous = -1;
    if (n_stages < 1 || n_stages < p->min_stages ||
        (p->max_stages > 0 && n_stages > p->max_stages))
        return false;
    for (int i = 0; i < n_stages; i++) {
        const ndl_partition_stage *s = &stages[i];
        if (s->type < 0 || s->type >= p->n_types || s->first != at ||
            s->n < 1 || s->n > p->n_items - at)
            return false;
        if (!stage_fits(p, s) || !place_fits(p, s, &place) ||
            !nodes_suffice(p, stages, n_stages, i))
            return false;
        stage_pays(&b, p, s, previous);
        previous = s->type;
        at += s->n;
    }
    if (at != p->n_items) return false;
    const double leave = p->leave ? p->leave[previous] : 0;
    pay(&b, leave, leave);
    *period = b.period;
    *sum = b.sum;
    return true;
}
