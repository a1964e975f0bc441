/*
 * operand.h - activations as the kernels of a dtype take them.  Private to
 * src/model.
 *
 * f32 weights meet f32 rows as they are; so do bf16 weights where the
 * processor has no bf16 arithmetic.  Else the rows are rounded to bf16 first,
 * or quantised in the blocks of the weights.
 */
#ifndef NDL_OPERAND_H
#define NDL_OPERAND_H

#include "forward_parts.h"

typedef enum ndl_operand_kind {
    NDL_OPERAND_F32,
    NDL_OPERAND_BF16,
    NDL_OPERAND_INT8
} ndl_operand_kind;

/* Rows of one product. */
typedef struct ndl_operand {
    ndl_operand_kind kind;
    const void *at;
    size_t ld; /* floats, cells or bytes, as the kernels have it */
} ndl_operand;

ndl_operand_kind ndl_operand_kind_of(const ndl_kernels *k, const ndl_matrix *w);

/** Bytes that prepare() may need for `rows` rows of up to k values. */
size_t ndl_operand_bytes(size_t rows, size_t k);

/** Make the operand of product p: its rows themselves, or prepared ones in
 * f->operand, with all threads. */
ndl_operand ndl_operand_prepare(ndl_forward *f, const ndl_product *p);

#endif /* NDL_OPERAND_H */
