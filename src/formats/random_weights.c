/*
 * random_weights.c - see random_weights.h.
 *
 * Matrices have a spread of gain / sqrt(K), so that a product keeps the size
 * of its input, and what is added to the residual stream is smaller by
 * sqrt(2 L), so that the stream does not grow with depth.
 */
#include "random_weights.h"

#include <math.h>
#include <stddef.h>

#include "roles.h"

typedef enum scaling { FLAT, FAN_IN, RESIDUAL } scaling;

/* clang-format off */
static const struct recipe {
    const char *name;
    float mean, gain;
    scaling scaling;
} recipes[NDL_N_ROLES] = {
    [NDL_ROLE_TOKENS]          = { "tokens",          0, 2.0f, FAN_IN },
    [NDL_ROLE_POSITIONS]       = { "positions",       0, 1.0f, FAN_IN },
    [NDL_ROLE_NORM1]           = { "norm1",           1, 0.1f, FLAT },
    [NDL_ROLE_NORM1_BIAS]      = { "norm1_bias",      0, 0.1f, FLAT },
    [NDL_ROLE_Q]               = { "q",               0, 1.5f, FAN_IN },
    [NDL_ROLE_K]               = { "k",               0, 1.5f, FAN_IN },
    [NDL_ROLE_V]               = { "v",               0, 1.0f, FAN_IN },
    [NDL_ROLE_Q_BIAS]          = { "q_bias",          0, 0.1f, FLAT },
    [NDL_ROLE_K_BIAS]          = { "k_bias",          0, 0.1f, FLAT },
    [NDL_ROLE_V_BIAS]          = { "v_bias",          0, 0.1f, FLAT },
    [NDL_ROLE_OUT]             = { "out",             0, 2.0f, RESIDUAL },
    [NDL_ROLE_OUT_BIAS]        = { "out_bias",        0, 0.1f, FLAT },
    [NDL_ROLE_NORM2]           = { "norm2",           1, 0.1f, FLAT },
    [NDL_ROLE_NORM2_BIAS]      = { "norm2_bias",      0, 0.1f, FLAT },
    [NDL_ROLE_GATE]            = { "gate",            0, 1.5f, FAN_IN },
    [NDL_ROLE_UP]              = { "up",              0, 1.5f, FAN_IN },
    [NDL_ROLE_DOWN]            = { "down",            0, 2.0f, RESIDUAL },
    [NDL_ROLE_GATE_BIAS]       = { "gate_bias",       0, 0.1f, FLAT },
    [NDL_ROLE_UP_BIAS]         = { "up_bias",         0, 0.1f, FLAT },
    [NDL_ROLE_DOWN_BIAS]       = { "down_bias",       0, 0.1f, FLAT },
    [NDL_ROLE_FINAL_NORM]      = { "final_norm",      1, 0.1f, FLAT },
    [NDL_ROLE_FINAL_NORM_BIAS] = { "final_norm_bias", 0, 0.1f, FLAT },
    [NDL_ROLE_HEAD]            = { "head",            0, 2.0f, FAN_IN },
};
/* clang-format on */

static const uint64_t golden = 0x9e3779b97f4a7c15u; /* 2^64 / phi */

/* The finalizer of SplitMix64: every input bit reaches every output bit. */
static inline uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The sum of four uniform 16-bit numbers is nearly normal and needs one mix;
 * its mean is 2 * 65535 and its spread 65536 / sqrt(3). */
static void draw(float *dst, uint64_t counter, size_t n, float mean,
                 float spread)
{
    const float unit = spread * (1.7320508f / 65536.0f);
    for (size_t i = 0; i < n; i++) {
        const uint64_t z = mix(counter);
        const int32_t sum = (int32_t)((z & 0xffff) + (z >> 16 & 0xffff) +
                                      (z >> 32 & 0xffff) + (z >> 48));
        dst[i] = mean + unit * (float)(sum - 2 * 65535);
        counter += golden;
    }
}

static float spread_of(const ndl_model *m, const struct recipe *r, int k)
{
    if (r->scaling == FLAT) return r->gain;
    const double terms = r->scaling == RESIDUAL ? 2.0 * m->n_layers * k : k;
    return (float)(r->gain / sqrt(terms));
}

static ndl_status rows(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst)
{
    const ndl_random_weights *w = arg;
    const struct recipe *r = &recipes[role];
    ndl_role_shape s = { 0 };
    NDL_ASSERT(ndl_role_shape_of(&w->model, role, &s));
    NDL_ASSERT(first >= 0 && n >= 0 && first <= s.rows - n);
    const uint64_t stream =
        mix(mix(w->seed + golden) + ((uint64_t)role << 32 | (uint32_t)layer));
    const uint64_t at = (uint64_t)first * (uint64_t)s.cols;
    draw(dst, stream + at * golden, (size_t)n * (size_t)s.cols, r->mean,
         spread_of(&w->model, r, s.cols));
    return NDL_OK;
}

static void origin(void *arg, ndl_role role, int layer, ndl_origin *out)
{
    (void)arg;
    (void)layer;
    *out = (ndl_origin){ .name = recipes[role].name, .dtype = "F32" };
}

void ndl_random_weights_source(ndl_random_weights *w, ndl_source *out)
{
    *out = (ndl_source){ .arg = w, .rows = rows, .origin = origin };
}
