/*
 * kv_store_int8_avx2.c - store a key or a value as int8, and widen a page of
 * int8 to bf16, AVX2.
 */
#include "int8_ref.h"
#include "kv_cells.h"
#include "simd_avx2.h"
#include "variants.h"

/* The operand that may be a NaN comes first: MAXPS returns the other. */
NDL_INLINE float largest(const float *x, int n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 m = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8)
        m = _mm256_max_ps(_mm256_andnot_ps(sign, ndl_load_first(x + i, n - i)),
                          m);
    __m128 half =
        _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* Eight numbers as bytes in the lower half; x may be shorter, or empty.  No
 * clamp: what is rounded is at most 127 (1 + 2^-24)^2. */
NDL_INLINE __m128i round_some(const float *x, int n, float inv)
{
    if (n <= 0) return _mm_setzero_si128();
    const __m256 v = _mm256_mul_ps(ndl_load_first(x, n), _mm256_set1_ps(inv));
    const __m256 real = _mm256_cmp_ps(v, v, _CMP_ORD_Q);
    const __m256i whole = _mm256_cvtps_epi32(_mm256_and_ps(v, real));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole),
                                          _mm256_extracti128_si256(whole, 1));
    return _mm_packs_epi16(words, words);
}

NDL_DECL_K_STORE(ndl_k_store_int8_avx2, int8_t)
{
    int8_t *column = page + ndl_key_cell_pairs(hd, key, 0);
    const float inv =
        ndl_int8_inverse(largest(x, hd), ndl_page_scales(page, hd) + key);
    for (int i = 0; i < hd; i += 8) {
        uint16_t pair[4];
        _mm_storel_epi64((void *)pair, round_some(x + i, hd - i, inv));
        for (int c = 0; 2 * c < hd - i && c < 4; c++)
            memcpy(column + (size_t)(i / 2 + c) * 2 * NDL_LANES, &pair[c],
                   sizeof pair[c]);
    }
}

NDL_DECL_V_STORE(ndl_v_store_int8_avx2, int8_t)
{
    const int hp = ndl_lanes_round(hd);
    int8_t *line = page + ndl_value_cell_pairs(hp, key / 2 * 2, 0);
    const float inv =
        ndl_int8_inverse(largest(x, hd), ndl_page_scales(page, hp) + key);
    const __m128i keep = _mm_set1_epi16(key % 2 ? 0x00ff : (short)0xff00);
    for (int i = 0; i < hp; i += 8) {
        __m128i *at = (void *)(line + 2 * i);
        __m128i new = round_some(i < hd ? x + i : x, hd - i, inv);
        new = _mm_unpacklo_epi8(new, new);
        __m128i old = _mm_and_si128(keep, _mm_loadu_si128(at));
        _mm_storeu_si128(at, _mm_or_si128(old, _mm_andnot_si128(keep, new)));
    }
}

/* Eight cells as bf16 in the lower halves of the lanes. */
NDL_INLINE __m256i widen_some(const int8_t *cells)
{
    __m256i v = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)cells));
    v = _mm256_castps_si256(_mm256_cvtepi32_ps(v));
    return _mm256_srli_epi32(v, 16);
}

/* n is a multiple of 32: the cells of a panel, or of a pair of values. */
static void widen(uint16_t *to, const int8_t *cells, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __m256i v = _mm256_packus_epi32(widen_some(cells + i),
                                        widen_some(cells + i + 8));
        _mm256_storeu_si256((void *)(to + i),
                            _mm256_permute4x64_epi64(v, 0xd8));
    }
}

NDL_DECL_WIDEN(ndl_k_widen_avx2)
{
    widen(to, page, ndl_key_cells(hd, n_keys));
}

NDL_DECL_WIDEN(ndl_v_widen_avx2)
{
    widen(to, page, ndl_value_cells(ndl_lanes_round(hd), n_keys));
}
