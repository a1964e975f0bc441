/*
 * peak_avx2.c - Haswell and later, Zen and later.
 *
 * f32 is bound by two FMAs a cycle of latency 4 or 5: 10 chains are needed and
 * 12 fit beside the factors into 16 registers.  int8 takes three instructions
 * for 32 products; only the additions form chains.  An empty asm that "changes"
 * a factor keeps the compiler from taking the products out of the loop.
 */
#include "peak.h"
#include "simd_avx2.h"

enum { CHAINS_F32 = 12, CHAINS_INT8 = 8, READS = 4 };

NDL_DECL_PEAK(ndl_peak_f32_avx2)
{
    __m256 x = _mm256_loadu_ps(a), c[CHAINS_F32];
    const __m256 y = _mm256_loadu_ps(b);
    NDL_UNROLL
    for (int i = 0; i < CHAINS_F32; i++)
        c[i] = _mm256_loadu_ps((const float *)acc + 8 * i);
    for (int64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : "+x"(x));
        NDL_UNROLL
        for (int i = 0; i < CHAINS_F32; i++) c[i] = _mm256_fmadd_ps(x, y, c[i]);
    }
    NDL_UNROLL
    for (int i = 0; i < CHAINS_F32; i++)
        _mm256_storeu_ps((float *)acc + 8 * i, c[i]);
}

NDL_DECL_PEAK(ndl_peak_int8_avx2)
{
    __m256i *at = acc, c[CHAINS_INT8];
    __m256i x = _mm256_loadu_si256(a);
    const __m256i y = _mm256_loadu_si256(b), ones = _mm256_set1_epi16(1);
    NDL_UNROLL
    for (int i = 0; i < CHAINS_INT8; i++) c[i] = _mm256_loadu_si256(at + i);
    for (int64_t r = 0; r < rounds; r++) {
        NDL_UNROLL
        for (int i = 0; i < CHAINS_INT8; i++) {
            __asm__ volatile("" : "+x"(x)); /* products of this chain alone */
            const __m256i pairs = _mm256_maddubs_epi16(x, y);
            c[i] = _mm256_add_epi32(c[i], _mm256_madd_epi16(pairs, ones));
        }
    }
    NDL_UNROLL
    for (int i = 0; i < CHAINS_INT8; i++) _mm256_storeu_si256(at + i, c[i]);
}

NDL_DECL_PEAK_READ(ndl_peak_read_avx2)
{
    __m256i c[READS];
    uint64_t part[4 * READS], sum = 0;
    NDL_UNROLL
    for (int i = 0; i < READS; i++) c[i] = _mm256_setzero_si256();
    for (size_t k = 0; k < n; k += 4 * READS) {
        const __m256i *at = (const __m256i *)(x + k);
        NDL_UNROLL
        for (int i = 0; i < READS; i++)
            c[i] = _mm256_add_epi64(c[i], _mm256_loadu_si256(at + i));
    }
    for (int i = 0; i < READS; i++)
        _mm256_storeu_si256((__m256i *)part + i, c[i]);
    for (int i = 0; i < 4 * READS; i++) sum += part[i];
    return sum;
}
