/*
 * matmul_int4_avx2.c - products with int4 weights, AVX2 + FMA + F16C.
 *
 * Bound by VPMADDUBSW and the addition of its 16 bits: 16 of each a row, panel
 * and block.  A block is summed in 16 bits, where it fits: 8 steps of two
 * products of at most 15 * 127 make 30480.  16 registers hold those sums for 4
 * rows and no f32 sums beside them, so the latter stay in y.
 */
#include "matmul_int4.h"
#include "simd_avx2.h"
#include "variants.h"

enum {
    ROWS = 4,
    FETCH = 2 /* rows; one leaves the CPU time to look ahead by itself */
};

/* 4 k of 16 lanes, whose halves are u0 and u1.  Compilers would turn the chain
 * of a block into a tree, whose leaves do not fit into the registers: the empty
 * statement hides that it is one. */
NDL_INLINE void add_products(__m256i sum[2], __m256i u0, __m256i u1,
                             const uint8_t *q)
{
    const __m256i x = _mm256_set1_epi32(ndl_int4_i32(q));
    sum[0] = _mm256_add_epi16(sum[0], _mm256_maddubs_epi16(u0, x));
    sum[1] = _mm256_add_epi16(sum[1], _mm256_maddubs_epi16(u1, x));
    __asm__("" : "+x"(sum[0]), "+x"(sum[1]));
}

NDL_INLINE __m256i load(const uint8_t *w)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

/* A line of a block for all rows; its low nibbles meet q, the high q + 16. */
NDL_INLINE void add_line(__m256i sum[ROWS][2], const uint8_t *w,
                         const uint8_t *q, size_t lda, const int rows)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i w0 = load(w), w1 = load(w + 32);
    const __m256i a0 = _mm256_and_si256(w0, low);
    const __m256i a1 = _mm256_and_si256(w1, low);
    const __m256i b0 = _mm256_and_si256(_mm256_srli_epi16(w0, 4), low);
    const __m256i b1 = _mm256_and_si256(_mm256_srli_epi16(w1, 4), low);
    NDL_UNROLL for (int r = 0; r < rows; r++)
    {
        add_products(sum[r], a0, a1, q + (size_t)r * lda);
        add_products(sum[r], b0, b1, q + (size_t)r * lda + 16);
    }
}

/* 8 sums of a block into y; `a` is where the row's scale of the block is. */
NDL_INLINE void add_block(float *y, __m256i sum, __m256 ws, const uint8_t *a,
                          size_t starts)
{
    const __m256 as = _mm256_set1_ps(ndl_int4_f32(a));
    const __m256i start = _mm256_set1_epi32(ndl_int4_i32(a + starts));
    const __m256i wide = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    const __m256 i = _mm256_cvtepi32_ps(_mm256_add_epi32(wide, start));
    const __m256 acc = _mm256_loadu_ps(y);
    _mm256_storeu_ps(y, _mm256_fmadd_ps(i, _mm256_mul_ps(ws, as), acc));
}

NDL_INLINE __m256 load_scales(const uint16_t *scales)
{
    return _mm256_cvtph_ps(
        _mm_loadu_si128((const __m128i *)(const void *)scales));
}

/* `rows` is a constant in every caller. */
NDL_INLINE void run(const ndl_int4_tile *t, const int rows)
{
    const uint8_t *w = t->w, *a = t->a;
    const uint16_t *scales = t->scales;
    const size_t nb = t->nb, lda = t->lda, ldy = t->ldy;
    float *y = t->y;
    uintptr_t ahead = t->ahead;
    NDL_UNROLL for (int r = 0; r < rows; r++)
        memset(y + (size_t)r * ldy, 0, NDL_LANES * sizeof *y);
    for (size_t b = 0; b < nb; b++) {
        __m256i sum[ROWS][2];
        const uint8_t *q = a + b * NDL_INT4_K;
        const uint8_t *s = a + nb * NDL_INT4_K + 4 * b;
        NDL_UNROLL for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] =
            _mm256_setzero_si256();
        NDL_UNROLL for (int g = 0; g < 4; g++)
            add_line(sum, w + NDL_INT4_LINE * g, q + 4 * g, lda, rows);
        const __m256 ws0 = load_scales(scales), ws1 = load_scales(scales + 8);
        NDL_UNROLL for (int r = 0; r < rows; r++)
        {
            float *to = y + (size_t)r * ldy;
            const uint8_t *at = s + (size_t)r * lda;
            add_block(to, sum[r][0], ws0, at, 4 * nb);
            add_block(to + 8, sum[r][1], ws1, at, 4 * nb);
        }
        if (rows >= FETCH) ndl_int4_fetch(ahead);
        ahead += t->ahead_step;
        w += NDL_INT4_BYTES;
        scales += NDL_LANES;
    }
}

static void run_1(const ndl_int4_tile *t)
{
    run(t, 1);
}
static void run_2(const ndl_int4_tile *t)
{
    run(t, 2);
}
static void run_3(const ndl_int4_tile *t)
{
    run(t, 3);
}
static void run_4(const ndl_int4_tile *t)
{
    run(t, 4);
}

NDL_DECL_MATMUL8(ndl_matmul_int4_avx2)
{
    static const ndl_int4_run_fn runs[ROWS] = { run_1, run_2, run_3, run_4 };
    const ndl_int4 m = { y,    ldy,    a,
                         lda,  w,      scales,
                         rows, panels, (k + block - 1) / block };
    ndl_int4_walk(m, runs, ROWS);
}
