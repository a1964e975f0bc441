/*
 * random_weights.h - random tensors of a model's shape.
 *
 * Counter-based: an element is a function of seed, role, layer and index, so
 * neither the order of the calls nor their sizes change a value.
 */
#ifndef NOODLE_FORMATS_RANDOM_WEIGHTS_H
#define NOODLE_FORMATS_RANDOM_WEIGHTS_H

#include <stdint.h>

#include "noodle/model.h"
#include "noodle/pack.h"

typedef struct ndl_random_weights {
    ndl_model model;
    uint64_t seed;
} ndl_random_weights;

/** A source of tensors; `w` is borrowed as long as the source is used. */
void ndl_random_weights_source(ndl_random_weights *w, ndl_source *out);

#endif /* NOODLE_FORMATS_RANDOM_WEIGHTS_H */
