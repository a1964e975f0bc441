/*
 * matmul_blocks.h - the loops around the tiles of a matrix product: which
 * rows, panels and k when, so that each operand waits in the cache that its
 * reuse deserves.  One driver for all instruction sets; they differ in their
 * tile and in the sizes here.
 */
#ifndef NDL_MATMUL_BLOCKS_H
#define NDL_MATMUL_BLOCKS_H

#include "tile.h"

/* A version's tile, and what suits it. */
typedef struct ndl_tiler {
    void (*run)(const ndl_tile *t, const void *w);
    int depth;      /* k in a line of 64 bytes of w: 1 or 2               */
    size_t x_bytes; /* of an activation                                   */
    int rows;       /* of the tallest tile                                */
    int panels;     /* that a tall tile computes at once                  */
    int wide;       /* up to so many rows take as many panels as they can */
    int k_block;    /* at most: these k of a tall tile's panels stay in a
                       cache for all rows                                 */
    int streams;    /* panels that fewer rows than a tall tile's, but more
                       than `wide`, read in turn ...                      */
    int chunk;      /* ... so many lines at a time; 0 for all             */
} ndl_tiler;

typedef struct ndl_blocks {
    float *y;
    size_t ldy;
    const void *x;
    size_t ldx;
    const void *w;
    int rows, panels, k;
} ndl_blocks;

void ndl_blocks_run(const ndl_blocks *product, const ndl_tiler *tiler);

#endif /* NDL_MATMUL_BLOCKS_H */
