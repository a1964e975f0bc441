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
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512BW = 1 << 30,
    LEAF7_ECX_AVX512_VNNI = 1 << 11,
    LEAF7_1_EAX_AVX512_BF16 = 1 << 5,
    XCR0_YMM = 0x06, /* SSE and AVX state                            */
    XCR0_ZMM = 0xe6  /* those, masks, and both parts of zmm0 .. 31   */
};

static unsigned saved_state(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Compilers take for granted that who has the other two has BW as well. */
static unsigned avx512_features(unsigned leaf7_ebx, unsigned leaf7_ecx)
{
    unsigned features = NDL_HAS_AVX512F, a, b, c, d;
    if (!(leaf7_ebx & LEAF7_EBX_AVX512BW)) return features;
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
    if ((features & need) == need && (b & LEAF7_EBX_AVX512F) &&
        (state & XCR0_ZMM) == XCR0_ZMM)
        features |= avx512_features(b, c);
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

unsigned ndl_cpu_flags(void)
{
    const unsigned need = NDL_HAS_AVX2 | NDL_HAS_FMA | NDL_HAS_F16C;
    return (ndl_cpu_features() & need) == need ? NDL_CPU_AVX2 : 0;
}
