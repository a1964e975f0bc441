/*
 * products.h - the contracts of matrix products: weights of each dtype, and
 * activations as they meet them.  Common terms are told in kernels.h.
 *
 * Quantised weights, in blocks of B consecutive k (kp = K rounded up to whole
 * blocks, nb = kp / B; what is past K is q = 0):
 *   int8  u8 = q + 128, -127 <= q <= 127, [N/16][kp/4][16][4]; B 64 or 32
 *   int4  u4 = q + 8, -8 <= q <= 7, [N/16][kp/32][4][16][4] bytes; byte
 *         (line, lane, j) of a block holds k = 4 line + j of it in its low
 *         half and k = 16 + 4 line + j in its high half; B 32
 *   scales f16 (as uint16_t) [N/16][nb][16], finite
 * both streams 64-byte aligned.  They meet activations in rows8, which are
 * quantised by the same blocks: a row is
 *   int8_t q[kp]; float scale[nb]; int32_t start[nb]
 * with start = -zero * (sum of q over the block), zero = 128 or 8, so that
 * sum(u * q) + start = sum((u - zero) * q).
 */
#ifndef NDL_PRODUCTS_H
#define NDL_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

/* y[t][16 p + lane] = sum over k of x[t][k] * w[p][k][lane], for t < rows,
 * p < panels.  y has ldy >= 16 * panels. */
#define NDL_DECL_MATMUL(name, weight)                                          \
    void name(float *y, size_t ldy, const float *x, size_t ldx,                \
              const weight *w, int rows, int panels, int k)

/* Quantise rows: of each block m = max |x| (a NaN does not count), scale =
 * m / 127, inv = m > 0 ? 127 / m : 0, q = x * inv rounded to nearest even,
 * clamped to -127 .. 127, a NaN to 0.  scale and inv are rounded divisions;
 * an m that is infinite, or so small that inv would be, counts as 0: all
 * of its block becomes 0.  a: rows8,
 * 64-byte aligned, stride lda bytes >= ndl_rows8_bytes(k, block), a multiple
 * of 64. */
#define NDL_DECL_ROWS8(name)                                                   \
    void name(void *a, size_t lda, const float *x, size_t ldx, int rows,       \
              int k, int block, int zero)

/* Round rows to bf16 (nearest even; a NaN stays one, a denormal becomes a zero
 * of its sign): a (rows, k rounded up to even, the last one 0), stride lda
 * cells. */
#define NDL_DECL_ROWS16(name)                                                  \
    void name(uint16_t *a, size_t lda, const float *x, size_t ldx, int rows,   \
              int k)

/* Lane n of row t: acc = +0; for each block b in order
 * acc = fma((float)i, s, acc), i = sum over the block of (u - zero) * q, exact
 * in int32, s = f32(scales[b][n]) * scale[t][b] rounded.  a: rows8. */
#define NDL_DECL_MATMUL8(name)                                                 \
    void name(float *y, size_t ldy, const void *a, size_t lda,                 \
              const uint8_t *w, const uint16_t *scales, int rows, int panels,  \
              int k, int block)

/* As matmul with bf16 weights, of activations rounded to bf16, by the
 * processor's own dot product of pairs: one chain over the pairs of k in
 * order.  The same bits for any rows, tile and thread on processors that have
 * the instruction; elsewhere there is no such kernel.  What stands beside a
 * last odd k takes no part. */
#define NDL_DECL_MATMUL16(name)                                                \
    void name(float *y, size_t ldy, const uint16_t *a, size_t lda,             \
              const uint16_t *w, int rows, int panels, int k)

/* Row `row` of quantised panels: y[k] = f32(scale) * q, rounded once. */
#define NDL_DECL_GATHER8(name)                                                 \
    void name(float *y, const uint8_t *w, const uint16_t *scales, int row,     \
              int k, int block)

/* Gather row `row` of a matrix in panels: y[k] = w[row/16][k][row%16]. */
#define NDL_DECL_GATHER(name, weight)                                          \
    void name(float *y, const weight *w, int row, int k)

typedef NDL_DECL_MATMUL((*ndl_matmul_f32_fn), float);
typedef NDL_DECL_MATMUL((*ndl_matmul_bf16_fn), uint16_t);
typedef NDL_DECL_ROWS8((*ndl_rows8_fn));
typedef NDL_DECL_ROWS16((*ndl_rows16_fn));
typedef NDL_DECL_MATMUL8((*ndl_matmul8_fn));
typedef NDL_DECL_MATMUL16((*ndl_matmul16_fn));
typedef NDL_DECL_GATHER8((*ndl_gather8_fn));
typedef NDL_DECL_GATHER((*ndl_gather_f32_fn), float);
typedef NDL_DECL_GATHER((*ndl_gather_bf16_fn), uint16_t);

/* Bytes of a row of rows8: whole lines. */
static inline size_t ndl_rows8_bytes(int k, int block)
{
    const size_t nb = ((size_t)k + (size_t)block - 1) / (size_t)block;
    return (nb * (size_t)block + 8 * nb + 63) / 64 * 64;
}

#endif /* NDL_PRODUCTS_H */
