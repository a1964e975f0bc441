/* widen.h - the 16- and 32-bit floats of foreign files as f32 and back,
 * exactly. */
#ifndef NOODLE_FORMATS_WIDEN_H
#define NOODLE_FORMATS_WIDEN_H

#include <stddef.h>

typedef enum ndl_float_type {
    NDL_FLOAT_F32,
    NDL_FLOAT_F16,
    NDL_FLOAT_BF16,
    NDL_FLOAT_NONE /* not a float that we read */
} ndl_float_type;

/** "F32", "F16", "BF16" as safetensors spells them; others are NONE. */
ndl_float_type ndl_float_type_of(const char *name);

/** Bytes of one element, 0 for NONE. */
size_t ndl_float_bytes(ndl_float_type t);

/** Widen `n` little-endian floats at any address; must not overlap. */
void ndl_widen(float *dst, const void *src, ndl_float_type t, size_t n);

/**
 * Narrow `n` floats to little-endian ones; the inverse of ndl_widen, to the
 * bit, also of NaNs.
 * @return how many were narrowed: fewer than n if element [result] is no
 *         number of that type.
 */
size_t ndl_narrow(void *dst, const float *src, ndl_float_type t, size_t n);

#endif /* NOODLE_FORMATS_WIDEN_H */
