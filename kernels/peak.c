/* peak.c - which micro-kernels show the peaks of a processor. */
#include "peak.h"

void ndl_peaks_init(ndl_peaks *p, unsigned features)
{
    *p = (ndl_peaks){ .f32 = { ndl_peak_f32_ref, 192, 16, 1 },
                      .int8 = { ndl_peak_int8_ref, 192, 16, 4 },
                      .read = ndl_peak_read_ref };
#if defined(__x86_64__)
    const unsigned need = NDL_HAS_AVX2 | NDL_HAS_FMA;
    if ((features & need) != need) return;
    p->f32 = (ndl_peak_kernel){ ndl_peak_f32_avx2, 96, 8, 1 };
    p->int8 = (ndl_peak_kernel){ ndl_peak_int8_avx2, 64, 8, 4 };
    p->read = ndl_peak_read_avx2;
    if (!(features & NDL_HAS_AVX512F)) return;
    p->f32 = (ndl_peak_kernel){ ndl_peak_f32_avx512, 192, 16, 1 };
    if (features & NDL_HAS_AVX512_BF16)
        p->bf16 = (ndl_peak_kernel){ ndl_peak_bf16_avx512bf16, 192, 16, 2 };
    if (features & NDL_HAS_AVX512_VNNI)
        p->int8 = (ndl_peak_kernel){ ndl_peak_int8_avx512vnni, 192, 16, 4 };
#else
    (void)features;
#endif
}
