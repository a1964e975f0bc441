/*
 * attend_avx2.c - attention over one page and the merge of pages, AVX2 + FMA.
 *
 * Six query rows at a time: scores as tiles of rows x 16 keys over the K page,
 * softmax of the rows in L1, values as tiles of rows x 16 lanes over the V
 * page.  Bound by the FMA pipes at many rows, by memory at 1:
 *
 *   rows (hd = 128)        1    4    8   48  256
 *   share of peak, f32     9   24   37   65   83 %
 *                  bf16   13   57   67   84   85 %
 *
 * (bench_kernels, one core of a Zen 4 EPYC, exp not counted as work; 1 row of
 * f32 reads 22 of 35 GB/s.)  Panels of keys past the largest count of a tile
 * are not read.  In the second product a masked key must not take part even
 * with p = 0 (0 * v + -0 is +0): all rows run to the smallest count together,
 * then each to its own end.
 */
#include <math.h>

#include "exp_avx2.h"
#include "tile_avx2.h"
#include "variants.h"

/* One page and the rows that look at it.  A step of w covers `depth` values
 * of the summed index: 1 for f32 cells, 2 for bf16. */
typedef struct job {
    float *o, *m, *l;
    const float *const *q;
    const int *n_keys;
    const void *kpage, *vpage;
    const float *kscale, *vscale; /* or NULL */
    float *scratch;
    float scale;
    int hd, depth;
} job;

/* s[r][j] = q[r] . k[j], not yet scaled, for whole panels up to n_keys. */
static void scores(const job *a, int first, int rows, int n_keys)
{
    ndl_tile t = { .y = a->scratch + (size_t)first * NDL_PAGE_KEYS,
                   .ldy = NDL_PAGE_KEYS,
                   .step = (size_t)NDL_LANES * a->depth,
                   .panel = (size_t)NDL_LANES * a->hd,
                   .rows = rows,
                   .panels = (n_keys + NDL_LANES - 1) / NDL_LANES,
                   .k = a->hd,
                   .depth = a->depth };
    /* The first tile finds neither page in a cache.  Fetching V here takes
     * 4 rows of bf16 at hd = 128 from 12.0 to 7.9 us; f32, whose K already
     * comes at the rate of memory, loses (6.5 to 8.7 us at hd = 64). */
    if (first == 0 && a->depth == 2) {
        t.ahead = (uintptr_t)a->vpage;
        t.ahead_step = 64;
    }
    for (int r = 0; r < rows; r++) t.x[r] = a->q[first + r];
    ndl_tile_run(&t, a->kpage, 0);
}

/* The scaled sums s, masked to -inf past n, and their largest.  kscale: or
 * NULL, a constant of the caller's branch. */
NDL_INLINE float scale_and_max(float *s, int n, float scale,
                               const float *kscale)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);
    const __m256 factor = _mm256_set1_ps(scale);
    __m256 top[2] = { none, none };
    float lanes[NDL_LANES];
    for (int j = 0; j < n; j += NDL_LANES)
        for (int h = 0; h < 2; h++) {
            float *at = s + j + 8 * h;
            __m256i seen = ndl_first_lanes(n - j - 8 * h);
            __m256 v = _mm256_mul_ps(_mm256_loadu_ps(at), factor);
            if (kscale)
                v = _mm256_mul_ps(v, _mm256_loadu_ps(kscale + j + 8 * h));
            v = _mm256_blendv_ps(none, v, _mm256_castsi256_ps(seen));
            _mm256_storeu_ps(at, v);
            top[h] = _mm256_max_ps(v, top[h]);
        }
    _mm256_storeu_ps(lanes, top[0]);
    _mm256_storeu_ps(lanes + 8, top[1]);
    return ndl_lanes_max(lanes);
}

/* p = exp(s - m), times vscale if given, 0 past n; the sum is that of p. */
NDL_INLINE float exp_and_sum(float *s, int n, float m, const float *vscale)
{
    const __m256 top = _mm256_set1_ps(m);
    __m256 sum[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (int j = 0; j < n; j += NDL_LANES)
        for (int h = 0; h < 2; h++) {
            float *at = s + j + 8 * h;
            __m256i seen = ndl_first_lanes(n - j - 8 * h);
            __m256 v = _mm256_sub_ps(_mm256_loadu_ps(at), top);
            v = _mm256_and_ps(ndl_exp_avx2_lanes(v), _mm256_castsi256_ps(seen));
            sum[h] = _mm256_add_ps(sum[h], v);
            if (vscale) {
                v = _mm256_mul_ps(v, _mm256_loadu_ps(vscale + j + 8 * h));
                v = _mm256_and_ps(v, _mm256_castsi256_ps(seen));
            }
            _mm256_storeu_ps(at, v);
        }
    return ndl_fold_sum(sum[0], sum[1]);
}

/* o[r] (+)= sum of p[r][j] * v[j] over begin <= j < end; begin is even. */
static void mix(const job *a, int first, int rows, int begin, int end)
{
    const int hp = ndl_lanes_round(a->hd);
    ndl_tile t = { .y = a->o + (size_t)first * hp,
                   .ldy = (size_t)hp,
                   .step = (size_t)hp * a->depth,
                   .panel = (size_t)NDL_LANES * a->depth,
                   .rows = rows,
                   .panels = hp / NDL_LANES,
                   .k = end - begin,
                   .depth = a->depth,
                   .carry = begin > 0 };
    for (int r = 0; r < rows; r++)
        t.x[r] = a->scratch + (size_t)(first + r) * NDL_PAGE_KEYS + begin;
    ndl_tile_run(&t, a->vpage, (size_t)begin * hp);
}

static void softmax(const job *a, int r)
{
    float *s = a->scratch + (size_t)r * NDL_PAGE_KEYS;
    const int n = a->n_keys[r];
    a->m[r] = a->kscale ? scale_and_max(s, n, a->scale, a->kscale)
                        : scale_and_max(s, n, a->scale, NULL);
    a->l[r] = a->vscale ? exp_and_sum(s, n, a->m[r], a->vscale)
                        : exp_and_sum(s, n, a->m[r], NULL);
}

static void attend_rows(const job *a, int first, int rows)
{
    int fewest = NDL_PAGE_KEYS, most = 0;
    for (int r = first; r < first + rows; r++) {
        if (a->n_keys[r] < fewest) fewest = a->n_keys[r];
        if (a->n_keys[r] > most) most = a->n_keys[r];
    }
    scores(a, first, rows, most);
    for (int r = first; r < first + rows; r++) softmax(a, r);
    /* Pairs of keys share a cell of bf16, so the common part is even. */
    int common = fewest == most ? most : fewest / 2 * 2;
    mix(a, first, rows, 0, common);
    for (int r = first; r < first + rows; r++)
        if (a->n_keys[r] > common) mix(a, r, 1, common, a->n_keys[r]);
}

static void attend(const job *a, int rows)
{
    const int tiles = (rows + NDL_TILE_ROWS - 1) / NDL_TILE_ROWS;
    for (int i = 0; i < tiles; i++) {
        int first = ndl_even_begin(rows, tiles, i);
        attend_rows(a, first, ndl_even_begin(rows, tiles, i + 1) - first);
    }
}

NDL_DECL_ATTEND(ndl_attend_f32_avx2, float)
{
    job a = { o,      m,      l,       q,     n_keys, kpage, vpage,
              kscale, vscale, scratch, scale, hd,     1 };
    attend(&a, rows);
}

NDL_DECL_ATTEND(ndl_attend_bf16_avx2, uint16_t)
{
    job a = { o,      m,      l,       q,     n_keys, kpage, vpage,
              kscale, vscale, scratch, scale, hd,     2 };
    attend(&a, rows);
}

NDL_DECL_ATTEND_MERGE(ndl_attend_merge_avx2)
{
    const int hp = ndl_lanes_round(hd);
    for (int r = 0; r < rows; r++) {
        float n = ndl_lanes_larger(m[r], m2[r]);
        float a = ndl_exp_scalar(m[r] - n), b = ndl_exp_scalar(m2[r] - n);
        const __m256 old = _mm256_set1_ps(a), new = _mm256_set1_ps(b);
        l[r] = fmaf(l[r], a, l2[r] * b);
        m[r] = n;
        for (int i = 0; i < hp; i += 8) {
            float *at = o + (size_t)r * hp + i;
            __m256 v = _mm256_loadu_ps(o2 + (size_t)r * hp + i);
            v = _mm256_fmadd_ps(_mm256_loadu_ps(at), old,
                                _mm256_mul_ps(v, new));
            _mm256_storeu_ps(at, v);
        }
    }
}
