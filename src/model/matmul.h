/*
 * matmul.h - matrix products over prepared rows.  Private to src/model.
 */
#ifndef NDL_MATMUL_H
#define NDL_MATMUL_H

#include "operand.h"

/* What follows a product on the same columns. */
typedef enum ndl_epilogue {
    NDL_EPILOGUE_NONE,
    NDL_EPILOGUE_ADD,    /* residual += y                     */
    NDL_EPILOGUE_SWIGLU, /* hidden = silu(gate) * up          */
    NDL_EPILOGUE_GELU    /* hidden = gelu(y)                  */
} ndl_epilogue;

/* y = x W^T (+ bias). */
typedef struct ndl_product {
    const ndl_matrix *w;
    const float *bias; /* as the rows of w, or NULL */
    ndl_operand x;
    ndl_rows y; /* has room for whole panels */
    int rows;
    ndl_epilogue epilogue;
    ndl_rows target; /* of the epilogue */
    int target_cols;
} ndl_product;

enum { NDL_MOST_PRODUCTS = 2 };

/** Compute n products side by side with all threads; whole panels of none
 * overlap another's. */
void ndl_product_run(ndl_forward *f, const ndl_product *p, int n);

/** Compute panels first .. first + n - 1 in the calling thread. */
void ndl_product_panels(const ndl_forward *f, const ndl_product *p, int first,
                        int n);

/** About how long one core takes for a panel. */
double ndl_product_panel_sec(const ndl_product *p);

#endif /* NDL_MATMUL_H */
