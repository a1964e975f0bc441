/* bench_small.c - what is no product: norms, activations, sums, rotation, a
 * row out of the embedding.  Bytes in and out are the cost that counts; rows
 * stay in the cache, as they do behind a product. */
#include "bench_case.h"
#include "bench_util.h"

static void run_rmsnorm(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const size_t ld = ndl_case_stride(c->n);
    (void)round;
    b->k.rmsnorm(b->y, ld, b->x, ld, b->scratch, c->rows, c->n, 1e-5f);
}

static void run_layernorm(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const size_t ld = ndl_case_stride(c->n);
    (void)round;
    b->k.layernorm(b->y, ld, b->x, ld, b->scratch, b->scratch + NDL_CASE_WIDTH,
                   c->rows, c->n, 1e-5f);
}

static void run_rope(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.rope(b->y, ndl_case_stride(c->n), b->scratch, c->rows, c->n / c->k,
              c->k, 16);
}

static void run_gelu(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const size_t ld = ndl_case_stride(c->n);
    (void)round;
    b->k.gelu(b->y, ld, b->x, ld, c->rows, c->n);
}

static void run_swiglu(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.swiglu(b->y, ndl_case_stride(c->n), b->x, ndl_case_stride(2 * c->n),
                c->rows, c->n);
}

static void run_add(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const size_t ld = ndl_case_stride(c->n);
    (void)round;
    b->k.add(b->y, ld, b->x, ld, c->rows, c->n);
}

static void run_bias(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.bias(b->y, ndl_case_stride(c->n), b->x, c->rows, c->n);
}

static void run_exp(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.exp(b->y, b->x, c->rows * c->n);
}

static void run_gather(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const void *w = ndl_case_part(c, round);
    if (c->bf16)
        b->k.gather_bf16(b->y, w, round % NDL_LANES, c->k);
    else
        b->k.gather_f32(b->y, w, round % NDL_LANES, c->k);
}

typedef struct piece {
    const char *kernel;
    void (*run)(void *, int);
    bool is_wide; /* as wide as the hidden rows           */
    int floats;   /* in and out, for a value of its width */
} piece;

static const piece pieces[] = {
    { "rmsnorm", run_rmsnorm, false, 2 },
    { "layernorm", run_layernorm, false, 2 },
    { "rope", run_rope, false, 2 },
    { "add", run_add, false, 3 },
    { "bias", run_bias, false, 2 },
    { "exp", run_exp, false, 2 },
    { "gelu", run_gelu, true, 2 },
    { "swiglu", run_swiglu, true, 3 },
};

static void bench_model(ndl_bench *b, const char *model, int width, int hidden)
{
    static const int own[] = { 1, 64 };
    const int *rows = NULL;
    const int n = ndl_case_rows(b, own, 2, &rows);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        for (int r = 0; r < n; r++) {
            const piece *p = &pieces[i];
            ndl_case c = { .b = b, .kernel = p->kernel, .model = model };
            c.matrix = "rows";
            c.rows = rows[r];
            c.n = p->is_wide ? hidden : width;
            c.k = 64; /* of a head */
            c.touched = 4.0 * p->floats * c.rows * c.n;
            ndl_case_report(&c, p->run);
        }
    for (int bf16 = 0; bf16 < 2; bf16++) {
        ndl_case c = { .b = b, .model = model, .rows = 1, .k = width };
        c.kernel = bf16 ? "gather_bf16" : "gather_f32";
        c.matrix = "embedding";
        c.bf16 = bf16;
        c.n = NDL_LANES;
        c.bytes = (size_t)NDL_LANES * (size_t)width * (bf16 ? 2 : 4);
        c.touched = (double)c.bytes; /* a row is in every line of its panel */
        ndl_case_report(&c, run_gather);
    }
}

void ndl_bench_small(ndl_bench *b)
{
    bench_model(b, "gpt2-124m", 768, 3072);
    bench_model(b, "tinyllama-1.1b", 2048, 5632);
    bench_model(b, "llama-3.2-1b", 2048, 8192);
}
