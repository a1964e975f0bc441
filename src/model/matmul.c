/*
 * matmul.c - a matrix product as tasks for the pool.
 *
 * A task is a range of panels with all rows: output lanes are independent, so
 * the result does not depend on the ranges.  What follows on the same columns
 * (bias, activation, residual) is done by the thread that has them in cache,
 * which saves a pass and a barrier.
 */
#include "forward_parts.h"
#include "operand.h"

typedef struct job {
    ndl_forward *f;
    const ndl_product *p;
    ndl_operand x;
    int panels, per_task;
} job;

/* Values of a row with its padding. */
static size_t padded_cols(const ndl_matrix *w)
{
    const size_t k = (size_t)w->cols;
    const size_t block = w->block > 0           ? (size_t)w->block
                         : w->dtype == NDL_BF16 ? 2
                                                : 1;
    return (k + block - 1) / block * block;
}

static size_t panel_bytes(const ndl_matrix *w)
{
    static const size_t half_bytes[NDL_N_DTYPES] = {
        [NDL_F32] = 8, [NDL_BF16] = 4, [NDL_INT8] = 2, [NDL_INT4] = 1
    };
    return padded_cols(w) * NDL_PANEL * half_bytes[w->dtype] / 2;
}

static size_t panel_scales(const ndl_matrix *w)
{
    return w->block > 0 ? padded_cols(w) / (size_t)w->block * NDL_PANEL : 0;
}

static void multiply(const job *j, int first, int n)
{
    const ndl_product *p = j->p;
    const ndl_kernels *k = j->f->kernels;
    const ndl_operand *x = &j->x;
    const void *w =
        (const unsigned char *)p->w->data + (size_t)first * panel_bytes(p->w);
    const uint16_t *scales = p->w->scales;
    float *y = p->y.at + (size_t)first * NDL_PANEL;
    if (scales) scales += (size_t)first * panel_scales(p->w);
    switch (p->w->dtype) {
    case NDL_INT8:
        k->matmul_int8(y, p->y.ld, x->at, x->ld, w, scales, p->rows, n,
                       p->w->cols, p->w->block);
        break;
    case NDL_INT4:
        k->matmul_int4(y, p->y.ld, x->at, x->ld, w, scales, p->rows, n,
                       p->w->cols, p->w->block);
        break;
    case NDL_BF16:
        if (x->kind == NDL_OPERAND_BF16)
            k->matmul_dp16(y, p->y.ld, x->at, x->ld, w, p->rows, n, p->w->cols);
        else
            k->matmul_bf16(y, p->y.ld, x->at, x->ld, w, p->rows, n, p->w->cols);
        break;
    default:
        k->matmul_f32(y, p->y.ld, x->at, x->ld, w, p->rows, n, p->w->cols);
        break;
    }
}

/* Columns first .. first + n - 1 of the epilogue's target, cut at its end. */
static int cut(int first, int n, int all)
{
    return first >= all ? 0 : first + n <= all ? n : all - first;
}

static void finish(const job *j, int first, int n)
{
    const ndl_product *p = j->p;
    const ndl_kernels *k = j->f->kernels;
    const int col = first * NDL_PANEL, cols = n * NDL_PANEL;
    float *y = p->y.at + col;
    if (p->bias)
        k->bias(y, p->y.ld, p->bias + col, p->rows, cut(col, cols, p->w->rows));
    switch (p->epilogue) {
    case NDL_EPILOGUE_NONE: break;
    case NDL_EPILOGUE_ADD:
        k->add(p->target.at + col, p->target.ld, y, p->y.ld, p->rows,
               cut(col, cols, p->target_cols));
        break;
    case NDL_EPILOGUE_GELU:
        k->gelu(p->target.at + col, p->target.ld, y, p->y.ld, p->rows,
                cut(col, cols, p->target_cols));
        break;
    case NDL_EPILOGUE_SWIGLU: /* two panels in, one out */
        k->swiglu(p->target.at + col / 2, p->target.ld, y, p->y.ld, p->rows,
                  cut(col / 2, cols / 2, p->target_cols));
        break;
    }
}

static void run_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const int first = task * j->per_task;
    const int left = j->panels - first;
    const int n = left < j->per_task ? left : j->per_task;
    (void)thread;
    if (n <= 0) return;
    multiply(j, first, n);
    finish(j, first, n);
}

/*
 * Panels of a task: about 0.25 ms of work, so that the progress hook comes in
 * time and a preempted thread delays the rest little, but a whole number of
 * tasks for each thread.  The rates are orders of magnitude for one core
 * (KERNELS: 118 GFLOP/s peak, 27 GB/s read); only the task size depends on
 * them.
 */
static int panels_per_task(const ndl_product *p, int panels, int threads)
{
    static const double flop_per_sec[NDL_N_DTYPES] = { [NDL_F32] = 60e9,
                                                       [NDL_BF16] = 100e9,
                                                       [NDL_INT8] = 200e9,
                                                       [NDL_INT4] = 200e9 };
    const double flop = 2.0 * NDL_PANEL * (double)p->rows * (double)p->w->cols;
    const double compute = flop / flop_per_sec[p->w->dtype];
    const double stream = (double)panel_bytes(p->w) / 20e9;
    const double sec = compute > stream ? compute : stream;
    int tasks = (int)(sec * panels / 0.25e-3) + 1;
    tasks = (tasks + threads - 1) / threads * threads;
    int per_task = (panels + tasks - 1) / tasks;
    if (p->epilogue == NDL_EPILOGUE_SWIGLU && per_task % 2) per_task++;
    return per_task;
}

void ndl_product_run(ndl_forward *f, const ndl_product *p)
{
    job j = { f, p, ndl_operand_prepare(f, p),
              (p->w->rows + NDL_PANEL - 1) / NDL_PANEL, 0 };
    j.per_task = panels_per_task(p, j.panels, ndl_pool_size(f->pool));
    ndl_pool_run(f->pool, (j.panels + j.per_task - 1) / j.per_task, run_task,
                 &j);
}
