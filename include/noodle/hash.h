/* hash.h - XXH3 64-bit hashes of bytes: checksums in files, keys of seeds. */
#ifndef NOODLE_HASH_H
#define NOODLE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct ndl_hash ndl_hash;

/** Hash of `n` bytes, started from `seed` (0 for file checksums). */
uint64_t ndl_hash_bytes(const void *bytes, size_t n, uint64_t seed);

/** A hash that grows piece by piece (seed 0); NULL if out of memory. */
ndl_hash *ndl_hash_create(void);
void ndl_hash_add(ndl_hash *h, const void *bytes, size_t n);
uint64_t ndl_hash_value(const ndl_hash *h);

/** Start again from nothing. */
void ndl_hash_reset(ndl_hash *h);

/** Free and set *h to NULL.  NULL is allowed. */
void ndl_hash_destroy(ndl_hash **h);

#endif /* NOODLE_HASH_H */
