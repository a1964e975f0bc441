/*
 * kv_store_avx512.c - store a key and a value as bf16, AVX-512 (F, BW, DQ,
 * VL).  What it costs is the one line of the K page for every pair of the key.
 * The processor's own rounding to bf16 is no use here: it takes denormals for
 * zeros, and what a page holds must not depend on the instruction set.
 */
#include "lanes_avx512.h"
#include "variants.h"

/* bf16 in the upper halves, zeros in the lower. */
NDL_INLINE __m512i round_upper(__m512 x)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512i sum = _mm512_add_epi32(bits, up);
    sum = _mm512_mask_or_epi32(sum, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_and_si512(sum, _mm512_set1_epi32((int)0xffff0000u));
}

/* Eight pairs of the key from k[0], each to its own line. */
NDL_INLINE void store_pairs(uint16_t *column, const float *k, int n)
{
    uint32_t pair[8];
    __m512i q = round_upper(ndl_lanes_load(k, n));
    q = _mm512_or_si512(_mm512_srli_epi64(q, 16), _mm512_srli_epi64(q, 32));
    _mm256_storeu_si256((void *)pair, _mm512_cvtepi64_epi32(q));
    for (int i = 0; 2 * i < n && i < 8; i++)
        memcpy(column + (size_t)i * 2 * NDL_LANES, &pair[i], sizeof pair[i]);
}

/* Sixteen lanes of the value into the lower (even key) or upper halves. */
NDL_INLINE void store_half(uint16_t *cells, __m512 v, int key)
{
    const __mmask32 even = 0x55555555u, odd = 0xaaaaaaaau;
    __m512i old = _mm512_loadu_si512(cells), new = round_upper(v);
    if (key % 2)
        new = _mm512_mask_mov_epi16(old, odd, new);
    else
        new = _mm512_mask_mov_epi16(old, even, _mm512_srli_epi32(new, 16));
    _mm512_storeu_si512(cells, new);
}

NDL_DECL_K_STORE(ndl_k_store_bf16_avx512, uint16_t)
{
    uint16_t *column = page + (size_t)(key / NDL_LANES) * NDL_LANES * hd +
                       (size_t)(key % NDL_LANES) * 2;
    for (int i = 0; i < hd; i += NDL_LANES)
        store_pairs(column + (size_t)i * NDL_LANES, x + i, hd - i);
}

NDL_DECL_V_STORE(ndl_v_store_bf16_avx512, uint16_t)
{
    const int hp = ndl_lanes_round(hd);
    uint16_t *line = page + (size_t)(key / 2) * hp * 2;
    for (int i = 0; i < hp; i += NDL_LANES)
        store_half(line + 2 * i, ndl_lanes_load(x + i, hd - i), key);
}
