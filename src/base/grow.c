/* grow.c - see grow.h. */
#include "noodle/grow.h"

#include <stdint.h>
#include <stdlib.h>

enum { LEAST_BYTES = 256 };

void *ndl_grow(void *old, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap) return old;
    const size_t most = SIZE_MAX / 4 / size;
    if (n > most) return NULL;
    size_t more = *cap + *cap / 2;
    if (more < LEAST_BYTES / size) more = LEAST_BYTES / size;
    if (more < n) more = n;
    void *moved = realloc(old, more * size);
    if (moved) *cap = more;
    return moved;
}
