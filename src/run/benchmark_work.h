/*
 * benchmark_work.h - how much a step of the forward pass has to calculate and
 * to read, at the least.  Pure.
 */
#ifndef NDL_BENCHMARK_WORK_H
#define NDL_BENCHMARK_WORK_H

#include "noodle/forward.h"

/* What a model costs, piece by piece. */
typedef struct ndl_benchmark_prices {
    double row_flop, head_flop; /* of a row: all blocks; its logits       */
    double key_flop;            /* of a row for each key, all blocks      */
    double block_bytes;         /* weights of all blocks, once a step     */
    double head_bytes;          /* once a step that wants logits          */
    double key_bytes;           /* a key and its value, all blocks: read
                                   once for the rows of a span            */
} ndl_benchmark_prices;

typedef struct ndl_benchmark_work {
    double flop, bytes;
} ndl_benchmark_work;

/** Flops and keys of a model; the caller sets block_bytes and head_bytes. */
ndl_benchmark_prices ndl_benchmark_prices_of(const ndl_model *m,
                                             ndl_kv_types kv_types);

/** Add a step of these spans that wants `n_logits` rows of logits. */
void ndl_benchmark_work_add(ndl_benchmark_work *w,
                            const ndl_benchmark_prices *prices,
                            const ndl_span *spans, int n_spans, int n_logits);

#endif /* NDL_BENCHMARK_WORK_H */
