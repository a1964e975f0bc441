/*
 * bench_partition.c - the exact split of a chain over nodes, as CSV: the
 * sizes that a plan meets every day, and the largest that are solved exactly.
 *
 * Usage: bench_partition [--only NAME] [--date D] [--commit C]
 *                        [--budget SECONDS]
 *
 * Layers differ a little and the last is heavy, as a model's head is; nodes
 * differ by up to three times.  `proven` says that nothing is better.
 */
#include <math.h>
#include <stdbool.h>

#include "bench_util.h"
#include "noodle/partition.h"

enum { ITEMS = 512, NODES = 64 };

typedef struct options {
    const char *only, *date, *commit;
    double budget_sec;
} options;

typedef enum objective { PERIOD, SUM, MIXED } objective;
static const char *const objectives[] = { "period", "sum", "mixed" };

/* A problem with its numbers, and what was found. */
typedef struct job {
    ndl_partition_problem p;
    int count[NODES], order[NODES];
    double time[NODES * ITEMS], link[NODES * NODES];
    double enter[NODES], leave[NODES];
    uint64_t bytes[ITEMS], memory[NODES];
    objective objective;
    double bound;
    ndl_partition found;
    ndl_status st;
} job;

/* What a case is made of. */
typedef struct shape {
    const char *name;
    int items, kinds, each; /* nodes of a kind                     */
    bool given;
    double link;   /* most of a link, in mean times of a layer     */
    double memory; /* of all nodes, in sizes of the model; 0: much */
} shape;

static uint32_t chance = 1;

static double random_unit(void)
{
    chance = chance * 1664525u + 1013904223u;
    return (chance >> 8) * 0x1p-24;
}

static void make_chain(job *j, const shape *s)
{
    const int n = s->items, k = s->kinds;
    double weight[ITEMS];
    for (int i = 0; i < n; i++) {
        weight[i] = 1 + 0.2 * random_unit();
        j->bytes[i] = (uint64_t)(1e6 * weight[i]);
    }
    weight[n - 1] = 4;
    for (int v = 0; v < k; v++) {
        const double slow = 1 + 2 * random_unit();
        for (int i = 0; i < n; i++)
            j->time[v * n + i] =
                1e-3 * slow * weight[i] * (1 + 0.05 * random_unit());
    }
}

static void make(job *j, const shape *s)
{
    const int n = s->items, k = s->kinds, nodes = k * s->each;
    chance = 1;
    memset(j, 0, sizeof *j);
    make_chain(j, s);
    for (int v = 0; v < k; v++) {
        j->count[v] = s->each;
        j->memory[v] = UINT64_MAX;
        if (s->memory > 0)
            j->memory[v] = (uint64_t)(1.1e6 * n * s->memory / nodes *
                                      (0.7 + 0.6 * random_unit()));
        j->enter[v] = j->leave[v] = 1e-3 * s->link * random_unit();
    }
    for (int i = 0; i < k * k; i++) j->link[i] = 1e-3 * s->link * random_unit();
    for (int i = 0; i < nodes; i++) j->order[i] = i % k;
    j->p = (ndl_partition_problem){ .n_items = n,
                                    .n_types = k,
                                    .count = j->count,
                                    .time = j->time,
                                    .link = j->link,
                                    .enter = j->enter,
                                    .leave = j->leave,
                                    .bytes = j->bytes,
                                    .memory = j->memory,
                                    .n_order = nodes };
    if (s->given) j->p.order = j->order;
}

static void solve(void *arg, int round)
{
    job *j = arg;
    (void)round;
    ndl_partition_fini(&j->found);
    switch (j->objective) {
    case PERIOD: j->st = ndl_partition_period(&j->found, &j->p, 0); break;
    case SUM: j->st = ndl_partition_sum(&j->found, &j->p, j->bound, 0); break;
    case MIXED: j->st = ndl_partition_mixed(&j->found, &j->p, 8, 0); break;
    }
}

static double value_of(const job *j)
{
    switch (j->objective) {
    case PERIOD: return j->found.period;
    case SUM: return j->found.sum;
    case MIXED: break;
    }
    return j->found.sum + 8 * j->found.period;
}

static void report(const shape *s, job *j, bench_time t)
{
    const double value = value_of(j);
    printf("%s,%s,%d,%d,%d,%d,%.3f,%.3f,%lld,%d,%.9g,%.3g\n", s->name,
           objectives[j->objective], s->items, s->kinds, s->kinds * s->each,
           t.samples, t.min_sec * 1e3, t.median_sec * 1e3,
           (long long)j->found.states, j->found.n_stages, value,
           value > 0 ? 1 - j->found.bound / value : 0);
    fflush(stdout);
}

/* Cases of seconds are run once. */
static bench_time measure(job *j, double budget_sec)
{
    const double start = bench_now();
    solve(j, 0);
    const double sec = bench_now() - start;
    if (sec > 0.2) return (bench_time){ sec, sec, 1 };
    return bench_measure((bench_case){ solve, j }, budget_sec);
}

/* The sum is asked for under a period 10 % above the least. */
static void run_case(const shape *s, const options *o)
{
    static job j;
    if (o->only && !strstr(s->name, o->only)) return;
    double least = 0;
    for (int x = PERIOD; x <= MIXED; x++) {
        make(&j, s);
        j.objective = (objective)x;
        j.bound = least * 1.1;
        const bench_time t = measure(&j, o->budget_sec);
        if (j.st != NDL_OK) {
            printf("# %s: no split\n", s->name);
            return;
        }
        if (x == PERIOD) least = j.found.period;
        report(s, &j, t);
        ndl_partition_fini(&j.found);
    }
}

static const shape shapes[] = {
    /* name, items, kinds, nodes of each, given, link, memory */
    { "common-12x2", 12, 2, 1, false, 0.1, 0 },
    { "common-14x4", 14, 4, 1, false, 0.5, 2 },
    { "common-24x6", 24, 6, 1, false, 0.5, 1.5 },
    { "common-34x8", 34, 8, 1, false, 0.1, 0 },
    { "common-34x8-links", 34, 8, 1, false, 50, 1.5 },
    { "common-34x2x4", 34, 2, 4, false, 2, 1.5 },
    { "given-256x64", 256, 64, 1, true, 2, 0 },
    { "given-256x64-links", 256, 64, 1, true, 12, 1.5 },
    { "distinct-80x16", 80, 16, 1, false, 0.5, 1.5 },
    { "distinct-80x16-links", 80, 16, 1, false, 120, 1.5 },
    { "distinct-80x16-free", 80, 16, 1, false, 0.5, 0 },
    { "kinds-80x4x16", 80, 4, 16, false, 0.5, 1.5 },
    { "kinds-80x4x16-links", 80, 4, 16, false, 6, 1.5 },
};

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--only") == 0)
            o->only = value;
        else if (strcmp(name, "--date") == 0)
            o->date = value;
        else if (strcmp(name, "--commit") == 0)
            o->commit = value;
        else if (strcmp(name, "--budget") == 0)
            o->budget_sec = atof(value);
        else
            return false;
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    options o = { .commit = NDL_COMMIT, .budget_sec = 0.1 };
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: bench_partition [--only NAME] [--date D] "
                        "[--commit C] [--budget SECONDS]\n");
        return 64;
    }
    printf("# bench: partition\n");
    bench_cpuinfo("model name");
    if (o.date) printf("# date: %s\n", o.date);
    printf("# commit: %s\n", o.commit);
    printf("# compiler: %s\n", __VERSION__);
    printf("# clock: processor time of the thread\n");
    printf("case,objective,items,kinds,nodes,samples,min_ms,median_ms,states,"
           "stages,value,gap\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        run_case(&shapes[i], &o);
    return 0;
}
