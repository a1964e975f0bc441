/*
 * kernels.h - the table of compute kernels.
 *
 * Kernels are leaves: plain arrays in, plain arrays out.  They do not
 * allocate, lock, log, fail, or know what a model is.  The reference version
 * of each is the definition of its bits: every other version gives the same
 * bits (and the tests hold it to that), whatever the number of rows, the tile
 * and the thread; only the processor's own bf16 arithmetic (level "bf16") has
 * bits of its own, which do not depend on those either.  How:
 *   - a matrix product's output lane is one chain of fused multiply-adds over
 *     k in increasing order, started from +0;
 *   - other sums (norms, softmax) have 16 strided partial results
 *     (lane = i mod 16), folded 8, 4, 2, 1: s[i] += s[i + 8] and so on;
 *   - exp, tanh and the like are our own polynomials, never libm's;
 *   - no contraction by the compiler (-ffp-contract=off); flush-to-zero and
 *     denormals-are-zero are set in every thread (ndl_fp_setup).
 *
 * Common terms.  Panels: weights (N, K) as [N/16][K][16] f32 or
 * [N/16][ceil(K/2)][16][2] bf16, 64-byte aligned.  Rows of activations are
 * row-major f32 with a stride in floats (ld >= columns), any alignment.
 * Outputs overlap no input unless said.  Counts may be 0.
 */
#ifndef NDL_KERNELS_H
#define NDL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "attend.h"
#include "products.h"

enum { NDL_LANES = 16 };

/* y[t] = x[t] / sqrt(mean(x^2) + eps) * gain:  s = sum of x*x by fma in 16
 * lanes, folded; r = 1 / sqrtf(s / d + eps); y = (x * r) * gain. */
#define NDL_DECL_RMSNORM(name)                                                 \
    void name(float *y, size_t ldy, const float *x, size_t ldx,                \
              const float *gain, int rows, int d, float eps)

/* mean = fold(sum x) / d; var = fold(fma of (x - mean)^2) / d;
 * r = 1 / sqrtf(var + eps); y = fma((x - mean) * r, gain, bias). */
#define NDL_DECL_LAYERNORM(name)                                               \
    void name(float *y, size_t ldy, const float *x, size_t ldx,                \
              const float *gain, const float *bias, int rows, int d,           \
              float eps)

/* Rotate in place.  x: (rows, heads * hd), table: (rows, hd/2, 2) of (cos,
 * sin), hd even.  Inside a head, blocks of 2 * pair elements: for block j and
 * l < pair, a = x[2 pair j + l], b = x[2 pair j + pair + l], frequency index
 * f = pair j + l:  a' = fma(a, cos, -(b * sin)), b' = fma(b, cos, a * sin).
 * pair divides hd / 2. */
#define NDL_DECL_ROPE(name)                                                    \
    void name(float *x, size_t ldx, const float *table, int rows, int heads,   \
              int hd, int pair)

/* y[t][i] = silu(gate) * up where x[t] alternates 16 gates and 16 ups:
 * gate = x[t][32 (i/16) + i%16], up = x[t][32 (i/16) + 16 + i%16], i < f;
 * silu(g) = g / (1 + exp(-g)); y within 4 ULP. */
#define NDL_DECL_SWIGLU(name)                                                  \
    void name(float *y, size_t ldy, const float *x, size_t ldx, int rows, int f)

/* y[t][i] = gelu_tanh(x[t][i]); y may be x.
 * 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), tanh by exp; within
 * 3e-7 max(1, |x|), which is 2.5 ULP of that. */
#define NDL_DECL_GELU(name)                                                    \
    void name(float *y, size_t ldy, const float *x, size_t ldx, int rows, int f)

/* y[t][i] += x[t][i], i < d. */
#define NDL_DECL_ADD(name)                                                     \
    void name(float *y, size_t ldy, const float *x, size_t ldx, int rows, int d)

/* y[t][i] += b[i], i < d. */
#define NDL_DECL_BIAS(name)                                                    \
    void name(float *y, size_t ldy, const float *b, int rows, int d)

/* y[i] = exp(x[i]); <= 2 ULP; 0 below -87.33654, inf above 88.72283;
 * y may be x. */
#define NDL_DECL_EXP(name) void name(float *y, const float *x, int n)

typedef NDL_DECL_RMSNORM((*ndl_rmsnorm_fn));
typedef NDL_DECL_LAYERNORM((*ndl_layernorm_fn));
typedef NDL_DECL_ROPE((*ndl_rope_fn));
typedef NDL_DECL_SWIGLU((*ndl_swiglu_fn));
typedef NDL_DECL_GELU((*ndl_gelu_fn));
typedef NDL_DECL_ADD((*ndl_add_fn));
typedef NDL_DECL_BIAS((*ndl_bias_fn));
typedef NDL_DECL_EXP((*ndl_exp_fn));

typedef struct ndl_kernels {
    const char *name; /* as ndl_cpu_parse() takes it */
    ndl_matmul_f32_fn matmul_f32;
    ndl_matmul_bf16_fn matmul_bf16;
    ndl_rows8_fn rows8;
    ndl_matmul8_fn matmul_int8, matmul_int4; /* int4: block is 32 */
    ndl_gather8_fn gather_int8, gather_int4;
    ndl_rows16_fn rows16;        /* both NULL without the instruction; where */
    ndl_matmul16_fn matmul_dp16; /* they are, they replace matmul_bf16       */
    ndl_rmsnorm_fn rmsnorm;
    ndl_layernorm_fn layernorm;
    ndl_rope_fn rope;
    ndl_swiglu_fn swiglu;
    ndl_gelu_fn gelu;
    ndl_add_fn add;
    ndl_bias_fn bias;
    ndl_store_f32_fn k_store_f32, v_store_f32;
    ndl_store_bf16_fn k_store_bf16, v_store_bf16;
    ndl_store_int8_fn k_store_int8, v_store_int8;
    ndl_widen_fn k_widen, v_widen;
    ndl_attend_f32_fn attend_f32;
    ndl_attend_bf16_fn attend_bf16;
    ndl_attend_merge_fn attend_merge;
    ndl_gather_f32_fn gather_f32;
    ndl_gather_bf16_fn gather_bf16;
    ndl_exp_fn exp;
} ndl_kernels;

enum {
    NDL_CPU_AVX2 = 1 << 0,   /* AVX2, FMA, F16C                      */
    NDL_CPU_AVX512 = 1 << 1, /* F, BW, DQ and VL, beside those       */
    NDL_CPU_VNNI = 1 << 2,   /* AVX512_VNNI                          */
    NDL_CPU_BF16 = 1 << 3    /* AVX512_BF16: bits of its own */
};

/* CPU features of this machine, by CPUID and what the system saves. */
unsigned ndl_cpu_flags(void);

/* Flags for a name: "ref" 0, "avx2", "avx512", "vnni", "bf16", each with all
 * below it; -1 if unknown. */
int ndl_cpu_parse(const char *name);

/* Fill `k` with the best version that `flags` permits; flags == 0 gives the
 * reference table, which is always complete. */
void ndl_kernels_init(ndl_kernels *k, unsigned flags);

/* Set flush-to-zero and denormals-are-zero in the calling thread. */
void ndl_fp_setup(void);

/* cos and sin of positions for RoPE, in double with our own reduction and
 * polynomials so that every CPU gives the same bits: table (hd/2, 2), for
 * angle = position * inv_freq[f].  Error < 1e-7 for positions < 2^24. */
void ndl_rope_table(float *table, int position, const double *inv_freq,
                    int n_freq);

/* inv[f] = theta^(-2f/hd) in double without libm, 1e-12 relative. */
void ndl_rope_inverse(double *inv, double theta, int hd);

#endif /* NDL_KERNELS_H */
