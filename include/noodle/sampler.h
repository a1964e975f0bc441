/*
 * sampler.h - from logits to the next token.
 *
 * The same logits, settings and position give the same token on every machine:
 * random numbers come from a counter, keyed by (seed, position), and
 * the arithmetic is our own exp and sums in a fixed order.
 */
#ifndef NOODLE_SAMPLER_H
#define NOODLE_SAMPLER_H

#include <stdint.h>

#include "kernels.h"
#include "noodle/arena.h"
#include "noodle/sampling.h"
#include "noodle/status.h"

typedef struct ndl_sampler ndl_sampler;

/** Bytes that create() takes from its arena. */
size_t ndl_sampler_bytes(int vocab);

/** @param kernels  borrowed for the sampler's life (exp).
 *  @return NDL_OK; NDL_EOS if the arena is too small.  Freed with the arena. */
ndl_status ndl_sampler_create(ndl_sampler **out, ndl_arena *arena, int vocab,
                              const ndl_kernels *kernels);

/**
 * Draw the token for position `pos`.
 *
 * Filters in llama.cpp's order: top_k, top_p, min_p (all on the probabilities
 * at temperature 1), then temperature.  Equal logits rank by id, the smaller
 * first; a NaN ranks last.
 * @param logits  (V), borrowed for the call.
 */
int32_t ndl_sampler_draw(ndl_sampler *s, const float *logits,
                         const ndl_sampling *how, uint32_t pos);

/** The n <= V likeliest tokens, the likeliest first; equal ones by id.
 * @param[out] ids  (n) */
void ndl_sampler_likeliest(ndl_sampler *s, const float *logits, int n,
                           int32_t *ids);

/** Uniform in [0, 1) with 53 bits from a counter: draw `draw` at `pos`. */
double ndl_sampler_uniform(uint64_t seed, uint32_t pos, uint32_t draw);

#endif /* NOODLE_SAMPLER_H */
