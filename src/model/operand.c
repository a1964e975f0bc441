/* operand.c - see operand.h: rows are prepared once for all products that read
 * them, and not once a panel. */
#include "operand.h"

enum { LINE = 64, LEAST_BLOCK = 32 };

/*
 * A pass over f32 rows (a norm, a quantisation) runs at 10 to 20 GB/s on one
 * core, and a join of the threads takes about 1 us, more when one sleeps.  Up
 * to 32 KB, then, two threads would save no more than the join costs: the
 * caller does it.  What counts is bytes and not rows: one row of a wide model
 * is as much as ten of a narrow one.  A task of more work than that is half as
 * long, so that all threads have some.
 */
enum { INLINE_BYTES = 32 << 10, TASK_BYTES = INLINE_BYTES / 2 };

/* How rows lie for a matrix. */
typedef struct form {
    ndl_operand_kind kind;
    int block, zero; /* of a quantised one */
    size_t row_bytes;
    unsigned char *to;
} form;

typedef struct job {
    ndl_forward *f;
    const ndl_reading *r;
    form forms[NDL_MOST_READERS]; /* all different; none of them f32 */
    int n_forms;
    int cols, per_task;
    bool keeps_norm; /* a matrix reads it as it is */
} job;

static ndl_operand_kind kind_of(const ndl_kernels *k, const ndl_matrix *w)
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

static size_t rounded_bytes(size_t k)
{
    return padded((k + 1) / 2 * 2 * sizeof(uint16_t));
}

static size_t longest_form(size_t k)
{
    const size_t quantised = padded(ndl_rows8_bytes((int)k, LEAST_BLOCK));
    const size_t longer = padded(ndl_rows8_bytes((int)k, 2 * LEAST_BLOCK));
    const size_t rounded = rounded_bytes(k);
    const size_t row = quantised > longer ? quantised : longer;
    return rounded > row ? rounded : row;
}

/* The rows that two matrices may read in two forms are those of the width. */
size_t ndl_operand_bytes(const ndl_model *m, size_t rows)
{
    const size_t heads = (size_t)m->n_heads * (size_t)m->head_dim;
    const size_t k = (size_t)m->ffn > heads ? (size_t)m->ffn : heads;
    const size_t two = NDL_MOST_READERS * longest_form((size_t)m->width);
    const size_t one = longest_form(k);
    return rows * (one > two ? one : two);
}

static form form_of(const ndl_kernels *k, const ndl_matrix *w)
{
    form a = { .kind = kind_of(k, w) };
    if (a.kind == NDL_OPERAND_INT8) {
        a.block = w->block;
        a.zero = w->dtype == NDL_INT8 ? 128 : 8;
        a.row_bytes = padded(ndl_rows8_bytes(w->cols, w->block));
    } else if (a.kind == NDL_OPERAND_BF16) {
        a.row_bytes = rounded_bytes((size_t)w->cols);
    }
    return a;
}

static void normalise(const job *j, float *y, const float *x)
{
    const ndl_model *m = j->f->model;
    const ndl_kernels *k = j->f->kernels;
    const size_t ld = (size_t)m->width;
    if (m->norm == NDL_NORM_RMS)
        k->rmsnorm(y, ld, x, ld, j->r->gain, 1, m->width, m->norm_eps);
    else
        k->layernorm(y, ld, x, ld, j->r->gain, j->r->bias, 1, m->width,
                     m->norm_eps);
}

static void write_form(const job *j, const form *a, int t, const float *x)
{
    const ndl_kernels *k = j->f->kernels;
    const size_t ld = (size_t)j->cols;
    unsigned char *to = a->to + (size_t)t * a->row_bytes;
    if (a->kind == NDL_OPERAND_INT8)
        k->rows8(to, a->row_bytes, x, ld, 1, j->cols, a->block, a->zero);
    else
        k->rows16((uint16_t *)(void *)to, a->row_bytes / sizeof(uint16_t), x,
                  ld, 1, j->cols);
}

/* A norm that nobody reads later goes to one row of the task's, which stays in
 * cache, and not to as many. */
static void prepare_task(void *arg, int task, int thread)
{
    const job *j = arg;
    const ndl_rows norm = j->f->norm;
    const int from = task * j->per_task;
    int end = from + j->per_task;
    (void)thread;
    if (end > j->r->rows) end = j->r->rows;
    for (int t = from; t < end; t++) {
        const float *x = j->r->x.at + (size_t)t * j->r->x.ld;
        if (j->r->gain) {
            float *y = norm.at + (size_t)(j->keeps_norm ? t : from) * norm.ld;
            normalise(j, y, x);
            x = y;
        }
        for (int i = 0; i < j->n_forms; i++) write_form(j, &j->forms[i], t, x);
    }
}

/* The form of a matrix among those of the job, where it is added if need be. */
static const form *add_form(job *j, form a)
{
    unsigned char *to = j->f->operand;
    for (int i = 0; i < j->n_forms; i++) {
        const form *b = &j->forms[i];
        if (a.kind == b->kind && a.block == b->block && a.zero == b->zero)
            return b;
        to += (size_t)j->r->rows * b->row_bytes;
    }
    a.to = to;
    j->forms[j->n_forms] = a;
    return &j->forms[j->n_forms++];
}

static ndl_operand operand_of(job *j, const ndl_matrix *w)
{
    const form a = form_of(j->f->kernels, w);
    if (a.kind == NDL_OPERAND_F32) {
        const ndl_rows x = j->r->gain ? j->f->norm : j->r->x;
        j->keeps_norm = true;
        return (ndl_operand){ a.kind, x.at, x.ld };
    }
    const size_t ld = a.kind == NDL_OPERAND_INT8
                          ? a.row_bytes
                          : a.row_bytes / sizeof(uint16_t);
    return (ndl_operand){ a.kind, add_form(j, a)->to, ld };
}

void ndl_operand_prepare(ndl_forward *f, const ndl_reading *r, ndl_operand *out)
{
    job j = { .f = f, .r = r, .cols = r->by[0]->cols };
    for (int i = 0; i < NDL_MOST_READERS && r->by[i]; i++) {
        NDL_ASSERT(r->by[i]->cols == j.cols);
        out[i] = operand_of(&j, r->by[i]);
    }
    const int passes = j.n_forms + (r->gain ? 1 : 0);
    if (passes == 0 || r->rows == 0) return;
    const size_t row = (size_t)j.cols * sizeof(float) * (size_t)passes;
    j.per_task = row < TASK_BYTES ? (int)(TASK_BYTES / row) : 1;
    if ((size_t)r->rows * row <= INLINE_BYTES) j.per_task = r->rows;
    ndl_pool_run(f->pool, (r->rows + j.per_task - 1) / j.per_task, prepare_task,
                 &j);
}
