/* name_index.h - which number a name has, among many names. */
#ifndef NDL_NAME_INDEX_H
#define NDL_NAME_INDEX_H

#include <stddef.h>

#include "noodle/status.h"

/* Zeroed before the first use. */
typedef struct ndl_name_index {
    struct ndl_name_slot *slots; /* (cap), a power of two */
    size_t n, cap;
} ndl_name_index;

/**
 * Give a name a number, unless it has one.
 * @param name    borrowed for the object's life.
 * @param number  not negative
 * @param[out] has  the number that it has now.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_name_index_add(ndl_name_index *ix, const char *name, int number,
                              int *has);

/** @return its number; -1: it has none. */
int ndl_name_index_find(const ndl_name_index *ix, const char *name);

void ndl_name_index_fini(ndl_name_index *ix);

#endif /* NDL_NAME_INDEX_H */
