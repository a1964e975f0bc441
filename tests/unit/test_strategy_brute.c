/*
 * test_strategy_brute.c - every strategy against all plans there are.
 *
 * For small random models and clusters all plans are tried, and what strategy.h
 * says of each strategy is evaluated for each of them directly from the cost
 * model, objective after objective.  The solution must be as good: gap 0.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/plan/strategy_solve.h"
#include "../support/chance.h"
#include "noodle/clock.h"
#include "strategy_world.h"

enum {
    MAX_STAGES = 4,
    MAX_ITEMS = 6,
    MAX_BATCH = 12,
    N_WORLDS = CHANCE_CASES(5000)
};

static const double same = 3e-12;

/* Seconds straight from the cost model; [batch][kind][layer kind]. */
typedef struct seconds {
    double busy[MAX_BATCH + 1][WORLD_KINDS][NDL_N_LAYER_KINDS];
    double step[MAX_BATCH + 1][WORLD_KINDS][NDL_N_LAYER_KINDS];
    double link[MAX_BATCH + 1][WORLD_KINDS][WORLD_KINDS];
    double enter[MAX_BATCH + 1][WORLD_KINDS], leave[MAX_BATCH + 1][WORLD_KINDS];
    double chunk[WORLD_KINDS][NDL_N_LAYER_KINDS];
    double alone[WORLD_KINDS][NDL_N_LAYER_KINDS]; /* decode steps */
    double chunk_link[WORLD_KINDS][WORLD_KINDS], chunk_enter[WORLD_KINDS];
    double alone_link[WORLD_KINDS][WORLD_KINDS], alone_ends[WORLD_KINDS][2];
    int n_chunks;
} seconds;

typedef struct candidate {
    int n;
    ndl_partition_stage stages[MAX_STAGES];
} candidate;

typedef struct score {
    double key[3]; /* objectives in their order, less is better */
} score;

typedef struct search {
    const world *w;
    const seconds *sec;
    const int *types; /* only plans with these kinds; NULL: all */
    int n_types;
    bool found;
    score best;
} search;

static int n_items(const world *w)
{
    return w->costs.n_blocks + 2;
}

static ndl_layer_kind layer_of(const world *w, int item)
{
    if (item == 0) return NDL_LAYER_EMBED;
    return item == n_items(w) - 1 ? NDL_LAYER_HEAD : NDL_LAYER_BLOCK;
}

/* ---- seconds ---- */

static double work_sec(const world *w, int k, int layer, ndl_work work)
{
    return ndl_cost_sec(&w->nodes[k].cost, (ndl_layer_kind)layer, &work);
}

static int steps_of(const world *w)
{
    return w->work.prompt_tokens > 0 && w->work.new_tokens > 0
               ? w->work.new_tokens - 1
               : w->work.new_tokens;
}

/* Short prompts that fit into one chunk together. */
static double together_work(const world *w, int k, int layer, int n)
{
    const double rows = w->work.prompt_tokens;
    const ndl_work work = { .n_rows = n * w->work.prompt_tokens,
                            .keys = n * rows * (rows + 1.0) / 2.0,
                            .n_sequences = n,
                            .n_samples = n,
                            .crowd = 1.0 };
    return work_sec(w, k, layer, work) / n;
}

static double prompt_work(const world *w, int k, int layer, double crowd)
{
    const int all = w->work.prompt_tokens;
    double sum = 0.0;
    int n = all ? w->work.chunk_rows / all : 0;
    if (n > w->work.sequences) n = w->work.sequences;
    if (n > 1 && crowd > 0.0) return together_work(w, k, layer, n);
    for (int at = 0; at < all; at += w->work.chunk_rows) {
        const int left = all - at;
        const bool last = left <= w->work.chunk_rows;
        sum += work_sec(
            w, k, layer,
            ndl_work_prompt(at, last ? left : w->work.chunk_rows, last, crowd));
    }
    return sum;
}

static double prompt_link(const world *w, const ndl_link *link, double row)
{
    const int all = w->work.prompt_tokens;
    double sum = 0.0;
    for (int at = 0; at < all; at += w->work.chunk_rows) {
        const int left = all - at;
        const int rows = left < w->work.chunk_rows ? left : w->work.chunk_rows;
        sum += ndl_link_sec(link, rows * row);
    }
    return sum;
}

static void fill_batch(seconds *s, const world *w, int b)
{
    const int mean = w->work.prompt_tokens + w->work.new_tokens / 2;
    const double steps = steps_of(w) / (double)b;
    const double row = 4.0 * w->costs.width;
    for (int k = 0; k < w->cluster.n; k++) {
        for (int l = 0; l < NDL_N_LAYER_KINDS; l++) {
            s->step[b][k][l] = work_sec(w, k, l, ndl_work_decode(b, mean, 1.0));
            s->busy[b][k][l] =
                prompt_work(w, k, l, 1.0) + steps * s->step[b][k][l];
        }
        for (int j = 0; j < w->cluster.n; j++) {
            const ndl_link *link = &w->links[k * w->cluster.n + j];
            s->link[b][k][j] =
                prompt_link(w, link, row) + steps * ndl_link_sec(link, b * row);
        }
        s->enter[b][k] = prompt_link(w, &w->entry[k], 4.0) +
                         steps * ndl_link_sec(&w->entry[k], 4.0 * b);
        s->leave[b][k] = steps * ndl_link_sec(&w->entry[k], 16.0 * b);
    }
}

static void fill_alone(seconds *s, const world *w)
{
    const int mean = w->work.prompt_tokens + w->work.new_tokens / 2;
    const double row = 4.0 * w->costs.width, steps = steps_of(w);
    const double rows = w->work.chunk_rows;
    s->n_chunks = (int)ceil(w->work.prompt_tokens / rows);
    const double n = s->n_chunks ? s->n_chunks : 1.0;
    for (int k = 0; k < w->cluster.n; k++) {
        for (int l = 0; l < NDL_N_LAYER_KINDS; l++) {
            s->chunk[k][l] = prompt_work(w, k, l, 0.0) / n;
            s->alone[k][l] =
                steps * work_sec(w, k, l, ndl_work_decode(1, mean, 0.0));
        }
        for (int j = 0; j < w->cluster.n; j++) {
            const ndl_link *link = &w->links[k * w->cluster.n + j];
            s->chunk_link[k][j] = prompt_link(w, link, row) / n;
            s->alone_link[k][j] = steps * ndl_link_sec(link, row);
        }
        s->chunk_enter[k] = prompt_link(w, &w->entry[k], 4.0) / n;
        s->alone_ends[k][0] = steps * ndl_link_sec(&w->entry[k], 4.0);
        s->alone_ends[k][1] = steps * ndl_link_sec(&w->entry[k], 16.0);
    }
}

/* ---- limits ---- */

static uint64_t bytes_of(const world *w, const ndl_partition_stage *s)
{
    const ndl_plan_costs *c = &w->costs;
    uint64_t sum = c->buffer_bytes;
    for (int i = s->first; i < s->first + s->n; i++) switch (layer_of(w, i)) {
        case NDL_LAYER_EMBED: sum += c->embed_bytes; break;
        case NDL_LAYER_HEAD: sum += c->head_bytes + c->logits_bytes; break;
        default: sum += c->block_bytes + c->kv_bytes; break;
        }
    return s->n == n_items(w) ? sum - c->shared_bytes : sum;
}

static int batch_of(const world *w, int n_stages)
{
    return (w->work.sequences + n_stages - 1) / n_stages;
}

static double add_items(const world *w, const ndl_partition_stage *s,
                        const double sec[NDL_N_LAYER_KINDS])
{
    double sum = 0.0;
    for (int i = s->first; i < s->first + s->n; i++) sum += sec[layer_of(w, i)];
    return sum;
}

static bool is_allowed(const search *q, const candidate *c)
{
    const world *w = q->w;
    const int b = batch_of(w, c->n);
    if (c->n < w->setup.min_stages) return false;
    if (w->setup.max_stages && c->n > w->setup.max_stages) return false;
    for (int i = 0; i < c->n; i++) {
        const ndl_partition_stage *s = &c->stages[i];
        if (q->types && (c->n != q->n_types || s->type != q->types[i]))
            return false;
        if (bytes_of(w, s) > w->nodes[s->type].memory_bytes) return false;
        if (w->setup.stage_sec > 0.0 &&
            add_items(w, s, q->sec->step[b][s->type]) > w->setup.stage_sec)
            return false;
        for (int p = 0; p < w->setup.n_pins; p++)
            if (w->pins[p].layer >= s->first &&
                w->pins[p].layer < s->first + s->n &&
                w->pins[p].node != s->type)
                return false;
    }
    return true;
}

/* ---- objectives ---- */

typedef struct figures {
    double period, linked; /* slowest stage; stage or link */
    double sum_between;    /* stages and the links between them */
    double sum, squares, share, alone, level;
} figures;

/* How many kinds are faster for the slowest layer than the one it is on. */
static double level_of(const search *q, const candidate *c)
{
    const world *w = q->w;
    const int b = batch_of(w, c->n);
    double least[MAX_ITEMS], slowest = -1.0, level = INFINITY;
    for (int i = 0; i < n_items(w); i++) {
        least[i] = INFINITY;
        for (int k = 0; k < w->cluster.n; k++)
            least[i] = fmin(least[i], q->sec->busy[b][k][layer_of(w, i)]);
        slowest = fmax(slowest, least[i]);
    }
    for (int s = 0; s < c->n; s++)
        for (int i = 0; i < c->stages[s].n; i++) {
            const int item = c->stages[s].first + i;
            const ndl_layer_kind l = layer_of(w, item);
            if (least[item] < slowest) continue;
            int faster = 0;
            for (int k = 0; k < w->cluster.n; k++)
                faster += q->sec->busy[b][k][l] <
                          q->sec->busy[b][c->stages[s].type][l];
            level = fmin(level, faster);
        }
    return level;
}

static double alone_of(const search *q, const candidate *c)
{
    const seconds *s = q->sec;
    const int first = c->stages[0].type, last = c->stages[c->n - 1].type;
    double sum = s->chunk_enter[first] + s->alone_ends[first][0] +
                 s->alone_ends[last][1];
    double slowest = s->chunk_enter[first];
    for (int i = 0; i < c->n; i++) {
        const ndl_partition_stage *p = &c->stages[i];
        const double chunk = add_items(q->w, p, s->chunk[p->type]);
        sum += chunk + add_items(q->w, p, s->alone[p->type]);
        slowest = fmax(slowest, chunk);
        if (i == 0) continue;
        const int from = c->stages[i - 1].type;
        sum += s->chunk_link[from][p->type] + s->alone_link[from][p->type];
        slowest = fmax(slowest, s->chunk_link[from][p->type]);
    }
    return sum + (s->n_chunks > 1 ? (s->n_chunks - 1) * slowest : 0.0);
}

static figures figures_of(const search *q, const candidate *c)
{
    const world *w = q->w;
    const int b = batch_of(w, c->n);
    figures f = { .alone = alone_of(q, c), .level = level_of(q, c) };
    for (int i = 0; i < c->n; i++) {
        const ndl_partition_stage *p = &c->stages[i];
        const double busy = add_items(w, p, q->sec->busy[b][p->type]);
        f.period = fmax(f.period, busy);
        f.squares += busy * busy;
        f.sum_between += busy;
        f.share = fmax(f.share, (double)bytes_of(w, p) /
                                    (double)w->nodes[p->type].memory_bytes);
        if (i == 0) continue;
        const double link = q->sec->link[b][c->stages[i - 1].type][p->type];
        f.linked = fmax(f.linked, link);
        f.sum_between += link;
    }
    const double enter = q->sec->enter[b][c->stages[0].type];
    const double leave = q->sec->leave[b][c->stages[c->n - 1].type];
    f.linked = fmax(fmax(f.linked, f.period), fmax(enter, leave));
    f.sum = f.sum_between + enter + leave;
    return f;
}

static score score_of(const search *q, const candidate *c)
{
    const figures f = figures_of(q, c);
    switch (q->w->setup.strategy) {
    case NDL_STRATEGY_BALANCED:
        return (score){ { -c->n, f.period, f.squares } };
    case NDL_STRATEGY_BOTTLENECK:
        return (score){ { f.level, f.period, f.sum_between } };
    case NDL_STRATEGY_MEMORY:
        return (score){ { f.share, f.period, f.sum_between } };
    case NDL_STRATEGY_LATENCY: return (score){ { f.alone } };
    default: return (score){ { f.linked, f.sum } };
    }
}

static bool is_less(const score *a, const score *b)
{
    for (int i = 0; i < 3; i++)
        if (fabs(a->key[i] - b->key[i]) > same * fabs(b->key[i]))
            return a->key[i] < b->key[i];
    return false;
}

/* ---- all plans ---- */

static void try_all(search *q, candidate *c, int *left, int place)
{
    const world *w = q->w;
    const int at = c->n ? c->stages[c->n - 1].first + c->stages[c->n - 1].n : 0;
    if (at == n_items(w)) {
        if (!is_allowed(q, c)) return;
        const score s = score_of(q, c);
        if (!q->found || is_less(&s, &q->best)) q->best = s;
        q->found = true;
        return;
    }
    if (c->n == MAX_STAGES) return;
    for (int k = w->setup.free_order ? 0 : place; k < w->cluster.n; k++) {
        if (left[k] == 0) continue;
        left[k]--;
        for (int n = 1; at + n <= n_items(w); n++) {
            c->stages[c->n++] = (ndl_partition_stage){ k, -1, at, n };
            try_all(q, c, left, k);
            c->n--;
        }
        left[k]++;
    }
}

static void search_all(search *q)
{
    int left[WORLD_KINDS];
    candidate c = { 0 };
    for (int k = 0; k < q->w->cluster.n; k++) left[k] = q->w->nodes[k].count;
    try_all(q, &c, left, 0);
}

/* ---- worlds ---- */

/* Times of which all sums are exact, or any. */
static void random_curve(ndl_cost_curve *c, bool exact)
{
    *c = (ndl_cost_curve){ .n = 1, .rows = { 1.0 } };
    c->sec[0] = between(0, 12) / 1024.0;
    if (exact) return;
    c->n = between(1, 3);
    for (int i = 0; i < c->n; i++) {
        c->rows[i] = i ? c->rows[i - 1] + between(1, 6) : 1.0;
        c->sec[i] = between(0, 100000) * 1.7e-7 * (i + 1);
        c->key_sec[i] = between(0, 1000) * 1.3e-7;
        c->shared_key_sec[i] = between(0, 1000) * 0.7e-7;
    }
}

static ndl_link random_link(bool exact, int slow)
{
    ndl_link l = { .latency_sec = slow * between(0, 8) / 4096.0 };
    if (!exact) l.latency_sec *= 0.987654321;
    if (slow && between(0, 1)) l.bytes_per_sec = exact ? 65536.0 : 54321.0;
    return l;
}

static void random_costs(ndl_plan_costs *c)
{
    c->n_blocks = between(1, 4);
    c->width = between(1, 8);
    c->block_bytes = (uint64_t)between(1, 20);
    c->head_bytes = (uint64_t)between(0, 40);
    c->embed_bytes = (uint64_t)between(0, 40);
    c->kv_bytes = (uint64_t)between(0, 10);
    c->buffer_bytes = (uint64_t)between(0, 5);
    c->logits_bytes = (uint64_t)between(0, 5);
    const uint64_t most =
        c->head_bytes < c->embed_bytes ? c->head_bytes : c->embed_bytes;
    c->shared_bytes = between(0, 1) ? (uint64_t)between(0, (int)most) : 0;
}

static void random_limits(world *w, const seconds *s)
{
    ndl_strategy_setup *setup = &w->setup;
    const int last = n_items(w) - 1;
    setup->free_order = between(0, 1);
    if (between(0, 3) == 0) setup->min_stages = between(0, 3);
    if (between(0, 3) == 0)
        setup->max_stages = setup->min_stages + between(0, 3);
    if (between(0, 3) == 0) {
        const ndl_partition_stage all = { 0, -1, 0, last + 1 };
        setup->stage_sec = add_items(w, &all, s->step[1][0]) *
                           (between(100, 1500) * 1.0012345e-3);
    }
    if (between(0, 3)) return;
    w->setup.n_pins = between(1, 2);
    w->pins[0] = (ndl_pin){ between(0, last), between(0, w->cluster.n - 1) };
    w->pins[1] = (ndl_pin){ (w->pins[0].layer + 1) % (last + 1),
                            between(0, w->cluster.n - 1) };
}

static void random_world(world *w, seconds *s)
{
    const bool exact = between(0, 1);
    const int slow = between(0, 3) * between(0, 2);
    world_init(w, between(1, 4), 1);
    if (w->cluster.n < 3) w->nodes[0].count = between(1, 5 - w->cluster.n);
    random_costs(&w->costs);
    const int tight = between(0, 2);
    const ndl_partition_stage all = { 0, -1, 0, n_items(w) };
    const int need = (int)bytes_of(w, &all) + 1;
    for (int k = 0; k < w->cluster.n; k++) {
        for (int l = 0; l < NDL_N_LAYER_KINDS; l++)
            for (int crowded = 0; crowded < 2; crowded++)
                random_curve(&w->nodes[k].cost.curve[l][crowded], exact);
        w->nodes[k].memory_bytes =
            (uint64_t)(tight ? between(1, 1 + 3 * need / 2) : 3 * need);
        w->entry[k] = random_link(exact, slow);
        for (int j = 0; j < w->cluster.n; j++)
            w->links[k * w->cluster.n + j] = random_link(exact, slow);
    }
    w->work.prompt_tokens = between(0, 20);
    /* Exact: as many steps as any number of groups divides. */
    const int steps = exact ? 27720 + (w->work.prompt_tokens > 0) : 0;
    w->work.new_tokens = between(0, 2) ? (steps ? steps : between(1, 30)) : 0;
    if (w->work.prompt_tokens == 0 && w->work.new_tokens == 0)
        w->work.prompt_tokens = 3;
    w->work.chunk_rows = between(1, 8);
    w->work.sequences = between(1, MAX_BATCH);
    *s = (seconds){ 0 };
    for (int b = 1; b <= MAX_BATCH; b++) fill_batch(s, w, b);
    fill_alone(s, w);
    random_limits(w, s);
}

static void check_key(double have, double best, const char *what)
{
    if (!(fabs(have - best) <= same * fabs(best)))
        fail_msg("%s is %.17g, the best of all plans has %.17g", what, have,
                 best);
}

static void check_solution(const search *q, const ndl_solution *s)
{
    static const char *const what[] = { "first objective", "second objective",
                                        "third objective" };
    const ndl_strategy_setup *setup = &q->w->setup;
    const bool squares = setup->strategy == NDL_STRATEGY_BALANCED;
    candidate c = { .n = s->n };
    int types[MAX_STAGES], at = 0;
    assert_in_range(s->n, 1, MAX_STAGES);
    for (int i = 0; i < s->n; i++) {
        assert_int_equal(s->stages[i].first, at);
        at += s->stages[i].n;
        c.stages[i] = s->stages[i];
        types[i] = s->stages[i].type;
    }
    assert_int_equal(at, n_items(q->w));
    assert_true(is_allowed(q, &c));
    assert_true(s->gap <= same);
    const score have = score_of(q, &c);
    check_key(have.key[0], q->best.key[0], what[0]);
    check_key(have.key[1], q->best.key[1], what[1]);
    if (!squares || !setup->free_order) {
        check_key(have.key[2], q->best.key[2], what[2]);
        return;
    }
    /* The least squares are promised for the solution's order of nodes. */
    search ordered = {
        .w = q->w, .sec = q->sec, .types = types, .n_types = s->n
    };
    search_all(&ordered);
    check_key(have.key[2], ordered.best.key[2], what[2]);
}

static void check_strategy(ndl_strategy strategy)
{
    static seconds sec;
    static world w;
    const uint64_t seed = chance_seed(20241121);
    int n_found = 0;
    for (int i = 0; i < N_WORLDS; i++) {
        random_state = seed + (uint64_t)i * 1000003;
        random_world(&w, &sec);
        w.setup.strategy = strategy;
        const ndl_strategy_task task = { &w.setup, &w.costs, &w.cluster,
                                         &w.work, ndl_clock_sec() + 60.0 };
        search q = { .w = &w, .sec = &sec };
        search_all(&q);
        ndl_solution s = { 0 };
        const ndl_status st = ndl_solution_find(&s, &task);
        if (st != (q.found ? NDL_OK : NDL_EUNAVAIL))
            fail_msg("world %d: status %d, %s: %s", i, st,
                     q.found ? "there is a plan" : "there is none",
                     ndl_status_message());
        if (q.found) check_solution(&q, &s);
        n_found += q.found;
        ndl_solution_fini(&s);
        ndl_status_clear();
    }
    assert_in_range(n_found, N_WORLDS / 3, N_WORLDS - N_WORLDS / 20);
}

static void throughput_is_as_good_as_the_best_of_all_plans(void **state)
{
    (void)state;
    check_strategy(NDL_STRATEGY_THROUGHPUT);
}

static void balanced_is_as_good_as_the_best_of_all_plans(void **state)
{
    (void)state;
    check_strategy(NDL_STRATEGY_BALANCED);
}

static void bottleneck_first_is_as_good_as_the_best_of_all_plans(void **state)
{
    (void)state;
    check_strategy(NDL_STRATEGY_BOTTLENECK);
}

static void memory_aware_is_as_good_as_the_best_of_all_plans(void **state)
{
    (void)state;
    check_strategy(NDL_STRATEGY_MEMORY);
}

static void latency_is_as_good_as_the_best_of_all_plans(void **state)
{
    (void)state;
    check_strategy(NDL_STRATEGY_LATENCY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(throughput_is_as_good_as_the_best_of_all_plans),
        cmocka_unit_test(balanced_is_as_good_as_the_best_of_all_plans),
        cmocka_unit_test(bottleneck_first_is_as_good_as_the_best_of_all_plans),
        cmocka_unit_test(memory_aware_is_as_good_as_the_best_of_all_plans),
        cmocka_unit_test(latency_is_as_good_as_the_best_of_all_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
