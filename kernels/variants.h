/*
 * variants.h - every version of every kernel, by name.
 *
 * Private to kernels/: the table (kernels.c) and the files that define the
 * versions include it; everybody else goes through the table.
 */
#ifndef NDL_VARIANTS_H
#define NDL_VARIANTS_H

#include <stdbool.h>

#include "kernels.h"

NDL_DECL_MATMUL(ndl_matmul_f32_ref, float);
NDL_DECL_MATMUL(ndl_matmul_bf16_ref, uint16_t);
NDL_DECL_ROWS8(ndl_rows8_ref);
NDL_DECL_MATMUL8(ndl_matmul_int8_ref);
NDL_DECL_MATMUL8(ndl_matmul_int4_ref);
NDL_DECL_GATHER8(ndl_gather_int8_ref);
NDL_DECL_GATHER8(ndl_gather_int4_ref);
NDL_DECL_RMSNORM(ndl_rmsnorm_ref);
NDL_DECL_LAYERNORM(ndl_layernorm_ref);
NDL_DECL_ROPE(ndl_rope_ref);
NDL_DECL_SWIGLU(ndl_swiglu_ref);
NDL_DECL_GELU(ndl_gelu_ref);
NDL_DECL_ADD(ndl_add_ref);
NDL_DECL_BIAS(ndl_bias_ref);
NDL_DECL_K_STORE(ndl_k_store_f32_ref, float);
NDL_DECL_V_STORE(ndl_v_store_f32_ref, float);
NDL_DECL_K_STORE(ndl_k_store_bf16_ref, uint16_t);
NDL_DECL_V_STORE(ndl_v_store_bf16_ref, uint16_t);
NDL_DECL_K_STORE(ndl_k_store_int8_ref, int8_t);
NDL_DECL_V_STORE(ndl_v_store_int8_ref, int8_t);
NDL_DECL_WIDEN(ndl_k_widen_ref);
NDL_DECL_WIDEN(ndl_v_widen_ref);
NDL_DECL_ATTEND(ndl_attend_f32_ref, float);
NDL_DECL_ATTEND(ndl_attend_bf16_ref, uint16_t);
NDL_DECL_ATTEND_MERGE(ndl_attend_merge_ref);
NDL_DECL_GATHER(ndl_gather_f32_ref, float);
NDL_DECL_GATHER(ndl_gather_bf16_ref, uint16_t);
NDL_DECL_EXP(ndl_exp_ref);

NDL_DECL_MATMUL(ndl_matmul_f32_avx2, float);
NDL_DECL_MATMUL(ndl_matmul_bf16_avx2, uint16_t);
NDL_DECL_ROWS8(ndl_rows8_avx2);
NDL_DECL_MATMUL8(ndl_matmul_int8_avx2);
NDL_DECL_MATMUL8(ndl_matmul_int4_avx2);
NDL_DECL_RMSNORM(ndl_rmsnorm_avx2);
NDL_DECL_LAYERNORM(ndl_layernorm_avx2);
NDL_DECL_ROPE(ndl_rope_avx2);
NDL_DECL_SWIGLU(ndl_swiglu_avx2);
NDL_DECL_GELU(ndl_gelu_avx2);
NDL_DECL_ADD(ndl_add_avx2);
NDL_DECL_BIAS(ndl_bias_avx2);
NDL_DECL_K_STORE(ndl_k_store_bf16_avx2, uint16_t);
NDL_DECL_V_STORE(ndl_v_store_bf16_avx2, uint16_t);
NDL_DECL_K_STORE(ndl_k_store_int8_avx2, int8_t);
NDL_DECL_V_STORE(ndl_v_store_int8_avx2, int8_t);
NDL_DECL_WIDEN(ndl_k_widen_avx2);
NDL_DECL_WIDEN(ndl_v_widen_avx2);
NDL_DECL_ATTEND(ndl_attend_f32_avx2, float);
NDL_DECL_ATTEND(ndl_attend_bf16_avx2, uint16_t);
NDL_DECL_ATTEND_MERGE(ndl_attend_merge_avx2);
NDL_DECL_EXP(ndl_exp_avx2);

NDL_DECL_MATMUL(ndl_matmul_f32_avx512, float);
NDL_DECL_ROWS8(ndl_rows8_avx512);

NDL_DECL_MATMUL8(ndl_matmul_int8_avx512vnni);
NDL_DECL_MATMUL8(ndl_matmul_int4_avx512vnni);

NDL_DECL_ROWS16(ndl_rows16_avx512bf16);
NDL_DECL_MATMUL16(ndl_matmul_dp16_avx512bf16);
NDL_DECL_RMSNORM(ndl_rmsnorm_avx512);
NDL_DECL_LAYERNORM(ndl_layernorm_avx512);
NDL_DECL_ROPE(ndl_rope_avx512);
NDL_DECL_SWIGLU(ndl_swiglu_avx512);
NDL_DECL_GELU(ndl_gelu_avx512);
NDL_DECL_ADD(ndl_add_avx512);
NDL_DECL_BIAS(ndl_bias_avx512);
NDL_DECL_K_STORE(ndl_k_store_bf16_avx512, uint16_t);
NDL_DECL_V_STORE(ndl_v_store_bf16_avx512, uint16_t);
NDL_DECL_K_STORE(ndl_k_store_int8_avx512, int8_t);
NDL_DECL_V_STORE(ndl_v_store_int8_avx512, int8_t);
NDL_DECL_WIDEN(ndl_k_widen_avx512);
NDL_DECL_WIDEN(ndl_v_widen_avx512);
NDL_DECL_ATTEND(ndl_attend_f32_avx512, float);
NDL_DECL_ATTEND(ndl_attend_bf16_avx512, uint16_t);
NDL_DECL_ATTEND(ndl_attend_bf16_avx512bf16, uint16_t);
NDL_DECL_ATTEND_MERGE(ndl_attend_merge_avx512);
NDL_DECL_EXP(ndl_exp_avx512);

#endif /* NDL_VARIANTS_H */
