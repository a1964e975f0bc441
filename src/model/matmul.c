/*
 * matmul.c - matrix products as tasks for the pool.
 *
 * A task is a range of panels with all rows: output lanes are independent, so
 * the result does not depend on the ranges.  What follows on the same columns
 * (bias, activation, residual) is done by the thread that has them in cache,
 * which saves a pass and a barrier.
 */
#include "matmul.h"

/* A product as tasks. */
typedef struct share {
    int panels, per_task, n_tasks;
} share;

typedef struct job {
    const ndl_forward *f;
    const ndl_product *products;
    share shares[NDL_MOST_PRODUCTS];
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

static void multiply(const ndl_kernels *k, const ndl_product *p, int first,
                     int n)
{
    const ndl_operand *x = &p->x;
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

static void finish(const ndl_kernels *k, const ndl_product *p, int first, int n)
{
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

void ndl_product_panels(const ndl_forward *f, const ndl_product *p, int first,
                        int n)
{
    if (n <= 0) return;
    multiply(f->kernels, p, first, n);
    finish(f->kernels, p, first, n);
}

static void run_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const ndl_product *p = j->products;
    const share *s = j->shares;
    (void)thread;
    for (; task >= s->n_tasks; s++, p++) task -= s->n_tasks;
    const int first = task * s->per_task, left = s->panels - first;
    ndl_product_panels(j->f, p, first, left < s->per_task ? left : s->per_task);
}

/* The rates are orders of magnitude for one core (KERNELS: 118 GFLOP/s peak,
 * 27 GB/s read); only the sizes of tasks depend on them. */
double ndl_product_panel_sec(const ndl_product *p)
{
    static const double flop_per_sec[NDL_N_DTYPES] = { [NDL_F32] = 60e9,
                                                       [NDL_BF16] = 100e9,
                                                       [NDL_INT8] = 200e9,
                                                       [NDL_INT4] = 200e9 };
    const double flop = 2.0 * NDL_PANEL * (double)p->rows * (double)p->w->cols;
    const double compute = flop / flop_per_sec[p->w->dtype];
    const double stream = (double)panel_bytes(p->w) / 20e9;
    return compute > stream ? compute : stream;
}

/*
 * Panels of a task: about 0.25 ms of work, so that the progress hook comes in
 * time and a preempted thread delays the rest little, but a whole number of
 * tasks for each thread.
 */
static share share_of(const ndl_product *p, int threads)
{
    share s = { .panels = (p->w->rows + NDL_PANEL - 1) / NDL_PANEL };
    int tasks = (int)(ndl_product_panel_sec(p) * s.panels / 0.25e-3) + 1;
    tasks = (tasks + threads - 1) / threads * threads;
    s.per_task = (s.panels + tasks - 1) / tasks;
    if (p->epilogue == NDL_EPILOGUE_SWIGLU && s.per_task % 2) s.per_task++;
    s.n_tasks = (s.panels + s.per_task - 1) / s.per_task;
    return s;
}

void ndl_product_run(ndl_forward *f, const ndl_product *p, int n)
{
    job j = { .f = f, .products = p };
    int n_tasks = 0;
    NDL_ASSERT(n <= NDL_MOST_PRODUCTS);
    for (int i = 0; i < n; i++) {
        j.shares[i] = share_of(&p[i], ndl_pool_size(f->pool));
        n_tasks += j.shares[i].n_tasks;
    }
    ndl_pool_run(f->pool, n_tasks, run_task, &j);
}
