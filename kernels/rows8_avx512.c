/*
 * rows8_avx512.c - quantised activations, AVX-512 F (Skylake-X and later,
 * Zen 4 and later).
 *
 * Bound by the latency of a block: a maximum, two divisions, a sum.  A block
 * is held in registers, so that a row is read once.
 */
#include "int8_ref.h"
#include "lanes_avx512.h"
#include "variants.h"

enum { MAX_STEPS = 4 }; /* registers of the longer block */

/* Lanes 0 .. n-1 of 16 from memory, zeros after. */
NDL_INLINE __m512 load_some(const float *x, int n)
{
    if (n <= 0) return _mm512_setzero_ps();
    return ndl_lanes_load(x, n);
}

/* Of x.  The operand that may be a NaN comes first: MAXPS returns the other. */
NDL_INLINE float largest(const __m512 *x, const int steps)
{
    __m512 m = _mm512_setzero_ps();
    NDL_UNROLL for (int i = 0; i < steps; i++) m =
        _mm512_max_ps(_mm512_abs_ps(x[i]), m);
    return _mm512_reduce_max_ps(m);
}

/* Round x * inv to bytes and return their sum.  No clamp: what is rounded is
 * at most 127 (1 + 2^-24)^2. */
NDL_INLINE int32_t round_block(int8_t *q, const __m512 *x, float inv,
                               const int steps)
{
    __m512i sum = _mm512_setzero_si512();
    NDL_UNROLL for (int i = 0; i < steps; i++)
    {
        const __m512 v = _mm512_mul_ps(x[i], _mm512_set1_ps(inv));
        const __mmask16 real = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
        const __m512i whole = _mm512_maskz_cvtps_epi32(real, v);
        sum = _mm512_add_epi32(sum, whole);
        _mm_storeu_si128((void *)(q + 16 * i), _mm512_cvtepi32_epi8(whole));
    }
    return _mm512_reduce_add_epi32(sum);
}

typedef struct row {
    int8_t *q;
    float *scale;
    int32_t *start;
    const float *x;
} row;

/* Block b, of which n elements are there; `block` is a constant. */
NDL_INLINE void quantise(row r, int b, int n, const int block, int zero)
{
    const float *x = r.x + (size_t)b * (size_t)block;
    __m512 v[MAX_STEPS];
    NDL_UNROLL for (int i = 0; i < block / 16; i++) v[i] =
        n >= block ? _mm512_loadu_ps(x + 16 * i)
                   : load_some(x + (16 * i < n ? 16 * i : 0), n - 16 * i);
    const float inv = ndl_int8_inverse(largest(v, block / 16), r.scale + b);
    r.start[b] = -zero * round_block(r.q + (size_t)b * (size_t)block, v, inv,
                                     block / 16);
}

NDL_INLINE void quantise_row(row r, int k, const int block, int zero)
{
    const int full = k / block;
    for (int b = 0; b < full; b++) quantise(r, b, block, block, zero);
    if (k % block) quantise(r, full, k % block, block, zero);
}

NDL_DECL_ROWS8(ndl_rows8_avx512)
{
    const size_t nb = (size_t)((k + block - 1) / block);
    for (int t = 0; t < rows; t++) {
        row r = { .q = (int8_t *)a + (size_t)t * lda,
                  .x = x + (size_t)t * ldx };
        r.scale = (float *)(void *)(r.q + nb * (size_t)block);
        r.start = (int32_t *)(void *)(r.scale + nb);
        if (block == 64)
            quantise_row(r, k, 64, zero);
        else
            quantise_row(r, k, 32, zero);
    }
}
