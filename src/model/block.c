/*
 * block.c - one transformer block over the rows of a batch.
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += down(act(up(norm2(x))))
 *
 * The same graph serves every family: kinds of norm and MLP, biases and
 * rotation are switches of the model, not other code.
 */
#include "attention.h"

/* v has a matrix of its own where it has another dtype than q and k: it writes
 * the panels behind theirs. */
static int list_qkv(const ndl_forward *f, const ndl_layer *w, int rows,
                    ndl_product p[2])
{
    const int qk = w->qkv.rows;
    const int v_at = (qk + NDL_PANEL - 1) / NDL_PANEL * NDL_PANEL;
    p[0] = (ndl_product){
        .w = &w->qkv, .bias = w->qkv_bias, .y = f->qkv, .rows = rows
    };
    if (!w->v.data) return 1;
    p[1] = (ndl_product){ .w = &w->v,
                          .bias = w->qkv_bias ? w->qkv_bias + qk : NULL,
                          .y = { f->qkv.at + v_at, f->qkv.ld },
                          .rows = rows };
    return 2;
}

/* q, k and v of the normed rows, and their attention. */
static void attend(ndl_forward *f, const ndl_layer *w, ndl_attention *a,
                   ndl_rows x)
{
    ndl_product qkv[2];
    ndl_operand operands[2];
    a->qkv = qkv;
    a->n_qkv = list_qkv(f, w, a->rows, qkv);
    const ndl_reading normed = { .x = x,
                                 .gain = w->norm1,
                                 .bias = w->norm1_bias,
                                 .rows = a->rows,
                                 .by = { &w->qkv,
                                         a->n_qkv > 1 ? &w->v : NULL } };
    ndl_operand_prepare(f, &normed, operands);
    for (int i = 0; i < a->n_qkv; i++) qkv[i].x = operands[i];
    ndl_attention_run(f, a);
}

/* x += the product `what` of `from`. */
static void add_product(ndl_forward *f, ndl_product what, ndl_rows from,
                        ndl_rows x)
{
    const ndl_reading plain = { .x = from,
                                .rows = what.rows,
                                .by = { what.w } };
    what.y = f->delta;
    what.epilogue = NDL_EPILOGUE_ADD;
    what.target = x;
    what.target_cols = f->model->width;
    ndl_operand_prepare(f, &plain, &what.x);
    ndl_product_run(f, &what, 1);
}

static void activate(ndl_forward *f, const ndl_layer *w, ndl_rows x, int rows)
{
    const ndl_model *m = f->model;
    const ndl_reading normed = { .x = x,
                                 .gain = w->norm2,
                                 .bias = w->norm2_bias,
                                 .rows = rows,
                                 .by = { &w->up } };
    ndl_product up = { .w = &w->up,
                       .bias = w->up_bias,
                       .y = f->up,
                       .rows = rows,
                       .epilogue = m->mlp == NDL_MLP_SWIGLU
                                       ? NDL_EPILOGUE_SWIGLU
                                       : NDL_EPILOGUE_GELU,
                       .target = f->hidden,
                       .target_cols = m->ffn };
    ndl_operand_prepare(f, &normed, &up.x);
    ndl_product_run(f, &up, 1);
}

void ndl_block_run(ndl_forward *f, int layer, const ndl_span *spans,
                   int n_spans, int rows, float *x)
{
    const ndl_layer *w = ndl_weights_layer(f->weights, layer);
    const ndl_rows residual = { x, (size_t)f->model->width };
    ndl_attention a = {
        .layer = layer, .spans = spans, .n_spans = n_spans, .rows = rows
    };
    attend(f, w, &a, residual);
    const ndl_product out = { .w = &w->out, .bias = w->out_bias, .rows = rows };
    add_product(f, out, f->att, residual);
    activate(f, w, residual, rows);
    const ndl_product down = { .w = &w->down,
                               .bias = w->down_bias,
                               .rows = rows };
    add_product(f, down, f->hidden, residual);
}
