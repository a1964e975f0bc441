/*
 * cpu_levels.h - the table of every level that this machine can run, each with
 * its own versions of kernels.
 */
#ifndef CPU_LEVELS_H
#define CPU_LEVELS_H

#include "kernel_check.h"
#include "peak.h"

enum { MAX_LEVELS = 5 };

/* The flags of this machine by its features. */
static inline unsigned machine_flags(void)
{
    const unsigned features = ndl_cpu_features();
    const unsigned base = NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_F16C;
    if ((features & base) != base) return 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(features & NDL_HAS_AVX512F) || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return NDL_CPU_AVX2;
#endif
    unsigned flags = NDL_CPU_AVX2 | NDL_CPU_AVX512;
    if (!(features & NDL_HAS_AVX512_VNNI)) return flags;
    flags |= NDL_CPU_VNNI;
    if (features & NDL_HAS_AVX512_BF16) flags |= NDL_CPU_BF16;
    return flags;
}

/* Levels of this machine; the reference is the first. */
static inline int cpu_levels(ndl_kernels k[MAX_LEVELS])
{
    static const char *const names[MAX_LEVELS] = { "ref", "avx2", "avx512",
                                                   "vnni", "bf16" };
    int n = 0;
    for (int i = 0; i < MAX_LEVELS; i++) {
        const unsigned flags = (unsigned)ndl_cpu_parse(names[i]);
        if ((flags & machine_flags()) != flags) continue;
        ndl_kernels_init(&k[n++], flags);
    }
    return n;
}

/* Those beyond the reference; skips the test, and says so, without any. */
static inline int fast_levels(ndl_kernels k[MAX_LEVELS])
{
    const int n = cpu_levels(k);
    if (n < 2) {
        print_message("skipped: this machine has no avx2\n");
        skip();
    }
    return n;
}

#endif /* CPU_LEVELS_H */
