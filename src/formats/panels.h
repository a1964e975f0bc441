/* panels.h - rows of f32 into the bytes that kernels read, and back. */
#ifndef NOODLE_FORMATS_PANELS_H
#define NOODLE_FORMATS_PANELS_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/model.h"

/** Round to bf16, to nearest even; a NaN stays one, and keeps its sign. */
void ndl_bf16_round(uint16_t *dst, const float *src, size_t n);

/**
 * Make one panel of 16 rows.
 * @param[out] dst  [cols][16] f32 or [ceil(cols/2)][16][2] bf16; a missing
 *                  last column of a pair is zero.
 * @param[in] rows  (16, cols); must not overlap dst.
 */
void ndl_panel_pack(void *dst, const float *rows, int cols, ndl_dtype dtype);

/** Undo ndl_panel_pack, exactly: (16, cols) f32 from a panel's first `cols`
 * columns; must not overlap. */
void ndl_panel_unpack(float *rows, const void *src, int cols, ndl_dtype dtype);

#endif /* NOODLE_FORMATS_PANELS_H */
