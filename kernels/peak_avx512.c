/*
 * peak_avx512.c - Skylake-X and later, Zen 4 and later.
 *
 * Bound by one or two FMAs a cycle of latency 4: 8 chains are needed.
 */
#include "peak.h"
#include "simd_avx2.h"

enum { CHAINS = 12 };

NDL_DECL_PEAK(ndl_peak_f32_avx512)
{
    __m512 x = _mm512_loadu_ps(a), c[CHAINS];
    const __m512 y = _mm512_loadu_ps(b);
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++)
        c[i] = _mm512_loadu_ps((const float *)acc + 16 * i);
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+v"(x));
        NDL_UNROLL
        for (int i = 0; i < CHAINS; i++) c[i] = _mm512_fmadd_ps(x, y, c[i]);
    }
    NDL_UNROLL
    for (int i = 0; i < CHAINS; i++)
        _mm512_storeu_ps((float *)acc + 16 * i, c[i]);
}
