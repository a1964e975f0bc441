/*
 * bench_kernels.c - every kernel at shapes of real models, as CSV, against
 * the FMA peak and the read bandwidth of this core measured in the same run.
 *
 * Usage: bench_kernels [--version ref|avx2|...] [--only NAME] [--date D]
 *                      [--commit C] [--budget SECONDS]
 *
 * Weights move through a pool larger than the last-level cache, as in a
 * model whose layers follow each other, so 1 row shows memory and many rows
 * show arithmetic; the shape in-l2 stays in place.  Rates are of the fastest
 * sample; the median says how noisy the machine was.
 */
#include <math.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "bench_util.h"
#include "kernels.h"
#include "peak.h"

enum { MAX_ROWS = 512, MAX_WIDTH = 16384, PAGES = 64 };
enum { PEAK_ROUNDS = 1 << 16 };

static const size_t POOL_BYTES = (size_t)512 << 20;

typedef struct options {
    const char *version, *only, *date, *commit;
    double budget_sec;
} options;

typedef struct bench {
    options opt;
    ndl_kernels k;
    bench_limits limit;
    double int8_sec;     /* operations with bytes      */
    unsigned char *pool; /* weights, POOL_BYTES        */
    float *x, *y;        /* (MAX_ROWS, MAX_WIDTH + 16) */
    float *scratch;      /* (MAX_ROWS, 256)            */
    void *rows8;         /* (MAX_ROWS) of MAX_WIDTH    */
} bench;

/* One case: its names, its sizes, and what it costs. */
typedef struct job {
    bench *b;
    const char *kernel, *model;
    int rows, n, k;
    bool bf16, in_cache;
    int block;    /* of int8 */
    size_t bytes; /* of weights or keys a run, out of the pool */
    double flop;
    double touched; /* bytes that a run reads at least */
} job;

static size_t stride(int columns)
{
    return (size_t)columns + 16; /* no two rows on one set of L1 */
}

/* Where a run's part of the pool begins; parts follow each other. */
static const void *part(const job *j, int round)
{
    size_t size = (j->bytes + 4095) / 4096 * 4096;
    if (j->in_cache || size > POOL_BYTES) return j->b->pool;
    return j->b->pool + (size_t)round % (POOL_BYTES / size) * size;
}

static void report(const job *j, void (*run)(void *, int))
{
    bench *b = j->b;
    if (b->opt.only && !strstr(j->kernel, b->opt.only)) return;
    bench_case c = { run, (void *)j };
    bench_time t = bench_measure(c, b->opt.budget_sec);
    double flop = j->flop / t.min_sec, read = j->touched / t.min_sec;
    double peak = j->block ? b->int8_sec : b->limit.flop_sec;
    printf("%s,%s,%s,%d,%d,%d,%d,%.2f,%.2f,%.1f,%.1f,%.1f,%.1f\n", j->kernel,
           b->k.name, j->model, j->rows, j->n, j->k, t.samples, t.min_sec * 1e6,
           t.median_sec * 1e6, flop * 1e-9, 100 * flop / peak, read * 1e-9,
           100 * read / b->limit.read_bytes_sec);
    fflush(stdout);
}

static void run_matmul(void *arg, int round)
{
    const job *j = arg;
    bench *b = j->b;
    size_t ldx = stride(j->k), ldy = stride(j->n);
    if (j->bf16)
        b->k.matmul_bf16(b->y, ldy, b->x, ldx, part(j, round), j->rows,
                         j->n / 16, j->k);
    else
        b->k.matmul_f32(b->y, ldy, b->x, ldx, part(j, round), j->rows,
                        j->n / 16, j->k);
}

static void bench_matmul(bench *b, const char *model, int n, int k)
{
    static const int rows[] = { 1, 2, 3, 4, 5, 6, 7, 9, 16, 64, 192, 512 };
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            job j = { .b = b, .model = model, .n = n, .k = k };
            j.kernel = bf16 ? "matmul_bf16" : "matmul_f32";
            j.bf16 = bf16;
            j.in_cache = strcmp(model, "in-l2") == 0;
            j.rows = rows[i];
            j.bytes = (size_t)n * (size_t)k * (bf16 ? 2 : 4);
            j.flop = 2.0 * j.rows * n * k;
            j.touched = (double)j.bytes;
            report(&j, run_matmul);
        }
}

/* More than a row needs, so that no two rows meet in one set of L1. */
static size_t stride8(const job *j)
{
    return ndl_rows8_bytes(j->k, j->block) + 64;
}

static void run_rows8(void *arg, int round)
{
    (void)round;
    const job *j = arg;
    bench *b = j->b;
    b->k.rows8(b->rows8, stride8(j), b->x, stride(j->k), j->rows, j->k,
               j->block, 128);
}

static void run_int8(void *arg, int round)
{
    const job *j = arg;
    bench *b = j->b;
    const uint8_t *w = part(j, round);
    const void *scales = w + (size_t)j->n * (size_t)j->k;
    b->k.matmul_int8(b->y, stride(j->n), b->rows8, stride8(j), w, scales,
                     j->rows, j->n / 16, j->k, j->block);
}

/* The scales of every part of the pool have to be finite. */
static void fill_scales(const job *j)
{
    const size_t weights = (size_t)j->n * (size_t)j->k;
    const size_t n = (j->bytes - weights) / sizeof(uint16_t);
    const size_t size = (j->bytes + 4095) / 4096 * 4096;
    for (size_t i = 0; i < POOL_BYTES / size; i++) {
        uint16_t *at = (void *)(j->b->pool + i * size + weights);
        for (size_t c = 0; c < n; c++) at[c] = (uint16_t)(0x2000 + c % 256);
    }
}

/* k is a multiple of the block. */
static void bench_int8(bench *b, const char *model, int n, int k)
{
    static const int rows[] = { 1, 2, 4, 8, 16, 64, 512 };
    for (int block = 64; block >= 32; block /= 2) {
        job j = { .b = b, .model = model, .n = n, .k = k, .block = block };
        j.kernel = block == 64 ? "rows8_64" : "rows8_32";
        j.rows = MAX_ROWS;
        j.touched = (double)MAX_ROWS * k * 5;
        run_rows8(&j, 0);
        report(&j, run_rows8);
        j.kernel = block == 64 ? "matmul_int8_64" : "matmul_int8_32";
        j.bytes = (size_t)n * (size_t)k / (size_t)block * (size_t)(block + 2);
        j.touched = (double)j.bytes;
        fill_scales(&j);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            j.rows = rows[i];
            j.flop = 2.0 * j.rows * n * k;
            report(&j, run_int8);
        }
    }
}

/* rows queries of one kv head over PAGES pages in turn; n is hd, k keys. */
static void run_attend(void *arg, int round)
{
    const job *j = arg;
    bench *b = j->b;
    const float *q[MAX_ROWS];
    int n_keys[MAX_ROWS];
    float *m = b->scratch + MAX_ROWS * NDL_PAGE_KEYS, *l = m + MAX_ROWS;
    const unsigned char *page = part(j, round);
    for (int r = 0; r < j->rows; r++) {
        q[r] = b->x + r * stride(j->n);
        n_keys[r] = j->k;
    }
    const void *v = page + j->bytes / 2;
    float scale = 1.0f / sqrtf((float)j->n);
    if (j->bf16)
        b->k.attend_bf16(b->y, m, l, q, (const void *)page, v, n_keys, j->rows,
                         j->n, scale, b->scratch);
    else
        b->k.attend_f32(b->y, m, l, q, (const void *)page, v, n_keys, j->rows,
                        j->n, scale, b->scratch);
}

static void bench_attend(bench *b, const char *model, int hd)
{
    static const int rows[] = { 1, 4, 8, 48, 256 };
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            job j = { .b = b, .model = model, .n = hd, .k = NDL_PAGE_KEYS };
            j.kernel = bf16 ? "attend_bf16" : "attend_f32";
            j.bf16 = bf16;
            j.rows = rows[i];
            j.bytes = (size_t)hd * NDL_PAGE_KEYS * 2 * (bf16 ? 2 : 4);
            j.flop = 4.0 * j.rows * hd * NDL_PAGE_KEYS;
            j.touched = (double)j.bytes;
            report(&j, run_attend);
        }
}

static void run_merge(void *arg, int round)
{
    (void)round;
    const job *j = arg;
    bench *b = j->b;
    float *m = b->scratch, *l = m + MAX_ROWS;
    b->k.attend_merge(b->y, m, l, b->x, m + 2 * MAX_ROWS, l + 2 * MAX_ROWS,
                      j->rows, j->n);
}

static void run_store(void *arg, int round)
{
    const job *j = arg;
    bench *b = j->b;
    unsigned char *page = (unsigned char *)part(j, round / NDL_PAGE_KEYS);
    void *k = page, *v = page + j->bytes / 2;
    int key = round % NDL_PAGE_KEYS;
    if (j->bf16)
        b->k.kv_store_bf16(k, v, key, b->x, b->x + j->n, j->n);
    else
        b->k.kv_store_f32(k, v, key, b->x, b->x + j->n, j->n);
}

static void run_norm(void *arg, int round)
{
    (void)round;
    const job *j = arg;
    bench *b = j->b;
    const float *gain = b->scratch, *bias = b->scratch + MAX_WIDTH;
    if (strcmp(j->kernel, "rmsnorm") == 0)
        b->k.rmsnorm(b->y, stride(j->n), b->x, stride(j->n), gain, j->rows,
                     j->n, 1e-5f);
    else
        b->k.layernorm(b->y, stride(j->n), b->x, stride(j->n), gain, bias,
                       j->rows, j->n, 1e-5f);
}

static void run_rope(void *arg, int round)
{
    (void)round;
    const job *j = arg;
    bench *b = j->b;
    b->k.rope(b->y, stride(j->n), b->scratch, j->rows, j->n / j->k, j->k,
              j->k >= 32 ? 16 : j->k / 2);
}

static void run_elementwise(void *arg, int round)
{
    (void)round;
    const job *j = arg;
    bench *b = j->b;
    size_t ld = stride(j->n);
    if (strcmp(j->kernel, "gelu") == 0)
        b->k.gelu(b->y, ld, b->x, ld, j->rows, j->n);
    else if (strcmp(j->kernel, "swiglu") == 0)
        b->k.swiglu(b->y, ld, b->x, stride(2 * j->n), j->rows, j->n);
    else if (strcmp(j->kernel, "add") == 0)
        b->k.add(b->y, ld, b->x, ld, j->rows, j->n);
    else if (strcmp(j->kernel, "bias") == 0)
        b->k.bias(b->y, ld, b->x, j->rows, j->n);
    else
        b->k.exp(b->y, b->x, j->rows * j->n);
}

static void run_gather(void *arg, int round)
{
    const job *j = arg;
    bench *b = j->b;
    const void *w = part(j, round);
    if (j->bf16)
        b->k.gather_bf16(b->y, w, round % 16, j->k);
    else
        b->k.gather_f32(b->y, w, round % 16, j->k);
}

/* What is not a product: bytes in and out are the cost that counts. */
static void bench_small(bench *b, const char *model, int rows, int d, int f)
{
    double row = 4.0 * rows;
    job norm = { .b = b,
                 .kernel = f == 4 * d ? "layernorm" : "rmsnorm",
                 .model = model,
                 .rows = rows,
                 .n = d };
    norm.touched = 2 * row * d;
    report(&norm, run_norm);
    static const char *const names[] = { "gelu", "swiglu", "add", "bias",
                                         "exp" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        job j = { .b = b, .kernel = names[i], .model = model, .rows = rows };
        j.n = i < 2 ? f : d;
        j.touched = row * j.n * (i == 1 || i == 2 ? 3 : 2);
        report(&j, run_elementwise);
    }
    job rope = { .b = b,
                 .kernel = "rope",
                 .model = model,
                 .rows = rows,
                 .n = d,
                 .k = 64,
                 .touched = 2 * row * d };
    report(&rope, run_rope);
    job merge = { .b = b,
                  .kernel = "attend_merge",
                  .model = model,
                  .rows = rows,
                  .n = 64,
                  .touched = 3 * row * 64 };
    report(&merge, run_merge);
}

static void bench_moves(bench *b, const char *model, int d)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        size_t cell = bf16 ? 2 : 4;
        job gather = { .b = b, .model = model, .rows = 1, .n = 16, .k = d };
        gather.kernel = bf16 ? "gather_bf16" : "gather_f32";
        gather.bf16 = bf16;
        gather.bytes = 16 * (size_t)d * cell;
        gather.touched = (double)gather.bytes;
        report(&gather, run_gather);
        job store = { .b = b, .model = model, .rows = 1, .n = 64, .k = 1 };
        store.kernel = bf16 ? "kv_store_bf16" : "kv_store_f32";
        store.bf16 = bf16;
        store.bytes = 64 * NDL_PAGE_KEYS * 2 * cell;
        store.touched = 2.0 * 64 * 4;
        report(&store, run_store);
    }
}

static void *huge(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

/* Small values that are valid in either weight type. */
static void fill(float *x, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
}

static void run_peak(void *arg, int round)
{
    static int32_t acc[NDL_PEAK_LANES], ones[NDL_PEAK_WIDTH];
    (void)round;
    const ndl_peak_kernel *k = arg;
    k->run(acc, ones, ones, PEAK_ROUNDS);
}

/* What the processor can do, whatever version is looked at. */
static double find_int8_peak(void)
{
    ndl_peaks p;
    ndl_peaks_init(&p, ndl_cpu_features());
    const bench_case c = { run_peak, &p.int8 };
    const double work = 2.0 * p.int8.n_lanes * p.int8.products * PEAK_ROUNDS;
    return work / bench_measure(c, 0.5).min_sec;
}

static void begin(bench *b)
{
    size_t rows = (size_t)MAX_ROWS * (MAX_WIDTH + 16) * 2;
    b->pool = huge(POOL_BYTES);
    b->x = huge(rows * sizeof(float));
    b->y = huge(rows * sizeof(float));
    b->scratch = huge((size_t)MAX_ROWS * (NDL_PAGE_KEYS + 64) * sizeof(float));
    b->rows8 = huge((size_t)MAX_ROWS * (MAX_WIDTH * 2 + 64));
    fill((float *)(void *)b->pool, POOL_BYTES / sizeof(float));
    fill(b->x, rows);
    fill(b->y, rows);
    fill(b->scratch, (size_t)MAX_ROWS * (NDL_PAGE_KEYS + 64));
    ndl_fp_setup();
    b->limit = bench_find_limits(b->pool);
    b->int8_sec = find_int8_peak();
}

static void print_head(const bench *b)
{
    printf("# bench: kernels\n");
    bench_cpuinfo("model name");
    bench_cpuinfo("flags");
    if (b->opt.date) printf("# date: %s\n", b->opt.date);
    printf("# commit: %s\n", b->opt.commit);
    printf("# compiler: %s\n", __VERSION__);
    printf("# clock: processor time of the thread\n");
    printf("# fma_peak_gflops: %.1f\n", b->limit.flop_sec * 1e-9);
    printf("# int8_peak_gops: %.1f\n", b->int8_sec * 1e-9);
    printf("# read_gbytes_sec: %.1f\n", b->limit.read_bytes_sec * 1e-9);
    printf("kernel,version,model,rows,n,k,samples,min_us,median_us,gflops,"
           "peak_percent,gbytes_sec,read_percent\n");
}

static void run_all(bench *b)
{
    bench_matmul(b, "in-l2", 64, 768);
    bench_matmul(b, "gpt2-124m", 2304, 768);
    bench_matmul(b, "gpt2-124m", 3072, 768);
    bench_matmul(b, "gpt2-124m", 768, 3072);
    bench_matmul(b, "tinyllama", 2560, 2048);
    bench_matmul(b, "tinyllama", 11264, 2048);
    bench_matmul(b, "tinyllama", 2048, 5632);
    bench_matmul(b, "llama-3.2-1b", 16384, 2048);
    bench_matmul(b, "llama-3.2-1b", 2048, 8192);
    bench_int8(b, "small", 768, 768);
    bench_int8(b, "tinyllama", 5632, 2048);
    bench_int8(b, "tinyllama", 2048, 5632);
    bench_attend(b, "hd-64", 64);
    bench_attend(b, "hd-128", 128);
    bench_small(b, "gpt2-124m", 64, 768, 3072);
    bench_small(b, "tinyllama", 64, 2048, 5632);
    bench_moves(b, "tinyllama", 2048);
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--version") == 0)
            o->version = value;
        else if (strcmp(name, "--only") == 0)
            o->only = value;
        else if (strcmp(name, "--date") == 0)
            o->date = value;
        else if (strcmp(name, "--commit") == 0)
            o->commit = value;
        else if (strcmp(name, "--budget") == 0)
            o->budget_sec = atof(value);
        else
            return false;
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    static bench b;
    b.opt = (options){ .commit = NDL_COMMIT, .budget_sec = 0.1 };
    unsigned flags = ndl_cpu_flags();
    if (!parse(argc, argv, &b.opt)) {
        fprintf(stderr, "usage: bench_kernels [--version V] [--only NAME] "
                        "[--date D] [--commit C] [--budget SECONDS]\n");
        return 64;
    }
    if (b.opt.version) {
        int wanted = ndl_cpu_parse(b.opt.version);
        if (wanted < 0 || ((unsigned)wanted & ~flags)) {
            fprintf(stderr, "bench_kernels: no version %s here\n",
                    b.opt.version);
            return 69;
        }
        flags = (unsigned)wanted;
    }
    ndl_kernels_init(&b.k, flags);
    begin(&b);
    print_head(&b);
    run_all(&b);
    return 0;
}
