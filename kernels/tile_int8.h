/*
 * tile_int8.h - the microkernel under products with int8 weights: up to 8 rows
 * of rows8 by some panels over some blocks of k, sums in registers.
 *
 * What it reads of a row lies in three places that move at their own pace, so
 * a tile carries three pointers, all of its first row and first block.
 */
#ifndef NDL_TILE_INT8_H
#define NDL_TILE_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NDL_TILE8_ROWS = 8 };

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
    int rows;                  /* 1 .. 8                         */
    int panels;
    int blocks;
    int lines;     /* of 4 k in a block: 16 or 8                           */
    bool carry;    /* continue the sums that y holds, else start from +0   */
    bool in_cache; /* w, at the latest when the next tile passes over it */
    /* In blocks 0 .. end_ahead - 1, fetch into L2 what lies `ahead` bytes after
     * each line; it may be past the end of w.  Up to 3 rows do not. */
    size_t ahead;
    int end_ahead;
} ndl_tile8;

void ndl_tile_int8_avx512vnni(const ndl_tile8 *t);

#endif /* NDL_TILE_INT8_H */
