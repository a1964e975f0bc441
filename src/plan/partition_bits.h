/*
 * partition_bits.h - sets of positions in a chain as words of 64 bits, and
 * the one operation that matters: from all starts to all ends at once.
 */
#ifndef NOODLE_PARTITION_BITS_H
#define NOODLE_PARTITION_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool ndl_bits_has(const uint64_t *set, int i)
{
    return (set[i / 64] >> (i % 64)) & 1;
}

/** First position from `i` on that is in the set (`flip` 0) or is not (~0);
 * words * 64 if none. */
static inline int ndl_bits_next(const uint64_t *set, int words, int i,
                                uint64_t flip)
{
    int w = i / 64;
    if (w >= words) return words * 64;
    uint64_t x = (set[w] ^ flip) & (~UINT64_C(0) << (i % 64));
    while (x == 0) {
        if (++w == words) return words * 64;
        x = set[w] ^ flip;
    }
    return w * 64 + __builtin_ctzll(x);
}

/** Add from .. to, both included. */
static inline void ndl_bits_fill(uint64_t *set, int from, int to)
{
    const int a = from / 64, b = to / 64;
    const uint64_t head = ~UINT64_C(0) << (from % 64);
    const uint64_t tail = ~UINT64_C(0) >> (63 - to % 64);
    if (a == b) {
        set[a] |= head & tail;
        return;
    }
    set[a] |= head;
    for (int w = a + 1; w < b; w++) set[w] = ~UINT64_C(0);
    set[b] |= tail;
}

/** Remove all below `from`. */
static inline void ndl_bits_clear_below(uint64_t *set, int from)
{
    for (int w = 0; w < from / 64; w++) set[w] = 0;
    set[from / 64] &= ~UINT64_C(0) << (from % 64);
}

/**
 * Add the ends of all stages that begin in `starts`, each of which can take
 * its own layer: a run of starts a .. b gives the ends a + 1 .. end[b], since
 * the stages of neighbours overlap.
 */
static inline void ndl_bits_extend(uint64_t *ends, const uint64_t *starts,
                                   int words, const int *end)
{
    for (int a = ndl_bits_next(starts, words, 0, 0); a < words * 64;) {
        const int b = ndl_bits_next(starts, words, a, ~UINT64_C(0)) - 1;
        ndl_bits_fill(ends, a + 1, end[b]);
        a = ndl_bits_next(starts, words, b + 1, 0);
    }
}

#endif /* NOODLE_PARTITION_BITS_H */
