/*
 * rows8_avx2.c - quantised activations, AVX2.
 *
 * Bound by the latency of a block: a maximum, two divisions, a sum.  The
 * block is read twice, the second time from L1, as it does not fit into the
 * registers beside its sums.
 */
#include "int8_ref.h"
#include "simd_avx2.h"
#include "variants.h"

enum { CHUNK = 32 }; /* bytes that are packed and stored at once */

typedef struct row {
    int8_t *q;
    float *scale;
    int32_t *start;
    const float *x;
} row;

/* Lanes 0 .. 7 of element `at` and on of a block with n elements; zeros past
 * its end. */
NDL_INLINE __m256 load_some(const float *x, int at, int n)
{
    if (at >= n) return _mm256_setzero_ps();
    return ndl_load_first(x + at, n - at);
}

/* The operand that may be a NaN comes first: MAXPS returns the other. */
NDL_INLINE float largest(const float *x, int n, const int block)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 m = _mm256_setzero_ps();
    NDL_UNROLL for (int i = 0; i < block; i += 8) m =
        _mm256_max_ps(_mm256_andnot_ps(sign, load_some(x, i, n)), m);
    __m128 half =
        _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* x * inv rounded, a NaN to 0.  No clamp: what is rounded is at most
 * 127 (1 + 2^-24)^2. */
NDL_INLINE __m256i whole(__m256 x, __m256 inv)
{
    const __m256 v = _mm256_mul_ps(x, inv);
    const __m256 real = _mm256_cmp_ps(v, v, _CMP_ORD_Q);
    return _mm256_cvtps_epi32(_mm256_and_ps(v, real));
}

/* Store 32 elements as bytes and return their sums in 8 lanes.  Packing works
 * in halves of a register, so its groups of 4 have to be sorted. */
NDL_INLINE __m256i round_chunk(int8_t *q, const float *x, int n, __m256 inv)
{
    __m256i v[4];
    NDL_UNROLL for (int i = 0; i < 4; i++) v[i] =
        whole(load_some(x, 8 * i, n), inv);
    const __m256i low = _mm256_packs_epi32(v[0], v[1]);
    const __m256i high = _mm256_packs_epi32(v[2], v[3]);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i bytes = _mm256_packs_epi16(low, high);
    _mm256_storeu_si256((void *)q, _mm256_permutevar8x32_epi32(bytes, order));
    return _mm256_add_epi32(_mm256_add_epi32(v[0], v[1]),
                            _mm256_add_epi32(v[2], v[3]));
}

NDL_INLINE int32_t add_lanes(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v),
                                 _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
}

/* Block b, of which n elements are there; `block` is a constant. */
NDL_INLINE void quantise(row r, int b, int n, const int block, int zero)
{
    const float *x = r.x + (size_t)b * (size_t)block;
    int8_t *q = r.q + (size_t)b * (size_t)block;
    const float m = largest(x, n, block),
                inv = ndl_int8_inverse(m, &r.scale[b]);
    __m256i sum = _mm256_setzero_si256();
    NDL_UNROLL for (int i = 0; i < block; i += CHUNK)
    {
        const float *from = i < n ? x + i : x;
        sum = _mm256_add_epi32(
            sum, round_chunk(q + i, from, n - i, _mm256_set1_ps(inv)));
    }
    r.start[b] = -zero * add_lanes(sum);
}

NDL_INLINE void quantise_row(row r, int k, const int block, int zero)
{
    const int full = k / block;
    for (int b = 0; b < full; b++) quantise(r, b, block, block, zero);
    if (k % block) quantise(r, full, k % block, block, zero);
}

NDL_DECL_ROWS8(ndl_rows8_avx2)
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
