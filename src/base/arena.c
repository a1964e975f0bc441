/*
 * arena.c - one anonymous mapping, handed out from the front.
 *
 * The mapping is reserved without commitment (MAP_NORESERVE): whether the
 * memory is there is the planner's arithmetic, not the kernel's guess.  Fresh
 * pages are zero, and since nothing is ever given back, so is every piece.
 */
#include "noodle/arena.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t HUGE_PAGE = (size_t)2 << 20; /* of x86-64 */
static const size_t PIECE = 64;                  /* a cache line */

struct ndl_arena {
    const char *name;
    void *mapping; /* what mmap gave: up to 2 MiB longer at the front */
    size_t mapping_bytes;
    unsigned char *base; /* aligned to HUGE_PAGE */
    size_t size, used;   /* bytes, multiples of PIECE */
    bool is_frozen;
};

/* x rounded up to a multiple of a power of two; 0 if that overflows. */
static size_t round_up(size_t x, size_t unit)
{
    return (x + unit - 1) & ~(unit - 1);
}

ndl_status ndl_arena_create(ndl_arena **out, const char *name, size_t bytes)
{
    const size_t size = bytes ? round_up(bytes, HUGE_PAGE) : HUGE_PAGE;
    const size_t mapping_bytes = size + HUGE_PAGE;
    if (size == 0 || mapping_bytes < size)
        return NDL_FAIL(NDL_EOS,
                        "memory: %s: %zu bytes: more than there can be", name,
                        bytes);
    ndl_arena *a = calloc(1, sizeof *a);
    if (!a) return NDL_FAIL(NDL_EOS, "memory: %s: out of memory", name);
    void *m = mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) {
        const int err = errno;
        free(a);
        return NDL_FAIL(NDL_EOS,
                        "memory: %s: cannot reserve %zu bytes: %s: ask for a "
                        "shorter context or raise the limit (ulimit -v)",
                        name, bytes, strerror(err));
    }
    const size_t skip = (size_t)(-(uintptr_t)m & (HUGE_PAGE - 1));
    *a = (ndl_arena){ .name = name,
                      .mapping = m,
                      .mapping_bytes = mapping_bytes,
                      .base = (unsigned char *)m + skip,
                      .size = size };
    /* Advice only: a kernel without huge pages works as well, but slower. */
    (void)madvise(a->base, size, MADV_HUGEPAGE);
    *out = a;
    return NDL_OK;
}

void ndl_arena_destroy(ndl_arena **a)
{
    if (!*a) return;
    munmap((*a)->mapping, (*a)->mapping_bytes);
    free(*a);
    *a = NULL;
}

void ndl_arena_abandon(ndl_arena **a)
{
    free(*a);
    *a = NULL;
}

void *ndl_arena_alloc(ndl_arena *a, size_t bytes)
{
    NDL_ASSERT(!a->is_frozen);
    const size_t need = bytes ? round_up(bytes, PIECE) : PIECE;
    if (need == 0 || need > a->size - a->used) return NULL;
    void *piece = a->base + a->used;
    a->used += need;
    return piece;
}

void ndl_arena_freeze(ndl_arena *a)
{
    a->is_frozen = true;
}

size_t ndl_arena_used(const ndl_arena *a)
{
    return a->used;
}

size_t ndl_arena_size(const ndl_arena *a)
{
    return a->size;
}
