/* bench_case.c - see bench_case.h. */
#include "bench_case.h"

#include <sys/mman.h>

#include "bench_util.h"

const size_t ndl_case_pool_bytes = (size_t)512 << 20;

enum {
    MOST_SAMPLES = 401,
    LEAST_SAMPLES = 5,
    TURNS = 8 /* times that the limits are measured within a case */
};

static const size_t row_cells =
    (size_t)NDL_CASE_ROWS * (NDL_CASE_WIDTH + 16) * 2;

size_t ndl_case_stride(int columns)
{
    return (size_t)columns + 16;
}

static size_t part_bytes(const ndl_case *c)
{
    return (c->bytes + 4095) / 4096 * 4096;
}

unsigned char *ndl_case_part(const ndl_case *c, int round)
{
    const size_t size = part_bytes(c);
    if (c->in_cache || size == 0) return c->b->pool;
    const size_t n = ndl_case_pool_bytes / size;
    return c->b->pool + (size_t)round % n * size;
}

int ndl_case_rows(const ndl_bench *b, const int *own, int n_own,
                  const int **rows)
{
    *rows = b->choice.n_rows > 0 ? b->choice.rows : own;
    return b->choice.n_rows > 0 ? b->choice.n_rows : n_own;
}

static bool names(const char *part, const char *whole)
{
    return !part || strstr(whole, part);
}

static bool is_model_chosen(const ndl_bench_choice *w, const char *model)
{
    if (w->is_short)
        return strcmp(model, "tinyllama-1.1b") == 0 ||
               strcmp(model, "head-64") == 0;
    return names(w->model, model);
}

bool ndl_case_is_chosen(const ndl_case *c)
{
    const ndl_bench_choice *w = &c->b->choice;
    const size_t rows = (size_t)c->rows;
    return names(w->only, c->kernel) && names(w->matrix, c->matrix) &&
           is_model_chosen(w, c->model) &&
           part_bytes(c) <= ndl_case_pool_bytes &&
           rows * ndl_case_stride(c->n) <= row_cells &&
           rows * ndl_case_stride(c->k) <= row_cells;
}

/* ---- measuring ---- */

typedef struct samples {
    double sec[MOST_SAMPLES]; /* of one run */
    int n;
} samples;

static void sample_limits(const ndl_case *c)
{
    ndl_bench_limits *l = &c->b->limits;
    if (c->operations > 0) ndl_bench_limits_sample(l, c->peak);
    if (!c->in_cache) ndl_bench_limits_sample(l, NDL_LIMIT_READ);
}

/* Samples of at least 1 ms, as many as fit into the budget; in every eighth
 * part of it the limits have their turn. */
static void measure(const ndl_case *c, void (*run)(void *, int), samples *s)
{
    const bench_case one = { run, (void *)c };
    const double budget = c->b->choice.budget_sec;
    int round = 0, n = 1;
    double spent = 0.0, turn = 0.0;
    while (bench_sample(&one, n, &round) * n < 1e-3) n *= 2;
    sample_limits(c);
    s->n = 0;
    while (s->n < MOST_SAMPLES && (s->n < LEAST_SAMPLES || spent < budget)) {
        s->sec[s->n] = bench_sample(&one, n, &round);
        const double sec = s->sec[s->n++] * n;
        spent += sec;
        turn += sec;
        if (turn < budget / TURNS) continue;
        sample_limits(c);
        turn = 0.0;
    }
    qsort(s->sec, (size_t)s->n, sizeof *s->sec, bench_compare);
}

/* ---- a line ---- */

/* Of a limit, in percent: median against median, best against best. */
typedef struct share {
    double median, best;
} share;

static share share_of(const ndl_case *c, const samples *s, ndl_limit limit,
                      double work)
{
    const ndl_bench_limits *l = &c->b->limits;
    const double sec = s->sec[s->n / 2];
    return (share){
        100.0 * work / sec / ndl_bench_limits_median(l, limit),
        100.0 * work / s->sec[0] / ndl_bench_limits_best(l, limit),
    };
}

void ndl_case_print_columns(void)
{
    printf("kernel,version,model,matrix,rows,n,k,samples,min_us,median_us,"
           "gops,gbytes_sec,peak,peak_percent,best_percent,arithmetic,"
           "arithmetic_percent,read_percent\n");
}

static void print_percent(bool is_known, double percent)
{
    if (is_known)
        printf(",%.1f", percent);
    else
        printf(",");
}

/* The peak of a case is the limit that it is nearer to. */
static void print_line(const ndl_case *c, const samples *s)
{
    const double sec = s->sec[s->n / 2];
    const share ops = share_of(c, s, c->peak, c->operations);
    const share read = share_of(c, s, NDL_LIMIT_READ, c->touched);
    const bool reads = !c->in_cache && read.median > ops.median;
    const share *near = reads ? &read : &ops;
    const char *arithmetic = c->operations > 0 ? ndl_limit_name(c->peak) : "";
    printf("%s,%s,%s,%s,%d,%d,%d,%d,%.2f,%.2f,%.1f,%.1f", c->kernel,
           c->b->k.name, c->model, c->matrix, c->rows, c->n, c->k, s->n,
           s->sec[0] * 1e6, sec * 1e6, c->operations / sec * 1e-9,
           c->touched / sec * 1e-9);
    printf(",%s", reads ? ndl_limit_name(NDL_LIMIT_READ) : arithmetic);
    print_percent(true, near->median);
    print_percent(true, near->best);
    printf(",%s", arithmetic);
    print_percent(c->operations > 0, ops.median);
    print_percent(!c->in_cache, read.median);
    printf("\n");
    fflush(stdout);
}

void ndl_case_report(const ndl_case *c, void (*run)(void *, int))
{
    samples s;
    if (!ndl_case_is_chosen(c)) return;
    measure(c, run, &s);
    print_line(c, &s);
}

/* ---- memory ---- */

static void *huge(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(71);
    }
    madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

/* Of size 2^-7 to 1/2: valid as f32 and as pairs of bf16. */
static void fill(void *to, size_t bytes)
{
    uint32_t *cell = to, state = 1;
    for (size_t i = 0; i < bytes / sizeof *cell; i++) {
        state = state * 1664525u + 1013904223u;
        cell[i] = (state & 0x82ff82ffu) | 0x3c003c00u;
    }
}

void ndl_bench_init(ndl_bench *b, const ndl_bench_choice *choice)
{
    const size_t row = sizeof(float) * row_cells;
    const size_t scratch =
        (size_t)NDL_CASE_ROWS * (NDL_PAGE_KEYS + 64) * sizeof(float);
    b->choice = *choice;
    b->pool = huge(ndl_case_pool_bytes);
    b->x = huge(row);
    b->y = huge(row);
    b->scratch = huge(scratch);
    b->operand = huge(row);
    fill(b->pool, ndl_case_pool_bytes);
    fill(b->x, row);
    fill(b->y, row);
    fill(b->scratch, scratch);
    ndl_fp_setup();
    ndl_bench_limits_init(&b->limits, b->pool, ndl_case_pool_bytes);
}
