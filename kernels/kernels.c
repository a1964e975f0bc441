/*
 * kernels.c - which version of each kernel this CPU runs.
 *
 * The table starts as the reference, complete, and then climbs: each level
 * replaces what it does better and returns early when the CPU ends there.
 */
#include "kernels.h"

#include <string.h>

#include "variants.h"

int ndl_cpu_parse(const char *name)
{
    if (strcmp(name, "ref") == 0) return 0;
    if (strcmp(name, "avx2") == 0) return NDL_CPU_AVX2;
    return -1;
}

static void set_ref(ndl_kernels *k)
{
    *k = (ndl_kernels){
        .name = "ref",
        .matmul_f32 = ndl_matmul_f32_ref,
        .matmul_bf16 = ndl_matmul_bf16_ref,
        .rmsnorm = ndl_rmsnorm_ref,
        .layernorm = ndl_layernorm_ref,
        .rope = ndl_rope_ref,
        .swiglu = ndl_swiglu_ref,
        .gelu = ndl_gelu_ref,
        .add = ndl_add_ref,
        .bias = ndl_bias_ref,
        .kv_store_f32 = ndl_kv_store_f32_ref,
        .kv_store_bf16 = ndl_kv_store_bf16_ref,
        .attend_f32 = ndl_attend_f32_ref,
        .attend_bf16 = ndl_attend_bf16_ref,
        .attend_merge = ndl_attend_merge_ref,
        .gather_f32 = ndl_gather_f32_ref,
        .gather_bf16 = ndl_gather_bf16_ref,
        .exp = ndl_exp_ref,
    };
}

#if defined(__x86_64__)
static void set_avx2(ndl_kernels *k)
{
    *k = (ndl_kernels){
        .name = "avx2",
        .matmul_f32 = ndl_matmul_f32_avx2,
        .matmul_bf16 = ndl_matmul_bf16_avx2,
        .rmsnorm = ndl_rmsnorm_avx2,
        .layernorm = ndl_layernorm_avx2,
        .rope = ndl_rope_avx2,
        .swiglu = ndl_swiglu_avx2,
        .gelu = ndl_gelu_avx2,
        .add = ndl_add_avx2,
        .bias = ndl_bias_avx2,
        .kv_store_f32 = ndl_kv_store_f32_ref,
        .kv_store_bf16 = ndl_kv_store_bf16_avx2,
        .attend_f32 = ndl_attend_f32_avx2,
        .attend_bf16 = ndl_attend_bf16_avx2,
        .attend_merge = ndl_attend_merge_avx2,
        .gather_f32 = ndl_gather_f32_ref,
        .gather_bf16 = ndl_gather_bf16_ref,
        .exp = ndl_exp_avx2,
    };
}
#endif

void ndl_kernels_init(ndl_kernels *k, unsigned flags)
{
    set_ref(k);
    if (!(flags & NDL_CPU_AVX2)) return;
#if defined(__x86_64__)
    set_avx2(k);
#endif
}
