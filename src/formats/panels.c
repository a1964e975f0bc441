/*
 * panels.c - see panels.h.
 *
 * The loops that pack read 64 bytes of one row and then go to the next row:
 * each line of the source is touched once, also when rows are a power of two
 * apart and share a cache set, and the 1 KiB being written stays in the first
 * cache.
 */
#include "panels.h"

#include <string.h>

enum { LANES = 16, BLOCK = 16 };

static uint16_t to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    const uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    /* Rounding could carry a NaN's bits away: it becomes a quiet one. */
    const uint32_t nan = u >> 16 | 0x40u;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

void ndl_bf16_round(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = to_bf16(src[i]);
}

static void pack_f32(float *restrict dst, const float *restrict rows, int cols)
{
    for (int k = 0; k < cols; k += BLOCK) {
        const int n = cols - k < BLOCK ? cols - k : BLOCK;
        for (int lane = 0; lane < LANES; lane++) {
            const float *src = rows + (size_t)lane * (size_t)cols + k;
            float *out = dst + (size_t)k * LANES + lane;
            for (int i = 0; i < n; i++) out[i * LANES] = src[i];
        }
    }
}

/* Two columns are one 32-bit cell, the even one in its lower half. */
static void pack_bf16(uint32_t *restrict dst, const float *restrict rows,
                      int cols)
{
    for (int k = 0; k < cols; k += BLOCK) {
        const int n = cols - k < BLOCK ? cols - k : BLOCK;
        for (int lane = 0; lane < LANES; lane++) {
            const float *src = rows + (size_t)lane * (size_t)cols + k;
            uint32_t *out = dst + (size_t)k / 2 * LANES + lane;
            uint16_t cells[BLOCK] = { 0 };
            ndl_bf16_round(cells, src, (size_t)n);
            for (int i = 0; i < (n + 1) / 2; i++)
                out[i * LANES] = cells[2 * i] | (uint32_t)cells[2 * i + 1]
                                                    << 16;
        }
    }
}

void ndl_panel_pack(void *dst, const float *rows, int cols, ndl_dtype dtype)
{
    if (dtype == NDL_F32)
        pack_f32(dst, rows, cols);
    else
        pack_bf16(dst, rows, cols);
}

static void unpack_f32(float *restrict rows, const float *restrict src,
                       int cols)
{
    for (int k = 0; k < cols; k += BLOCK) {
        const int n = cols - k < BLOCK ? cols - k : BLOCK;
        for (int lane = 0; lane < LANES; lane++) {
            const float *in = src + (size_t)k * LANES + lane;
            float *out = rows + (size_t)lane * (size_t)cols + k;
            for (int i = 0; i < n; i++) out[i] = in[i * LANES];
        }
    }
}

static void unpack_bf16(float *restrict rows, const uint32_t *restrict src,
                        int cols)
{
    for (int k = 0; k < cols; k += BLOCK) {
        const int n = cols - k < BLOCK ? cols - k : BLOCK;
        for (int lane = 0; lane < LANES; lane++) {
            const uint32_t *in = src + (size_t)k / 2 * LANES + lane;
            float *out = rows + (size_t)lane * (size_t)cols + k;
            for (int i = 0; i < n; i++) {
                const uint32_t cell = in[i / 2 * LANES];
                const uint32_t bits = i % 2 ? cell & 0xffff0000u : cell << 16;
                memcpy(out + i, &bits, sizeof bits);
            }
        }
    }
}

void ndl_panel_unpack(float *rows, const void *src, int cols, ndl_dtype dtype)
{
    if (dtype == NDL_F32)
        unpack_f32(rows, src, cols);
    else
        unpack_bf16(rows, src, cols);
}
