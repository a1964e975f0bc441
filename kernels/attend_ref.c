/*
 * attend_ref.c - the bits of attention over one page and of the merge of pages.
 *
 * The two cell types differ only in how a cell is found and widened, so each
 * page is first described by two functions (key cell, value cell) and the
 * arithmetic is written once.
 */
#include <math.h>

#include "exp_poly.h"
#include "kv_cells.h"
#include "variants.h"

typedef struct page_view {
    float (*key)(const void *page, int hd, int j, int i);
    float (*value)(const void *page, int hp, int j, int i);
    const void *kpage, *vpage;
    const float *kscale, *vscale; /* or NULL */
    int hd;
} page_view;

static float load_key_f32(const void *page, int hd, int j, int i)
{
    return ((const float *)page)[ndl_key_cell(hd, j, i)];
}

static float load_key_bf16(const void *page, int hd, int j, int i)
{
    return ndl_bf16_f32(((const uint16_t *)page)[ndl_key_cell_pairs(hd, j, i)]);
}

static float load_value_f32(const void *page, int hp, int j, int i)
{
    return ((const float *)page)[ndl_value_cell(hp, j, i)];
}

static float load_value_bf16(const void *page, int hp, int j, int i)
{
    return ndl_bf16_f32(
        ((const uint16_t *)page)[ndl_value_cell_pairs(hp, j, i)]);
}

static void scores(const page_view *v, const float *q, int n, float scale,
                   float *s)
{
    for (int j = 0; j < n; j++) {
        float sum = 0;
        for (int i = 0; i < v->hd; i++)
            sum = fmaf(q[i], v->key(v->kpage, v->hd, j, i), sum);
        s[j] = sum * scale;
        if (v->kscale) s[j] *= v->kscale[j];
    }
}

/* s becomes p. */
static void softmax(float *s, int n, float *m, float *l)
{
    float top[NDL_LANES], sum[NDL_LANES] = { 0 };
    for (int i = 0; i < NDL_LANES; i++) top[i] = -INFINITY;
    for (int j = 0; j < n; j++)
        top[j % NDL_LANES] = ndl_lanes_larger(s[j], top[j % NDL_LANES]);
    *m = ndl_lanes_max(top);
    for (int j = 0; j < n; j++) {
        s[j] = ndl_exp_scalar(s[j] - *m);
        sum[j % NDL_LANES] += s[j];
    }
    *l = ndl_lanes_sum(sum);
}

/* p becomes p'. */
static void mix(const page_view *v, float *p, int n, float *o)
{
    int hp = ndl_lanes_round(v->hd);
    for (int j = 0; v->vscale && j < n; j++) p[j] *= v->vscale[j];
    for (int i = 0; i < hp; i++) {
        float sum = 0;
        for (int j = 0; j < n; j++)
            sum = fmaf(p[j], v->value(v->vpage, hp, j, i), sum);
        o[i] = sum;
    }
}

NDL_DECL_ATTEND(ndl_attend_f32_ref, float)
{
    page_view v = { load_key_f32, load_value_f32, kpage, vpage,
                    kscale,       vscale,         hd };
    for (int r = 0; r < rows; r++) {
        float *s = scratch + (size_t)r * NDL_PAGE_KEYS;
        scores(&v, q[r], n_keys[r], scale, s);
        softmax(s, n_keys[r], m + r, l + r);
        mix(&v, s, n_keys[r], o + (size_t)r * ndl_lanes_round(hd));
    }
}

NDL_DECL_ATTEND(ndl_attend_bf16_ref, uint16_t)
{
    page_view v = { load_key_bf16, load_value_bf16, kpage, vpage,
                    kscale,        vscale,          hd };
    for (int r = 0; r < rows; r++) {
        float *s = scratch + (size_t)r * NDL_PAGE_KEYS;
        scores(&v, q[r], n_keys[r], scale, s);
        softmax(s, n_keys[r], m + r, l + r);
        mix(&v, s, n_keys[r], o + (size_t)r * ndl_lanes_round(hd));
    }
}

NDL_DECL_ATTEND_MERGE(ndl_attend_merge_ref)
{
    int hp = ndl_lanes_round(hd);
    for (int r = 0; r < rows; r++) {
        float n = ndl_lanes_larger(m[r], m2[r]);
        float a = ndl_exp_scalar(m[r] - n), b = ndl_exp_scalar(m2[r] - n);
        l[r] = fmaf(l[r], a, l2[r] * b);
        for (int i = 0; i < hp; i++) {
            size_t at = (size_t)r * hp + i;
            o[at] = fmaf(o[at], a, o2[at] * b);
        }
        m[r] = n;
    }
}
