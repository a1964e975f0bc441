/*
 * peak_avx512bf16.c - Cooper Lake, Sapphire Rapids and later, Zen 4 and later.
 *
 * Bound by one VDPBF16PS a cycle of latency 6 (Zen 4): 6 chains are needed, 12
 * if a processor starts two.
 */
#include "peak.h"
#include "simd_avx2.h"

enum { CHAINS = 12 };

NDL_DECL_PEAK(ndl_peak_bf16_avx512bf16)
{
    __m512i x = _mm512_loadu_si512(a);
    const __m512bh y = (__m512bh)_mm512_loadu_si512(b);
    __m512 c[CHAINS];
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++)
        c[i] = _mm512_loadu_ps((const float *)acc + 16 * i);
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(x));
        NDL_UNROLL
        for (int i = 0; i < CHAINS; i++)
            c[i] = _mm512_dpbf16_ps(c[i], (__m512bh)x, y);
    }
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++)
        _mm512_storeu_ps((float *)acc + 16 * i, c[i]);
}
