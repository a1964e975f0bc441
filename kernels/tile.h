/*
 * tile.h - what a microkernel under matrix products and attention is given.
 *
 *     y[r][16 p + lane] (+)= sum over i of x[r][i] * w[i][p][lane]
 *
 * for a few rows, in registers.  Weights in panels, keys of a page and values
 * of a page are the same thing here; only the two strides of w differ:
 *
 *                      step (from i to i + 1)   panel (from p to p + 1)
 *   panels (N, K)      16                       16 K
 *   K page             16                       16 hd
 *   V page             hp                       16
 *
 * For bf16 a step leads to the next pair of i, so the counts are those of
 * pairs of 16 lanes: 32, 32 ceil(K/2); 32, 16 hd; 2 hp, 32.
 */
#ifndef NDL_TILE_H
#define NDL_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shares.h"

enum { NDL_TILE_MOST = 8 }; /* rows, of the tallest tile of any version */

typedef struct ndl_tile {
    float *y;
    size_t ldy;
    const void *x[NDL_TILE_MOST]; /* floats, or bf16 cells (matmul_dp16) */
    size_t step, panel;           /* in elements of w */
    int rows;                     /* from 1           */
    int panels;
    int k;
    int depth;  /* k in a step: 1 for f32 cells, 2 for bf16 */
    bool carry; /* continue the sums that y holds, else start from 0 */
    /* What to fetch into L2 meanwhile, `ahead_step` bytes further a step of w
     * and on from panel to panel; 0 and 0 for nothing.  A number, as it may
     * lie past the end of w.  Wide tiles do not
     * (fewer than 4 rows; with AVX2 and bf16, than 3; with AVX-512, 4 panels).
     */
    uintptr_t ahead;
    size_t ahead_step;
} ndl_tile;

#endif /* NDL_TILE_H */
