/*
 * quantise.h - rows of f32 as small integers in blocks that share a scale.
 *
 * Pure: numbers in, numbers out.  Knows which values and scales are good, not
 * how kernels want them to lie (quant_panels.h).
 */
#ifndef NOODLE_FORMATS_QUANTISE_H
#define NOODLE_FORMATS_QUANTISE_H

#include <stdint.h>

enum {
    NDL_QUANTISE_BLOCK_MAX = 64,
    NDL_QUANTISE_ZERO8 = 128, /* how q = 0 is stored */
    NDL_QUANTISE_ZERO4 = 8
};

/**
 * Quantise a row so that f32(scale) * q is near it in the sense of least
 * squares; what is left of its last block is q = 0.
 *
 * A NaN counts as 0, and what no finite scale reaches (65504 times 127, or
 * times 8) as the largest that one does.  A block in which nothing is as large
 * as the smallest f16 can say has scale 0.
 *
 * @param[out] q      (n rounded up to whole blocks) q + 128, |q| <= 127
 * @param[out] scale  (blocks) f16, finite; of int4 also negative
 * @param[in] w       (n)
 * @param block       at most NDL_QUANTISE_BLOCK_MAX
 */
void ndl_quantise_int8(uint8_t *q, uint16_t *scale, const float *w, int n,
                       int block);

/** The same with values q + 8, -8 <= q <= 7, one in a byte. */
void ndl_quantise_int4(uint8_t *q, uint16_t *scale, const float *w, int n,
                       int block);

/** The nearest finite f16, ties to even; of a NaN 0. */
uint16_t ndl_quantise_f16(float x);

#endif /* NOODLE_FORMATS_QUANTISE_H */
