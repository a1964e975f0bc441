/* benchmark_work.c - see benchmark_work.h.  A parameter of a matrix is a
 * multiplication and an addition for every row; what norms, biases and
 * activations take on top is not worth counting. */
#include "benchmark_work.h"

ndl_benchmark_prices ndl_benchmark_prices_of(const ndl_model *m,
                                             ndl_kv_types kv_types)
{
    const double blocks = m->n_layers;
    const double q = (double)m->n_heads * m->head_dim;
    return (ndl_benchmark_prices){
        .row_flop = 2.0 * blocks * (double)ndl_model_block_params(m),
        .head_flop = 2.0 * (double)ndl_model_head_params(m),
        .key_flop = 4.0 * blocks * q, /* score and weighted sum */
        .key_bytes = blocks * (double)ndl_kv_types_key_bytes(kv_types, m),
    };
}

void ndl_benchmark_work_add(ndl_benchmark_work *w,
                            const ndl_benchmark_prices *prices,
                            const ndl_span *spans, int n_spans, int n_logits)
{
    double rows = 0.0, seen = 0.0, keys = 0.0;
    for (int i = 0; i < n_spans; i++) {
        const double n = spans[i].n_rows, pos = spans[i].pos;
        rows += n;
        seen += n * pos + n * (n + 1.0) / 2.0; /* a row sees itself too */
        keys += pos + n;
    }
    w->flop += rows * prices->row_flop + seen * prices->key_flop +
               n_logits * prices->head_flop;
    w->bytes += prices->block_bytes + keys * prices->key_bytes +
                (n_logits > 0 ? prices->head_bytes : 0.0);
}
