/*
 * test_partition_brute.c - the exact partition against all splits there are:
 * every ordered selection of nodes and every cut, for small chains, over all
 * objectives and limits.  The gap is 0.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/partition.h"

enum { ITEMS = 7, NODES = 6, INSTANCES = CHANCE_CASES(60000) };

/* A problem with its numbers. */
typedef struct instance {
    ndl_partition_problem p;
    int count[NODES], pin[ITEMS], order[NODES];
    double time[NODES * ITEMS], sum[NODES * ITEMS], limited[NODES * ITEMS];
    double link[NODES * NODES], sum_link[NODES * NODES];
    double enter[NODES], leave[NODES];
    uint64_t bytes[ITEMS], memory[NODES];
    double weight, bound;
} instance;

static bool chance(int percent)
{
    return between(1, 100) <= percent;
}

/* Numbers of few values make ties; halves and thirds make rounding. */
static double number(int style, int most)
{
    const int x = between(0, most);
    switch (style) {
    case 0: return x;
    case 1: return x / 3.0;
    case 2: return (double)(random_bits() >> 11) * 0x1p-53 * most;
    default: return chance(50) ? x : between(0, 1);
    }
}

static void fill(double *x, int n, int style, int most)
{
    for (int i = 0; i < n; i++) x[i] = number(style, most);
}

static void make_nodes(instance *a)
{
    ndl_partition_problem *p = &a->p;
    const int nodes = between(1, chance(60) ? NODES : NODES - 2);
    p->n_types = between(1, nodes);
    p->count = a->count;
    for (int v = 0; v < p->n_types; v++) a->count[v] = 1;
    for (int i = p->n_types; i < nodes; i++)
        a->count[between(0, p->n_types - 1)]++;
    if (chance(65)) return;
    p->order = a->order;
    for (int v = 0; v < p->n_types; v++)
        for (int i = 0; i < a->count[v]; i++) a->order[p->n_order++] = v;
    for (int i = nodes - 1; i > 0; i--) {
        const int j = between(0, i), v = a->order[i];
        a->order[i] = a->order[j];
        a->order[j] = v;
    }
}

/* Some links fit under most limits, some under none: bridges are wanted. */
static void make_links(instance *a, int style)
{
    ndl_partition_problem *p = &a->p;
    const int k = p->n_types;
    const int most = chance(30) ? 1 : chance(50) ? 6 : 30;
    fill(a->link, k * k, style, most);
    if (chance(40))
        for (int i = 0; i < k * k; i++) a->link[i] = chance(40) ? 1000 : 0;
    if (chance(15)) fill(a->link, k * k, 0, 0);
    fill(a->sum_link, k * k, style, 6);
    fill(a->enter, k, style, chance(50) ? 2 : 20);
    fill(a->leave, k, style, chance(50) ? 2 : 20);
    p->link = a->link;
    if (chance(30)) p->sum_link = a->sum_link;
    if (chance(50)) p->enter = a->enter;
    if (chance(50)) p->leave = a->leave;
}

static void make_limits(instance *a, int style)
{
    ndl_partition_problem *p = &a->p;
    const bool tight = chance(50);
    for (int i = 0; i < p->n_items; i++) {
        a->bytes[i] = (uint64_t)between(0, 5);
        a->pin[i] = chance(15) ? between(0, p->n_types - 1) : -1;
    }
    for (int v = 0; v < p->n_types; v++)
        a->memory[v] = (uint64_t)(tight ? between(0, 14) : 1000);
    p->bytes = a->bytes;
    p->memory = a->memory;
    p->stage_bytes = (uint64_t)(chance(30) ? between(0, 3) : 0);
    p->shared_bytes = (uint64_t)(chance(30) ? between(0, 9) : 0);
    if (chance(25)) p->pin = a->pin;
    if (chance(25)) p->min_stages = between(1, 4);
    if (chance(25)) p->max_stages = between(1, 4);
    fill(a->limited, p->n_types * p->n_items, style, 5);
    if (chance(50)) p->limited = a->limited;
    if (chance(20)) p->stage_limit = between(1, 15);
}

static void make(instance *a)
{
    const int style = between(0, 3);
    memset(a, 0, sizeof *a);
    ndl_partition_problem *p = &a->p;
    p->n_items = between(1, ITEMS);
    make_nodes(a);
    fill(a->time, p->n_types * p->n_items, style, chance(20) ? 1 : 9);
    fill(a->sum, p->n_types * p->n_items, style, 9);
    p->time = a->time;
    if (chance(30)) p->sum = a->sum;
    make_links(a, style);
    make_limits(a, style);
    a->weight = chance(20) ? 0 : number(style, 8);
}

/* The least of everything, found by looking at everything. */
typedef struct brute {
    const instance *a;
    double time[NODES][ITEMS + 1], sum[NODES][ITEMS + 1];
    double limited[NODES][ITEMS + 1];
    int used[NODES], n_used;
    double least_period, least_sum, least_mixed;
} brute;

typedef struct bill {
    double period, sum;
    int last, place, at;
} bill;

static void prefix(double to[][ITEMS + 1], const double *x,
                   const ndl_partition_problem *p)
{
    for (int v = 0; v < p->n_types; v++) {
        to[v][0] = 0;
        for (int i = 0; i < p->n_items; i++)
            to[v][i + 1] = to[v][i] + x[v * p->n_items + i];
    }
}

static bool fits(const brute *b, int v, int i, int j)
{
    const ndl_partition_problem *p = &b->a->p;
    uint64_t bytes = p->stage_bytes;
    for (int x = i; x < j; x++) {
        bytes += p->bytes[x];
        if (p->pin && p->pin[x] >= 0 && p->pin[x] != v) return false;
    }
    if (i == 0 && j == p->n_items)
        bytes = bytes > p->shared_bytes ? bytes - p->shared_bytes : 0;
    if (p->stage_limit > 0 &&
        b->limited[v][j] - b->limited[v][i] > p->stage_limit)
        return false;
    return bytes <= p->memory[v];
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static void finish(brute *b, bill x)
{
    const ndl_partition_problem *p = &b->a->p;
    if (b->n_used < p->min_stages) return;
    if (p->max_stages && b->n_used > p->max_stages) return;
    const double leave = p->leave ? p->leave[x.last] : 0;
    const double period = most(x.period, leave), sum = x.sum + leave;
    const double mixed = sum + b->a->weight * period;
    if (period < b->least_period) b->least_period = period;
    if (period <= b->a->bound && sum < b->least_sum) b->least_sum = sum;
    if (mixed < b->least_mixed) b->least_mixed = mixed;
}

static void visit(brute *b, bill x);

static void use(brute *b, bill x, int v, int place)
{
    const ndl_partition_problem *p = &b->a->p;
    const int k = p->n_types;
    const double *sum_link = p->sum_link ? p->sum_link : p->link;
    double link = p->enter ? p->enter[v] : 0, link_sum = link;
    if (x.last >= 0) {
        link = p->link[x.last * k + v];
        link_sum = sum_link[x.last * k + v];
    }
    if (b->used[v] == p->count[v]) return;
    b->used[v]++;
    b->n_used++;
    for (int j = x.at + 1; j <= p->n_items; j++) {
        if (!fits(b, v, x.at, j)) continue;
        bill y = { 0, 0, v, place, j };
        y.period = most(x.period, most(link, b->time[v][j] - b->time[v][x.at]));
        y.sum = x.sum + link_sum + (b->sum[v][j] - b->sum[v][x.at]);
        visit(b, y);
    }
    b->used[v]--;
    b->n_used--;
}

static void visit(brute *b, bill x)
{
    const ndl_partition_problem *p = &b->a->p;
    if (x.at == p->n_items) {
        finish(b, x);
        return;
    }
    if (p->order)
        for (int q = x.place + 1; q < p->n_order; q++)
            use(b, x, p->order[q], q);
    else
        for (int v = 0; v < p->n_types; v++) use(b, x, v, -1);
}

static brute look_at_all(const instance *a)
{
    const ndl_partition_problem *p = &a->p;
    brute b = { .a = a };
    b.least_period = b.least_sum = b.least_mixed = INFINITY;
    prefix(b.time, p->time, p);
    prefix(b.sum, p->sum ? p->sum : p->time, p);
    prefix(b.limited, p->limited ? p->limited : p->time, p);
    visit(&b, (bill){ 0, 0, -1, -1, 0 });
    return b;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static int instance_number;

/* Prints which instance it is: the seed and the number repeat it. */
static void claim(bool ok, const char *what)
{
    if (!ok) printf("instance %d: %s\n", instance_number, what);
    assert_true(ok);
}

/* `value`: of the objective; `least`: what brute force says. */
static void check(const instance *a, const ndl_partition *x, double value,
                  double least, bool exact)
{
    double period, sum;
    claim(ndl_partition_judge(&a->p, x->stages, x->n_stages, &period, &sum),
          "the split breaks a limit");
    claim(period == x->period && sum == x->sum, "costs are not the judge's");
    if (exact) {
        claim(is_near(value, least), "not the least");
        claim(x->bound == value, "not proven");
    } else {
        claim(value >= least * (1 - 1e-12), "below the least");
        claim(x->bound <= least * (1 + 1e-12), "the bound is wrong");
    }
}

typedef enum objective { PERIOD, SUM, MIXED } objective;

static void solve(const instance *a, objective o, double least, double max_sec)
{
    ndl_partition x = { 0 };
    ndl_status st = o == PERIOD ? ndl_partition_period(&x, &a->p, max_sec)
                    : o == SUM
                        ? ndl_partition_sum(&x, &a->p, a->bound, max_sec)
                        : ndl_partition_mixed(&x, &a->p, a->weight, max_sec);
    if (least == INFINITY) {
        claim(st == NDL_EUNAVAIL, "a split where there is none");
        return;
    }
    claim(st == NDL_OK, "no split where there is one");
    const double value = o == PERIOD ? x.period
                         : o == SUM  ? x.sum
                                     : x.sum + a->weight * x.period;
    if (o == PERIOD && max_sec == 0)
        claim(value == least, "not the least to the bit");
    check(a, &x, value, least, max_sec == 0);
    ndl_partition_fini(&x);
}

/* A bound near what is possible, often at it to the bit. */
static double choose_bound(const instance *a)
{
    ndl_partition x = { 0 };
    if (chance(25)) return INFINITY;
    if (ndl_partition_period(&x, &a->p, 0) != NDL_OK) return between(0, 9);
    const double least = x.period;
    ndl_partition_fini(&x);
    if (chance(10)) return least * 0.9;
    return chance(30) ? least : least * (1 + between(0, 100) * 0.01);
}

static void every_split_of_small_chains_is_no_better(void **state)
{
    (void)state;
    random_state = chance_seed(20261121);
    int feasible = 0;
    for (int i = 0; i < INSTANCES; i++) {
        instance a;
        instance_number = i;
        make(&a);
        a.bound = choose_bound(&a);
        const brute b = look_at_all(&a);
        feasible += b.least_period < INFINITY;
        const double limit = i % 8 ? 0 : 1e-9;
        solve(&a, PERIOD, b.least_period, limit);
        solve(&a, SUM, b.least_sum, limit);
        solve(&a, MIXED, b.least_mixed, limit);
    }
    printf("%d of %d instances have a split\n", feasible, INSTANCES);
    assert_true(feasible > INSTANCES / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_small_chains_is_no_better),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
