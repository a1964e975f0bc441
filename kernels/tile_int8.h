/*
 * tile_int8.h - the microkernel under products with int8 weights: up to 12
 * rows of rows8 by some panels, sums in registers.
 *
 * What it reads of a row lies in three places that move at their own pace, so
 * a tile carries three pointers, all of its first row.
 */
#ifndef NDL_TILE_INT8_H
#define NDL_TILE_INT8_H

#include <stddef.h>
#include <stdint.h>

enum { NDL_TILE8_ROWS = 12 };

typedef struct ndl_tile8 {
    float *y;
    size_t ldy;
    const int8_t *q;
    const float *scale;
    const int32_t *start;
    size_t lda; /* bytes from a row to the next, of all three */
    const uint8_t *w;
    const uint16_t *scales;
    size_t panel, scale_panel; /* cells from a panel to the next */
    int rows;                  /* 1 .. 12                        */
    int panels;
    int blocks;
    int lines; /* of 4 k in a block: 16 or 8 */
    /* What to fetch into L2 meanwhile, `ahead_step` bytes further a line of w.
     * It may lie past the end of w: fetching never faults.  Up to 3 rows do
     * not. */
    uintptr_t ahead;
    size_t ahead_step;
} ndl_tile8;

void ndl_tile_int8_avx512vnni(const ndl_tile8 *t);

#endif /* NDL_TILE_INT8_H */
