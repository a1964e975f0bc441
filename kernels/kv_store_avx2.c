/*
 * kv_store_avx2.c - store a key and a value as bf16, AVX2.
 *
 * The rounding is what costs in the reference; the store is one write of 4
 * bytes for a pair of the key (one line each, no way around it in panels) and
 * whole registers for the value: 32 ns for hd = 64, the reference 120
 * (bench_kernels, Zen 4).  f32 cells need no rounding and take the reference.
 */
#include "simd_avx2.h"
#include "variants.h"

/* bf16 in the upper halves, zeros in the lower. */
NDL_INLINE __m256i round_upper(__m256 x)
{
    const __m256i one = _mm256_set1_epi32(1);
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
    __m256i up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    __m256i sum = _mm256_add_epi32(bits, up);
    sum = _mm256_blendv_epi8(sum, quiet, _mm256_castps_si256(nan));
    return _mm256_and_si256(sum, _mm256_set1_epi32((int)0xffff0000u));
}

/* Four pairs of the key starting at i, each to its own line. */
NDL_INLINE void store_pairs(uint16_t *column, const float *k, int n)
{
    uint64_t pair[4];
    __m256i q = round_upper(ndl_load_first(k, n));
    q = _mm256_or_si256(_mm256_srli_epi64(q, 16), _mm256_srli_epi64(q, 32));
    _mm256_storeu_si256((void *)pair, q);
    for (int i = 0; 2 * i < n && i < 4; i++) {
        uint32_t cells = (uint32_t)pair[i];
        memcpy(column + (size_t)i * 2 * NDL_LANES, &cells, sizeof cells);
    }
}

/* Eight lanes of the value into the lower (even key) or upper halves. */
NDL_INLINE void store_half(uint16_t *cells, __m256 v, int key)
{
    __m256i old = _mm256_loadu_si256((const void *)cells);
    __m256i new = round_upper(v);
    if (key % 2)
        new = _mm256_blend_epi16(old, new, 0xaa);
    else
        new = _mm256_blend_epi16(old, _mm256_srli_epi32(new, 16), 0x55);
    _mm256_storeu_si256((void *)cells, new);
}

NDL_DECL_K_STORE(ndl_k_store_bf16_avx2, uint16_t)
{
    uint16_t *column = page + (size_t)(key / NDL_LANES) * NDL_LANES * hd +
                       (size_t)(key % NDL_LANES) * 2;
    for (int i = 0; i < hd; i += 8)
        store_pairs(column + (size_t)i * NDL_LANES, x + i, hd - i);
}

NDL_DECL_V_STORE(ndl_v_store_bf16_avx2, uint16_t)
{
    const int hp = ndl_lanes_round(hd);
    uint16_t *line = page + (size_t)(key / 2) * hp * 2;
    for (int i = 0; i < hp; i += 8)
        store_half(line + 2 * i, ndl_load_first(i < hd ? x + i : x, hd - i),
                   key);
}
