/*
 * costmodel.h - how long a node needs for a layer.
 *
 * Plain data and pure functions.  Fitted from a probe's samples, or estimated
 * from a node's peaks (roofline) where nothing was measured.
 */
#ifndef NOODLE_COSTMODEL_H
#define NOODLE_COSTMODEL_H

#include <stdint.h>
#include <stdio.h>

#include "noodle/kv_types.h"
#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/status.h"

typedef enum ndl_layer_kind {
    NDL_LAYER_EMBED,
    NDL_LAYER_BLOCK,
    NDL_LAYER_HEAD,
    NDL_N_LAYER_KINDS
} ndl_layer_kind;

/* What one batch asks of a layer. */
typedef struct ndl_work {
    int n_rows;      /* rows of the batch                                 */
    double keys;     /* sum over the rows of the keys that each attends to:
                        a prompt chunk of n rows from position p has
                        n * p + n * (n + 1) / 2                           */
    int n_sequences; /* of the batch: 1 row each means decode             */
    int n_samples;   /* rows that the head computes                       */
    double crowd;    /* 0: the other ranks of the node idle; 1: all work  */
} ndl_work;

/* One measurement: seconds that ONE layer of the kind took. */
typedef struct ndl_sample {
    int32_t kind; /* ndl_layer_kind */
    int32_t rows, sequences;
    int32_t context; /* keys before the first row of each sequence */
    int32_t crowded; /* 0: this rank of the node alone; 1: all at once */
    int32_t repeats;
    double sec; /* minimum over the repeats */
    double median_sec;
} ndl_sample;

enum { NDL_COST_KNOTS = 12 };

/* Time of one kind of layer, under one crowding: piecewise linear in the rows
 * between measured row counts, plus seconds a key, interpolated alike.  Rows
 * of one sequence share the keys that they load, rows of different sequences
 * do not: two prices of a key, of which a mixed batch pays a mixture. */
typedef struct ndl_cost_curve {
    int n;
    double rows[NDL_COST_KNOTS];    /* ascending */
    double sec[NDL_COST_KNOTS];     /* without keys */
    double key_sec[NDL_COST_KNOTS]; /* a key, each row a sequence of its own;
                                       0 for embedding and head */
    double shared_key_sec[NDL_COST_KNOTS]; /* a key, rows of one sequence */
} ndl_cost_curve;

typedef struct ndl_cost {
    ndl_cost_curve curve[NDL_N_LAYER_KINDS][2]; /* [kind][crowded] */
    double median_error, max_error; /* |fitted - measured| / measured over
                                       the samples; 0 for an estimate */
    int n_samples;
} ndl_cost;

/** What is wrong with a measurement (a negative time, NaN, more than an hour,
 * an unknown kind), in a few words; NULL: nothing. */
const char *ndl_sample_flaw(const ndl_sample *s);

/**
 * Fit to samples.  Blocks need at least one sample; a missing crowding takes
 * the other's curve, and row counts that one crowding lacks take the other's
 * shape, scaled as the two differ where both were measured.
 * @return NDL_OK; NDL_EDATA naming what is missing or absurd (negative, NaN,
 *         more than an hour, more than NDL_COST_KNOTS row counts of a kind);
 * NDL_EOS.
 */
ndl_status ndl_cost_fit(ndl_cost *out, const ndl_sample *samples, int n);

/* What is known of a node that was never probed. */
typedef struct ndl_cost_peaks {
    double flop_per_sec;  /* of the dtype that most weights have      */
    double bytes_per_sec; /* read bandwidth                           */
    double overhead_sec;  /* of any layer                             */
} ndl_cost_peaks;

/** Roofline: max(operations / peak, bytes / bandwidth) + overhead, the bytes
 * being those of the weights file, and of the KV cache for every key.
 * @return NDL_OK; what ndl_layout_bytes returns. */
ndl_status ndl_cost_estimate(ndl_cost *out, const ndl_model *m, ndl_mix mix,
                             ndl_kv_types kv_types,
                             const ndl_cost_peaks *peaks);

/** All times times `factor` > 0: a node that is like another, but slower. */
void ndl_cost_scale(ndl_cost *c, double factor);

/** Seconds of one layer.  Monotone in rows and keys where the samples are;
 * below the first measured row count as much as there, beyond the last along
 * the last slope.  0 without rows, or for a kind that was not measured. */
double ndl_cost_sec(const ndl_cost *c, ndl_layer_kind kind, const ndl_work *w);

/** Work of a prompt chunk, of a decode step. */
ndl_work ndl_work_prompt(int first, int n_rows, bool sample, double crowd);
ndl_work ndl_work_decode(int n_sequences, int context, double crowd);

#endif /* NOODLE_COSTMODEL_H */
