/* bench_products.c - matrix products of every dtype, and the preparation of
 * their activations, at the shapes of models' layers. */
#include "bench_case.h"
#include "bench_util.h"

enum {
    HEAD_ROWS = 16,      /* that a head computes at a time */
    HEAD_COLUMNS = 32768 /* more of them are more of the same */
};

typedef struct shape {
    const char *model, *matrix;
    int n, k;
} shape;

/* clang-format off */
static const shape shapes[] = {
    { "in-l2", "small", 64, 768 },
    { "gpt2-124m", "qkv", 2304, 768 },
    { "gpt2-124m", "out", 768, 768 },
    { "gpt2-124m", "up", 3072, 768 },
    { "gpt2-124m", "down", 768, 3072 },
    { "gpt2-124m", "head", HEAD_COLUMNS, 768 },
    { "tinyllama-1.1b", "qkv", 2560, 2048 },
    { "tinyllama-1.1b", "out", 2048, 2048 },
    { "tinyllama-1.1b", "up", 11264, 2048 },
    { "tinyllama-1.1b", "down", 2048, 5632 },
    { "tinyllama-1.1b", "head", 32000, 2048 },
    { "llama-3.2-1b", "qkv", 3072, 2048 },
    { "llama-3.2-1b", "out", 2048, 2048 },
    { "llama-3.2-1b", "up", 16384, 2048 },
    { "llama-3.2-1b", "down", 2048, 8192 },
    { "llama-3.2-1b", "head", HEAD_COLUMNS, 2048 },
};

static const int default_rows[] = { 1, 2,  3,  4,  5,  6,   7,  8,
                                    9, 12, 16, 32, 64, 192, 512 };
/* clang-format on */
enum {
    N_SHAPES = sizeof shapes / sizeof *shapes,
    N_ROWS = sizeof default_rows / sizeof *default_rows
};

/* More than a row needs, so that no two rows meet in one set of L1. */
static size_t stride8(const ndl_case *c)
{
    return ndl_rows8_bytes(c->k, c->block) + 64;
}

static size_t stride16(const ndl_case *c)
{
    return (size_t)c->k + 32;
}

/* ---- runs ---- */

static void run_f32(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    b->k.matmul_f32(b->y, ndl_case_stride(c->n), b->x, ndl_case_stride(c->k),
                    (const void *)ndl_case_part(c, round), c->rows, c->n / 16,
                    c->k);
}

static void run_bf16(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    b->k.matmul_bf16(b->y, ndl_case_stride(c->n), b->x, ndl_case_stride(c->k),
                     (const void *)ndl_case_part(c, round), c->rows, c->n / 16,
                     c->k);
}

static void run_rows16(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.rows16(b->operand, stride16(c), b->x, ndl_case_stride(c->k), c->rows,
                c->k);
}

static void run_dp16(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    b->k.matmul_dp16(b->y, ndl_case_stride(c->n), b->operand, stride16(c),
                     (const void *)ndl_case_part(c, round), c->rows, c->n / 16,
                     c->k);
}

static void run_rows8(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    (void)round;
    b->k.rows8(b->operand, stride8(c), b->x, ndl_case_stride(c->k), c->rows,
               c->k, c->block, c->zero);
}

/* Bytes of the weights of a quantised case, in front of their scales. */
static size_t quantised_bytes(const ndl_case *c)
{
    return (size_t)c->n * (size_t)c->k / (c->zero == 8 ? 2 : 1);
}

static void run_quantised(void *arg, int round)
{
    const ndl_case *c = arg;
    const ndl_bench *b = c->b;
    const uint8_t *w = ndl_case_part(c, round);
    const void *scales = w + quantised_bytes(c);
    (c->zero == 8 ? b->k.matmul_int4 : b->k.matmul_int8)(
        b->y, ndl_case_stride(c->n), b->operand, stride8(c), w, scales, c->rows,
        c->n / 16, c->k, c->block);
}

/* ---- cases ---- */

/* A product of each number of rows; `prepare` is run before, if there is one.
 * Without being asked a head sees few rows. */
static void report_rows(ndl_case c, void (*prepare)(void *, int),
                        void (*run)(void *, int))
{
    const int *rows = NULL;
    const int n = ndl_case_rows(c.b, default_rows, N_ROWS, &rows);
    const bool is_head = strcmp(c.matrix, "head") == 0;
    for (int i = 0; i < n; i++) {
        c.rows = rows[i];
        c.operations = 2.0 * c.rows * c.n * c.k;
        c.touched = (double)c.bytes;
        if (is_head && rows == default_rows && c.rows > HEAD_ROWS) continue;
        if (!ndl_case_is_chosen(&c)) continue;
        if (prepare) prepare(&c, 0);
        ndl_case_report(&c, run);
    }
}

static ndl_case case_of(ndl_bench *b, const shape *s)
{
    return (ndl_case){ .b = b,
                       .model = s->model,
                       .matrix = s->matrix,
                       .n = s->n,
                       .k = s->k,
                       .in_cache = strcmp(s->model, "in-l2") == 0 };
}

static void bench_floats(ndl_bench *b, const shape *s)
{
    ndl_case c = case_of(b, s);
    const size_t cells = (size_t)s->n * (size_t)s->k;
    c.kernel = "matmul_f32";
    c.bytes = cells * 4;
    c.peak = NDL_LIMIT_F32;
    report_rows(c, NULL, run_f32);
    c.kernel = "matmul_bf16"; /* cells become f32 first */
    c.bytes = cells * 2;
    report_rows(c, NULL, run_bf16);
    if (!b->k.matmul_dp16) return;
    c.kernel = "matmul_dp16";
    c.peak = NDL_LIMIT_BF16;
    report_rows(c, run_rows16, run_dp16);
}

/* The scales of every part of the pool have to be finite. */
static void fill_scales(const ndl_case *c)
{
    const size_t weights = quantised_bytes(c);
    const size_t n = (c->bytes - weights) / sizeof(uint16_t);
    const size_t size = (c->bytes + 4095) / 4096 * 4096;
    const size_t parts = c->in_cache ? 1 : ndl_case_pool_bytes / size;
    for (size_t i = 0; i < parts; i++) {
        uint16_t *at = (void *)(ndl_case_part(c, (int)i) + weights);
        for (size_t s = 0; s < n; s++) at[s] = (uint16_t)(0x2000 + s % 256);
    }
}

/* k is a multiple of the block. */
static void bench_quantised(ndl_bench *b, const shape *s, const char *kernel,
                            int block, int zero)
{
    ndl_case c = case_of(b, s);
    c.kernel = kernel;
    c.block = block;
    c.zero = zero;
    c.peak = NDL_LIMIT_INT8;
    c.rows = 1;
    c.bytes = quantised_bytes(&c) +
              (size_t)c.n * (size_t)c.k / (size_t)block * sizeof(uint16_t);
    if (!ndl_case_is_chosen(&c)) return;
    fill_scales(&c);
    report_rows(c, run_rows8, run_quantised);
}

/* Activations on their way into a product: read as f32, written narrower. */
static void bench_preparing(ndl_bench *b, const char *model, int k)
{
    static const int own[] = { 1, 16, 512 };
    const int *rows = NULL;
    const int n = ndl_case_rows(b, own, 3, &rows);
    for (int i = 0; i < n; i++) {
        ndl_case c = { .b = b, .model = model, .matrix = "rows", .k = k };
        c.rows = rows[i];
        c.kernel = "rows16";
        c.touched = (double)c.rows * k * 6;
        if (b->k.rows16) ndl_case_report(&c, run_rows16);
        c.touched = (double)c.rows * k * 5;
        for (int kind = 0; kind < 3; kind++) {
            static const char *const names[] = { "rows8_64", "rows8_32",
                                                 "rows8_int4" };
            c.kernel = names[kind];
            c.block = kind == 0 ? 64 : 32;
            c.zero = kind == 2 ? 8 : 128;
            ndl_case_report(&c, run_rows8);
        }
    }
}

void ndl_bench_products(ndl_bench *b)
{
    for (int i = 0; i < N_SHAPES; i++) {
        bench_floats(b, &shapes[i]);
        bench_quantised(b, &shapes[i], "matmul_int8_64", 64, 128);
        bench_quantised(b, &shapes[i], "matmul_int8_32", 32, 128);
        bench_quantised(b, &shapes[i], "matmul_int4", 32, 8);
    }
    bench_preparing(b, "gpt2-124m", 768);
    bench_preparing(b, "tinyllama-1.1b", 2048);
    bench_preparing(b, "tinyllama-1.1b", 5632);
}
