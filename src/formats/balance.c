/*
 * balance.c - see balance.h.
 *
 * A channel's scale is the square root of its gain over the size of its
 * columns, compared with the median channel, as the nearest power of two: so
 * neither gains nor weights are rounded by it.  Of powers 0, 1/4, 1/2, 3/4 and
 * 1 of the gain alone, 1/2 diverged least on two random models with gains 30
 * times as large (a NumPy forward pass): int8 0.45 and 0.48, int4 0.81 and 0.82
 * of Q8_0 and Q4_0; power 0 1.17 and 1.41, 0.94 and 0.98.  Columns were added
 * after, with the same result: a checkpoint may have made them smaller already
 * where the gain is large.
 */
#include "balance.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "roles.h"

enum { MAX_EXPONENT = 12, BATCH = 64 /* rows at a time */ };

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median of what numbers there are; 0 if there are none. */
static float median_of(const float *x, int n, float *ordered)
{
    int used = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) ordered[used++] = x[i];
    if (used == 0) return 0.0f;
    qsort(ordered, (size_t)used, sizeof *ordered, compare);
    return ordered[used / 2];
}

/* 2^e with 2e nearest to the ratio's logarithm; of what has none, 1. */
static float scale_of(float ratio)
{
    if (!(ratio > 0.0f) || !isfinite(ratio)) return 1.0f;
    const int twice = ilogbf(ratio) + 1;
    int e = twice >= 0 ? twice / 2 : -((1 - twice) / 2);
    e = e > MAX_EXPONENT ? MAX_EXPONENT : e;
    e = e < -MAX_EXPONENT ? -MAX_EXPONENT : e;
    return ldexpf(1.0f, e);
}

/* Add the squares of a matrix's columns; of none if the model has none. */
static ndl_status add_squares(ndl_balance *b, ndl_role role, int layer)
{
    const int width = b->model->width;
    ndl_role_shape shape;
    if (!ndl_role_shape_of(b->model, role, &shape)) return NDL_OK;
    for (int first = 0; first < shape.rows; first += BATCH) {
        const int left = shape.rows - first, n = left < BATCH ? left : BATCH;
        const float *w = b->rows;
        NDL_TRY(
            b->source->rows(b->source->arg, role, layer, first, n, b->rows));
        for (int i = 0; i < n; i++, w += width)
            for (int j = 0; j < width; j++)
                b->squares[j] += (double)w[j] * w[j];
    }
    return NDL_OK;
}

/* Of each channel the gain's size over that of the columns behind it. */
static ndl_status find_ratios(ndl_balance *b, ndl_role norm, int layer)
{
    static const ndl_role behind[2][3] = {
        { NDL_ROLE_Q, NDL_ROLE_K, NDL_ROLE_V },
        { NDL_ROLE_GATE, NDL_ROLE_UP, NDL_ROLE_UP },
    };
    const bool second = norm == NDL_ROLE_NORM2;
    const int width = b->model->width;
    for (int j = 0; j < width; j++) b->squares[j] = 0.0;
    for (int i = 0; i < (second ? 2 : 3); i++)
        NDL_TRY(add_squares(b, behind[second][i], layer));
    NDL_TRY(b->source->rows(b->source->arg, norm, layer, 0, 1, b->scales));
    for (int j = 0; j < width; j++)
        b->scales[j] = fabsf(b->scales[j]) / (float)sqrt(b->squares[j]);
    return NDL_OK;
}

static ndl_status find_scales(ndl_balance *b, ndl_role norm, int layer)
{
    const int n = b->model->width;
    if (b->norm == norm && b->layer == layer) return NDL_OK;
    b->layer = -1;
    NDL_TRY(find_ratios(b, norm, layer));
    const float median = median_of(b->scales, n, b->rows);
    for (int i = 0; i < n; i++) b->scales[i] = scale_of(b->scales[i] / median);
    b->norm = norm;
    b->layer = layer;
    return NDL_OK;
}

static bool is_quantised(ndl_mix mix, ndl_group g)
{
    return mix.of[g] == NDL_INT8 || mix.of[g] == NDL_INT4;
}

/* The norm whose channels the role's columns or elements are; false if they
 * stay as they are.  The head is left alone: where it is tied, its columns are
 * the embedding's. */
static bool norm_of(const ndl_balance *b, ndl_role role, ndl_role *norm)
{
    switch (role) {
    case NDL_ROLE_NORM1:
    case NDL_ROLE_NORM1_BIAS:
    case NDL_ROLE_Q:
    case NDL_ROLE_K:
    case NDL_ROLE_V:
        *norm = NDL_ROLE_NORM1;
        return is_quantised(b->mix, NDL_GROUP_QK) ||
               is_quantised(b->mix, NDL_GROUP_V);
    case NDL_ROLE_NORM2:
    case NDL_ROLE_NORM2_BIAS:
    case NDL_ROLE_GATE:
    case NDL_ROLE_UP:
        *norm = NDL_ROLE_NORM2;
        return is_quantised(b->mix, NDL_GROUP_UP);
    default: return false;
    }
}

static bool is_of_norm(ndl_role role)
{
    return role == NDL_ROLE_NORM1 || role == NDL_ROLE_NORM1_BIAS ||
           role == NDL_ROLE_NORM2 || role == NDL_ROLE_NORM2_BIAS;
}

/* ndl_source.rows */
static ndl_status rows(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst)
{
    ndl_balance *b = arg;
    const int width = b->model->width;
    ndl_role norm = role;
    const bool balanced = norm_of(b, role, &norm);
    if (balanced) NDL_TRY(find_scales(b, norm, layer));
    NDL_TRY(b->source->rows(b->source->arg, role, layer, first, n, dst));
    if (!balanced) return NDL_OK;
    for (int i = 0; i < n; i++, dst += width)
        for (int j = 0; j < width; j++)
            dst[j] = is_of_norm(role) ? dst[j] / b->scales[j]
                                      : dst[j] * b->scales[j];
    return NDL_OK;
}

/* ndl_source.origin */
static void origin(void *arg, ndl_role role, int layer, ndl_origin *out)
{
    const ndl_balance *b = arg;
    b->source->origin(b->source->arg, role, layer, out);
}

ndl_status ndl_balance_init(ndl_balance *b, const ndl_source *source,
                            const ndl_model *model, ndl_mix mix)
{
    const size_t n = (size_t)model->width;
    *b = (ndl_balance){
        .source = source, .model = model, .mix = mix, .layer = -1
    };
    b->scales = malloc(n * sizeof *b->scales);
    b->squares = malloc(n * sizeof *b->squares);
    b->rows = malloc(n * BATCH * sizeof *b->rows);
    if (b->scales && b->squares && b->rows) return NDL_OK;
    ndl_balance_fini(b);
    return NDL_FAIL(NDL_EOS, "out of memory to balance %zu channels", n);
}

void ndl_balance_fini(ndl_balance *b)
{
    free(b->scales);
    free(b->squares);
    free(b->rows);
    *b = (ndl_balance){ 0 };
}

void ndl_balance_source(ndl_balance *b, ndl_source *out)
{
    *out = (ndl_source){ .arg = b, .rows = rows, .origin = origin };
}
