/*
 * costmodel.c - costmodel.h: from samples to curves, from curves to seconds.
 *
 * All row counts of a kind of layer, of both crowdings, are knots of one grid;
 * what a crowding did not measure at a knot it takes from its neighbours or
 * from the other crowding.
 */
#include "noodle/costmodel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/doubles.h"
#include "noodle/layout.h"

enum {
    MAX_ROWS = 1 << 20,
    MAX_CONTEXT = 1 << 24,
    OWN = 0,   /* each row is a sequence of its own */
    SHARED = 1 /* rows of one sequence share its keys */
};

/* What a measurement may be.  Far less than a picosecond no clock can see, and
 * ratios of such times would leave the range of numbers. */
static const double min_sec = 1e-12, max_sec = 3600.0;

/* Of a knot's time: what contexts must change to be clear of the noise, which
 * is a few percent on a machine that others use too. */
static const double clear_share = 0.05;

/* By this share of the fewer keys contexts must differ to tell a slope at all:
 * with one key more a row, the noise of emulated ranks (bench/emulate.py) gave
 * slopes that tripled the time of a chunk. */
static const double lever_share = 0.5;

static const char *const kind_names[NDL_N_LAYER_KINDS] = {
    [NDL_LAYER_EMBED] = "embedding",
    [NDL_LAYER_BLOCK] = "block",
    [NDL_LAYER_HEAD] = "head",
};

/* What the samples of one form at one knot add up to. */
typedef struct sums {
    int n;
    double keys, sec, keys2, keys_sec;
    double least_keys, most_keys;
    double ceiling; /* of seconds a key: more would be a negative rest */
} sums;

typedef struct grid {
    int n;
    double rows[NDL_COST_KNOTS];
    sums of[2][2][NDL_COST_KNOTS]; /* [crowded][form] */
    double key[2][2][NDL_COST_KNOTS];
    bool key_known[2][2][NDL_COST_KNOTS];
    double sec[2][NDL_COST_KNOTS];
    bool sec_known[2][NDL_COST_KNOTS];
} grid;

ndl_work ndl_work_prompt(int first, int n_rows, bool sample, double crowd)
{
    const double n = n_rows;
    return (ndl_work){ .n_rows = n_rows,
                       .keys = n * first + n * (n + 1.0) / 2.0,
                       .n_sequences = 1,
                       .n_samples = sample ? 1 : 0,
                       .crowd = crowd };
}

ndl_work ndl_work_decode(int n_sequences, int context, double crowd)
{
    return (ndl_work){ .n_rows = n_sequences,
                       .keys = (double)n_sequences * (context + 1.0),
                       .n_sequences = n_sequences,
                       .n_samples = n_sequences,
                       .crowd = crowd };
}

static bool is_time(double sec)
{
    return sec >= min_sec && sec <= max_sec; /* false for NaN */
}

const char *ndl_sample_flaw(const ndl_sample *s)
{
    if (s->kind < 0 || s->kind >= NDL_N_LAYER_KINDS)
        return "kind is not one of a layer";
    if (s->rows < 1 || s->rows > MAX_ROWS) return "rows are out of range";
    if (s->sequences < 1 || s->rows % s->sequences != 0)
        return "sequences do not divide the rows";
    if (s->context < 0 || s->context > MAX_CONTEXT)
        return "context is out of range";
    if (s->crowded != 0 && s->crowded != 1) return "crowded is not 0 or 1";
    if (s->repeats < 1) return "repeats are out of range";
    if (!is_time(s->sec))
        return "sec is no time between a picosecond and an hour";
    if (!is_time(s->median_sec))
        return "median_sec is no time between a picosecond and an hour";
    return NULL;
}

/* The work that a sample measured. */
static ndl_work work_of(const ndl_sample *s)
{
    ndl_work w =
        ndl_work_prompt(s->context, s->rows / s->sequences, true, s->crowded);
    w.keys = s->kind == NDL_LAYER_BLOCK ? w.keys * s->sequences : 0.0;
    w.n_rows = w.n_samples = s->rows;
    w.n_sequences = s->sequences;
    return w;
}

/* v at x, piecewise linear between its knots, level outside. */
static double along(const double *rows, const double *v, int n, double x)
{
    if (x <= rows[0]) return v[0];
    for (int i = 1; i < n; i++)
        if (x <= rows[i])
            return v[i - 1] + (v[i] - v[i - 1]) * (x - rows[i - 1]) /
                                  (rows[i] - rows[i - 1]);
    return v[n - 1];
}

/* Knots where v is unknown take it from their neighbours; false: nobody
 * knows. */
static bool fill(const grid *g, double *v, const bool *known)
{
    double rows[NDL_COST_KNOTS], values[NDL_COST_KNOTS];
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        if (!known[i]) continue;
        rows[n] = g->rows[i];
        values[n++] = v[i];
    }
    for (int i = 0; n > 0 && i < g->n; i++)
        v[i] = along(rows, values, n, g->rows[i]);
    return n > 0;
}

/* Index of the knot at `rows`, made if there is none; -1: no room. */
static int knot_at(grid *g, double rows)
{
    int i = 0;
    while (i < g->n && g->rows[i] < rows) i++;
    if (i < g->n && g->rows[i] == rows) return i;
    if (g->n == NDL_COST_KNOTS) return -1;
    memmove(&g->rows[i + 1], &g->rows[i], (size_t)(g->n - i) * sizeof *g->rows);
    g->rows[i] = rows;
    g->n++;
    return i;
}

static void add(sums *s, double keys, double sec)
{
    const double ceiling = keys > 0.0 ? sec / keys : INFINITY;
    if (s->n == 0) *s = (sums){ .least_keys = keys, .ceiling = ceiling };
    s->n++;
    s->keys += keys;
    s->sec += sec;
    s->keys2 += keys * keys;
    s->keys_sec += keys * sec;
    s->least_keys = fmin(s->least_keys, keys);
    s->most_keys = fmax(s->most_keys, keys);
    s->ceiling = fmin(s->ceiling, ceiling);
}

static ndl_status make_grid(grid *g, ndl_layer_kind kind,
                            const ndl_sample *samples, int n)
{
    memset(g, 0, sizeof *g);
    for (int i = 0; i < n; i++)
        if (samples[i].kind == (int32_t)kind && knot_at(g, samples[i].rows) < 0)
            return NDL_FAIL(NDL_EDATA,
                            "cost model: more than %d row counts of the %s: "
                            "measure again",
                            NDL_COST_KNOTS, kind_names[kind]);
    for (int i = 0; i < n; i++) {
        const ndl_sample *s = &samples[i];
        if (s->kind != (int32_t)kind) continue;
        const int form = s->rows == s->sequences ? OWN : SHARED;
        add(&g->of[s->crowded][form][knot_at(g, s->rows)], work_of(s).keys,
            s->sec);
    }
    return NDL_OK;
}

/* Seconds a key, by least squares, where a knot saw several contexts.  Where
 * they changed its time by a few percent only, the slope is mostly noise, which
 * a long context would multiply: such a knot believes its neighbours.  So does
 * one whose contexts hardly differ: noise divided by next to no keys.  If all
 * are like that, they share one slope, each with the weight that its keys have
 * in its time. */
static void fit_keys(grid *g, int crowded, int form)
{
    double *key = g->key[crowded][form], pooled = 0.0, weights = 0.0;
    bool *known = g->key_known[crowded][form], any = false,
         seen[NDL_COST_KNOTS];
    for (int i = 0; i < g->n; i++) {
        const sums *s = &g->of[crowded][form][i];
        const double spread = s->most_keys - s->least_keys;
        seen[i] = s->n >= 2 && spread > lever_share * s->least_keys;
        if (!seen[i]) continue;
        const double mean = s->sec / s->n;
        const double slope = (s->n * s->keys_sec - s->keys * s->sec) /
                             (s->n * s->keys2 - s->keys * s->keys);
        key[i] = fmin(fmax(slope, 0.0), s->ceiling);
        known[i] = key[i] * spread > clear_share * mean;
        any = any || known[i];
        pooled += slope * (spread / mean) * (spread / mean);
        weights += (spread / mean) * (spread / mean);
    }
    for (int i = 0; !any && i < g->n; i++) {
        known[i] = seen[i];
        key[i] = seen[i] ? fmax(pooled / weights, 0.0) : 0.0;
    }
}

/* Who has never seen two contexts asks, in this order: its neighbours, the
 * other crowding, the other form. */
static void share_keys(grid *g)
{
    bool known[2][2];
    for (int c = 0; c < 2; c++)
        for (int f = 0; f < 2; f++) {
            fit_keys(g, c, f);
            known[c][f] = fill(g, g->key[c][f], g->key_known[c][f]);
        }
    for (int c = 0; c < 2; c++)
        for (int f = 0; f < 2; f++) {
            const double *from = known[c][f]     ? NULL
                                 : known[!c][f]  ? g->key[!c][f]
                                 : known[c][!f]  ? g->key[c][!f]
                                 : known[!c][!f] ? g->key[!c][!f]
                                                 : NULL;
            if (from) memcpy(g->key[c][f], from, sizeof g->key[c][f]);
        }
}

/* What is left without the keys. */
static void fit_rest(grid *g, int crowded)
{
    for (int i = 0; i < g->n; i++) {
        double rest = 0.0;
        int n = 0;
        for (int f = 0; f < 2; f++) {
            const sums *s = &g->of[crowded][f][i];
            rest += s->sec - g->key[crowded][f][i] * s->keys;
            n += s->n;
        }
        if (n > 0) g->sec[crowded][i] = fmax(rest / n, 0.0);
        g->sec_known[crowded][i] = n > 0;
    }
}

/* Knots that one crowding lacks: the other's time, times the ratio of the two
 * at the nearest knots that both have. */
static void share_rest(grid *g, int crowded)
{
    double ratio[NDL_COST_KNOTS] = { 0 };
    bool both[NDL_COST_KNOTS] = { false };
    const double *other = g->sec[!crowded];
    double *mine = g->sec[crowded];
    for (int i = 0; i < g->n; i++) {
        both[i] = g->sec_known[0][i] && g->sec_known[1][i] && other[i] > 0.0;
        if (both[i]) ratio[i] = mine[i] / other[i];
    }
    const bool comparable = fill(g, ratio, both);
    for (int i = 0; comparable && i < g->n; i++)
        if (!g->sec_known[crowded][i]) mine[i] = ratio[i] * other[i];
}

static bool measured(const grid *g, int crowded)
{
    bool any = false;
    for (int i = 0; i < g->n; i++) any = any || g->sec_known[crowded][i];
    return any;
}

/* The curve of one crowding: knots that it measured or could compare. */
static void write_curve(ndl_cost_curve *out, const grid *g, int crowded,
                        bool comparable)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < g->n; i++) {
        if (!comparable && !g->sec_known[crowded][i]) continue;
        out->rows[out->n] = g->rows[i];
        out->sec[out->n] = g->sec[crowded][i];
        out->key_sec[out->n] = g->key[crowded][OWN][i];
        out->shared_key_sec[out->n++] = g->key[crowded][SHARED][i];
    }
}

static void fit_kind(ndl_cost_curve out[2], grid *g)
{
    bool comparable = false;
    share_keys(g);
    fit_rest(g, 0);
    fit_rest(g, 1);
    for (int i = 0; i < g->n; i++)
        comparable = comparable || (g->sec_known[0][i] && g->sec_known[1][i] &&
                                    g->sec[0][i] > 0.0 && g->sec[1][i] > 0.0);
    if (comparable) {
        share_rest(g, 0);
        share_rest(g, 1);
    }
    for (int c = 0; c < 2; c++)
        write_curve(&out[c], g, measured(g, c) ? c : !c, comparable);
}

/* How well the curves give back what they were made of. */
static ndl_status judge(ndl_cost *c, const ndl_sample *samples, int n)
{
    double *errors = malloc((size_t)n * sizeof *errors);
    if (!errors) return NDL_FAIL(NDL_EOS, "cost model: out of memory");
    for (int i = 0; i < n; i++) {
        const ndl_sample *s = &samples[i];
        const ndl_work w = work_of(s);
        const double sec = ndl_cost_sec(c, (ndl_layer_kind)s->kind, &w);
        errors[i] = fabs(sec - s->sec) / s->sec;
    }
    ndl_doubles_sort(errors, (size_t)n);
    c->median_error = ndl_doubles_median(errors, (size_t)n);
    c->max_error = errors[n - 1];
    free(errors);
    return NDL_OK;
}

ndl_status ndl_cost_fit(ndl_cost *out, const ndl_sample *samples, int n)
{
    ndl_cost c = { .n_samples = n };
    grid g;
    for (int i = 0; i < n; i++) {
        const char *flaw = ndl_sample_flaw(&samples[i]);
        if (flaw)
            return NDL_FAIL(
                NDL_EDATA, "cost model: sample %d: %s: measure again", i, flaw);
    }
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++) {
        NDL_TRY(make_grid(&g, (ndl_layer_kind)k, samples, n));
        if (g.n == 0 && k == NDL_LAYER_BLOCK)
            return NDL_FAIL(NDL_EDATA,
                            "cost model: no sample of a block: measure again");
        fit_kind(c.curve[k], &g);
    }
    NDL_TRY(judge(&c, samples, n));
    *out = c;
    return NDL_OK;
}

/* Operations and bytes of the roofline. */
typedef struct roof {
    double flop_per_row, bytes, bytes_per_row;
    double flop_per_key, bytes_per_key;
} roof;

static void estimate_kind(ndl_cost_curve *out, const roof *r,
                          const ndl_cost_peaks *p)
{
    /* Seconds a row once the arithmetic (or the rows' own bytes) bounds it,
     * and seconds to read the weights, which bound it before. */
    const double row_sec = fmax(r->flop_per_row / p->flop_per_sec,
                                r->bytes_per_row / p->bytes_per_sec);
    const double read_sec = r->bytes / p->bytes_per_sec;
    const double key_flop_sec = r->flop_per_key / p->flop_per_sec;
    const double key_read_sec = r->bytes_per_key / p->bytes_per_sec;
    const double bend = row_sec > 0.0 ? read_sec / row_sec : 1.0;
    memset(out, 0, sizeof *out);
    out->rows[out->n++] = 1.0;
    if (bend > 1.0) out->rows[out->n++] = bend;
    out->rows[out->n] = 2.0 * out->rows[out->n - 1];
    out->n++;
    for (int i = 0; i < out->n; i++) {
        out->sec[i] = fmax(row_sec * out->rows[i], read_sec) + p->overhead_sec;
        out->key_sec[i] = fmax(key_flop_sec, key_read_sec);
        out->shared_key_sec[i] = key_flop_sec;
    }
}

/* Bytes of a row of the embedding, of which the part has a whole one. */
static double row_bytes(const ndl_model *m, uint64_t embed_bytes)
{
    const double rows = m->rope.kind == NDL_ROPE_NONE
                            ? (double)m->vocab + (double)m->context
                            : (double)m->vocab;
    return (double)embed_bytes / rows;
}

ndl_status ndl_cost_estimate(ndl_cost *out, const ndl_model *m, ndl_mix mix,
                             ndl_kv_types kv_types, const ndl_cost_peaks *peaks)
{
    const ndl_part embed_part = { 0, 0, true, false };
    const ndl_part block_part = { 0, 1, false, false };
    const ndl_part head_part = { 0, 0, false, true };
    uint64_t embed_bytes = 0, block_bytes = 0, head_bytes = 0;
    NDL_TRY(ndl_layout_bytes(m, mix, &embed_part, &embed_bytes));
    NDL_TRY(ndl_layout_bytes(m, mix, &block_part, &block_bytes));
    NDL_TRY(ndl_layout_bytes(m, mix, &head_part, &head_bytes));
    const double block = (double)ndl_model_block_params(m);
    const double head = (double)ndl_model_head_params(m);
    const double q = (double)m->n_heads * m->head_dim;
    const roof roofs[NDL_N_LAYER_KINDS] = {
        /* A row is looked up and written as floats. */
        [NDL_LAYER_EMBED] = { .bytes_per_row =
                                  row_bytes(m, embed_bytes) + 4.0 * m->width },
        /* A key costs two products of the width of all heads. */
        [NDL_LAYER_BLOCK] = { .flop_per_row = 2.0 * block,
                              .bytes = (double)block_bytes,
                              .flop_per_key = 4.0 * q,
                              .bytes_per_key =
                                  (double)ndl_kv_types_key_bytes(kv_types, m) },
        [NDL_LAYER_HEAD] = { .flop_per_row = 2.0 * head,
                             .bytes = (double)head_bytes },
    };
    ndl_cost c = { 0 };
    NDL_ASSERT(peaks->flop_per_sec > 0.0 && peaks->bytes_per_sec > 0.0 &&
               peaks->overhead_sec >= 0.0);
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++) {
        estimate_kind(&c.curve[k][0], &roofs[k], peaks);
        c.curve[k][1] = c.curve[k][0];
    }
    *out = c;
    return NDL_OK;
}

void ndl_cost_scale(ndl_cost *c, double factor)
{
    NDL_ASSERT(factor > 0.0 && isfinite(factor));
    for (int k = 0; k < NDL_N_LAYER_KINDS; k++)
        for (int crowded = 0; crowded < 2; crowded++) {
            ndl_cost_curve *v = &c->curve[k][crowded];
            for (int i = 0; i < v->n; i++) {
                v->sec[i] *= factor;
                v->key_sec[i] *= factor;
                v->shared_key_sec[i] *= factor;
            }
        }
}

/* Without keys.  Past the last knot along the slope that leads there from half
 * its rows or less, since that from a near neighbour is mostly noise; it never
 * falls: a dip is noise too.  One knot alone is taken as all work, no rest. */
static double rest_sec(const ndl_cost_curve *v, double rows)
{
    const int last = v->n - 1;
    if (rows <= v->rows[last]) return along(v->rows, v->sec, v->n, rows);
    if (last == 0) return v->sec[0] * rows / v->rows[0];
    int from = last - 1;
    while (from > 0 && v->rows[from] > v->rows[last] / 2.0) from--;
    const double slope =
        (v->sec[last] - v->sec[from]) / (v->rows[last] - v->rows[from]);
    return v->sec[last] + fmax(slope, 0.0) * (rows - v->rows[last]);
}

static double curve_sec(const ndl_cost_curve *v, double rows, const ndl_work *w)
{
    if (v->n == 0) return 0.0;
    /* Of the rows, how many have a sequence of their own: all in a decode
     * step, none in a prompt chunk. */
    const double own =
        w->n_rows > 1 ? (w->n_sequences - 1.0) / (w->n_rows - 1.0) : 1.0;
    const double key_sec = along(v->rows, v->key_sec, v->n, rows);
    const double shared_sec = along(v->rows, v->shared_key_sec, v->n, rows);
    return rest_sec(v, rows) +
           w->keys * (own * key_sec + (1.0 - own) * shared_sec);
}

double ndl_cost_sec(const ndl_cost *c, ndl_layer_kind kind, const ndl_work *w)
{
    const double rows = kind == NDL_LAYER_HEAD ? w->n_samples : w->n_rows;
    const double crowd = fmin(fmax(w->crowd, 0.0), 1.0);
    if (rows < 1.0) return 0.0;
    return (1.0 - crowd) * curve_sec(&c->curve[kind][0], rows, w) +
           crowd * curve_sec(&c->curve[kind][1], rows, w);
}
