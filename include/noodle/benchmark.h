/*
 * benchmark.h - how fast this rank alone runs a model: prompts and generation,
 * with so many threads, sequences and keys, beside what the same threads can
 * calculate and read at most.
 *
 * The whole model is computed as a stage computes it, without messages,
 * scheduler and sampler.  Tokens are drawn from a fixed seed: every repeat
 * does the same.  Not collective.
 */
#ifndef NOODLE_BENCHMARK_H
#define NOODLE_BENCHMARK_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/kv_types.h"
#include "noodle/load.h"
#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/progress.h"
#include "noodle/status.h"

typedef struct ndl_benchmark ndl_benchmark;

/* Who hears of what goes on, and may end it by a status other than NDL_OK. */
typedef struct ndl_benchmark_watch {
    ndl_progress_fn on_load;        /* or NULL */
    ndl_status (*pulse)(void *arg); /* before every step, or NULL */
    void *arg;                      /* of both */
} ndl_benchmark_watch;

/* What the weights file holds. */
typedef struct ndl_benchmark_facts {
    char arch[16], dtype[NDL_MIX_TEXT];
    uint64_t bytes;
    int64_t n_params;
    int context;
    ndl_load load;       /* how the weights were loaded */
    const char *kernels; /* "avx2"; static              */
    int n_cpus;          /* that this process may use   */
} ndl_benchmark_facts;

/* With what and at which depth tests run. */
typedef struct ndl_benchmark_place {
    int n_threads;
    int chunk_rows; /* rows of a step, at most; >= n_seqs */
    int n_seqs;     /* sequences at once                  */
    int depth;      /* keys of each before a test begins  */
    int room;       /* positions that the longest test adds */
    ndl_kv_types kv_types;
} ndl_benchmark_place;

/* Tokens of each sequence: of a prompt, then written one by one. */
typedef struct ndl_benchmark_test {
    int n_prompt, n_gen;
} ndl_benchmark_test;

enum { NDL_BENCHMARK_REPEATS = 1000 };

typedef struct ndl_benchmark_result {
    int n;                             /* repeats */
    double sec[NDL_BENCHMARK_REPEATS]; /* (n) */
    double flop, bytes;                /* of one repeat: computed, read */
    /* Of a second, all threads: the medians of what was measured between the
     * repeats; arithmetic in the weights' dtype. */
    double peak_flop, peak_bytes;
    double gemm_flop; /* as those, of a product of chunk_rows rows, 512 at
                         most: what the kernels reach of peak_flop */
} ndl_benchmark_result;

/**
 * Load a weights file whole.
 * @param watch  borrowed for the object's life; or NULL.
 * @return NDL_OK; what ndl_weights_open() gives; NDL_EUSAGE (NDL_CPU).
 */
ndl_status ndl_benchmark_open(ndl_benchmark **out, const char *path,
                              ndl_load load, const ndl_benchmark_watch *watch);
void ndl_benchmark_close(ndl_benchmark **b);

/** Borrowed for the object's life. */
const ndl_benchmark_facts *ndl_benchmark_facts_of(const ndl_benchmark *b);

/** Could a place be, memory aside?
 * @return NDL_OK; NDL_EUSAGE: more sequences than rows, or beyond the model's
 *         context. */
ndl_status ndl_benchmark_check(const ndl_benchmark *b,
                               const ndl_benchmark_place *place);

/**
 * Make threads and KV cache and fill it up to the depth: tests follow.
 * @return NDL_OK; as ndl_benchmark_check(); NDL_EUNAVAIL (memory); NDL_EOS;
 *         what pulse gave.
 */
ndl_status ndl_benchmark_set(ndl_benchmark *b,
                             const ndl_benchmark_place *place);

/**
 * Repeat a test, after one run that does not count if `warm_up`.  Peaks are
 * measured after every repeat.
 * @param test  within the room of the place; one token at least.
 * @return NDL_OK; NDL_EOS; what pulse gave.
 */
ndl_status ndl_benchmark_run(ndl_benchmark *b, const ndl_benchmark_test *test,
                             int n_repeats, bool warm_up,
                             ndl_benchmark_result *out);

typedef struct ndl_benchmark_spread {
    double mean, stddev, median; /* stddev of a sample: over n - 1 */
} ndl_benchmark_spread;

/** Of 1 to NDL_BENCHMARK_REPEATS finite values. */
ndl_benchmark_spread ndl_benchmark_spread_of(const double *v, int n);

#endif /* NOODLE_BENCHMARK_H */
