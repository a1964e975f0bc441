/*
 * block.c - one transformer block over the rows of a batch.
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += down(act(up(norm2(x))))
 *
 * The same graph serves every family: kinds of norm and MLP, biases and
 * rotation are switches of the model, not other code.
 */
#include "forward_parts.h"

typedef struct norm_job {
    ndl_forward *f;
    ndl_rows y, x;
    const float *gain, *bias;
    int rows;
} norm_job;

enum { NORM_ROWS = 8 }; /* rows of a task; a decode step stays on one thread */

static void norm_task(void *arg, int task, int thread)
{
    const norm_job *j = arg;
    const ndl_model *m = j->f->model;
    const int from = task * NORM_ROWS;
    const int n = j->rows - from < NORM_ROWS ? j->rows - from : NORM_ROWS;
    float *y = j->y.at + (size_t)from * j->y.ld;
    const float *x = j->x.at + (size_t)from * j->x.ld;
    (void)thread;
    if (m->norm == NDL_NORM_RMS)
        j->f->kernels->rmsnorm(y, j->y.ld, x, j->x.ld, j->gain, n, m->width,
                               m->norm_eps);
    else
        j->f->kernels->layernorm(y, j->y.ld, x, j->x.ld, j->gain, j->bias, n,
                                 m->width, m->norm_eps);
}

void ndl_norm_run(ndl_forward *f, ndl_rows y, ndl_rows x, const float *gain,
                  const float *bias, int rows)
{
    norm_job j = { f, y, x, gain, bias, rows };
    ndl_pool_run(f->pool, (rows + NORM_ROWS - 1) / NORM_ROWS, norm_task, &j);
}

/* v has a matrix of its own where it has another dtype than q and k: it writes
 * the columns behind theirs. */
static void project(ndl_forward *f, const ndl_layer *w, int rows)
{
    const ndl_product qkv = { .w = &w->qkv,
                              .bias = w->qkv_bias,
                              .x = f->norm,
                              .y = f->qkv,
                              .rows = rows };
    ndl_product_run(f, &qkv);
    if (!w->v.data) return;
    const ndl_product v = { .w = &w->v,
                            .bias =
                                w->qkv_bias ? w->qkv_bias + w->qkv.rows : NULL,
                            .x = f->norm,
                            .y = { f->qkv.at + w->qkv.rows, f->qkv.ld },
                            .rows = rows };
    ndl_product_run(f, &v);
}

static void mix_tokens(ndl_forward *f, const ndl_layer *w, int layer,
                       const ndl_span *spans, int n_spans, ndl_rows x, int rows)
{
    const ndl_model *m = f->model;
    ndl_norm_run(f, f->norm, x, w->norm1, w->norm1_bias, rows);
    project(f, w, rows);
    ndl_attention_run(f, layer, spans, n_spans, rows);
    const ndl_product out = { .w = &w->out,
                              .bias = w->out_bias,
                              .x = f->att,
                              .y = f->delta,
                              .rows = rows,
                              .epilogue = NDL_EPILOGUE_ADD,
                              .target = x,
                              .target_cols = m->width };
    ndl_product_run(f, &out);
}

static void mix_channels(ndl_forward *f, const ndl_layer *w, ndl_rows x,
                         int rows)
{
    const ndl_model *m = f->model;
    ndl_norm_run(f, f->norm, x, w->norm2, w->norm2_bias, rows);
    const ndl_product up = { .w = &w->up,
                             .bias = w->up_bias,
                             .x = f->norm,
                             .y = f->up,
                             .rows = rows,
                             .epilogue = m->mlp == NDL_MLP_SWIGLU
                                             ? NDL_EPILOGUE_SWIGLU
                                             : NDL_EPILOGUE_GELU,
                             .target = f->hidden,
                             .target_cols = m->ffn };
    ndl_product_run(f, &up);
    const ndl_product down = { .w = &w->down,
                               .bias = w->down_bias,
                               .x = f->hidden,
                               .y = f->delta,
                               .rows = rows,
                               .epilogue = NDL_EPILOGUE_ADD,
                               .target = x,
                               .target_cols = m->width };
    ndl_product_run(f, &down);
}

void ndl_block_run(ndl_forward *f, int layer, const ndl_span *spans,
                   int n_spans, int rows, float *x)
{
    const ndl_layer *w = ndl_weights_layer(f->weights, layer);
    const ndl_rows residual = { x, (size_t)f->model->width };
    mix_tokens(f, w, layer, spans, n_spans, residual, rows);
    mix_channels(f, w, residual, rows);
}
