/*
 * forward_parts.h - what forward.c, block.c, attention.c, matmul.c and
 * operand.c share: the state of a stage's forward pass.  Private to src/model.
 */
#ifndef NDL_FORWARD_PARTS_H
#define NDL_FORWARD_PARTS_H

#include "noodle/forward.h"
#include "noodle/kvcache.h"

enum { NDL_ATTEND_ROWS = 48 }; /* query rows of one attention task */

/* A buffer of activations: (T, cols) with a stride that is a multiple of a
 * cache line but not of a page, so that rows do not fall into the same cache
 * sets. */
typedef struct ndl_rows {
    float *at;
    size_t ld;
} ndl_rows;

/* What an attention task of one thread needs. */
typedef struct ndl_attend_scratch {
    float *scores;          /* (NDL_ATTEND_ROWS, 256)    */
    float *o, *o2;          /* (NDL_ATTEND_ROWS, hp)     */
    float *m, *l, *m2, *l2; /* (NDL_ATTEND_ROWS)         */
    uint16_t *k, *v;        /* one page as bf16, if the cache has int8 */
} ndl_attend_scratch;

struct ndl_forward {
    const ndl_model *model;
    const ndl_weights *weights;
    const ndl_kernels *kernels;
    ndl_pool *pool;
    ndl_part part;
    ndl_forward_limits limits;
    ndl_arena *arena, *kv_arena;
    ndl_kvcache kv;
    double *inv_freq;        /* (hd / 2)                            */
    float *rope;             /* (T, hd / 2, 2) of the current batch */
    int *row_slot, *row_pos; /* (T)                                 */
    int *first_task;         /* (spans + 1) of attention            */
    ndl_rows norm, qkv, att, up, hidden, delta; /* (T, ...)                */
    ndl_rows picked, logits;                    /* (NDL_LOGITS_ROWS, ...)  */
    void *operand; /* the rows of products, prepared (operand.h)          */
    ndl_attend_scratch *scratch; /* (threads)               */
    ndl_layer_clock *clocks; /* (part.n_layers + 2), or NULL: nobody looks */
    double speed;            /* 1: as it is */
    struct ndl_pace *pace;   /* once it was slow, or NULL */
    int64_t n_keys;          /* that the rows of the batch attend to */
    int n_spans;             /* that they are of                     */
    double work_begin;       /* processor time, of the layer that runs */
    void (*idle)(void *arg);
    void *idle_arg;
};

/* forward_clock.c: a layer begins; what is returned goes to its end.  Layers
 * are numbered as the clocks are. */
double ndl_forward_layer_begin(ndl_forward *f);
void ndl_forward_layer_end(ndl_forward *f, int layer, int rows, double begin);

/* block.c: one block over all rows. */
void ndl_block_run(ndl_forward *f, int layer, const ndl_span *spans,
                   int n_spans, int rows, float *x);

#endif /* NDL_FORWARD_PARTS_H */
