/*
 * quantised.h - what the checks of quantised products share: rows and weights
 * in blocks.
 */
#ifndef QUANTISED_H
#define QUANTISED_H

#include "kernel_check.h"

typedef struct shape {
    int rows, panels, k, block, zero;
    size_t ldx, lda, ldy;
} shape;

static inline int blocks_of(const shape *s)
{
    return (s->k + s->block - 1) / s->block;
}

static inline size_t padded_k(const shape *s)
{
    return (size_t)blocks_of(s) * (size_t)s->block;
}

/* All but what pads the last row. */
static inline size_t extent(int rows, size_t ld, size_t columns)
{
    return rows ? (size_t)(rows - 1) * ld + columns : 0;
}

/* Complete a shape with random strides. */
static inline shape shape_of(int rows, int panels, int k, int block)
{
    shape s = { rows, panels, k, block, 128, 0, 0, 0 };
    s.ldx = (size_t)k + (size_t)random_int(0, 5);
    s.lda = ndl_rows8_bytes(k, block) + 64 * (size_t)random_int(0, 2);
    s.ldy = 16 * (size_t)panels + (size_t)random_int(0, 5);
    return s;
}

static inline shape random_shape(void)
{
    return shape_of(random_int(0, 40), random_int(0, 7),
                    random_int(0, 350) * 2 + 1, random_int(0, 1) ? 64 : 32);
}

static inline size_t rows8_extent(const shape *s)
{
    return extent(s->rows, s->lda, ndl_rows8_bytes(s->k, s->block));
}

static inline const int8_t *row_q(const shape *s, const void *a, int t)
{
    return (const int8_t *)a + (size_t)t * s->lda;
}

static inline const float *row_scale(const shape *s, const void *a, int t)
{
    return (const void *)(row_q(s, a, t) + padded_k(s));
}

static inline const int32_t *row_start(const shape *s, const void *a, int t)
{
    return (const void *)(row_scale(s, a, t) + blocks_of(s));
}

/* Finite halves, now and then the smallest and the largest. */
static inline uint16_t *random_scales(int slot, size_t n)
{
    static const uint16_t rare[] = { 0x0000, 0x8000, 0x0001, 0x83ff,
                                     0x0400, 0x7bff, 0xfbff, 0x03ff };
    uint16_t *x = guard_bytes(slot, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        const uint64_t dice = random_bits() % 100;
        x[i] = dice < 8 ? rare[dice] : (uint16_t)(0x1400 + dice * 40);
        if (dice >= 8 && dice % 2) x[i] |= 0x8000;
    }
    return x;
}

static inline double f64_of_half(uint16_t x)
{
    const double size = x & 0x7c00
                            ? ldexp(0x400 | (x & 0x3ff), (x >> 10 & 31) - 25)
                            : ldexp(x & 0x3ff, -24);
    return x & 0x8000 ? -size : size;
}

#endif /* QUANTISED_H */
