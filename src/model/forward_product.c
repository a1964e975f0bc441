/* forward_product.c - one large product alone: what the weights' dtype reaches
 * here when nothing else is in the way. */
#include "matmul.h"

double ndl_forward_product(ndl_forward *f, int rows)
{
    NDL_ASSERT(rows >= 1 && rows <= f->limits.max_rows);
    if (f->part.n_layers == 0) return 0.0;
    const ndl_layer *w = ndl_weights_layer(f->weights, f->part.first_layer);
    /* Whatever the rows hold: the last step's, or zeros. */
    const ndl_reading plain = { .x = f->norm, .rows = rows, .by = { &w->up } };
    ndl_product up = { .w = &w->up, .y = f->up, .rows = rows };
    ndl_operand_prepare(f, &plain, &up.x);
    ndl_product_run(f, &up, 1);
    return 2.0 * rows * (double)w->up.rows * (double)w->up.cols;
}
