/*
 * weights_parts.h - what weights.c, weights_open.c and weights_blank.c share:
 * weights in memory, and how datasets are put there.  Private to src/model.
 */
#ifndef NDL_WEIGHTS_PARTS_H
#define NDL_WEIGHTS_PARTS_H

#include "noodle/layout.h"
#include "noodle/load.h"
#include "noodle/weights.h"

struct ndl_weights {
    ndl_model model;
    ndl_mix mix;
    ndl_part part;
    ndl_layer *layers; /* part.n_layers */
    ndl_ends ends;
    ndl_load load; /* map or copy */
    ndl_load_memory memory;
};

/** Where datasets go when we choose: one after the other, aligned.
 * @param[out] places  (n) from the memory's begin.  @return bytes in all. */
uint64_t ndl_weights_pack(const ndl_item *items, int n, uint64_t *places);

/** Point the fields of `w`, whose part and memory are set, at the datasets.
 * @param places  (n) from the memory's begin.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_weights_place(ndl_weights *w, const ndl_item *items, int n,
                             const uint64_t *places);

#endif /* NDL_WEIGHTS_PARTS_H */
