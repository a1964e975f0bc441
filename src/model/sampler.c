/* sampler.c - see sampler.h. */
#include "noodle/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct ndl_sampler {
    int vocab;
    const ndl_kernels *kernels;
    candidate *list; /* (V) */
    float *weight;   /* (V) */
};

size_t ndl_sampler_bytes(int vocab)
{
    return sizeof(ndl_sampler) + 3 * 64 +
           (size_t)vocab * (sizeof(candidate) + sizeof(float));
}

ndl_status ndl_sampler_create(ndl_sampler **out, ndl_arena *arena, int vocab,
                              const ndl_kernels *kernels)
{
    const size_t n = (size_t)vocab;
    ndl_sampler *s = ndl_arena_alloc(arena, sizeof *s);
    if (!s) return NDL_FAIL(NDL_EOS, "sampler: the arena is too small");
    s->vocab = vocab;
    s->kernels = kernels;
    s->list = ndl_arena_alloc(arena, n * sizeof *s->list);
    s->weight = ndl_arena_alloc(arena, n * sizeof *s->weight);
    if (!s->list || !s->weight)
        return NDL_FAIL(NDL_EOS, "sampler: the arena is too small");
    *out = s;
    return NDL_OK;
}

/* Finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the input
 * changes every bit of the output with probability about 1/2. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

double ndl_sampler_uniform(uint64_t seed, uint32_t pos, uint32_t draw)
{
    const uint64_t counter = ((uint64_t)pos << 32 | draw) + 1;
    const uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15ull) ^
                              mix(counter * 0x9e3779b97f4a7c15ull));
    return (double)(bits >> 11) * 0x1p-53;
}

static bool is_better(candidate a, candidate b)
{
    if (a.logit > b.logit) return true;
    if (a.logit < b.logit) return false;
    if (isnan(a.logit) != isnan(b.logit)) return isnan(b.logit);
    return a.id < b.id;
}

static int by_rank(const void *a, const void *b)
{
    return is_better(*(const candidate *)a, *(const candidate *)b) ? -1 : 1;
}

static candidate candidate_of(const float *logits, int i)
{
    return (candidate){ logits[i], i };
}

static int32_t greedy(const float *logits, int n)
{
    candidate best = candidate_of(logits, 0);
    for (int i = 1; i < n; i++) {
        const candidate c = candidate_of(logits, i);
        if (is_better(c, best)) best = c;
    }
    return best.id;
}

/* Heap with the worst candidate on top. */
static void sift_down(candidate *heap, int n, int at)
{
    for (;;) {
        int worst = at;
        const int left = 2 * at + 1, right = left + 1;
        if (left < n && is_better(heap[worst], heap[left])) worst = left;
        if (right < n && is_better(heap[worst], heap[right])) worst = right;
        if (worst == at) return;
        const candidate t = heap[at];
        heap[at] = heap[worst];
        heap[worst] = t;
        at = worst;
    }
}

/* The k best, in order, at the front of s->list. */
static void keep_best(ndl_sampler *s, const float *logits, int k)
{
    for (int i = 0; i < k; i++) s->list[i] = candidate_of(logits, i);
    if (k < s->vocab) {
        for (int i = k / 2 - 1; i >= 0; i--) sift_down(s->list, k, i);
        for (int i = k; i < s->vocab; i++) {
            const candidate c = candidate_of(logits, i);
            if (!is_better(c, s->list[0])) continue;
            s->list[0] = c;
            sift_down(s->list, k, 0);
        }
    }
    qsort(s->list, (size_t)k, sizeof *s->list, by_rank);
}

void ndl_sampler_likeliest(ndl_sampler *s, const float *logits, int n,
                           int32_t *ids)
{
    if (n > 0) keep_best(s, logits, n);
    for (int i = 0; i < n; i++) ids[i] = s->list[i].id;
}

/* (logit[i] - best) * scale, also where that would be no number: equal
 * infinities weigh the same, and a NaN weighs nothing beside anything else. */
static float exponent(const ndl_sampler *s, int i, float scale)
{
    const float best = s->list[0].logit, x = s->list[i].logit;
    if (x == best || isnan(best)) return 0.0f;
    return isnan(x) ? -INFINITY : (x - best) * scale;
}

/* weight[i] = exp(exponent); returns their sum in order. */
static double weigh(ndl_sampler *s, int n, float scale)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) s->weight[i] = exponent(s, i, scale);
    s->kernels->exp(s->weight, s->weight, n);
    for (int i = 0; i < n; i++) sum += (double)s->weight[i];
    return sum;
}

static int apply_top_p(const ndl_sampler *s, int n, double sum, float top_p)
{
    double seen = 0.0;
    for (int i = 0; i < n; i++) {
        seen += (double)s->weight[i];
        if (seen >= (double)top_p * sum) return i + 1;
    }
    return n;
}

static int apply_min_p(const ndl_sampler *s, int n, float min_p)
{
    int keep = 1;
    while (keep < n && s->weight[keep] >= min_p) keep++;
    return keep;
}

int32_t ndl_sampler_draw(ndl_sampler *s, const float *logits,
                         const ndl_sampling *how, uint32_t pos)
{
    if (!(how->temperature > 0.0f)) return greedy(logits, s->vocab);

    int n = s->vocab;
    if (how->top_k > 0 && how->top_k < n) n = how->top_k;
    keep_best(s, logits, n);
    const double sum = weigh(s, n, 1.0f);
    if (how->top_p < 1.0f) n = apply_top_p(s, n, sum, how->top_p);
    if (how->min_p > 0.0f) n = apply_min_p(s, n, how->min_p);

    const double all = weigh(s, n, 1.0f / how->temperature);
    const double u = ndl_sampler_uniform(how->seed, pos, 0) * all;
    double seen = 0.0;
    for (int i = 0; i < n; i++) {
        seen += (double)s->weight[i];
        if (u < seen) return s->list[i].id;
    }
    return s->list[n - 1].id;
}
