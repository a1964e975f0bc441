/*
 * peak_avx512vnni.c - Cascade Lake and later, Zen 4 and later.
 *
 * Bound by one or two VPDPBUSD a cycle of latency 4 or 5: 10 chains are needed.
 */
#include "peak.h"
#include "simd_avx2.h"

enum { CHAINS = 12 };

NDL_DECL_PEAK(ndl_peak_int8_avx512vnni)
{
    __m512i *at = acc, c[CHAINS];
    __m512i x = _mm512_loadu_si512(a);
    const __m512i y = _mm512_loadu_si512(b);
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++) c[i] = _mm512_loadu_si512(at + i);
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(x));
        NDL_UNROLL
        for (int i = 0; i < CHAINS; i++) c[i] = _mm512_dpbusd_epi32(c[i], x, y);
    }
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++) _mm512_storeu_si512(at + i, c[i]);
}
