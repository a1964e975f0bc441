/* forward_product.c - one large product alone: what the weights' dtype reaches
 * here when nothing else is in the way. */
#include "forward_parts.h"

double ndl_forward_product(ndl_forward *f, int rows)
{
    NDL_ASSERT(rows >= 1 && rows <= f->limits.max_rows);
    if (f->part.n_layers == 0) return 0.0;
    const ndl_layer *w = ndl_weights_layer(f->weights, f->part.first_layer);
    /* Whatever the rows hold: the last step's, or zeros. */
    const ndl_product up = {
        .w = &w->up, .x = f->norm, .y = f->up, .rows = rows
    };
    ndl_product_run(f, &up);
    return 2.0 * rows * (double)w->up.rows * (double)w->up.cols;
}
