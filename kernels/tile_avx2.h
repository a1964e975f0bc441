/* tile_avx2.h - the microkernels of AVX2, up to 6 rows (see tile.h). */
#ifndef NDL_TILE_AVX2_H
#define NDL_TILE_AVX2_H

#include "tile.h"

enum { NDL_TILE_ROWS = 6 };

void ndl_tile_f32_avx2(const ndl_tile *t, const float *w);
void ndl_tile_bf16_avx2(const ndl_tile *t, const uint16_t *w);

/* Run a tile of either kind on w + cell. */
static inline void ndl_tile_run(const ndl_tile *t, const void *w, size_t cell)
{
    if (t->depth == 1)
        ndl_tile_f32_avx2(t, (const float *)w + cell);
    else
        ndl_tile_bf16_avx2(t, (const uint16_t *)w + cell);
}

#endif /* NDL_TILE_AVX2_H */
