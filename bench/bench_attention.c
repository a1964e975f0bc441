/* bench_attention.c - queries of one kv head over pages of keys, the merge of
 * two pages, and the stores into them. */
#include <math.h>

#include "bench_case.h"
#include "bench_util.h"

/* The floats of scratch behind the scores. */
static float *extra_of(const ndl_bench *b)
{
    return b->scratch + (size_t)NDL_CASE_ROWS * NDL_PAGE_KEYS;
}

/* n is the width of a head, k keys of a page are seen. */
static void run_attend(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const float *q[NDL_CASE_ROWS];
    int n_keys[NDL_CASE_ROWS];
    float *m = extra_of(b), *l = m + NDL_CASE_ROWS;
    const unsigned char *page = ndl_case_part(c, round);
    for (int r = 0; r < c->rows; r++) {
        q[r] = b->x + (size_t)r * ndl_case_stride(c->n);
        n_keys[r] = c->k;
    }
    const void *kp = page, *vp = page + c->bytes / 2;
    const float scale = 1.0f / sqrtf((float)c->n);
    if (c->bf16)
        b->k.attend_bf16(b->y, m, l, q, kp, vp, NULL, NULL, n_keys, c->rows,
                         c->n, scale, b->scratch);
    else
        b->k.attend_f32(b->y, m, l, q, kp, vp, NULL, NULL, n_keys, c->rows,
                        c->n, scale, b->scratch);
}

static void run_merge(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    float *m = b->scratch, *l = m + NDL_CASE_ROWS;
    (void)round;
    b->k.attend_merge(b->y, m, l, b->x, m + 2 * NDL_CASE_ROWS,
                      l + 2 * NDL_CASE_ROWS, c->rows, c->n);
}

static void run_store(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    unsigned char *page = ndl_case_part(c, round / NDL_PAGE_KEYS);
    void *kp = page, *vp = page + c->bytes / 2;
    const int key = round % NDL_PAGE_KEYS;
    if (c->bf16) {
        b->k.k_store_bf16(kp, key, b->x, c->n);
        b->k.v_store_bf16(vp, key, b->x + c->n, c->n);
    } else {
        b->k.k_store_f32(kp, key, b->x, c->n);
        b->k.v_store_f32(vp, key, b->x + c->n, c->n);
    }
}

/* Pages of int8 have their scales behind the cells. */
static void run_store_int8(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    unsigned char *page = ndl_case_part(c, round / NDL_PAGE_KEYS);
    const int key = round % NDL_PAGE_KEYS;
    b->k.k_store_int8((void *)page, key, b->x, c->n);
    b->k.v_store_int8((void *)(page + c->bytes / 2), key, b->x + c->n, c->n);
}

/* Keys and values of a page, as a prompt's tile and a decode step need them. */
static void run_widen(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const unsigned char *page = ndl_case_part(c, round);
    uint16_t *to = (void *)b->y;
    b->k.k_widen(to, (const void *)page, NDL_PAGE_KEYS, c->n);
    b->k.v_widen(to + (size_t)c->n * NDL_PAGE_KEYS,
                 (const void *)(page + c->bytes / 2), NDL_PAGE_KEYS, c->n);
}

/* Where the processor multiplies pairs, bf16 pages are attended so. */
static ndl_limit peak_of(const ndl_bench *b, bool bf16)
{
    return bf16 && b->k.matmul_dp16 ? NDL_LIMIT_BF16 : NDL_LIMIT_F32;
}

static void bench_attend(ndl_bench *b, const char *model, int hd, bool bf16)
{
    static const int own[] = { 1, 2, 4, 6, 8, 12, 16, 32, 48, 256 };
    const int *rows = NULL;
    const int n = ndl_case_rows(b, own, sizeof own / sizeof *own, &rows);
    ndl_case c = { .b = b,
                   .kernel = bf16 ? "attend_bf16" : "attend_f32",
                   .model = model,
                   .matrix = "page",
                   .n = hd,
                   .k = NDL_PAGE_KEYS,
                   .bf16 = bf16,
                   .peak = peak_of(b, bf16) };
    c.bytes = (size_t)hd * NDL_PAGE_KEYS * 2 * (bf16 ? 2 : 4);
    c.touched = (double)c.bytes;
    for (int i = 0; i < n; i++) {
        c.rows = rows[i];
        c.operations = 4.0 * c.rows * hd * c.k;
        ndl_case_report(&c, run_attend);
    }
}

/* A key and a value; what a page of each takes. */
static ndl_case store_case(ndl_bench *b, const char *model, int hd,
                           size_t page_bytes)
{
    return (ndl_case){ .b = b,
                       .model = model,
                       .matrix = "page",
                       .rows = 1,
                       .n = hd,
                       .k = 1,
                       .bytes = 2 * page_bytes,
                       .touched = 2.0 * hd * 4 };
}

static void bench_store(ndl_bench *b, const char *model, int hd, bool bf16)
{
    const size_t cells = (size_t)hd * NDL_PAGE_KEYS;
    ndl_case c = store_case(b, model, hd, cells * (bf16 ? 2 : 4));
    c.kernel = bf16 ? "kv_store_bf16" : "kv_store_f32";
    c.bf16 = bf16;
    ndl_case_report(&c, run_store);
}

static void bench_int8(ndl_bench *b, const char *model, int hd)
{
    const size_t page = NDL_PAGE_KEYS * ((size_t)hd + sizeof(float));
    ndl_case c = store_case(b, model, hd, page);
    c.kernel = "kv_store_int8";
    ndl_case_report(&c, run_store_int8);
    c.kernel = "kv_widen";
    c.rows = c.k = NDL_PAGE_KEYS;
    c.touched = 2.0 * NDL_PAGE_KEYS * hd;
    ndl_case_report(&c, run_widen);
}

static void bench_head(ndl_bench *b, const char *model, int hd)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        bench_attend(b, model, hd, bf16);
        bench_store(b, model, hd, bf16);
    }
    bench_int8(b, model, hd);
    ndl_case merge = { .b = b,
                       .kernel = "attend_merge",
                       .model = model,
                       .matrix = "page",
                       .rows = 48,
                       .n = hd,
                       .touched = 48.0 * 3 * 4 * hd };
    ndl_case_report(&merge, run_merge);
}

void ndl_bench_attention(ndl_bench *b)
{
    bench_head(b, "head-64", 64);
    bench_head(b, "head-128", 128);
}
