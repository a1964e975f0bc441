/*
 * metrics.c - metrics.h: rows wait in memory until a flush or until their
 * buffer is full; the sums for /plan are kept as the steps come.
 */
#include "noodle/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics_parts.h"

/* Some hundred KiB in all, and at a thousand steps a second still a whole
 * second before HDF5 is asked between flushes. */
enum { ROWS_CAP = 2048 };

/* A table and the rows that it does not have yet. */
typedef struct journal {
    ndl_table *table;
    size_t row_bytes;
    char *rows; /* (ROWS_CAP) */
    int n;
} journal;

/* What the means of a stage are made of. */
typedef struct expectation {
    int64_t steps; /* with an expected time */
    double busy_sec, expected_sec;
} expectation;

struct ndl_metrics {
    ndl_store *store;
    journal steps, layers, requests, accounts;
    ndl_table *plan, *ranks;
    int n_stages;
    ndl_metrics_stage *stages; /* (n_stages): the rows of /plan */
    expectation *expectations; /* (n_stages) */
    double flushed_sec;
};

static ndl_status make_table(ndl_table **t, ndl_store *s,
                             const ndl_metrics_shape *shape)
{
    return ndl_table_make(t, s, shape->group, shape->columns, shape->n_columns,
                          shape->row_bytes);
}

static ndl_status make_journal(journal *j, ndl_store *s,
                               const ndl_metrics_shape *shape)
{
    j->row_bytes = shape->row_bytes;
    j->rows = malloc(ROWS_CAP * shape->row_bytes);
    if (!j->rows)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    return make_table(&j->table, s, shape);
}

static ndl_status write_journal(journal *j)
{
    const int n = j->n;
    j->n = 0; /* also where it fails: rows must not pile up */
    return ndl_table_append(j->table, j->rows, n);
}

static ndl_status append(journal *j, const void *rows, int n)
{
    const char *from = rows;
    while (n > 0) {
        const int room = ROWS_CAP - j->n, some = n < room ? n : room;
        memcpy(j->rows + (size_t)j->n * j->row_bytes, from,
               (size_t)some * j->row_bytes);
        j->n += some;
        from += (size_t)some * j->row_bytes;
        n -= some;
        if (j->n == ROWS_CAP) NDL_TRY(write_journal(j));
    }
    return NDL_OK;
}

static void free_journal(journal *j)
{
    ndl_table_close(&j->table);
    free(j->rows);
}

/* All but the file, which the caller has closed or still needs. */
static void free_metrics(ndl_metrics *m)
{
    free_journal(&m->steps);
    free_journal(&m->layers);
    free_journal(&m->requests);
    free_journal(&m->accounts);
    ndl_table_close(&m->plan);
    ndl_table_close(&m->ranks);
    free(m->stages);
    free(m->expectations);
}

static ndl_status make_tables(ndl_metrics *m, const ndl_metrics_setup *setup)
{
    ndl_store *s = m->store;
    NDL_TRY(make_journal(&m->steps, s, &ndl_metrics_steps_shape));
    NDL_TRY(make_journal(&m->layers, s, &ndl_metrics_layers_shape));
    NDL_TRY(make_journal(&m->requests, s, &ndl_metrics_requests_shape));
    NDL_TRY(make_journal(&m->accounts, s, &ndl_metrics_accounts_shape));
    NDL_TRY(make_table(&m->plan, s, &ndl_metrics_plan_shape));
    NDL_TRY(make_table(&m->ranks, s, &ndl_metrics_ranks_shape));
    NDL_TRY(ndl_table_append(m->plan, m->stages, m->n_stages));
    return ndl_table_append(m->ranks, setup->ranks, setup->n_ranks);
}

static ndl_status fill(ndl_metrics *m, const ndl_metrics_setup *setup)
{
    const size_t n = (size_t)setup->plan->n_stages;
    m->n_stages = setup->plan->n_stages;
    m->stages = calloc(n, sizeof *m->stages);
    m->expectations = calloc(n, sizeof *m->expectations);
    if (!m->stages || !m->expectations)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", setup->path);
    ndl_metrics_plan_rows(setup->plan, m->stages);
    NDL_TRY(make_tables(m, setup));
    NDL_TRY(ndl_metrics_put_facts(m->store, setup));
    return ndl_store_follow(m->store);
}

/* Say also how to run without: the numbers are not what the run is for. */
static ndl_status refuse(ndl_status st)
{
    char why[NDL_STATUS_MESSAGE_MAX];
    memcpy(why, ndl_status_message(), sizeof why - 1);
    why[sizeof why - 1] = '\0';
    ndl_status_clear();
    return NDL_FAIL(st, "%s, or run with --metrics off", why);
}

ndl_status ndl_metrics_create(ndl_metrics **out, const ndl_metrics_setup *setup)
{
    ndl_metrics *m = calloc(1, sizeof *m);
    if (!m) return NDL_FAIL(NDL_EOS, "%s: out of memory", setup->path);
    m->flushed_sec = -INFINITY;
    ndl_status st = ndl_store_create_live(&m->store, setup->path);
    if (st == NDL_OK) st = fill(m, setup);
    if (st == NDL_OK) {
        *out = m;
        return NDL_OK;
    }
    free_metrics(m);
    ndl_store_close(&m->store);
    free(m);
    return refuse(st);
}

static void add_step(ndl_metrics *m, const ndl_metrics_step *s)
{
    NDL_ASSERT(s->stage >= 1 && s->stage <= m->n_stages);
    ndl_metrics_stage *sum = &m->stages[s->stage - 1];
    expectation *e = &m->expectations[s->stage - 1];
    sum->steps++;
    sum->rows += s->rows;
    sum->receive_sec += s->receive_sec;
    sum->busy_sec += s->busy_sec;
    sum->send_sec += s->send_sec;
    sum->bubble_sec += s->bubble_sec;
    sum->other_sec += s->other_sec;
    if (s->expected_sec > 0) {
        e->steps++;
        e->busy_sec += s->busy_sec;
        e->expected_sec += s->expected_sec;
    }
}

ndl_status ndl_metrics_steps(ndl_metrics *m, const ndl_metrics_step *rows,
                             int n)
{
    for (int i = 0; i < n; i++) add_step(m, &rows[i]);
    return append(&m->steps, rows, n);
}

ndl_status ndl_metrics_layers(ndl_metrics *m, const ndl_metrics_layer *rows,
                              int n)
{
    return append(&m->layers, rows, n);
}

ndl_status ndl_metrics_account_for(ndl_metrics *m,
                                   const ndl_metrics_account *row)
{
    return append(&m->accounts, row, 1);
}

ndl_status ndl_metrics_finish(ndl_metrics *m, const ndl_metrics_request *row)
{
    return append(&m->requests, row, 1);
}

static ndl_status flush(ndl_metrics *m)
{
    NDL_TRY(write_journal(&m->steps));
    NDL_TRY(write_journal(&m->layers));
    NDL_TRY(write_journal(&m->requests));
    NDL_TRY(write_journal(&m->accounts));
    return ndl_store_flush(m->store);
}

ndl_status ndl_metrics_flush(ndl_metrics *m, double now, double every_sec)
{
    if (now - m->flushed_sec < every_sec) return NDL_OK;
    m->flushed_sec = now;
    return flush(m);
}

static void take_means(ndl_metrics *m)
{
    for (int i = 0; i < m->n_stages; i++) {
        ndl_metrics_stage *s = &m->stages[i];
        const expectation *e = &m->expectations[i];
        if (s->steps > 0) s->step_busy_sec = s->busy_sec / (double)s->steps;
        if (e->steps == 0) continue;
        s->step_expected_sec = e->expected_sec / (double)e->steps;
        s->ratio = e->busy_sec / e->expected_sec;
    }
}

static ndl_status finish(ndl_metrics *m)
{
    take_means(m);
    NDL_TRY(flush(m));
    NDL_TRY(ndl_table_put(m->plan, 0, m->n_stages, m->stages));
    return ndl_store_flush(m->store);
}

ndl_status ndl_metrics_close(ndl_metrics **m)
{
    ndl_metrics *x = *m;
    if (!x) return NDL_OK;
    const ndl_status st = finish(x);
    free_metrics(x);
    const ndl_status closed = ndl_store_commit(&x->store);
    free(x);
    *m = NULL;
    return st != NDL_OK ? st : closed;
}
