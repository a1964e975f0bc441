/*
 * operand.h - activations as the kernels of a dtype take them.  Private to
 * src/model.
 *
 * f32 weights meet f32 rows as they are; so do bf16 weights where the
 * processor has no bf16 arithmetic.  Else the rows are rounded to bf16 first,
 * or quantised in the blocks of the weights.  A norm that comes before is part
 * of the same pass: a row is prepared while it is in the nearest cache.
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

enum { NDL_MOST_READERS = 2 };

/* Rows, and the matrices that read them. */
typedef struct ndl_reading {
    ndl_rows x;
    const float *gain, *bias; /* of the norm before; gain NULL: none */
    int rows;
    const ndl_matrix *by[NDL_MOST_READERS]; /* with as many columns; from the
                                               first NULL on: no more */
} ndl_reading;

/** Bytes that prepare() may need for `rows` rows of a model. */
size_t ndl_operand_bytes(const ndl_model *m, size_t rows);

/**
 * Norm rows and make the operand of each matrix that reads them, with all
 * threads.  Rows that are read as f32 after a norm are in f->norm, prepared
 * ones in f->operand: until the next call.
 * @param[out] out  as many as there are matrices.
 */
void ndl_operand_prepare(ndl_forward *f, const ndl_reading *r,
                         ndl_operand *out);

#endif /* NDL_OPERAND_H */
