/* check_attend_int8.c - pages of int8: stored numbers, widened cells, and what
 * attention makes of them. */
#include "kernel_check.h"

enum { K, V, K2, V2, X, KW, VW, Q, O, M, L, S };

static const int sizes[] = { 2, 6, 10, 16, 30, 64, 80, 128, 200 };
enum { SIZES = sizeof sizes / sizeof *sizes };

/* One page of keys, or of values. */
typedef struct page {
    int values, hd, width; /* lanes of a key: hd, of a value whole 16 */
    int8_t *at;
} page;

static size_t bytes_of(const page *p)
{
    return 256 * ((size_t)p->width + sizeof(float));
}

static page make_page(int slot, int values, int hd)
{
    page p = { values, hd, values ? (hd + 15) / 16 * 16 : hd, NULL };
    p.at = guard_bytes(slot, bytes_of(&p));
    for (size_t i = 0; i < bytes_of(&p); i++)
        p.at[i] = (int8_t)random_int(-127, 127);
    return p;
}

static page copy_page(int slot, const page *p)
{
    page copy = *p;
    copy.at = memcpy(guard_bytes(slot, bytes_of(p)), p->at, bytes_of(p));
    return copy;
}

static int8_t *cell_of(const page *p, int j, int i)
{
    if (p->values) return p->at + ((size_t)(j / 2) * p->width + i) * 2 + j % 2;
    return p->at + (size_t)(j / 16) * 16 * p->width +
           ((size_t)(i / 2) * 16 + j % 16) * 2 + i % 2;
}

static float *scale_of(const page *p, int j)
{
    return (float *)(void *)(p->at + (size_t)256 * p->width) + j;
}

static void store(const ndl_kernels *k, const page *p, int j, const float *x)
{
    if (p->values)
        k->v_store_int8(p->at, j, x, p->hd);
    else
        k->k_store_int8(p->at, j, x, p->hd);
    assert_guards_intact();
}

/* The page before with what a store may change taken from the page after. */
static void assert_only_key_changed(const page *before, const page *after,
                                    int j)
{
    for (int i = 0; i < before->width; i++)
        *cell_of(before, j, i) = *cell_of(after, j, i);
    *scale_of(before, j) = *scale_of(after, j);
    assert_memory_equal(before->at, after->at, bytes_of(before));
}

static void a_stored_number_is_found_within_half_a_step(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 4 * SIZES; round++) {
            page p = make_page(K, round % 2, sizes[round / 4]);
            page before = copy_page(K2, &p);
            const int j = random_int(0, 255);
            float *x = random_floats(X, (size_t)p.hd), largest = 0;
            for (int i = 0; i < p.hd; i++)
                largest = fmaxf(largest, fabsf(x[i]));
            store(&k[v], &p, j, x);
            const double step = *scale_of(&p, j);
            assert_true(fabs(step - largest / 127.0) <= largest * 0x1p-30);
            for (int i = 0; i < p.width; i++) {
                const double want = i < p.hd ? x[i] : 0;
                const double got = *cell_of(&p, j, i) * step;
                assert_true(fabs(got - want) <= step * 0.50002 + 0x1p-125);
            }
            assert_only_key_changed(&before, &p, j);
        }
}

/* A row with something that is not finite, or next to nothing, now and then. */
static void spoil(float *x, int n)
{
    static const float odd[] = { INFINITY, -INFINITY, NAN,    -NAN,
                                 3.4e38f,  -3.4e38f,  1e-38f, 3.8e-37f };
    const int how = random_int(0, 5);
    for (int i = 0; i < n && how == 0; i++) x[i] = random_unit() * 0x1p-120f;
    for (int i = 0; i < n && how == 1; i++)
        x[i] = random_int(0, 1) ? NAN : 0.0f;
    if (how == 2) x[random_int(0, n - 1)] = NAN;
    if (how > 2) x[random_int(0, n - 1)] = odd[random_bits() % 8];
}

static void every_level_stores_the_bits_of_ref(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = fast_levels(k);
    for (int round = 0; round < 60 * SIZES; round++) {
        page p = make_page(K, round % 2, sizes[round % SIZES]);
        page want = copy_page(K2, &p);
        const int j = random_int(0, 255);
        float *x = random_floats(X, (size_t)p.hd);
        if (round % 3) spoil(x, p.hd);
        store(&k[0], &want, j, x);
        for (int v = 1; v < n_levels; v++) {
            page got = copy_page(V, &p);
            store(&k[v], &got, j, x);
            assert_memory_equal(got.at, want.at, bytes_of(&p));
        }
    }
}

static void assert_all_zero(const page *p, int j)
{
    assert_true(*scale_of(p, j) == 0.0f);
    for (int i = 0; i < p->width; i++) assert_int_equal(*cell_of(p, j, i), 0);
}

static void a_row_without_a_scale_is_zero(void **state)
{
    (void)state;
    static const float some[] = { 0.0f, -0.0f,  INFINITY, -INFINITY,
                                  NAN,  1e-40f, 3e-37f };
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 7 * 8; round++) {
            page p = make_page(K, round % 2, sizes[round % SIZES]);
            float *x = guard_floats(X, (size_t)p.hd);
            const float one = some[round % 7];
            for (int i = 0; i < p.hd; i++) x[i] = isinf(one) ? 0.5f : 0.0f;
            x[random_int(0, p.hd - 1)] = one;
            store(&k[v], &p, round, x);
            assert_all_zero(&p, round);
        }
}

static void no_number_is_zero_and_leaves_the_others(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 4 * SIZES; round++) {
            page p = make_page(K, round % 2, sizes[round / 4]);
            float *x = guard_floats(X, (size_t)p.hd);
            const int at = random_int(0, p.hd - 1);
            for (int i = 0; i < p.hd; i++) x[i] = i % 3 ? -2.54f : 2.54f;
            x[at] = NAN;
            store(&k[v], &p, 255, x);
            for (int i = 0; i < p.hd; i++)
                assert_int_equal(*cell_of(&p, 255, i), i == at ? 0
                                                       : i % 3 ? -127
                                                               : 127);
        }
}

static void halves_are_rounded_to_even(void **state)
{
    (void)state;
    static const float x[] = { 127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f };
    static const int want[] = { 127, 0, 2, 2, 0, -2 };
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int values = 0; values < 2; values++) {
            page p = make_page(K, values, 6);
            store(&k[v], &p, 17, x);
            for (int i = 0; i < 6; i++)
                assert_int_equal(*cell_of(&p, 17, i), want[i]);
        }
}

/* Whole panels or pairs are exact, the rest is as it was. */
static void check_widened(const ndl_kernels *k, const page *p, int slot, int n)
{
    const size_t cells = (size_t)256 * p->width;
    const int whole = p->values ? (n + 1) / 2 * 2 : (n + 15) / 16 * 16;
    uint16_t *to = guard_bytes(slot, cells * sizeof *to);
    if (p->values)
        k->v_widen(to, p->at, n, p->hd);
    else
        k->k_widen(to, p->at, n, p->hd);
    assert_guards_intact();
    for (size_t i = 0; i < (size_t)whole * p->width; i++)
        assert_true(f32_of_bf16(to[i]) == (float)p->at[i]);
    for (size_t i = (size_t)whole * p->width; i < cells; i++)
        assert_int_equal(to[i], PAINT * 0x0101);
}

static void widened_cells_are_exact(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int n = 1; n <= 256; n++) {
            page p = make_page(K, n % 2, sizes[random_int(0, SIZES - 1)]);
            check_widened(&k[v], &p, KW, n);
            page small = make_page(K, random_int(0, 1), 6);
            check_widened(&k[v], &small, KW, n);
        }
}

/* Keys that were stored, and their bf16 cells for attend. */
static page stored_page(const ndl_kernels *k, int slot, int values, int hd)
{
    page p = make_page(slot, values, hd);
    for (int j = 0; j < 256; j++) store(k, &p, j, random_floats(X, (size_t)hd));
    return p;
}

/* Row 0 of `o` against fp64 over cell * scale; q and p may be bf16. */
static double share_of_bound(const page *key, const page *value, const float *q,
                             int n, const float *o)
{
    double p[256], top = -HUGE_VAL, l = 0, worst_share = 0;
    for (int j = 0; j < n; j++) {
        p[j] = 0;
        for (int i = 0; i < key->hd; i++)
            p[j] += (double)q[i] * *cell_of(key, j, i) * *scale_of(key, j);
        top = fmax(top, p[j]);
    }
    for (int j = 0; j < n; j++) l += p[j] = exp(p[j] - top);
    for (int i = 0; i < value->width; i++) {
        double sum = 0, size = 0;
        for (int j = 0; j < n; j++) {
            const double one = *cell_of(value, j, i) * *scale_of(value, j);
            sum += p[j] * one;
            size += p[j] * fabs(one);
        }
        worst_share =
            fmax(worst_share, fabs(o[i] - sum) / (size * 0x1p-6 + 0x1p-100));
    }
    assert_true(l > 0);
    return worst_share;
}

static void a_widened_page_is_attended_with_its_scales(void **state)
{
    (void)state;
    ndl_kernels k[LEVELS];
    const int n_levels = levels(k);
    for (int v = 0; v < n_levels; v++)
        for (int round = 0; round < 3 * SIZES; round++) {
            const int hd = sizes[round % SIZES], n = random_int(1, 256);
            page key = stored_page(&k[v], K, 0, hd);
            page value = stored_page(&k[v], V, 1, hd);
            uint16_t *kw = guard_bytes(KW, (size_t)512 * key.width);
            uint16_t *vw = guard_bytes(VW, (size_t)512 * value.width);
            k[v].k_widen(kw, key.at, n, hd);
            k[v].v_widen(vw, value.at, n, hd);
            /* bf16 already, and small: what is left is the rounding of p. */
            float *q = guard_floats(Q, (size_t)hd), m, l;
            for (int i = 0; i < hd; i++) q[i] = random_int(-8, 8) * 0x1p-7f;
            const float *rows = q;
            float *o = guard_floats(O, (size_t)value.width);
            k[v].attend_bf16(o, &m, &l, &rows, kw, vw, scale_of(&key, 0),
                             scale_of(&value, 0), &n, 1, hd, 1.0f,
                             guard_floats(S, 256));
            assert_guards_intact();
            assert_true(share_of_bound(&key, &value, q, n, o) <= 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_number_is_found_within_half_a_step),
        cmocka_unit_test(every_level_stores_the_bits_of_ref),
        cmocka_unit_test(a_row_without_a_scale_is_zero),
        cmocka_unit_test(no_number_is_zero_and_leaves_the_others),
        cmocka_unit_test(halves_are_rounded_to_even),
        cmocka_unit_test(widened_cells_are_exact),
        cmocka_unit_test(a_widened_page_is_attended_with_its_scales),
    };
    return cmocka_run_group_tests(tests, guards_create, guards_destroy);
}
