/*
 * chance.h - randomness of tests: from one seed, which is printed and which
 * NDL_TEST_SEED sets, so that a failure can be repeated.
 */
#ifndef NOODLE_TESTS_CHANCE_H
#define NOODLE_TESTS_CHANCE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state; /* set it to start again */

/** The seed to use, printed. */
static inline uint64_t chance_seed(uint64_t fallback)
{
    const char *given = getenv("NDL_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : fallback;
    printf("NDL_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* n random cases.  The address sanitizer makes each cost many times as much
 * and looks for faults that do not need so many: with it, a fifth. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHANCE_IS_SLOW 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CHANCE_IS_SLOW 1
#endif
#ifdef CHANCE_IS_SLOW
#define CHANCE_CASES(n) ((n) / 5)
#else
#define CHANCE_CASES(n) (n)
#endif

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t random_bits(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/** from .. to, both included */
static inline int between(int from, int to)
{
    return from + (int)(random_bits() % (uint64_t)(to - from + 1));
}

#endif /* NOODLE_TESTS_CHANCE_H */
