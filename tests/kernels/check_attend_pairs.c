/*
 * check_attend_pairs.c - attention by the dot product of pairs has the bits
 * that kernels.h tells: against the same instruction, used one lane at a time
 * in the plainest way.
 */
#include "kernel_check.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { Q, K, V, O, M, L, O2, M2, L2, S, P, KS, VS };
enum { MAX_ROWS = 26 };

typedef struct page {
    int hd, hp, rows;
    float scale;
    int n_keys[MAX_ROWS];
    const float *q[MAX_ROWS];
    uint16_t *k, *v;
    const float *kscale, *vscale; /* or NULL */
} page;

typedef struct result {
    float *o, *m, *l;
} result;

static void require_pairs(ndl_kernels *k)
{
    const unsigned flags = (unsigned)ndl_cpu_parse("bf16");
    if ((ndl_cpu_flags() & flags) != flags) {
        print_message("skipped: this machine has no avx512_bf16\n");
        skip();
    }
    ndl_kernels_init(k, flags);
}

/* Sums that vanish to a zero of either sign are part of it: small values and
 * zeros come often. */
static page make_page(int hd, int rows)
{
    page p = { .hd = hd, .hp = (hd + 15) / 16 * 16, .rows = rows };
    p.scale = 1.0f / sqrtf((float)hd);
    p.k = random_cells(K, (size_t)hd * 256);
    p.v = random_cells(V, (size_t)p.hp * 256);
    float *q = random_floats(Q, (size_t)rows * hd);
    for (int r = 0; r < rows; r++) {
        p.q[r] = q + (size_t)r * hd;
        p.n_keys[r] = random_int(1, random_int(0, 1) ? 256 : 40);
    }
    return p;
}

/* As of keys or values in int8: each may come with them or not. */
static void give_scales(page *p, int i)
{
    if (i % 2) p->kscale = random_floats(KS, 256);
    if (i / 2 % 2) p->vscale = random_floats(VS, 256);
}

static result attend(const ndl_kernels *k, const page *p, int slot)
{
    const size_t rows = (size_t)p->rows;
    result out = { guard_floats(slot, rows * p->hp),
                   guard_floats(slot + 1, rows), guard_floats(slot + 2, rows) };
    float *scratch = guard_floats(S, rows * 256);
    k->attend_bf16(out.o, out.m, out.l, p->q, p->k, p->v, p->kscale, p->vscale,
                   p->n_keys, p->rows, p->hd, p->scale, scratch);
    assert_guards_intact();
    return out;
}

static uint32_t rounded(float x)
{
    uint32_t bits;
    if (fabsf(x) < 0x1p-126f) x = copysignf(0.0f, x);
    memcpy(&bits, &x, sizeof bits);
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

static uint32_t pair(uint32_t first, uint32_t second)
{
    return first | second << 16;
}

__attribute__((target("avx512bf16,avx512vl"))) static float
add_products(float sum, uint32_t a, uint32_t b)
{
    return _mm_cvtss_f32(_mm_dpbf16_ps(_mm_set_ss(sum),
                                       (__m128bh)_mm_cvtsi32_si128((int)a),
                                       (__m128bh)_mm_cvtsi32_si128((int)b)));
}

static float score(const page *p, int r, int j)
{
    const uint16_t *key = p->k + (size_t)(j / 16) * 16 * p->hd + j % 16 * 2;
    float sum = 0;
    for (int i = 0; i < p->hd; i += 2)
        sum = add_products(sum,
                           pair(rounded(p->q[r][i]), rounded(p->q[r][i + 1])),
                           pair(key[i * 16], key[i * 16 + 1]));
    sum *= p->scale;
    return p->kscale ? sum * p->kscale[j] : sum;
}

static float value(const page *p, const float *weights, int n, int i)
{
    float sum = 0;
    for (int j = 0; j < n; j += 2) {
        const uint16_t *v = p->v + ((size_t)(j / 2) * p->hp + i) * 2;
        const int two = j + 1 < n;
        sum = add_products(
            sum, pair(rounded(weights[j]), two ? rounded(weights[j + 1]) : 0),
            pair(v[0], two ? v[1] : 0));
    }
    return sum;
}

static void assert_follows_the_definition(const page *p, int r, result got)
{
    ndl_kernels ref;
    ndl_kernels_init(&ref, 0);
    const int n = p->n_keys[r];
    float weights[256], lanes[16] = { 0 }, top = -INFINITY;
    for (int j = 0; j < n; j++) {
        weights[j] = score(p, r, j);
        top = weights[j] > top ? weights[j] : top;
    }
    for (int j = 0; j < n; j++) weights[j] -= top;
    ref.exp(weights, weights, n);
    for (int j = 0; j < n; j++) lanes[j % 16] += weights[j];
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    for (int j = 0; p->vscale && j < n; j++) weights[j] *= p->vscale[j];
    assert_true(got.m[r] == top); /* which of two zeros is left open */
    assert_same_bits(got.l + r, lanes, 1);
    for (int i = 0; i < p->hp; i++) {
        const float want = value(p, weights, n, i);
        assert_same_bits(got.o + (size_t)r * p->hp + i, &want, 1);
    }
}

static void the_bits_are_those_of_the_definition(void **state)
{
    (void)state;
    static const int sizes[] = { 2, 16, 20, 36, 64, 80, 96, 128, 200 };
    ndl_kernels k;
    require_pairs(&k);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int rows = 1; rows <= MAX_ROWS; rows += rows < 9 ? 1 : 4) {
            page p = make_page(sizes[s], rows);
            give_scales(&p, rows + (int)s);
            result out = attend(&k, &p, O);
            for (int r = 0; r < rows; r++)
                assert_follows_the_definition(&p, r, out);
        }
}

static void every_count_of_keys_has_its_bits(void **state)
{
    (void)state;
    ndl_kernels k;
    require_pairs(&k);
    for (int n = 1; n <= 256; n++) {
        page p = make_page(20, 3);
        p.n_keys[1] = n;
        give_scales(&p, random_int(0, 3));
        assert_follows_the_definition(&p, 1, attend(&k, &p, O));
    }
}

/* The row of a tile, and the same row alone over a page on which every key
 * that it does not see is infinite or no number. */
static void neighbours_and_unseen_keys_change_nothing(void **state)
{
    (void)state;
    static const uint16_t wild[] = { 0x7f80, 0xff80, 0x7fc0, 0x8000 };
    ndl_kernels k;
    require_pairs(&k);
    for (int round = 0; round < 60; round++) {
        page p = make_page(2 * random_int(1, 60), random_int(2, MAX_ROWS));
        result all = attend(&k, &p, O);
        const int r = random_int(0, p.rows - 1);
        page one = p;
        one.rows = 1;
        one.n_keys[0] = p.n_keys[r];
        one.q[0] = p.q[r];
        for (int j = one.n_keys[0]; j < 256; j++)
            for (int i = 0; i < p.hp; i++)
                p.v[((size_t)(j / 2) * p.hp + i) * 2 + j % 2] =
                    wild[random_bits() % 4];
        result alone = attend(&k, &one, O2);
        assert_same_bits(alone.m, all.m + r, 1);
        assert_same_bits(alone.l, all.l + r, 1);
        assert_same_bits(alone.o, all.o + (size_t)r * p.hp, (size_t)p.hp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bits_are_those_of_the_definition),
        cmocka_unit_test(every_count_of_keys_has_its_bits),
        cmocka_unit_test(neighbours_and_unseen_keys_change_nothing),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
#else
int main(void)
{
    return 77;
}
#endif
