/*
 * cpu.c - what the processor has: CPUID, and XCR0 for what the system saves on
 * a switch of threads, because a CPU may have registers that are not kept.
 */
#include "kernels.h"
#include "peak.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* Bits of CPUID leaf 1, leaf 7 and its subleaf 1, and of XCR0. */
enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_AVX = 1 << 28,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_ECX_AVX512_VNNI = 1 << 11,
    LEAF7_1_EAX_AVX512_BF16 = 1 << 5,
    XCR0_YMM = 0x06, /* SSE and AVX state                            */
    XCR0_ZMM = 0xe6  /* those, masks, and both parts of zmm0 .. 31   */
};

/* F, DQ, BW and VL in EBX of leaf 7; the last is beyond what an enum holds. */
static const unsigned leaf7_avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;

static unsigned saved_state(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static unsigned avx512_features(unsigned leaf7_ecx)
{
    unsigned features = NDL_HAS_AVX512F, a, b, c, d;
    if (leaf7_ecx & LEAF7_ECX_AVX512_VNNI) features |= NDL_HAS_AVX512_VNNI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) &&
        (a & LEAF7_1_EAX_AVX512_BF16))
        features |= NDL_HAS_AVX512_BF16;
    return features;
}

unsigned ndl_cpu_features(void)
{
    const unsigned base = LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX;
    unsigned a, b, c, d, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & base) != base) return 0;
    const unsigned state = saved_state();
    if ((state & XCR0_YMM) != XCR0_YMM) return 0;
    if (c & LEAF1_ECX_FMA) features |= NDL_HAS_FMA;
    if (c & LEAF1_ECX_F16C) features |= NDL_HAS_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
    if (b & LEAF7_EBX_AVX2) features |= NDL_HAS_AVX2;
    const unsigned need = NDL_HAS_AVX2 | NDL_HAS_FMA;
    if ((features & need) == need && (b & leaf7_avx512) == leaf7_avx512 &&
        (state & XCR0_ZMM) == XCR0_ZMM)
        features |= avx512_features(c);
    return features;
}
#else
unsigned ndl_cpu_features(void)
{
    return 0;
}
#endif

const char *ndl_cpu_feature_name(unsigned bit)
{
    switch (bit) {
    case NDL_HAS_AVX2: return "avx2";
    case NDL_HAS_FMA: return "fma";
    case NDL_HAS_F16C: return "f16c";
    case NDL_HAS_AVX512F: return "avx512f";
    case NDL_HAS_AVX512_BF16: return "avx512_bf16";
    case NDL_HAS_AVX512_VNNI: return "avx512_vnni";
    default: return NULL;
    }
}

/* Each level rests on those below it, so that levels can be compared. */
unsigned ndl_cpu_flags(void)
{
    static const unsigned needs[] = {
        NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_F16C, /* NDL_CPU_AVX2   */
        NDL_HAS_AVX512F,                           /* NDL_CPU_AVX512 */
        NDL_HAS_AVX512_VNNI,                       /* NDL_CPU_VNNI   */
        NDL_HAS_AVX512_BF16                        /* NDL_CPU_BF16   */
    };
    const unsigned features = ndl_cpu_features();
    unsigned flags = 0;
    for (int i = 0; i < 4 && (features & needs[i]) == needs[i]; i++)
        flags |= 1u << i;
    return flags;
}
