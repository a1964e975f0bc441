/*
 * balance.h - a source of tensors whose channels are evened out before they
 * are quantised.
 *
 * Trained models have a few channels whose gain in a norm is many times that
 * of others.  As a block shares one scale, such a channel takes the precision
 * of all activations in its block.  Here a part of its gain (a power of two)
 * goes to the columns of the matrices behind that norm, until both are equally
 * far from other channels'.  Their products stay what they are to the last
 * bit; only what they round to later is another, nearer integer.
 *
 * With gains 30 times as large as others this halves the divergence of int8
 * and more; where channels are much alike it changes nothing.
 */
#ifndef NOODLE_FORMATS_BALANCE_H
#define NOODLE_FORMATS_BALANCE_H

#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/pack.h"
#include "noodle/status.h"

typedef struct ndl_balance {
    const ndl_source *source; /* borrowed, as is the model */
    const ndl_model *model;
    ndl_mix mix;
    ndl_role norm;   /* whose scales are known, of that layer; */
    int layer;       /* -1: none yet */
    float *scales;   /* (width) of the columns */
    double *squares; /* (width) of the columns, summed up */
    float *rows;     /* some at a time */
} ndl_balance;

/** Norms are balanced if matrices behind them are quantised by `mix`.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_balance_init(ndl_balance *b, const ndl_source *source,
                            const ndl_model *model, ndl_mix mix);
void ndl_balance_fini(ndl_balance *b);

/** The balanced tensors, valid until fini; origins are the source's. */
void ndl_balance_source(ndl_balance *b, ndl_source *out);

#endif /* NOODLE_FORMATS_BALANCE_H */
