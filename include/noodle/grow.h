/* grow.h - room in arrays that grow by what comes. */
#ifndef NOODLE_GROW_H
#define NOODLE_GROW_H

#include <stddef.h>

/**
 * Room for n >= 1 elements of `size` bytes.  Growing is by half at least, so
 * that many small steps move little; arrays that have room are not touched.
 * @param old       malloc'ed or NULL; on success the result replaces it.
 * @param[in,out] cap  elements for which there is room.
 * @return NULL: out of memory; `old` and *cap are as before.
 */
void *ndl_grow(void *old, size_t *cap, size_t n, size_t size);

#endif /* NOODLE_GROW_H */
