/* hash.c - hash.h on top of libxxhash, its only user. */
#include "noodle/hash.h"

#include <xxhash.h>

uint64_t ndl_hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

/* The library's own state type hides behind ours. */
ndl_hash *ndl_hash_create(void)
{
    XXH3_state_t *s = XXH3_createState();
    if (s) XXH3_64bits_reset(s);
    return (ndl_hash *)s;
}

void ndl_hash_add(ndl_hash *h, const void *bytes, size_t n)
{
    XXH3_64bits_update((XXH3_state_t *)h, bytes, n);
}

uint64_t ndl_hash_value(const ndl_hash *h)
{
    return XXH3_64bits_digest((const XXH3_state_t *)h);
}

void ndl_hash_reset(ndl_hash *h)
{
    XXH3_64bits_reset((XXH3_state_t *)h);
}

void ndl_hash_destroy(ndl_hash **h)
{
    if (!*h) return;
    XXH3_freeState((XXH3_state_t *)*h);
    *h = NULL;
}
