/*
 * guarded.h - arrays that notice a step too far.
 *
 * Every array ends where an unreadable page begins, so that one element read
 * or written too far stops the test, and starts at whatever alignment its
 * length leads to; the bytes before it are painted and looked at again.
 */
#ifndef GUARDED_H
#define GUARDED_H

/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD_SLOTS = 16, GUARD_BYTES = 8 << 20, PAINT = 0xa5, MARGIN = 256 };

typedef struct guard {
    unsigned char *base[GUARD_SLOTS]; /* GUARD_BYTES, then no access */
    unsigned char *start[GUARD_SLOTS];
} guard;

static guard guards;

/* The last `bytes` of a slot, all painted. */
static inline void *guard_bytes(int slot, size_t bytes)
{
    assert_true(bytes + MARGIN <= GUARD_BYTES);
    guards.start[slot] = guards.base[slot] + GUARD_BYTES - bytes;
    memset(guards.start[slot] - MARGIN, PAINT, bytes + MARGIN);
    return guards.start[slot];
}

static inline float *guard_floats(int slot, size_t n)
{
    return guard_bytes(slot, n * sizeof(float));
}

/* Nothing before any array has changed. */
static inline void assert_guards_intact(void)
{
    for (int slot = 0; slot < GUARD_SLOTS; slot++) {
        const unsigned char *start = guards.start[slot];
        if (!start) continue;
        for (int i = 1; i <= MARGIN; i++) assert_int_equal(start[-i], PAINT);
    }
}

/* Columns from..to of every row still have the paint. */
static inline void assert_painted(const float *y, int rows, size_t ldy,
                                  size_t from)
{
    const uint32_t paint = PAINT * 0x01010101u;
    for (int t = 0; t < rows; t++)
        for (size_t i = from; i < ldy; i++)
            assert_memory_equal(y + t * ldy + i, &paint, sizeof paint);
}

/* Group set-up and tear-down. */
static inline int guards_map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < GUARD_SLOTS; i++) {
        void *at = mmap(NULL, GUARD_BYTES + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return -1;
        guards.base[i] = at;
        if (mprotect(guards.base[i] + GUARD_BYTES, page, PROT_NONE)) return -1;
    }
    return 0;
}

static inline void guards_unmap(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < GUARD_SLOTS; i++)
        munmap(guards.base[i], GUARD_BYTES + page);
}

#endif /* GUARDED_H */
