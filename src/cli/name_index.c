/* name_index.c - see name_index.h.  A hash table with linear probing, at most
 * half full. */
#include "name_index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/hash.h"

struct ndl_name_slot {
    const char *name; /* NULL: free */
    int number;
};

/* The slot that has the name, or the free one where it belongs. */
static struct ndl_name_slot *slot_of(const ndl_name_index *ix, const char *name)
{
    size_t at = (size_t)ndl_hash_bytes(name, strlen(name), 0) & (ix->cap - 1);
    while (ix->slots[at].name && strcmp(ix->slots[at].name, name) != 0)
        at = (at + 1) & (ix->cap - 1);
    return &ix->slots[at];
}

static ndl_status grow(ndl_name_index *ix)
{
    ndl_name_index more = { .n = ix->n, .cap = ix->cap ? 2 * ix->cap : 64 };
    more.slots = calloc(more.cap, sizeof *more.slots);
    if (!more.slots) return NDL_FAIL(NDL_EOS, "names: out of memory");
    for (size_t i = 0; i < ix->cap; i++)
        if (ix->slots[i].name)
            *slot_of(&more, ix->slots[i].name) = ix->slots[i];
    free(ix->slots);
    *ix = more;
    return NDL_OK;
}

ndl_status ndl_name_index_add(ndl_name_index *ix, const char *name, int number,
                              int *has)
{
    if (2 * ix->n >= ix->cap) NDL_TRY(grow(ix));
    struct ndl_name_slot *slot = slot_of(ix, name);
    if (!slot->name) {
        *slot = (struct ndl_name_slot){ name, number };
        ix->n++;
    }
    *has = slot->number;
    return NDL_OK;
}

int ndl_name_index_find(const ndl_name_index *ix, const char *name)
{
    if (ix->n == 0) return -1;
    const struct ndl_name_slot *slot = slot_of(ix, name);
    return slot->name ? slot->number : -1;
}

void ndl_name_index_fini(ndl_name_index *ix)
{
    free(ix->slots);
    *ix = (ndl_name_index){ 0 };
}
