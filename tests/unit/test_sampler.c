/* test_sampler.c - draws follow the filters and probabilities that a model in
 * double precision gives, and stay what they are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"
#include "noodle/sampler.h"

enum { MAX_V = 300, N_RANDOM = 20000 };

static ndl_kernels kernels;
static float share(void)
{
    return (float)(random_bits() >> 40) * 0x1p-24f;
}

static void seed_random(void)
{
    random_state = chance_seed(20240610);
}

typedef struct rig {
    ndl_arena *arena;
    ndl_sampler *sampler;
} rig;

static rig open_rig(int vocab)
{
    rig r = { NULL, NULL };
    ndl_kernels_init(&kernels, ndl_cpu_flags());
    assert_int_equal(
        ndl_arena_create(&r.arena, "sampler", ndl_sampler_bytes(vocab)),
        NDL_OK);
    assert_int_equal(ndl_sampler_create(&r.sampler, r.arena, vocab, &kernels),
                     NDL_OK);
    return r;
}

static int32_t draw_once(const float *logits, int n, ndl_sampling how,
                         uint32_t pos)
{
    rig r = open_rig(n);
    const int32_t id = ndl_sampler_draw(r.sampler, logits, &how, pos);
    ndl_arena_destroy(&r.arena);
    return id;
}

/* ---- The model: what is kept, and with which probability ---- */

typedef struct kept {
    int n;
    int ids[MAX_V];
    double p[MAX_V];
    bool is_close; /* a filter's limit is too close to call */
} kept;

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-5 * (fabs(a) + fabs(b));
}

static void rank(const float *logits, int n, int *ids)
{
    for (int i = 0; i < n; i++) {
        int at = i;
        while (at > 0 && logits[ids[at - 1]] < logits[i]) {
            ids[at] = ids[at - 1];
            at--;
        }
        ids[at] = i;
    }
}

static kept model(const float *logits, int n, const ndl_sampling *how)
{
    kept k = { .n = n };
    double sum = 0.0, seen = 0.0;
    rank(logits, n, k.ids);
    if (how->top_k > 0 && how->top_k < n) k.n = how->top_k;
    for (int i = 0; i < k.n; i++) {
        k.p[i] = exp((double)logits[k.ids[i]] - (double)logits[k.ids[0]]);
        sum += k.p[i];
    }
    int left = k.n;
    for (int i = 0; i < left && how->top_p < 1.0f; i++) {
        seen += k.p[i] / sum;
        if (is_near(seen, (double)how->top_p)) k.is_close = true;
        if (seen >= (double)how->top_p) left = i + 1;
    }
    k.n = left;
    for (left = 1; left < k.n && k.p[left] >= (double)how->min_p; left++)
        continue;
    for (int i = 0; i < k.n; i++)
        if (how->min_p > 0.0f && is_near(k.p[i], (double)how->min_p))
            k.is_close = true;
    k.n = left;
    sum = 0.0;
    for (int i = 0; i < k.n; i++)
        sum += k.p[i] = pow(k.p[i], 1.0 / (double)how->temperature);
    for (int i = 0; i < k.n; i++) k.p[i] /= sum;
    return k;
}

/* The id that a uniform number picks; -1: too close to call. */
static int pick(const kept *k, double u)
{
    double seen = 0.0;
    for (int i = 0; i < k->n; i++) {
        seen += k->p[i];
        if (fabs(u - seen) < 1e-5 && i < k->n - 1) return -1;
        if (u < seen || i == k->n - 1) return k->ids[i];
    }
    return -1;
}

static ndl_sampling random_sampling(void)
{
    ndl_sampling how = { .temperature = 0.1f + 2.0f * share(),
                         .top_p = 1.0f,
                         .seed = random_bits() };
    if (between(0, 1)) how.top_k = between(0, 50);
    if (between(0, 1)) how.top_p = share();
    if (between(0, 1)) how.min_p = share() * share();
    return how;
}

static void draws_are_those_of_the_model(void **state)
{
    (void)state;
    int n_close = 0;
    seed_random();
    for (int i = 0; i < N_RANDOM / 10; i++) {
        const int n = between(1, i % 4 ? 12 : MAX_V);
        float logits[MAX_V];
        for (int k = 0; k < n; k++)
            logits[k] =
                between(0, 3) ? 8.0f * share() - 4.0f : (float)between(-2, 2);
        const ndl_sampling how = random_sampling();
        const kept k = model(logits, n, &how);
        rig r = open_rig(n);
        for (uint32_t pos = 0; pos < 10; pos++) {
            const double u = ndl_sampler_uniform(how.seed, pos, 0);
            const int id = k.is_close ? -1 : pick(&k, u);
            const int got = ndl_sampler_draw(r.sampler, logits, &how, pos);
            assert_in_range(got, 0, n - 1);
            if (id < 0)
                n_close++;
            else
                assert_int_equal(got, id);
        }
        ndl_arena_destroy(&r.arena);
    }
    assert_true(n_close < N_RANDOM / 100);
}

static void frequencies_are_the_probabilities(void **state)
{
    (void)state;
    enum { V = 6, N = 40000 };
    const float logits[V] = { 0.0f, 1.0f, -1.0f, 1.0f, 0.5f, -3.0f };
    ndl_sampling how = { .temperature = 0.7f, .top_p = 1.0f };
    const kept k = model(logits, V, &how);
    int n[V] = { 0 };
    rig r = open_rig(V);
    for (int i = 0; i < N; i++) {
        how.seed = (uint64_t)i;
        n[ndl_sampler_draw(r.sampler, logits, &how, 17)]++;
    }
    for (int i = 0; i < V; i++) {
        const double sigma = sqrt(N * k.p[i] * (1.0 - k.p[i]));
        assert_true(fabs(n[k.ids[i]] - N * k.p[i]) < 5.0 * sigma);
    }
    ndl_arena_destroy(&r.arena);
}

/* ---- Ties, NaN, infinities ---- */

static void greedy_takes_the_smallest_id_of_the_best(void **state)
{
    (void)state;
    const float tie[5] = { 1.0f, 3.0f, 2.0f, 3.0f, -1.0f };
    const float zero[3] = { -0.0f, 0.0f, 0.0f };
    const ndl_sampling greedy = { .temperature = 0.0f, .top_k = 1 };
    assert_int_equal(draw_once(tie, 5, greedy, 0), 1);
    assert_int_equal(draw_once(zero, 3, greedy, 0), 0);
    assert_int_equal(draw_once(tie, 1, greedy, 0), 0);
}

static void kept_ties_are_those_of_the_smallest_ids(void **state)
{
    (void)state;
    float logits[40];
    for (int i = 0; i < 40; i++) logits[i] = i % 2 ? 1.0f : 0.0f;
    ndl_sampling how = { .temperature = 5.0f, .top_p = 1.0f, .top_k = 3 };
    bool seen[40] = { false };
    for (how.seed = 0; how.seed < 200; how.seed++)
        seen[draw_once(logits, 40, how, 0)] = true;
    for (int i = 0; i < 40; i++)
        assert_int_equal(seen[i], i == 1 || i == 3 || i == 5);
}

/* The ids that come up in 300 draws, as bits. */
static unsigned drawn(const float *logits, int n, ndl_sampling how)
{
    unsigned set = 0;
    rig r = open_rig(n);
    for (uint32_t pos = 0; pos < 300; pos++) {
        const int32_t id = ndl_sampler_draw(r.sampler, logits, &how, pos);
        assert_in_range(id, 0, n - 1);
        set |= 1u << id;
    }
    ndl_arena_destroy(&r.arena);
    return set;
}

static void nan_never_wins(void **state)
{
    (void)state;
    const float all[2] = { NAN, NAN };
    const float worst[3] = { NAN, -INFINITY, NAN };
    const float some[4] = { NAN, -5.0f, NAN, -6.0f };
    const ndl_sampling greedy = { .temperature = 0.0f };
    const ndl_sampling hot = { .temperature = 2.0f, .top_p = 1.0f };
    const ndl_sampling cut = { .temperature = 2.0f,
                               .top_p = 0.9f,
                               .min_p = 0.01f };
    assert_int_equal(draw_once(all, 2, greedy, 0), 0);
    assert_int_equal(draw_once(worst, 3, greedy, 0), 1);
    assert_int_equal(draw_once(some, 4, greedy, 0), 1);
    assert_int_equal(drawn(worst, 3, hot), 1u << 1);
    assert_int_equal(drawn(some, 4, hot), 1u << 1 | 1u << 3);
    assert_int_equal(drawn(some, 4, cut), 1u << 1 | 1u << 3);
    (void)drawn(all, 2, hot); /* something in range */
}

static void infinities_share_or_vanish(void **state)
{
    (void)state;
    const float up[4] = { 1.0f, INFINITY, INFINITY, 2.0f };
    const float down[4] = { -INFINITY, 1.0f, -INFINITY, 2.0f };
    const ndl_sampling hot = { .temperature = 2.0f, .top_p = 1.0f };
    assert_int_equal(drawn(up, 4, hot), 1u << 1 | 1u << 2);
    assert_int_equal(drawn(down, 4, hot), 1u << 1 | 1u << 3);
}

static void any_temperature_gives_a_token(void **state)
{
    (void)state;
    const float logits[4] = { 1.0f, 3.0f, 2.0f, 2.5f };
    ndl_sampling how = { .temperature = 1e-40f, .top_p = 1.0f };
    assert_int_equal(drawn(logits, 4, how), 1u << 1);
    how.temperature = 1e-6f;
    assert_int_equal(drawn(logits, 4, how), 1u << 1);
    how.temperature = 1e30f;
    assert_int_equal(drawn(logits, 4, how), 15u);
    how.temperature = -1.0f; /* nonsense is greedy */
    assert_int_equal(drawn(logits, 4, how), 1u << 1);
}

/* ---- The generator ---- */

static void uniform_is_below_one_and_uniform(void **state)
{
    (void)state;
    enum { N = 100000, BINS = 50 };
    int bins[BINS] = { 0 };
    double sum = 0.0, product = 0.0, last = 0.5;
    for (uint32_t i = 0; i < N; i++) {
        const double u = ndl_sampler_uniform(1, i, 0);
        assert_true(u >= 0.0 && u < 1.0);
        bins[(int)(u * BINS)]++;
        sum += u - 0.5;
        product += (u - 0.5) * (last - 0.5);
        last = u;
    }
    const double sigma = sqrt(N / 12.0);
    assert_true(fabs(sum) < 5.0 * sigma);
    assert_true(fabs(product) < 5.0 * sqrt(N) / 12.0);
    for (int i = 0; i < BINS; i++)
        assert_true(fabs(bins[i] - (double)N / BINS) <
                    5.0 * sqrt((double)N / BINS));
}

/* Neighbours in seed, position and draw have nothing in common. */
static void neighbours_are_independent(void **state)
{
    (void)state;
    enum { N = 20000 };
    double by_seed = 0.0, by_draw = 0.0, crossed = 0.0;
    for (uint32_t i = 0; i < N; i++) {
        const double u = ndl_sampler_uniform(i, 7, 0) - 0.5;
        by_seed += u * (ndl_sampler_uniform(i + 1, 7, 0) - 0.5);
        by_draw += u * (ndl_sampler_uniform(i, 7, 1) - 0.5);
        crossed += u * (ndl_sampler_uniform(7, i, 0) - 0.5);
    }
    const double limit = 5.0 * sqrt(N) / 12.0;
    assert_true(fabs(by_seed) < limit);
    assert_true(fabs(by_draw) < limit);
    assert_true(fabs(crossed) < limit);
}

static uint64_t bits_of(uint64_t seed, uint32_t pos)
{
    return (uint64_t)(ndl_sampler_uniform(seed, pos, 0) * 0x1p53);
}

/* Two requests that run side by side: no bit of one tells of the other. */
static void streams_of_two_seeds_share_no_bit(void **state)
{
    (void)state;
    enum { N = 4000 };
    for (uint64_t seed = 0; seed < 20; seed++)
        for (int bit = 40; bit < 53; bit++) {
            int n_same = 0;
            for (uint32_t pos = 0; pos < N; pos++)
                n_same +=
                    ((bits_of(seed, pos) ^ bits_of(seed + 1, pos)) >> bit &
                     1) == 0;
            assert_true(fabs(n_same - N / 2.0) < 5.0 * sqrt(N) / 2.0);
        }
}

/* A change of these numbers changes every text that was ever sampled. */
static void random_numbers_are_frozen(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        uint32_t pos, draw;
        uint64_t bits53;
    } golden[] = {
        { 0, 0, 0, 0 },
        { 0, 1, 0, UINT64_C(0x1022b6b9a8d0be) },
        { 1, 0, 0, UINT64_C(0x11cb12ebeda1b8) },
        { 42, 7, 3, UINT64_C(0x1421893f951313) },
        { UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_C(0x88a031c60b021) },
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        const double u =
            ndl_sampler_uniform(golden[i].seed, golden[i].pos, golden[i].draw);
        assert_int_equal((uint64_t)(u * 0x1p53), golden[i].bits53);
    }
}

static void draws_are_frozen(void **state)
{
    (void)state;
    static const int32_t golden[12] = { 5,   57,  121, 136, 141, 121,
                                        168, 168, 109, 42,  183, 183 };
    float logits[200];
    const ndl_sampling how = { .temperature = 0.8f,
                               .top_k = 40,
                               .top_p = 0.95f,
                               .min_p = 0.05f,
                               .seed = 5 };
    for (int i = 0; i < 200; i++) logits[i] = (float)(i * 7919 % 200) * 0.0625f;
    rig r = open_rig(200);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(ndl_sampler_draw(r.sampler, logits, &how, i),
                         golden[i]);
    ndl_arena_destroy(&r.arena);
}

static void kernels_of_all_kinds_draw_the_same(void **state)
{
    (void)state;
    ndl_kernels ref;
    float logits[MAX_V];
    ndl_kernels_init(&ref, 0);
    seed_random();
    rig r = open_rig(MAX_V), other = open_rig(MAX_V);
    ndl_arena_destroy(&other.arena);
    assert_int_equal(
        ndl_arena_create(&other.arena, "ref", ndl_sampler_bytes(MAX_V)),
        NDL_OK);
    assert_int_equal(
        ndl_sampler_create(&other.sampler, other.arena, MAX_V, &ref), NDL_OK);
    for (int i = 0; i < 300; i++) {
        for (int k = 0; k < MAX_V; k++) logits[k] = 20.0f * share();
        const ndl_sampling how = random_sampling();
        assert_int_equal(ndl_sampler_draw(r.sampler, logits, &how, 3),
                         ndl_sampler_draw(other.sampler, logits, &how, 3));
    }
    ndl_arena_destroy(&r.arena);
    ndl_arena_destroy(&other.arena);
}

static void arena_that_is_too_small_is_eos(void **state)
{
    (void)state;
    ndl_arena *arena = NULL;
    ndl_sampler *s = NULL;
    assert_int_equal(ndl_arena_create(&arena, "small", 64), NDL_OK);
    assert_int_equal(ndl_sampler_create(&s, arena, 1 << 20, &kernels), NDL_EOS);
    assert_null(s);
    ndl_arena_destroy(&arena);
    ndl_status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_those_of_the_model),
        cmocka_unit_test(frequencies_are_the_probabilities),
        cmocka_unit_test(greedy_takes_the_smallest_id_of_the_best),
        cmocka_unit_test(kept_ties_are_those_of_the_smallest_ids),
        cmocka_unit_test(nan_never_wins),
        cmocka_unit_test(infinities_share_or_vanish),
        cmocka_unit_test(any_temperature_gives_a_token),
        cmocka_unit_test(uniform_is_below_one_and_uniform),
        cmocka_unit_test(neighbours_are_independent),
        cmocka_unit_test(streams_of_two_seeds_share_no_bit),
        cmocka_unit_test(random_numbers_are_frozen),
        cmocka_unit_test(draws_are_frozen),
        cmocka_unit_test(kernels_of_all_kinds_draw_the_same),
        cmocka_unit_test(arena_that_is_too_small_is_eos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
