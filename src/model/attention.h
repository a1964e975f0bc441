/*
 * attention.h - rows of a batch attend to the keys of their sequences.
 * Private to src/model.
 */
#ifndef NDL_ATTENTION_H
#define NDL_ATTENTION_H

#include "matmul.h"

/* One layer's attention. */
typedef struct ndl_attention {
    int layer; /* of the model */
    const ndl_span *spans;
    int n_spans, rows;      /* in all */
    const ndl_product *qkv; /* into f->qkv: q, k and v; or q and k, and v */
    int n_qkv;
} ndl_attention;

/** Compute q, k and v, rotate q and k, store k and v in the cache, and make
 * f->att the attention of q over it. */
void ndl_attention_run(ndl_forward *f, const ndl_attention *a);

#endif /* NDL_ATTENTION_H */
