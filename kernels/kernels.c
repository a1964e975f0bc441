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
    static const char *const names[] = { "ref", "avx2", "avx512", "vnni",
                                         "bf16" };
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) return (1 << i) - 1;
    return -1;
}

static void set_ref(ndl_kernels *k)
{
    *k = (ndl_kernels){
        .name = "ref",
        .matmul_f32 = ndl_matmul_f32_ref,
        .matmul_bf16 = ndl_matmul_bf16_ref,
        .rows8 = ndl_rows8_ref,
        .matmul_int8 = ndl_matmul_int8_ref,
        .matmul_int4 = ndl_matmul_int4_ref,
        .gather_int8 = ndl_gather_int8_ref,
        .gather_int4 = ndl_gather_int4_ref,
        .rmsnorm = ndl_rmsnorm_ref,
        .layernorm = ndl_layernorm_ref,
        .rope = ndl_rope_ref,
        .swiglu = ndl_swiglu_ref,
        .gelu = ndl_gelu_ref,
        .add = ndl_add_ref,
        .bias = ndl_bias_ref,
        .k_store_f32 = ndl_k_store_f32_ref,
        .v_store_f32 = ndl_v_store_f32_ref,
        .k_store_bf16 = ndl_k_store_bf16_ref,
        .v_store_bf16 = ndl_v_store_bf16_ref,
        .k_store_int8 = ndl_k_store_int8_ref,
        .v_store_int8 = ndl_v_store_int8_ref,
        .k_widen = ndl_k_widen_ref,
        .v_widen = ndl_v_widen_ref,
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
        .rows8 = ndl_rows8_avx2,
        .matmul_int8 = ndl_matmul_int8_avx2,
        .matmul_int4 = ndl_matmul_int4_avx2,
        .gather_int8 = ndl_gather_int8_ref,
        .gather_int4 = ndl_gather_int4_ref,
        .rmsnorm = ndl_rmsnorm_avx2,
        .layernorm = ndl_layernorm_avx2,
        .rope = ndl_rope_avx2,
        .swiglu = ndl_swiglu_avx2,
        .gelu = ndl_gelu_avx2,
        .add = ndl_add_avx2,
        .bias = ndl_bias_avx2,
        .k_store_f32 = ndl_k_store_f32_ref,
        .v_store_f32 = ndl_v_store_f32_ref,
        .k_store_bf16 = ndl_k_store_bf16_avx2,
        .v_store_bf16 = ndl_v_store_bf16_avx2,
        .k_store_int8 = ndl_k_store_int8_avx2,
        .v_store_int8 = ndl_v_store_int8_avx2,
        .k_widen = ndl_k_widen_avx2,
        .v_widen = ndl_v_widen_avx2,
        .attend_f32 = ndl_attend_f32_avx2,
        .attend_bf16 = ndl_attend_bf16_avx2,
        .attend_merge = ndl_attend_merge_avx2,
        .gather_f32 = ndl_gather_f32_ref,
        .gather_bf16 = ndl_gather_bf16_ref,
        .exp = ndl_exp_avx2,
    };
}

static void set_avx512(ndl_kernels *k)
{
    k->name = "avx512";
    k->matmul_f32 = ndl_matmul_f32_avx512;
    k->rows8 = ndl_rows8_avx512;
    k->rmsnorm = ndl_rmsnorm_avx512;
    k->layernorm = ndl_layernorm_avx512;
    k->rope = ndl_rope_avx512;
    k->swiglu = ndl_swiglu_avx512;
    k->gelu = ndl_gelu_avx512;
    k->add = ndl_add_avx512;
    k->bias = ndl_bias_avx512;
    k->k_store_bf16 = ndl_k_store_bf16_avx512;
    k->v_store_bf16 = ndl_v_store_bf16_avx512;
    k->k_store_int8 = ndl_k_store_int8_avx512;
    k->v_store_int8 = ndl_v_store_int8_avx512;
    k->k_widen = ndl_k_widen_avx512;
    k->v_widen = ndl_v_widen_avx512;
    k->attend_f32 = ndl_attend_f32_avx512;
    k->attend_bf16 = ndl_attend_bf16_avx512;
    k->attend_merge = ndl_attend_merge_avx512;
    k->exp = ndl_exp_avx512;
}

static void set_vnni(ndl_kernels *k)
{
    k->name = "vnni";
    k->matmul_int8 = ndl_matmul_int8_avx512vnni;
    k->matmul_int4 = ndl_matmul_int4_avx512vnni;
}

static void set_bf16(ndl_kernels *k)
{
    k->name = "bf16";
    k->rows16 = ndl_rows16_avx512bf16;
    k->matmul_dp16 = ndl_matmul_dp16_avx512bf16;
    k->attend_bf16 = ndl_attend_bf16_avx512bf16;
}
#endif

void ndl_kernels_init(ndl_kernels *k, unsigned flags)
{
    set_ref(k);
#if defined(__x86_64__)
    if (!(flags & NDL_CPU_AVX2)) return;
    set_avx2(k);
    if (!(flags & NDL_CPU_AVX512)) return;
    set_avx512(k);
    if (!(flags & NDL_CPU_VNNI)) return;
    set_vnni(k);
    if (!(flags & NDL_CPU_BF16)) return;
    set_bf16(k);
#else
    (void)flags;
#endif
}
