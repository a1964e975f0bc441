/*
 * bench_case.h - one kernel at one shape, timed and written as a line of CSV:
 * what the families of bench_kernels share.
 *
 * Weights move through a pool larger than the last-level cache, as in a model
 * whose layers follow each other, so that 1 row shows memory and many rows
 * show arithmetic; a case that is `in_cache` stays in place.
 */
#ifndef NDL_BENCH_CASE_H
#define NDL_BENCH_CASE_H

#include <stdbool.h>

#include "bench_limits.h"
#include "kernels.h"

enum {
    NDL_CASE_ROWS = 512,    /* at most, of activations             */
    NDL_CASE_WIDTH = 16384, /* at most, of 512 rows of activations */
    NDL_CASE_CHOICES = 32
};

/* What of all is measured. */
typedef struct ndl_bench_choice {
    const char *only, *model, *matrix;  /* parts of names, or NULL */
    int rows[NDL_CASE_CHOICES], n_rows; /* 0: each family's own    */
    bool is_short;     /* of all models only tinyllama-1.1b and head-64 */
    double budget_sec; /* of a case               */
} ndl_bench_choice;

typedef struct ndl_bench {
    ndl_bench_choice choice;
    ndl_kernels k;
    ndl_bench_limits limits;
    unsigned char *pool; /* weights, ndl_case_pool_bytes       */
    float *x, *y;        /* (NDL_CASE_ROWS, 2 NDL_CASE_WIDTH)  */
    float *scratch;      /* (NDL_CASE_ROWS, NDL_PAGE_KEYS + 64) */
    void *operand;       /* rows8 or rows16 of them            */
} ndl_bench;

/* One case: its names, its sizes, and what it costs. */
typedef struct ndl_case {
    ndl_bench *b;
    const char *kernel, *model, *matrix;
    int rows, n, k;
    bool bf16, in_cache;
    int block;         /* of quantised weights, or 0                 */
    int zero;          /* of quantised weights: 128 or 8             */
    size_t bytes;      /* of weights or keys a run, out of the pool  */
    double operations; /* of a run                                   */
    ndl_limit peak;    /* of these operations                        */
    double touched;    /* bytes that a run reads at least            */
} ndl_case;

extern const size_t ndl_case_pool_bytes;

/* Allocate and fill; ends the program where there is no memory. */
void ndl_bench_init(ndl_bench *b, const ndl_bench_choice *choice);

/* Is the case wanted, and small enough for the buffers? */
bool ndl_case_is_chosen(const ndl_case *c);

/* Measure it, if it is chosen, and write its line. */
void ndl_case_report(const ndl_case *c, void (*run)(void *c, int round));

/* The names of the columns. */
void ndl_case_print_columns(void);

/* Where a run's part of the pool begins; parts follow each other. */
unsigned char *ndl_case_part(const ndl_case *c, int round);

/* Floats between two rows: no two of them meet in one set of L1. */
size_t ndl_case_stride(int columns);

/* The rows that were asked for, or else the family's own.  @return how many */
int ndl_case_rows(const ndl_bench *b, const int *own, int n_own,
                  const int **rows);

/* The families, each in its file. */
void ndl_bench_products(ndl_bench *b);
void ndl_bench_attention(ndl_bench *b);
void ndl_bench_small(ndl_bench *b);

#endif /* NDL_BENCH_CASE_H */
