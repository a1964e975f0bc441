/*
 * kv_types.h - of what type the KV cache keeps keys, and of what values.
 *
 * f32, bf16, or int8 with one f32 scale for each key (value) of a head.  A
 * small value, passed by value.
 */
#ifndef NOODLE_KV_TYPES_H
#define NOODLE_KV_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/status.h"

typedef struct ndl_kv_types {
    ndl_dtype k, v; /* both f32, or either bf16 or int8 */
} ndl_kv_types;

enum { NDL_KV_TYPES_TEXT = 16 };

/** What a model of these weights has unless somebody says otherwise. */
ndl_kv_types ndl_kv_types_default(ndl_mix mix);

/**
 * What `-ctk K -ctv V` ask for.
 * @param k, v  names of types; NULL: as in `fallback`
 * @return NDL_OK; NDL_EUSAGE: a type that there is not, or f32 beside another.
 */
ndl_status ndl_kv_types_parse(ndl_kv_types *out, const char *k, const char *v,
                              ndl_kv_types fallback);

/** Are there such types, and may they stand side by side?  Asked of what came
 * from another rank. */
bool ndl_kv_types_is_valid(uint32_t k, uint32_t v);

bool ndl_kv_types_equal(ndl_kv_types a, ndl_kv_types b);

/** "bf16" of two alike, else "int8/bf16": keys, then values. */
void ndl_kv_types_write(ndl_kv_types t, char out[NDL_KV_TYPES_TEXT]);

/** Bytes of `cells` numbers of one key (or value) of a head with what
 * belongs to them. */
size_t ndl_kv_types_row_bytes(ndl_dtype t, int cells);

/** Bytes that one position takes in one block: keys and values of all kv
 * heads, the latter padded to whole panels. */
size_t ndl_kv_types_key_bytes(ndl_kv_types t, const ndl_model *m);

#endif /* NOODLE_KV_TYPES_H */
