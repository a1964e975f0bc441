/* operand.c - see operand.h: rows are prepared once a product, by all threads,
 * and not once a panel. */
#include "operand.h"

enum {
    LINE = 64,
    ROWS_PER_TASK = 4, /* some microseconds: a decode step is one task */
    LEAST_BLOCK = 32
};

typedef struct job {
    ndl_forward *f;
    const ndl_product *p;
    ndl_operand_kind kind;
    size_t row_bytes;
} job;

ndl_operand_kind ndl_operand_kind_of(const ndl_kernels *k, const ndl_matrix *w)
{
    switch (w->dtype) {
    case NDL_INT8:
    case NDL_INT4: return NDL_OPERAND_INT8;
    case NDL_BF16: return k->matmul_dp16 ? NDL_OPERAND_BF16 : NDL_OPERAND_F32;
    default: return NDL_OPERAND_F32;
    }
}

/* Whole lines, and not whole pages: rows would share cache sets. */
static size_t padded(size_t bytes)
{
    const size_t whole = (bytes + LINE - 1) / LINE * LINE;
    return whole % 4096 == 0 ? whole + LINE : whole;
}

static size_t row_bytes(ndl_operand_kind kind, const ndl_matrix *w)
{
    if (kind == NDL_OPERAND_INT8)
        return padded(ndl_rows8_bytes(w->cols, w->block));
    return padded(((size_t)w->cols + 1) / 2 * 2 * sizeof(uint16_t));
}

size_t ndl_operand_bytes(size_t rows, size_t k)
{
    const size_t quantised = padded(ndl_rows8_bytes((int)k, LEAST_BLOCK));
    const size_t longer = padded(ndl_rows8_bytes((int)k, 2 * LEAST_BLOCK));
    const size_t rounded = padded((k + 1) / 2 * 2 * sizeof(uint16_t));
    size_t row = quantised > longer ? quantised : longer;
    if (rounded > row) row = rounded;
    return rows * row;
}

static void prepare_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const ndl_product *p = j->p;
    const ndl_kernels *k = j->f->kernels;
    const int from = task * ROWS_PER_TASK, left = p->rows - from;
    const int n = left < ROWS_PER_TASK ? left : ROWS_PER_TASK;
    unsigned char *to = (unsigned char *)j->f->operand;
    const float *x = p->x.at + (size_t)from * p->x.ld;
    (void)thread;
    to += (size_t)from * j->row_bytes;
    if (j->kind == NDL_OPERAND_INT8)
        k->rows8(to, j->row_bytes, x, p->x.ld, n, p->w->cols, p->w->block,
                 p->w->dtype == NDL_INT8 ? 128 : 8);
    else
        k->rows16((uint16_t *)(void *)to, j->row_bytes / sizeof(uint16_t), x,
                  p->x.ld, n, p->w->cols);
}

ndl_operand ndl_operand_prepare(ndl_forward *f, const ndl_product *p)
{
    job j = { f, p, ndl_operand_kind_of(f->kernels, p->w), 0 };
    if (j.kind == NDL_OPERAND_F32)
        return (ndl_operand){ j.kind, p->x.at, p->x.ld };
    j.row_bytes = row_bytes(j.kind, p->w);
    ndl_pool_run(f->pool, (p->rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK,
                 prepare_task, &j);
    return (ndl_operand){ j.kind, f->operand,
                          j.kind == NDL_OPERAND_INT8
                              ? j.row_bytes
                              : j.row_bytes / sizeof(uint16_t) };
}
