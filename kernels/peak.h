/*
 * peak.h - micro-kernels that do nothing but arithmetic or reading, to measure
 * what a processor can do at most.
 *
 * They are chosen by what the processor has, not by what the table of kernels
 * uses.  Every version computes something that a test can check:
 *
 *   f32   acc[i] = fma(a[i % w], b[i % w], acc[i])
 *   bf16  acc[i] += the 2 products of cells 2 i, 2 i + 1 (mod 2 w), in f32
 *   int8  acc[i] += the 4 products of bytes 4 i .. 4 i + 3 (mod 4 w), in int32;
 *         a unsigned, b signed, sums of two products within 16 bits
 *
 * for every i < n_lanes, `rounds` times over.
 */
#ifndef NDL_PEAK_H
#define NDL_PEAK_H

#include <stddef.h>
#include <stdint.h>

/* What a processor has and the system saves. */
enum {
    NDL_HAS_AVX2 = 1 << 0,
    NDL_HAS_FMA = 1 << 1,
    NDL_HAS_F16C = 1 << 2,
    NDL_HAS_AVX512F = 1 << 3,
    NDL_HAS_AVX512_BF16 = 1 << 4,
    NDL_HAS_AVX512_VNNI = 1 << 5
};

/* By CPUID and XCR0; an AVX-512 bit is never set without AVX2 and FMA, nor
 * without F, BW, DQ and VL together, which the files compiled for it use. */
unsigned ndl_cpu_features(void);

/* "avx2" for NDL_HAS_AVX2 and so on; NULL if the bit is no feature. */
const char *ndl_cpu_feature_name(unsigned bit);

enum { NDL_PEAK_LANES = 192, NDL_PEAK_WIDTH = 16 }; /* at most */

/* acc: (n_lanes) cells of 32 bits; a, b: (width) of them. */
#define NDL_DECL_PEAK(name)                                                    \
    void name(void *acc, const void *a, const void *b, int64_t rounds)
typedef NDL_DECL_PEAK((*ndl_peak_fn));

/* The sum, modulo 2^64, of `n` words; n is a multiple of 64. */
#define NDL_DECL_PEAK_READ(name) uint64_t name(const uint64_t *x, size_t n)
typedef NDL_DECL_PEAK_READ((*ndl_peak_read_fn));

typedef struct ndl_peak_kernel {
    ndl_peak_fn run;
    int n_lanes;  /* independent chains, enough to hide the latency */
    int width;    /* lanes of a vector                              */
    int products; /* of a lane in a round                           */
} ndl_peak_kernel;

typedef struct ndl_peaks {
    ndl_peak_kernel f32;
    ndl_peak_kernel bf16; /* run NULL: goes by way of f32, at its speed */
    ndl_peak_kernel int8;
    ndl_peak_read_fn read;
} ndl_peaks;

/* The best versions for these features; 0 gives the reference. */
void ndl_peaks_init(ndl_peaks *p, unsigned features);

NDL_DECL_PEAK(ndl_peak_f32_ref);
NDL_DECL_PEAK(ndl_peak_int8_ref);
NDL_DECL_PEAK_READ(ndl_peak_read_ref);
NDL_DECL_PEAK(ndl_peak_f32_avx2);
NDL_DECL_PEAK(ndl_peak_int8_avx2);
NDL_DECL_PEAK_READ(ndl_peak_read_avx2);
NDL_DECL_PEAK(ndl_peak_f32_avx512);
NDL_DECL_PEAK(ndl_peak_bf16_avx512bf16);
NDL_DECL_PEAK(ndl_peak_int8_avx512vnni);

#endif /* NDL_PEAK_H */
