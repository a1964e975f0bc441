/* quant_panels.h - rows of f32 into the quants and scales that kernels read,
 * and back. */
#ifndef NOODLE_FORMATS_QUANT_PANELS_H
#define NOODLE_FORMATS_QUANT_PANELS_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/model.h"

/* What the panels of a matrix have in common. */
typedef struct ndl_quant_shape {
    ndl_dtype dtype; /* int8 or int4 */
    int cols;        /* K */
    int block;       /* of int8 64 or 32, of int4 32 */
} ndl_quant_shape;

/** Bytes of one panel's quants. */
size_t ndl_quant_panel_bytes(const ndl_quant_shape *s);

/** Scales of one panel. */
size_t ndl_quant_panel_scales(const ndl_quant_shape *s);

/**
 * Quantise one panel of 16 rows.  Panels know nothing of each other: threads
 * may make several.
 * @param[out] quants  int8 [kp/4][16][4] or int4 [kp/32][4][16][4]
 * @param[out] scales  [blocks][16] f16
 * @param[in] rows     (16, cols); of a row of zeros all is q = 0, scale 0.
 *                     None may overlap.
 */
void ndl_quant_panel_pack(uint8_t *quants, uint16_t *scales, const float *rows,
                          const ndl_quant_shape *s);

/** (16, cols) f32 from a panel: f32(scale) * q, rounded once. */
void ndl_quant_panel_unpack(float *rows, const uint8_t *quants,
                            const uint16_t *scales, const ndl_quant_shape *s);

#endif /* NOODLE_FORMATS_QUANT_PANELS_H */
