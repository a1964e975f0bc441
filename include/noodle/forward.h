/*
 * forward.h - the forward pass of the layers that a stage hosts.
 *
 * Rows of several sequences go through together: matrix products see one
 * ragged matrix, attention works sequence by sequence.  What a row's result is
 * does not depend on the rows beside it.  Everything is allocated at creation.
 */
#ifndef NOODLE_FORWARD_H
#define NOODLE_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels.h"
#include "noodle/kv_types.h"
#include "noodle/pool.h"
#include "noodle/weights.h"

typedef struct ndl_forward ndl_forward;

/* Rows of one sequence: positions pos .. pos + n_rows - 1. */
typedef struct ndl_span {
    int slot, pos, n_rows;
} ndl_span;

typedef struct ndl_forward_limits {
    int max_rows;  /* of a batch                      */
    int max_spans; /* sequences of a batch            */
    int n_slots, context;
    int n_pages; /* of the KV cache; 0: whole contexts for all slots */
    ndl_kv_types kv_types;
} ndl_forward_limits;

enum { NDL_LOGITS_ROWS = 16 }; /* rows that the head computes at a time */

/* Memory that a forward pass takes besides the weights. */
typedef struct ndl_forward_memory {
    uint64_t kv_layer; /* KV cache of one block          */
    uint64_t buffers;  /* of any stage                   */
    uint64_t logits;   /* of the last stage, on top      */
} ndl_forward_memory;

/* Time of each layer, filled while it runs. */
typedef struct ndl_layer_clock {
    int64_t steps, rows;
    double sum_sec, min_sec, max_sec;
} ndl_layer_clock;

/**
 * Watch the layers: embedding, hosted blocks, head, in that order.
 * @param clocks  (n_layers + 2) zeroed by the caller, who may read and zero
 *                them between two calls of the forward pass; NULL: off, which
 *                costs nothing.
 */
void ndl_forward_watch(ndl_forward *f, ndl_layer_clock *clocks);

/**
 * Pretend to be slower: after each layer wait until t / speed have passed, t
 * being the shortest time that a layer of this kind took so far for as many
 * rows and keys (time of the processor, if there is one thread): an emulated
 * rank is steady even where the real one is disturbed.  The processor is free
 * meanwhile.
 * @param speed  in (0, 1]; 1: no waiting, but times are still taken note of
 * @param idle  called while waiting, so that messages move; or NULL.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_forward_slow(ndl_forward *f, double speed,
                            void (*idle)(void *arg), void *arg);

/** Pure: what create() will reserve, for the plan. */
ndl_forward_memory ndl_forward_memory_of(const ndl_model *m,
                                         const ndl_forward_limits *limits,
                                         int n_threads);

/**
 * @param weights, kernels, pool  borrowed for the object's life.
 * @param part  what of the weights is hosted.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_forward_create(ndl_forward **out, const ndl_weights *weights,
                              const ndl_part *part,
                              const ndl_forward_limits *limits,
                              const ndl_kernels *kernels, ndl_pool *pool);
void ndl_forward_destroy(ndl_forward **f);

/**
 * Keys 256 e .. 256 e + 255 of a slot, e being `entry`, are in page `page` of
 * the KV cache from now on; in none of the slot's.  Numbers are asserted.
 */
void ndl_forward_map(ndl_forward *f, int slot, int entry, int page);
void ndl_forward_unmap(ndl_forward *f, int slot);

/** Page `to` becomes what page `from` is, in all hosted blocks. */
void ndl_forward_copy_page(ndl_forward *f, int from, int to);

/** Page of an entry; -1: none. */
int ndl_forward_page(const ndl_forward *f, int slot, int entry);

/** Has the slot pages for keys 0 .. n_keys - 1? */
bool ndl_forward_has_pages(const ndl_forward *f, int slot, int n_keys);

/**
 * x (T, D) = embedding of ids (T), plus learned positions if the model has
 * them.  Ids must be in 0 .. V-1 and positions inside the context (asserted:
 * whoever receives ids checks them).
 */
void ndl_forward_embed(ndl_forward *f, const int32_t *ids,
                       const ndl_span *spans, int n_spans, float *x);

/** x (T, D) through all hosted blocks, in place; keys and values are stored.
 * T is the sum of the spans' rows, <= max_rows. */
void ndl_forward_blocks(ndl_forward *f, const ndl_span *spans, int n_spans,
                        float *x);

/**
 * Logits of rows rows[0 .. n-1] of x (T, D): final norm and LM head.
 * @param n  <= NDL_LOGITS_ROWS
 * @return (n, ld) with V columns each, ld in *ld; valid until the next call.
 */
const float *ndl_forward_logits(ndl_forward *f, const float *x, const int *rows,
                                int n, size_t *ld);

/**
 * The product of the first hosted block's up projection with `rows` rows, by
 * all threads, for whoever wants to know how fast that is.  No row of a batch
 * may be under way.
 * @param rows  1 .. max_rows
 * @return operations that it took, multiply and add as two; 0: no block here
 */
double ndl_forward_product(ndl_forward *f, int rows);

#endif /* NOODLE_FORWARD_H */
