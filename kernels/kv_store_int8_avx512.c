/*
 * kv_store_int8_avx512.c - store a key or a value as int8, and widen a page of
 * int8 to bf16, AVX-512 (F, BW, DQ, VL).
 */
#include "int8_ref.h"
#include "kv_cells.h"
#include "lanes_avx512.h"
#include "variants.h"

/* The operand that may be a NaN comes first: MAXPS returns the other. */
NDL_INLINE float largest(const float *x, int n)
{
    __m512 m = _mm512_setzero_ps();
    for (int i = 0; i < n; i += NDL_LANES)
        m = _mm512_max_ps(_mm512_abs_ps(ndl_lanes_load(x + i, n - i)), m);
    return _mm512_reduce_max_ps(m);
}

/* Sixteen numbers as bytes; x may be shorter.  No clamp: what is rounded is at
 * most 127 (1 + 2^-24)^2.  A NaN becomes INT_MIN, whose last byte is 0. */
NDL_INLINE __m128i round_some(const float *x, int n, float inv)
{
    const __m512 v = _mm512_mul_ps(ndl_lanes_load(x, n), _mm512_set1_ps(inv));
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v));
}

NDL_DECL_K_STORE(ndl_k_store_int8_avx512, int8_t)
{
    int8_t *column = page + ndl_key_cell_pairs(hd, key, 0);
    const float inv =
        ndl_int8_inverse(largest(x, hd), ndl_page_scales(page, hd) + key);
    for (int i = 0; i < hd; i += NDL_LANES) {
        uint16_t pair[8];
        _mm_storeu_si128((void *)pair, round_some(x + i, hd - i, inv));
        for (int c = 0; 2 * c < hd - i && c < 8; c++)
            memcpy(column + (size_t)(i / 2 + c) * 2 * NDL_LANES, &pair[c],
                   sizeof pair[c]);
    }
}

NDL_DECL_V_STORE(ndl_v_store_int8_avx512, int8_t)
{
    const int hp = ndl_lanes_round(hd);
    int8_t *line = page + ndl_value_cell_pairs(hp, key / 2 * 2, 0);
    const float inv =
        ndl_int8_inverse(largest(x, hd), ndl_page_scales(page, hp) + key);
    const __mmask32 bytes = key % 2 ? 0xaaaaaaaau : 0x55555555u;
    for (int i = 0; i < hp; i += NDL_LANES) {
        __m256i *at = (void *)(line + 2 * i);
        __m256i new = _mm256_cvtepu8_epi16(round_some(x + i, hd - i, inv));
        new = _mm256_or_si256(new, _mm256_slli_epi16(new, 8));
        _mm256_storeu_si256(
            at, _mm256_mask_mov_epi8(_mm256_loadu_si256(at), bytes, new));
    }
}

NDL_INLINE __m512i widen_some(const int8_t *cells)
{
    __m512i v = _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)cells));
    return _mm512_castps_si512(_mm512_cvtepi32_ps(v));
}

/* The upper halves of 32 floats.  n is a multiple of 32: the cells of a panel,
 * or of a pair of values. */
static void widen(uint16_t *to, const int8_t *cells, size_t n)
{
    const __m512i upper = _mm512_set_epi16(
        63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29,
        27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (size_t i = 0; i < n; i += 32) {
        __m512i low = widen_some(cells + i), high = widen_some(cells + i + 16);
        _mm512_storeu_si512(to + i,
                            _mm512_permutex2var_epi16(low, upper, high));
    }
}

NDL_DECL_WIDEN(ndl_k_widen_avx512)
{
    widen(to, page, ndl_key_cells(hd, n_keys));
}

NDL_DECL_WIDEN(ndl_v_widen_avx512)
{
    widen(to, page, ndl_value_cells(ndl_lanes_round(hd), n_keys));
}
