/* widen.c - see widen.h. */
#include "widen.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

ndl_float_type ndl_float_type_of(const char *name)
{
    if (strcmp(name, "F32") == 0) return NDL_FLOAT_F32;
    if (strcmp(name, "F16") == 0) return NDL_FLOAT_F16;
    if (strcmp(name, "BF16") == 0) return NDL_FLOAT_BF16;
    return NDL_FLOAT_NONE;
}

size_t ndl_float_bytes(ndl_float_type t)
{
    switch (t) {
    case NDL_FLOAT_F32: return 4;
    case NDL_FLOAT_F16:
    case NDL_FLOAT_BF16: return 2;
    default: return 0;
    }
}

/* f16 is 1-5-10 bits with bias 15, f32 is 1-8-23 with bias 127.  A subnormal
 * f16, m * 2^-24, is a normal f32 and m converts exactly, so the product is
 * exact too, in any rounding mode. */
static uint32_t bits_of_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h >> 15) << 31;
    const uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return sign | 0x7f800000u | mantissa << 13;
    if (exponent) return sign | (exponent + 112) << 23 | mantissa << 13;
    const float small = (float)mantissa * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &small, sizeof bits);
    return sign | bits;
}

static void widen_f16(float *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, sizeof h);
        const uint32_t bits = bits_of_f16(h);
        memcpy(dst + i, &bits, sizeof bits);
    }
}

static void widen_bf16(float *dst, const unsigned char *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, sizeof h);
        const uint32_t bits = (uint32_t)h << 16;
        memcpy(dst + i, &bits, sizeof bits);
    }
}

void ndl_widen(float *dst, const void *src, ndl_float_type t, size_t n)
{
    if (n == 0) return;
    if (t == NDL_FLOAT_F32) memcpy(dst, src, n * sizeof *dst);
    if (t == NDL_FLOAT_F16) widen_f16(dst, src, n);
    if (t == NDL_FLOAT_BF16) widen_bf16(dst, src, n);
}

/* The f16 that widens to these bits, if there is one. */
static bool f16_of_bits(uint32_t bits, uint16_t *out)
{
    const uint32_t sign = bits >> 31 << 15;
    const uint32_t exponent = bits >> 23 & 255, mantissa = bits & 0x7fffff;
    if (exponent == 0 && mantissa == 0) {
        *out = (uint16_t)sign;
        return true;
    }
    if (exponent == 255 || (exponent >= 113 && exponent <= 142)) {
        const uint32_t e = exponent == 255 ? 31 : exponent - 112;
        *out = (uint16_t)(sign | e << 10 | mantissa >> 13);
        return (mantissa & 0x1fff) == 0;
    }
    /* A subnormal: the leading one and the bits below it move down. */
    if (exponent < 103 || exponent > 112) return false;
    const uint32_t whole = mantissa | 0x800000, shift = 126 - exponent;
    *out = (uint16_t)(sign | whole >> shift);
    return (whole & ((1u << shift) - 1)) == 0;
}

static size_t narrow_f16(unsigned char *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        uint16_t h = 0;
        memcpy(&bits, src + i, sizeof bits);
        if (!f16_of_bits(bits, &h)) return i;
        memcpy(dst + 2 * i, &h, sizeof h);
    }
    return n;
}

static size_t narrow_bf16(unsigned char *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, src + i, sizeof bits);
        if (bits & 0xffff) return i;
        const uint16_t h = (uint16_t)(bits >> 16);
        memcpy(dst + 2 * i, &h, sizeof h);
    }
    return n;
}

size_t ndl_narrow(void *dst, const float *src, ndl_float_type t, size_t n)
{
    if (n == 0) return 0;
    if (t == NDL_FLOAT_F16) return narrow_f16(dst, src, n);
    if (t == NDL_FLOAT_BF16) return narrow_bf16(dst, src, n);
    memcpy(dst, src, n * sizeof *src);
    return n;
}
