/*
 * quant_panels.c - see quant_panels.h.
 *
 * Four consecutive k of a row are one 32-bit cell, and the cells of 16 rows a
 * line; a byte of int4 is k in its low half and k + 16 in its high half.
 */
#include "quant_panels.h"

#include "noodle/status.h"
#include "quantise.h"
#include "widen.h"

enum { LANES = 16, CELL = 4, LINE = LANES * CELL, HALF = 16 };

static int blocks_of(const ndl_quant_shape *s)
{
    return (s->cols + s->block - 1) / s->block;
}

/* Bytes of one block of a panel. */
static size_t block_bytes(const ndl_quant_shape *s)
{
    const size_t cells = (size_t)s->block * LANES;
    return s->dtype == NDL_INT8 ? cells : cells / 2;
}

size_t ndl_quant_panel_bytes(const ndl_quant_shape *s)
{
    return (size_t)blocks_of(s) * block_bytes(s);
}

size_t ndl_quant_panel_scales(const ndl_quant_shape *s)
{
    return (size_t)blocks_of(s) * LANES;
}

static size_t place(int lane, int i)
{
    return (size_t)(i / CELL * LINE + lane * CELL + i % CELL);
}

static void put_int8(uint8_t *dst, const uint8_t *q, int lane, int block)
{
    for (int i = 0; i < block; i++) dst[place(lane, i)] = q[i];
}

static void put_int4(uint8_t *dst, const uint8_t *q, int lane)
{
    for (int i = 0; i < HALF; i++)
        dst[place(lane, i)] = (uint8_t)(q[i] | q[i + HALF] << 4);
}

static void check(const ndl_quant_shape *s)
{
    NDL_ASSERT(s->block == 32 || (s->dtype == NDL_INT8 && s->block == 64));
}

void ndl_quant_panel_pack(uint8_t *quants, uint16_t *scales, const float *rows,
                          const ndl_quant_shape *s)
{
    const int blocks = blocks_of(s);
    check(s);
    for (int b = 0; b < blocks; b++) {
        const int at = b * s->block, left = s->cols - at;
        const int n = left < s->block ? left : s->block;
        uint8_t *dst = quants + (size_t)b * block_bytes(s);
        for (int lane = 0; lane < LANES; lane++) {
            const float *w = rows + (size_t)lane * (size_t)s->cols + at;
            uint16_t *scale = scales + (size_t)b * LANES + lane;
            uint8_t q[NDL_QUANTISE_BLOCK_MAX];
            if (s->dtype == NDL_INT8) {
                ndl_quantise_int8(q, scale, w, n, s->block);
                put_int8(dst, q, lane, s->block);
            } else {
                ndl_quantise_int4(q, scale, w, n, s->block);
                put_int4(dst, q, lane);
            }
        }
    }
}

/* The integer i of a lane's block. */
static int get(const ndl_quant_shape *s, const uint8_t *block, int lane, int i)
{
    if (s->dtype == NDL_INT8) return block[place(lane, i)] - NDL_QUANTISE_ZERO8;
    const uint8_t byte = block[place(lane, i % HALF)];
    return (i < HALF ? byte & 15 : byte >> 4) - NDL_QUANTISE_ZERO4;
}

void ndl_quant_panel_unpack(float *rows, const uint8_t *quants,
                            const uint16_t *scales, const ndl_quant_shape *s)
{
    const int blocks = blocks_of(s);
    check(s);
    for (int b = 0; b < blocks; b++) {
        const int at = b * s->block, left = s->cols - at;
        const int n = left < s->block ? left : s->block;
        const uint8_t *src = quants + (size_t)b * block_bytes(s);
        float scale[LANES];
        ndl_widen(scale, scales + (size_t)b * LANES, NDL_FLOAT_F16, LANES);
        for (int lane = 0; lane < LANES; lane++) {
            float *out = rows + (size_t)lane * (size_t)s->cols + at;
            for (int i = 0; i < n; i++)
                out[i] = scale[lane] * (float)get(s, src, lane, i);
        }
    }
}
