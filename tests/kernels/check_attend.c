/* check_attend.c - attention over a page, merge of pages, store of a key. */
#include "kernel_check.h"

enum { Q, K, V, K2, V2, O, M, L, O2, M2, L2, S, KEY, VALUE, KS, VS };
enum { MAX_ROWS = 26 };

/* A page, its query rows and what attention makes of them. */
typedef struct page {
    int bf16, hd, hp, rows;
    int pairs; /* VDPBF16PS, which rounds q and p to bf16 */
    float scale;
    int n_keys[MAX_ROWS];
    const float *q[MAX_ROWS];
    void *k, *v;
    float *kscale, *vscale; /* or NULL */
} page;

typedef struct result {
    float *o, *m, *l;
} result;

static void *random_page(int slot, size_t n, int bf16)
{
    if (bf16) return random_cells(slot, n);
    return random_floats(slot, n);
}

static page make_page(int bf16, int hd, int rows)
{
    page p = { .bf16 = bf16, .hd = hd, .rows = rows };
    p.hp = (hd + 15) / 16 * 16;
    p.scale = 1.0f / sqrtf((float)hd);
    p.k = random_page(K, (size_t)hd * 256, bf16);
    p.v = random_page(V, (size_t)p.hp * 256, bf16);
    float *q = random_floats(Q, (size_t)rows * hd);
    int first = random_int(1, 256);
    for (int r = 0; r < rows; r++) {
        p.q[r] = q + (size_t)(rows - 1 - r) * hd;
        p.n_keys[r] = first + r < 256 ? first + r : 256;
        if (rows % 2) p.n_keys[r] = random_int(1, 256);
    }
    return p;
}

static float *random_scales(int slot)
{
    float *x = guard_floats(slot, 256);
    for (int j = 0; j < 256; j++)
        x[j] = random_int(0, 30) ? 1.0f + 0.9f * random_unit() : 0x1p-120f;
    return x;
}

/* As of keys or values in int8: each may come with them or not. */
static void give_scales(page *p, int i)
{
    if (i / 2 % 2) p->kscale = random_scales(KS);
    if (i / 4 % 2) p->vscale = random_scales(VS);
}

static result attend(const ndl_kernels *k, const page *p, int slot)
{
    size_t rows = (size_t)p->rows;
    result out = { guard_floats(slot, rows * p->hp),
                   guard_floats(slot + 1, rows), guard_floats(slot + 2, rows) };
    float *scratch = guard_floats(S, rows * 256);
    if (p->bf16)
        k->attend_bf16(out.o, out.m, out.l, p->q, p->k, p->v, p->kscale,
                       p->vscale, p->n_keys, p->rows, p->hd, p->scale, scratch);
    else
        k->attend_f32(out.o, out.m, out.l, p->q, p->k, p->v, p->kscale,
                      p->vscale, p->n_keys, p->rows, p->hd, p->scale, scratch);
    assert_guards_intact();
    return out;
}

static void assert_same_results(const page *p, result a, result b)
{
    assert_same_bits(a.m, b.m, (size_t)p->rows);
    assert_same_bits(a.l, b.l, (size_t)p->rows);
    assert_same_bits(a.o, b.o, (size_t)p->rows * p->hp);
}

static double cell(const page *p, const void *cells, size_t at)
{
    if (p->bf16) return f32_of_bf16(((const uint16_t *)cells)[at]);
    return ((const float *)cells)[at];
}

static double key_at(const page *p, int j, int i)
{
    size_t panel = (size_t)(j / 16) * 16 * p->hd, lane = (size_t)(j % 16);
    if (p->bf16) return cell(p, p->k, panel + (i / 2 * 16 + lane) * 2 + i % 2);
    return cell(p, p->k, panel + (size_t)i * 16 + lane);
}

static double value_at(const page *p, int j, int i)
{
    if (p->bf16)
        return cell(p, p->v, ((size_t)(j / 2) * p->hp + i) * 2 + j % 2);
    return cell(p, p->v, (size_t)j * p->hp + i);
}

/* Has this level bits of its own here? */
static int goes_by_pairs(const ndl_kernels *k, int bf16)
{
    return bf16 && strcmp(k->name, "bf16") == 0;
}

static float rounded_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fffu + (bits >> 16 & 1u);
    return f32_of_bf16((uint16_t)(bits >> 16));
}

static double query_at(const page *p, int r, int i)
{
    return p->pairs ? rounded_to_bf16(p->q[r][i]) : p->q[r][i];
}

/* The scores of row r in fp64; returns a bound of their error in f32. */
static double fp64_scores(const page *p, int r, double *s)
{
    double error = 0;
    for (int j = 0; j < p->n_keys[r]; j++) {
        double sum = 0, size = 0;
        for (int i = 0; i < p->hd; i++) {
            double term = query_at(p, r, i) * key_at(p, j, i);
            sum += term;
            size += fabs(term);
        }
        const double scale = p->scale * (p->kscale ? p->kscale[j] : 1.0);
        s[j] = sum * scale;
        error = fmax(error, (p->hd + 3) * 0x1p-24 * size * scale);
    }
    return error + 0x1p-100;
}

/* A score off by e changes its p by the factor exp(e); the maximum adds the
 * same again; exp itself 2 ULP; sums of n terms n u of the magnitudes; a scale
 * of the value u; where p is rounded to bf16, 2^-8 of it. */
static void compare_row(const page *p, int r, result got, worst bad[3])
{
    double s[256], top = -HUGE_VAL, l = 0;
    int n = p->n_keys[r];
    double e = fp64_scores(p, r, s);
    for (int j = 0; j < n; j++) top = fmax(top, s[j]);
    worst_add(&bad[0], got.m[r], top, e + fabs(top) * 0x1p-24);
    double relative = 2.5 * e + (fabs(top) + 16) * 0x1p-23 + n * 0x1p-24;
    for (int j = 0; j < n; j++) l += s[j] = exp(s[j] - top);
    worst_add(&bad[1], got.l[r], l, l * relative);
    if (p->vscale) relative += 0x1p-24;
    if (p->pairs) relative += 0x1p-8;
    for (int j = 0; p->vscale && j < n; j++) s[j] *= p->vscale[j];
    for (int i = 0; i < p->hp; i++) {
        double sum = 0, size = 0;
        for (int j = 0; j < n; j++) {
            sum += s[j] * value_at(p, j, i);
            size += fabs(s[j] * value_at(p, j, i));
        }
        worst_add(&bad[2], got.o[r * p->hp + i], sum,
                  size * relative + n * 0x1p-115);
    }
}

static int random_hd(int max)
{
    return 2 * random_int(1, max / 2);
}

static void every_version_is_close_to_fp64(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad[3] = { { 0, 0 } };
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 40; i++) {
            page p = make_page(i % 2, random_hd(80), random_int(1, 7));
            p.pairs = goes_by_pairs(&k[v], p.bf16);
            give_scales(&p, i);
            result out = attend(&k[v], &p, O);
            for (int r = 0; r < p.rows; r++) compare_row(&p, r, out, bad);
        }
    assert_within(&bad[0], "attend maximum");
    assert_within(&bad[1], "attend sum");
    assert_within(&bad[2], "attend output");
}

static void every_level_gives_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 80; i++) {
        page p = make_page(i % 2, random_hd(i % 8 ? 70 : 200),
                           random_int(0, i % 8 ? 8 : MAX_ROWS));
        give_scales(&p, random_int(0, 7));
        result want = attend(&k[0], &p, O);
        for (int v = 1; v < n_levels; v++)
            if (!goes_by_pairs(&k[v], p.bf16))
                assert_same_results(&p, attend(&k[v], &p, O2), want);
    }
}

static void a_row_does_not_depend_on_the_other_rows(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 12; i++) {
            page p = make_page(i % 2, random_hd(70), random_int(1, 13));
            give_scales(&p, i);
            result all = attend(&k[v], &p, O);
            for (int r = 0; r < p.rows; r++) {
                page one = p;
                one.rows = 1;
                one.n_keys[0] = p.n_keys[r];
                one.q[0] = p.q[r];
                result alone = attend(&k[v], &one, O2);
                result row = { all.o + (size_t)r * p.hp, all.m + r, all.l + r };
                assert_same_results(&one, row, alone);
            }
        }
}

static void store(const ndl_kernels *k, const page *p, int j, const float *key,
                  const float *value)
{
    if (p->bf16) {
        k->k_store_bf16(p->k, j, key, p->hd);
        k->v_store_bf16(p->v, j, value, p->hd);
    } else {
        k->k_store_f32(p->k, j, key, p->hd);
        k->v_store_f32(p->v, j, value, p->hd);
    }
}

/* NaN in every key, value and scale that no row may see. */
static void poison_after(const page *p, int n)
{
    for (int j = n; j < 256; j++) {
        float k[256], v[256];
        for (int i = 0; i < p->hd; i++) k[i] = v[i] = NAN;
        ndl_kernels ref;
        ndl_kernels_init(&ref, 0);
        store(&ref, p, j, k, v);
        if (p->kscale) p->kscale[j] = NAN;
        if (p->vscale) p->vscale[j] = NAN;
    }
}

static void masked_keys_take_no_part(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 40; i++) {
            page p = make_page(i % 2, random_hd(40), random_int(1, 8));
            int n = random_int(1, 255);
            for (int r = 0; r < p.rows; r++) p.n_keys[r] = n > r ? n - r : 1;
            give_scales(&p, i);
            result clean = attend(&k[v], &p, O);
            poison_after(&p, n);
            result out = attend(&k[v], &p, O2);
            assert_same_results(&p, out, clean);
        }
}

/* Row 0 alone sees the last keys, which are NaN: the other rows of its tile
 * give the bits that they give over a clean page. */
static void a_row_stops_at_its_own_count(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int i = 0; i < 40; i++) {
            page p = make_page(i % 2, random_hd(70), random_int(2, 13));
            p.n_keys[0] = 256;
            int most = random_int(1, 255);
            for (int r = 1; r < p.rows; r++)
                p.n_keys[r] = random_int(i % 4 ? most : 1, most);
            give_scales(&p, i);
            result clean = attend(&k[v], &p, O);
            poison_after(&p, most);
            result out = attend(&k[v], &p, O2);
            page rest = p;
            rest.rows--;
            result a = { clean.o + p.hp, clean.m + 1, clean.l + 1 };
            result b = { out.o + p.hp, out.m + 1, out.l + 1 };
            assert_same_results(&rest, b, a);
            assert_true(out.l[0] != out.l[0]);
        }
}

static void one_key_gives_its_value(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            page p = make_page(bf16, 48, 3);
            for (int r = 0; r < 3; r++) p.n_keys[r] = 1;
            result out = attend(&k[v], &p, O);
            for (int i = 0; i < 3 * 48; i++) {
                float want = (float)value_at(&p, 0, i % 48);
                assert_true(out.o[i] == want || fabsf(want) < 1.2e-38f);
            }
            for (int r = 0; r < 3; r++) assert_true(out.l[r] == 1.0f);
        }
}

/* One softmax over several pages in fp64, for one row; `top` is any number
 * near its maximum. */
typedef struct softmax {
    double top, l, o[48], size[48], error;
} softmax;

static void softmax_add(softmax *all, const page *p, int r)
{
    double s[256];
    all->error = fmax(all->error, fp64_scores(p, r, s));
    for (int j = 0; j < p->n_keys[r]; j++) {
        double weight = exp(s[j] - all->top);
        all->l += weight;
        for (int i = 0; i < p->hp; i++) {
            double term = weight * value_at(p, j, i);
            all->o[i] += term;
            all->size[i] += fabs(term);
        }
    }
}

static result attend_more(const ndl_kernels *k, page *p, int slot, int n,
                          softmax *all)
{
    random_page(K, 34 * 256, 0);
    random_page(V, 48 * 256, 0);
    for (int r = 0; r < p->rows; r++) p->n_keys[r] = n;
    result out = attend(k, p, slot);
    if (all->l == 0) all->top = out.m[1];
    softmax_add(all, p, 1);
    return out;
}

/* A page of 256 keys, then one of 100; the bound is that of compare_row, for
 * the quotient twice. */
static void merged_pages_equal_one_softmax(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    worst bad = { 0, 0 };
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 10; round++) {
            page p = make_page(0, 34, 3);
            p.scale *= 0x1p-8f; /* exp(s - top) must fit fp64 on any page */
            softmax all = { 0 };
            result a = attend_more(&k[v], &p, O, 256, &all);
            result b = attend_more(&k[v], &p, O2, 100, &all);
            k[v].attend_merge(a.o, a.m, a.l, b.o, b.m, b.l, 3, 34);
            assert_guards_intact();
            double relative = 5 * all.error + 500 * 0x1p-24;
            for (int i = 0; i < 34; i++)
                worst_add(&bad, a.o[48 + i] / a.l[1], all.o[i] / all.l,
                          all.size[i] / all.l * relative);
        }
    assert_within(&bad, "merge");
}

static void copy_state(float *const to[3], const float *o, const float *max,
                       const float *l, size_t n, size_t m)
{
    memcpy(to[0], o, n * sizeof *o);
    memcpy(to[1], max, m * sizeof *max);
    memcpy(to[2], l, m * sizeof *l);
}

/* Maxima are results of arithmetic, which knows no denormals; whether choosing
 * the larger one of two flushes them is the compiler's choice. */
static void flush(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) < 0x1p-126f) x[i] = 0.0f;
}

static void merge_gives_at_every_level_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 50; i++) {
        int hd = random_hd(200), rows = random_int(0, 9);
        size_t n = (size_t)rows * ((hd + 15) / 16 * 16), m = (size_t)rows;
        float *o = random_floats(O, n), *o2 = random_floats(K, n);
        float *max = random_floats(M, m), *max2 = random_floats(V, m);
        float *l = random_floats(L, m), *l2 = random_floats(K2, m);
        flush(max, m);
        flush(max2, m);
        float *want[3] = { guard_floats(KEY, n), guard_floats(VALUE, m),
                           guard_floats(S, m) };
        float *got[3] = { guard_floats(O2, n), guard_floats(M2, m),
                          guard_floats(L2, m) };
        copy_state(want, o, max, l, n, m);
        k[0].attend_merge(want[0], want[1], want[2], o2, max2, l2, rows, hd);
        for (int v = 1; v < n_levels; v++) {
            copy_state(got, o, max, l, n, m);
            k[v].attend_merge(got[0], got[1], got[2], o2, max2, l2, rows, hd);
            assert_same_bits(got[0], want[0], n);
            assert_same_bits(got[1], want[1], m);
            assert_same_bits(got[2], want[2], m);
            assert_guards_intact();
        }
    }
}

static int same_or_both_nan(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 &&
            !(isnan(a[i]) && isnan(b[i])))
            return 0;
    return 1;
}

/* Maxima that are infinite or no number; 20 rows of one panel. */
static void wild_maxima_merge_as_in_ref(void **state)
{
    (void)state;
    enum { ROWS = 20, N = ROWS * 16 };
    static const float wild[] = { INFINITY, -INFINITY, NAN, 1.0f, -200.0f };
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 30; i++) {
        float *o = random_floats(O, N), *o2 = random_floats(K, N);
        float *max = random_floats(M, ROWS), *max2 = random_floats(V, ROWS);
        float *l = random_floats(L, ROWS), *l2 = random_floats(K2, ROWS);
        float *want[3] = { guard_floats(KEY, N), guard_floats(VALUE, ROWS),
                           guard_floats(S, ROWS) };
        float *got[3] = { guard_floats(O2, N), guard_floats(M2, ROWS),
                          guard_floats(L2, ROWS) };
        for (int r = 0; r < ROWS; r++) {
            max[r] = wild[random_bits() % 5];
            max2[r] = wild[random_bits() % 5];
        }
        copy_state(want, o, max, l, N, ROWS);
        k[0].attend_merge(want[0], want[1], want[2], o2, max2, l2, ROWS, 16);
        for (int v = 1; v < n_levels; v++) {
            copy_state(got, o, max, l, N, ROWS);
            k[v].attend_merge(got[0], got[1], got[2], o2, max2, l2, ROWS, 16);
            assert_true(same_or_both_nan(got[0], want[0], N));
            assert_true(same_or_both_nan(got[1], want[1], ROWS));
            assert_true(same_or_both_nan(got[2], want[2], ROWS));
        }
    }
}

/* Stores keys in random order; every cell then holds what was last stored,
 * rounded, and nothing else has changed. */
static void a_stored_key_is_found_where_attention_reads(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 20; round++) {
            page p = make_page(round % 2, random_hd(70), 1);
            page before = p;
            size_t size = p.bf16 ? 2 : 4;
            size_t nk = size * p.hd * 256, nv = size * p.hp * 256;
            before.k = memcpy(guard_bytes(K2, nk), p.k, nk);
            before.v = memcpy(guard_bytes(V2, nv), p.v, nv);
            int j = random_int(0, 255);
            float *key = random_floats(KEY, (size_t)p.hd);
            float *value = random_floats(VALUE, (size_t)p.hd);
            store(&k[v], &p, j, key, value);
            assert_guards_intact();
            double unit = p.bf16 ? 0x1p-8 : 0;
            for (int i = 0; i < p.hd; i++)
                assert_true(fabs(key_at(&p, j, i) - key[i]) <=
                            fabs((double)key[i]) * unit + 0x1p-125);
            for (int i = 0; i < p.hp; i++) {
                double want = i < p.hd ? value[i] : 0;
                assert_true(fabs(value_at(&p, j, i) - want) <=
                            fabs(want) * unit + 0x1p-125);
            }
            for (int other = 0; other < 256; other++) {
                if (other == j) continue;
                for (int i = 0; i < p.hd; i++)
                    assert_true(key_at(&p, other, i) ==
                                key_at(&before, other, i));
                for (int i = 0; i < p.hp; i++)
                    assert_true(value_at(&p, other, i) ==
                                value_at(&before, other, i));
            }
        }
}

/* Ties, denormals, overflow to infinity and NaN, bit by bit. */
static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {
        { 0x3f808000, 0x3f80 }, { 0x3f818000, 0x3f82 }, { 0x3f808001, 0x3f81 },
        { 0x3f807fff, 0x3f80 }, { 0x7f7fffff, 0x7f80 }, { 0xff7fffff, 0xff80 },
        { 0x7f800000, 0x7f80 }, { 0x7f800001, 0x7fc0 }, { 0xffc12345, 0xffc1 },
        { 0x00018000, 0x0002 }, { 0x80000000, 0x8000 }, { 0x7fffffff, 0x7fff },
    };
    enum { N = sizeof cases / sizeof *cases };
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    float x[16] = { 0 };
    for (int i = 0; i < N; i++) memcpy(x + i, &cases[i][0], 4);
    for (int v = 0; v < n_levels; v++)
        for (int j = 0; j < 2; j++) {
            uint16_t *kp = random_cells(K, 16 * 256);
            uint16_t *vp = random_cells(V, 16 * 256);
            k[v].k_store_bf16(kp, j, x, 16);
            k[v].v_store_bf16(vp, j, x, 16);
            for (int i = 0; i < N; i++) {
                assert_int_equal(vp[2 * i + j], cases[i][1]);
                assert_int_equal(kp[(i / 2 * 16 + j) * 2 + i % 2], cases[i][1]);
            }
        }
}

static void store_gives_at_every_level_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int i = 0; i < 200; i++) {
        page p = make_page(i % 2, random_hd(140), 1), fast = p, want = p;
        size_t size = p.bf16 ? 2 : 4;
        size_t nk = size * p.hd * 256, nv = size * p.hp * 256;
        want.k = memcpy(guard_bytes(O, nk), p.k, nk);
        want.v = memcpy(guard_bytes(O2, nv), p.v, nv);
        int j = random_int(0, 255);
        float *key = random_floats(KEY, (size_t)p.hd);
        float *value = random_floats(VALUE, (size_t)p.hd);
        store(&k[0], &want, j, key, value);
        for (int v = 1; v < n_levels; v++) {
            fast.k = memcpy(guard_bytes(K2, nk), p.k, nk);
            fast.v = memcpy(guard_bytes(V2, nv), p.v, nv);
            store(&k[v], &fast, j, key, value);
            assert_memory_equal(fast.k, want.k, nk);
            assert_memory_equal(fast.v, want.v, nv);
            assert_guards_intact();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_is_close_to_fp64),
        cmocka_unit_test(every_level_gives_the_bits_of_ref),
        cmocka_unit_test(a_row_does_not_depend_on_the_other_rows),
        cmocka_unit_test(masked_keys_take_no_part),
        cmocka_unit_test(a_row_stops_at_its_own_count),
        cmocka_unit_test(one_key_gives_its_value),
        cmocka_unit_test(merged_pages_equal_one_softmax),
        cmocka_unit_test(merge_gives_at_every_level_the_bits_of_ref),
        cmocka_unit_test(wild_maxima_merge_as_in_ref),
        cmocka_unit_test(a_stored_key_is_found_where_attention_reads),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(store_gives_at_every_level_the_bits_of_ref),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
