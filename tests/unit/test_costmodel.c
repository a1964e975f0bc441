/* test_costmodel.c - facts about costmodel.h, on laws that are made up. */
#include "noodle/costmodel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/layout.h"

#include "../support/chance.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) <= 1e-9 * fabs(b))

enum { MAX_SAMPLES = 128 };

/* Seconds without keys: flat, then in proportion, as of a roofline. */
static double rest_law(double rows, double factor)
{
    return factor * (rows < 8.0 ? 1e-3 : 1e-3 + 0.1e-3 * (rows - 8.0));
}

static const double own_price = 1e-6, shared_price = 0.25e-6;

typedef struct set {
    int n;
    ndl_sample at[MAX_SAMPLES];
} set;

static void add(set *s, int kind, int rows, int sequences, int context,
                int crowded, double sec)
{
    assert_true(s->n < MAX_SAMPLES);
    s->at[s->n++] = (ndl_sample){ kind,    rows, sequences, context,
                                  crowded, 3,    sec,       sec * 1.1 };
}

static void add_decode(set *s, int sequences, int context, int crowded,
                       double factor)
{
    const ndl_work w = ndl_work_decode(sequences, context, crowded);
    add(s, NDL_LAYER_BLOCK, sequences, sequences, context, crowded,
        rest_law(sequences, factor) + own_price * w.keys);
}

static void add_prompt(set *s, int rows, int context, int crowded,
                       double factor)
{
    const ndl_work w = ndl_work_prompt(context, rows, true, crowded);
    add(s, NDL_LAYER_BLOCK, rows, 1, context, crowded,
        rest_law(rows, factor) + shared_price * w.keys);
}

/* Alone, everything takes half as long. */
static set full_set(void)
{
    static const int decodes[] = { 1, 2, 4, 8, 16 };
    static const int prompts[] = { 8, 32, 128 };
    set s = { 0 };
    for (int c = 0; c < 2; c++) {
        const double factor = c ? 1.0 : 0.5;
        for (int i = 0; i < 5; i++) {
            add_decode(&s, decodes[i], 512, c, factor);
            add_decode(&s, decodes[i], 16, c, factor);
        }
        for (int i = 0; i < 3; i++) {
            add_prompt(&s, prompts[i], 0, c, factor);
            add_prompt(&s, prompts[i], 400, c, factor);
        }
        add(&s, NDL_LAYER_EMBED, 1, 1, 0, c, 1e-6);
        add(&s, NDL_LAYER_EMBED, 128, 1, 0, c, 128e-6);
        add(&s, NDL_LAYER_HEAD, 1, 1, 0, c, 4e-3 * factor);
        add(&s, NDL_LAYER_HEAD, 16, 1, 0, c, 64e-3 * factor);
    }
    return s;
}

static ndl_cost fitted(const set *s)
{
    ndl_cost c;
    assert_int_equal(ndl_cost_fit(&c, s->at, s->n), NDL_OK);
    return c;
}

static double block_sec(const ndl_cost *c, ndl_work w)
{
    return ndl_cost_sec(c, NDL_LAYER_BLOCK, &w);
}

static void fit_gives_back_a_piecewise_linear_law(void **state)
{
    (void)state;
    const set s = full_set();
    const ndl_cost c = fitted(&s);
    assert_int_equal(c.n_samples, s.n);
    assert_true(c.max_error < 1e-9);
    assert_true(c.median_error <= c.max_error);
    for (int rows = 1; rows <= 16; rows++)
        NEAR(block_sec(&c, ndl_work_decode(rows, 200, 1.0)),
             rest_law(rows, 1.0) + own_price * rows * 201.0);
    for (int rows = 8; rows <= 1000; rows += 31)
        NEAR(block_sec(&c, ndl_work_prompt(100, rows, true, 1.0)),
             rest_law(rows, 1.0) +
                 shared_price * (100.0 * rows + rows * (rows + 1.0) / 2.0));
    const ndl_work step = ndl_work_decode(3, 7, 0.0);
    NEAR(ndl_cost_sec(&c, NDL_LAYER_HEAD, &step), 6e-3);
    NEAR(ndl_cost_sec(&c, NDL_LAYER_EMBED, &step), 3e-6);
}

static void crowd_mixes_both_curves_in_proportion(void **state)
{
    (void)state;
    const set s = full_set();
    const ndl_cost c = fitted(&s);
    const double keys_sec = own_price * 4 * 101.0;
    for (double crowd = 0.0; crowd <= 1.0; crowd += 0.125)
        NEAR(block_sec(&c, ndl_work_decode(4, 100, crowd)),
             rest_law(4, 0.5 + 0.5 * crowd) + keys_sec);
    NEAR(block_sec(&c, ndl_work_decode(4, 100, 7.0)),
         rest_law(4, 1.0) + keys_sec);
    NEAR(block_sec(&c, ndl_work_decode(4, 100, -7.0)),
         rest_law(4, 0.5) + keys_sec);
}

static void mixed_batches_pay_a_mixture_of_both_prices(void **state)
{
    (void)state;
    const set s = full_set();
    const ndl_cost c = fitted(&s);
    /* A chunk of 25 rows and 7 decoding sequences: 7 / 31 of the way. */
    const ndl_work w = {
        .n_rows = 32, .keys = 1000.0, .n_sequences = 8, .crowd = 1.0
    };
    const double price = own_price * 7.0 / 31.0 + shared_price * 24.0 / 31.0;
    NEAR(block_sec(&c, w), rest_law(32, 1.0) + price * 1000.0);
}

static void order_of_samples_does_not_matter(void **state)
{
    (void)state;
    set s = full_set();
    const ndl_cost a = fitted(&s);
    random_state = chance_seed(5);
    for (int i = s.n - 1; i > 0; i--) {
        const int k = between(0, i);
        const ndl_sample t = s.at[i];
        s.at[i] = s.at[k];
        s.at[k] = t;
    }
    const ndl_cost b = fitted(&s);
    for (int rows = 1; rows < 200; rows += 7)
        NEAR(block_sec(&a, ndl_work_prompt(50, rows, true, 0.3)),
             block_sec(&b, ndl_work_prompt(50, rows, true, 0.3)));
}

static void noise_is_averaged_and_reported(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 1, 1, 0, 1, 0.9e-3);
    add(&s, NDL_LAYER_BLOCK, 1, 1, 0, 1, 1.1e-3);
    const ndl_cost c = fitted(&s);
    NEAR(block_sec(&c, ndl_work_decode(1, 0, 1.0)), 1e-3);
    NEAR(c.max_error, 0.1 / 0.9);
    NEAR(c.median_error, (0.1 / 0.9 + 0.1 / 1.1) / 2.0);
}

static void seconds_a_key_are_never_negative(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 1, 1, 10, 1, 2e-3);
    add(&s, NDL_LAYER_BLOCK, 1, 1, 500, 1, 1e-3);
    const ndl_cost c = fitted(&s);
    NEAR(block_sec(&c, ndl_work_decode(1, 100000, 1.0)), 1.5e-3);
}

static void seconds_without_keys_are_never_negative(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 1, 1, 99, 1, 1e-6);
    add(&s, NDL_LAYER_BLOCK, 1, 1, 199, 1, 1e-3);
    const ndl_cost c = fitted(&s);
    assert_true(c.curve[NDL_LAYER_BLOCK][1].sec[0] >= 0.0);
    assert_true(block_sec(&c, ndl_work_decode(1, 0, 1.0)) > 0.0);
}

/* 2 % between contexts is noise where another row count saw 50 %. */
static void faint_slopes_believe_clear_ones(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 1, 1, 0, 1, 1.00e-3);
    add(&s, NDL_LAYER_BLOCK, 1, 1, 100, 1, 1.02e-3);
    add(&s, NDL_LAYER_BLOCK, 10, 10, 0, 1, 1.00e-3 + 10e-9);
    add(&s, NDL_LAYER_BLOCK, 10, 10, 50000, 1, 1.00e-3 + 10e-9 * 50001);
    const ndl_cost c = fitted(&s);
    NEAR(c.curve[NDL_LAYER_BLOCK][1].key_sec[0], 1e-9);
    NEAR(c.curve[NDL_LAYER_BLOCK][1].key_sec[1], 1e-9);
}

/* A context of one key beside none: noise, and not a price. */
static void contexts_that_hardly_differ_tell_no_slope(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 128, 1, 0, 1, 0.10);
    add(&s, NDL_LAYER_BLOCK, 128, 1, 1, 1, 0.12);
    const ndl_cost c = fitted(&s);
    NEAR(c.curve[NDL_LAYER_BLOCK][1].shared_key_sec[0] + 1.0, 1.0);
    NEAR(c.curve[NDL_LAYER_BLOCK][1].sec[0], 0.11);
}

static void slopes_that_are_all_faint_are_shared(void **state)
{
    (void)state;
    set s = { 0 };
    for (int rows = 1; rows <= 4; rows *= 2) {
        add(&s, NDL_LAYER_BLOCK, rows, rows, 9, 1, 1e-3 + 1e-8 * 10 * rows);
        add(&s, NDL_LAYER_BLOCK, rows, rows, 99, 1, 1e-3 + 1e-8 * 100 * rows);
    }
    const ndl_cost c = fitted(&s);
    for (int i = 0; i < 3; i++)
        NEAR(c.curve[NDL_LAYER_BLOCK][1].key_sec[i], 1e-8);
    assert_true(c.max_error < 1e-9);
}

static void missing_crowding_takes_the_other_curve(void **state)
{
    (void)state;
    for (int crowded = 0; crowded < 2; crowded++) {
        set s = { 0 };
        add_decode(&s, 1, 16, crowded, 1.0);
        add_decode(&s, 1, 512, crowded, 1.0);
        add_decode(&s, 8, 16, crowded, 1.0);
        const ndl_cost c = fitted(&s);
        for (double crowd = 0.0; crowd <= 1.0; crowd += 0.5)
            NEAR(block_sec(&c, ndl_work_decode(8, 300, crowd)),
                 rest_law(8, 1.0) + own_price * 8 * 301.0);
    }
}

static void
crowding_with_few_row_counts_takes_the_shape_of_the_other(void **state)
{
    (void)state;
    const set all = full_set();
    set s = { 0 };
    for (int i = 0; i < all.n; i++)
        if (all.at[i].crowded || all.at[i].kind != NDL_LAYER_BLOCK)
            s.at[s.n++] = all.at[i];
    add_decode(&s, 1, 16, 0, 0.5);
    const ndl_cost c = fitted(&s);
    assert_true(c.max_error < 1e-9);
    NEAR(block_sec(&c, ndl_work_prompt(0, 64, true, 0.0)),
         rest_law(64, 0.5) + shared_price * 64 * 65 / 2.0);
    NEAR(block_sec(&c, ndl_work_decode(4, 100, 0.0)),
         rest_law(4, 0.5) + own_price * 404.0);
}

static void
stage_that_falls_out_of_the_cache_may_get_slower_with_less(void **state)
{
    (void)state;
    set s = { 0 };
    add(&s, NDL_LAYER_BLOCK, 1, 1, 0, 1, 2e-3);
    add(&s, NDL_LAYER_BLOCK, 2, 2, 0, 1, 1e-3);
    const ndl_cost c = fitted(&s);
    NEAR(block_sec(&c, ndl_work_decode(1, 0, 1.0)), 2e-3);
    NEAR(block_sec(&c, ndl_work_decode(2, 0, 1.0)), 1e-3);
    /* Beyond, a falling slope would lead below zero. */
    NEAR(block_sec(&c, ndl_work_decode(1000, 0, 1.0)), 1e-3);
}

/* Nor does the last row tell what hundreds more would take. */
static void near_neighbours_tell_no_slope(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        set s = { 0 };
        add_prompt(&s, 8, 0, 1, 1.0);
        add_prompt(&s, 32, 0, 1, 1.0);
        add_prompt(&s, 33, 0, 1, 1.0 + sign * 0.1);
        const ndl_cost c = fitted(&s);
        const double sec = block_sec(&c, ndl_work_prompt(0, 192, true, 1.0));
        const double law = rest_law(192, 1.0);
        assert_true(sec > 0.8 * law && sec < 1.2 * law);
    }
}

static void no_rows_take_no_time(void **state)
{
    (void)state;
    const set s = full_set();
    const ndl_cost c = fitted(&s);
    const ndl_work silent = ndl_work_prompt(0, 32, false, 1.0);
    assert_true(ndl_cost_sec(&c, NDL_LAYER_HEAD, &silent) == 0.0);
    assert_true(ndl_cost_sec(&c, NDL_LAYER_BLOCK, &silent) > 0.0);
    assert_true(block_sec(&c, (ndl_work){ 0 }) == 0.0);
}

static void time_is_monotone_in_rows_and_keys(void **state)
{
    (void)state;
    const set s = full_set();
    const ndl_cost c = fitted(&s);
    double before = 0.0;
    for (int rows = 8; rows < 600; rows++) {
        const double sec = block_sec(&c, ndl_work_prompt(0, rows, true, 0.7));
        assert_true(sec > before);
        before = sec;
    }
    for (int n = 1; n <= 16; n++)
        for (int context = 0; context < 2000; context += 97)
            assert_true(block_sec(&c, ndl_work_decode(n, context + 1, 0.2)) >
                        block_sec(&c, ndl_work_decode(n, context, 0.2)));
}

static void scaled_cost_takes_so_many_times_as_long(void **state)
{
    (void)state;
    const set s = full_set();
    ndl_cost c = fitted(&s);
    const ndl_work works[] = { ndl_work_decode(5, 77, 0.5),
                               ndl_work_prompt(33, 60, true, 0.5) };
    double before[2][NDL_N_LAYER_KINDS];
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
            before[i][k] = ndl_cost_sec(&c, (ndl_layer_kind)k, &works[i]);
    ndl_cost_scale(&c, 4.0);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
            NEAR(ndl_cost_sec(&c, (ndl_layer_kind)k, &works[i]),
                 4.0 * before[i][k]);
}

/* ---- what is refused ---- */

static void refuses(const set *s, const char *words)
{
    ndl_cost c = { .n_samples = 77 };
    ndl_status_clear();
    assert_int_equal(ndl_cost_fit(&c, s->at, s->n), NDL_EDATA);
    assert_int_equal(c.n_samples, 77);
    assert_non_null(strstr(ndl_status_message(), words));
}

static void absurd_samples_are_refused_by_name(void **state)
{
    (void)state;
    static const double times[] = { 0.0, 5e-324, -1e-3, 3601.0, NAN, INFINITY };
    for (int i = 0; i < 6; i++) {
        set s = full_set();
        s.at[3].sec = times[i];
        refuses(&s, "sample 3: sec");
        s = full_set();
        s.at[4].median_sec = times[i];
        refuses(&s, "sample 4: median_sec");
    }
    static const struct {
        size_t field;
        int32_t value;
        const char *words;
    } cases[] = {
        { offsetof(ndl_sample, kind), 3, "kind" },
        { offsetof(ndl_sample, kind), -1, "kind" },
        { offsetof(ndl_sample, rows), 0, "rows" },
        { offsetof(ndl_sample, rows), INT32_MIN, "rows" },
        { offsetof(ndl_sample, rows), INT32_MAX, "rows" },
        { offsetof(ndl_sample, sequences), 0, "sequences" },
        { offsetof(ndl_sample, sequences), 3, "sequences" },
        { offsetof(ndl_sample, sequences), INT32_MIN, "sequences" },
        { offsetof(ndl_sample, context), -1, "context" },
        { offsetof(ndl_sample, context), INT32_MAX, "context" },
        { offsetof(ndl_sample, crowded), 2, "crowded" },
        { offsetof(ndl_sample, crowded), -1, "crowded" },
        { offsetof(ndl_sample, repeats), 0, "repeats" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set s = full_set();
        memcpy((char *)&s.at[2] + cases[i].field, &cases[i].value,
               sizeof cases[i].value);
        refuses(&s, "sample 2");
        assert_non_null(strstr(ndl_status_message(), cases[i].words));
    }
}

static void too_many_row_counts_are_refused(void **state)
{
    (void)state;
    set s = { 0 };
    for (int i = 1; i <= NDL_COST_KNOTS; i++) add_decode(&s, i, 0, 1, 1.0);
    fitted(&s);
    add_decode(&s, NDL_COST_KNOTS + 1, 0, 0, 1.0);
    refuses(&s, "row counts of the block");
}

static void blocks_must_be_measured(void **state)
{
    (void)state;
    set s = { 0 };
    refuses(&s, "no sample of a block");
    add(&s, NDL_LAYER_HEAD, 1, 1, 0, 1, 1e-3);
    refuses(&s, "no sample of a block");
    add_decode(&s, 1, 0, 1, 1.0);
    const ndl_cost c = fitted(&s);
    const ndl_work w = ndl_work_decode(1, 0, 1.0);
    assert_true(ndl_cost_sec(&c, NDL_LAYER_EMBED, &w) == 0.0);
}

static int32_t any_of(const int32_t *v, int n)
{
    return v[between(0, n - 1)];
}

static void whatever_is_accepted_gives_finite_times(void **state)
{
    (void)state;
    static const int32_t counts[] = { 1, 2, 3, 8, 64, 1 << 20 };
    int accepted = 0;
    random_state = chance_seed(11);
    for (int round = 0; round < 3000; round++) {
        set s = { .n = between(0, 20) };
        ndl_cost c;
        for (int i = 0; i < s.n; i++) {
            const int32_t rows = any_of(counts, 6);
            s.at[i] = (ndl_sample){ .kind = between(0, 2),
                                    .rows = rows,
                                    .sequences = between(0, 1) ? rows : 1,
                                    .context = between(0, 1 << 24),
                                    .crowded = between(0, 1),
                                    .repeats = 1,
                                    .sec = ldexp(1.0, -between(0, 39)),
                                    .median_sec = 1.0 };
        }
        if (ndl_cost_fit(&c, s.at, s.n) != NDL_OK) continue;
        accepted++;
        assert_true(isfinite(c.max_error) && isfinite(c.median_error));
        for (int k = 0; k < NDL_N_LAYER_KINDS; k++) {
            const ndl_work w = ndl_work_prompt(between(0, 1 << 20),
                                               between(1, 1 << 20), true, 0.5);
            const double sec = ndl_cost_sec(&c, (ndl_layer_kind)k, &w);
            assert_true(isfinite(sec) && sec >= 0.0);
        }
    }
    assert_true(accepted > 1000);
}

/* ---- estimates ---- */

static const ndl_model shape = { .arch = "llama",
                                 .n_layers = 16,
                                 .width = 2048,
                                 .n_heads = 32,
                                 .n_kv_heads = 8,
                                 .head_dim = 64,
                                 .ffn = 8192,
                                 .vocab = 128256,
                                 .context = 4096,
                                 .norm = NDL_NORM_RMS,
                                 .mlp = NDL_MLP_SWIGLU,
                                 .rope = { .kind = NDL_ROPE_PLAIN } };

/* Of a block in the file, norms in f32. */
static double block_bytes(ndl_mix mix)
{
    const ndl_part one = { 0, 1, false, false };
    uint64_t bytes = 0;
    assert_int_equal(ndl_layout_bytes(&shape, mix, &one, &bytes), NDL_OK);
    return (double)bytes;
}

static ndl_cost estimate(const ndl_model *m, ndl_mix mix,
                         const ndl_cost_peaks *p)
{
    ndl_cost c;
    assert_int_equal(
        ndl_cost_estimate(&c, m, mix, ndl_kv_types_default(mix), p), NDL_OK);
    return c;
}

static void estimate_is_the_roofline(void **state)
{
    (void)state;
    const ndl_cost_peaks p = { 1e12, 100e9, 5e-6 };
    const double params = (double)ndl_model_block_params(&shape);
    const ndl_cost c = estimate(&shape, ndl_mix_plain(NDL_BF16), &p);
    assert_int_equal(c.n_samples, 0);
    assert_true(c.max_error == 0.0);
    for (int rows = 1; rows < 500; rows += 3) {
        const ndl_work w = { .n_rows = rows, .n_sequences = 1, .crowd = 0.4 };
        const double flop_sec = 2.0 * params * rows / 1e12;
        const double read_sec = block_bytes(ndl_mix_plain(NDL_BF16)) / 100e9;
        NEAR(block_sec(&c, w), fmax(flop_sec, read_sec) + 5e-6);
    }
    /* A decode row reads 2 * 8 * 64 numbers of 2 bytes a key. */
    NEAR(block_sec(&c, ndl_work_decode(1, 999, 1.0)),
         block_bytes(ndl_mix_plain(NDL_BF16)) / 100e9 + 5e-6 +
             1000.0 * 2048.0 / 100e9);
}

static void estimate_reads_quantised_weights_by_their_bytes(void **state)
{
    (void)state;
    const ndl_cost_peaks p = { 1e15, 100e9, 0.0 };
    const ndl_work one = ndl_work_decode(1, 0, 1.0);
    const ndl_cost a = estimate(&shape, ndl_mix_plain(NDL_INT8), &p);
    const ndl_cost b = estimate(&shape, ndl_mix_plain(NDL_INT4), &p);
    const double ratio = ndl_cost_sec(&a, NDL_LAYER_HEAD, &one) /
                         ndl_cost_sec(&b, NDL_LAYER_HEAD, &one);
    /* A scale of two bytes for 64 and for 32 weights. */
    assert_true(fabs(ratio - (1.0 + 2.0 / 64) / (0.5 + 2.0 / 32)) < 1e-3);
}

static void estimate_of_the_head_follows_the_vocabulary(void **state)
{
    (void)state;
    const ndl_cost_peaks p = { 1e12, 100e9, 0.0 };
    const ndl_work one = ndl_work_decode(1, 0, 1.0);
    ndl_model half = shape;
    half.vocab /= 2;
    const ndl_cost a = estimate(&shape, ndl_mix_plain(NDL_F32), &p);
    const ndl_cost b = estimate(&half, ndl_mix_plain(NDL_F32), &p);
    const double ratio = ndl_cost_sec(&a, NDL_LAYER_HEAD, &one) /
                         ndl_cost_sec(&b, NDL_LAYER_HEAD, &one);
    assert_true(fabs(ratio - 2.0) < 1e-4);
    NEAR(ndl_cost_sec(&a, NDL_LAYER_EMBED, &one), 2048.0 * 8.0 / 100e9);
}

static void estimate_of_a_node_bound_by_arithmetic_starts_there(void **state)
{
    (void)state;
    const ndl_cost_peaks p = { 1e9, 1e12, 0.0 };
    const double params = (double)ndl_model_block_params(&shape);
    const ndl_cost c = estimate(&shape, ndl_mix_plain(NDL_F32), &p);
    for (int rows = 1; rows < 100; rows += 7) {
        const ndl_work w = { .n_rows = rows, .n_sequences = 1, .crowd = 1.0 };
        NEAR(block_sec(&c, w), 2.0 * params * rows / 1e9);
    }
}

static void work_counts_keys(void **state)
{
    (void)state;
    const ndl_work p = ndl_work_prompt(10, 3, false, 0.5);
    assert_true(p.keys == 11 + 12 + 13);
    assert_int_equal(p.n_rows, 3);
    assert_int_equal(p.n_sequences, 1);
    assert_int_equal(p.n_samples, 0);
    assert_true(p.crowd == 0.5);
    const ndl_work d = ndl_work_decode(4, 10, 1.0);
    assert_true(d.keys == 44.0);
    assert_int_equal(d.n_rows, 4);
    assert_int_equal(d.n_sequences, 4);
    assert_int_equal(d.n_samples, 4);
    assert_true(ndl_work_prompt(1 << 24, 1 << 20, true, 1.0).keys > 1e13);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fit_gives_back_a_piecewise_linear_law),
        TEST(crowd_mixes_both_curves_in_proportion),
        TEST(mixed_batches_pay_a_mixture_of_both_prices),
        TEST(order_of_samples_does_not_matter),
        TEST(noise_is_averaged_and_reported),
        TEST(seconds_a_key_are_never_negative),
        TEST(seconds_without_keys_are_never_negative),
        TEST(faint_slopes_believe_clear_ones),
        TEST(contexts_that_hardly_differ_tell_no_slope),
        TEST(slopes_that_are_all_faint_are_shared),
        TEST(missing_crowding_takes_the_other_curve),
        TEST(crowding_with_few_row_counts_takes_the_shape_of_the_other),
        TEST(stage_that_falls_out_of_the_cache_may_get_slower_with_less),
        TEST(near_neighbours_tell_no_slope),
        TEST(no_rows_take_no_time),
        TEST(time_is_monotone_in_rows_and_keys),
        TEST(scaled_cost_takes_so_many_times_as_long),
        TEST(absurd_samples_are_refused_by_name),
        TEST(too_many_row_counts_are_refused),
        TEST(blocks_must_be_measured),
        TEST(whatever_is_accepted_gives_finite_times),
        TEST(estimate_is_the_roofline),
        TEST(estimate_reads_quantised_weights_by_their_bytes),
        TEST(estimate_of_the_head_follows_the_vocabulary),
        TEST(estimate_of_a_node_bound_by_arithmetic_starts_there),
        TEST(work_counts_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
