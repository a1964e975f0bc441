/*
 * cmd_plan.c - noodle-mpi plan: which nodes would host which layers, how fast
 * that would be, and what would help.  Nothing is run and no weights are
 * needed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"
#include "output.h"
#include "plan_question.h"

enum { DEFAULT_COLUMNS = 100 };

static int terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

/* "70.55 G" */
static const char *params_text(int64_t n, char buf[32])
{
    const bool giga = n >= 1000000000;
    snprintf(buf, 32, "%.2f %c", (double)n * (giga ? 1e-9 : 1e-6),
             giga ? 'G' : 'M');
    return buf;
}

static void print_question(const ndl_plan_question *q, FILE *out)
{
    char kv[32], params[32], dtype[NDL_MIX_TEXT], types[NDL_KV_TYPES_TEXT];
    const ndl_plan_costs *c = &q->costs;
    ndl_mix_write(q->mix, dtype);
    ndl_kv_types_write(q->kv_types, types);
    fprintf(
        out,
        "%s of %d blocks, %s parameters in %s, KV cache of %s in %s for %d "
        "sequences of %d tokens\n%d nodes (%s)\n\n",
        q->model.arch, q->model.n_layers,
        params_text(ndl_model_params(&q->model), params), dtype,
        ndl_plan_bytes_text((uint64_t)c->n_blocks * c->kv_bytes, kv, sizeof kv),
        types, q->n_slots, q->context, ndl_cluster_size(&q->cluster),
        q->cluster.source);
}

/* The page is made in memory, so that a failed write is found once.
 * @param q  NULL: the plan comes from a file. */
static void write_page(const ndl_plan_question *q, const ndl_plan *p, FILE *out)
{
    if (q) print_question(q, out);
    ndl_plan_draw(p, out, terminal_columns());
    fputc('\n', out);
    ndl_plan_print(p, out);
}

static bool write_json(const ndl_plan *p, FILE *out)
{
    json_t *j = ndl_plan_json(p);
    const bool ok = j && json_dumpf(j, out, JSON_INDENT(1)) == 0;
    fputc('\n', out);
    json_decref(j);
    return ok;
}

static ndl_status print(const ndl_options *o, const ndl_plan_question *q,
                        const ndl_plan *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out) return NDL_FAIL(NDL_EOS, "out of memory");
    bool ok = true;
    if (o->json)
        ok = write_json(p, out);
    else
        write_page(q, p, out);
    if (fclose(out) != 0) ok = false;
    const ndl_status st =
        ok ? ndl_output_text(text) : NDL_FAIL(NDL_EOS, "out of memory");
    free(text);
    return st;
}

static ndl_status solve(ndl_plan *out, const ndl_plan_question *q)
{
    return ndl_strategy_plan(out, &q->wishes.setup, &q->costs, &q->cluster,
                             &q->workload,
                             q->n_smaller > 0 ? &q->smaller[0].next : NULL);
}

static ndl_status answer(const ndl_options *o, const ndl_plan_question *q,
                         ndl_plan *p)
{
    NDL_TRY(solve(p, q));
    if (o->out) NDL_TRY(ndl_plan_save(p, o->out));
    return print(o, q, p);
}

static ndl_status show(const ndl_options *o, ndl_plan *p)
{
    NDL_TRY(ndl_plan_load(p, o->read));
    return print(o, NULL, p);
}

ndl_status ndl_cmd_plan(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    ndl_plan plan = { 0 };
    ndl_status st;
    if (o->read) {
        st = show(o, &plan);
    } else {
        ndl_plan_question *q = calloc(1, sizeof *q);
        if (!q) return NDL_FAIL(NDL_EOS, "out of memory");
        st = ndl_plan_question_read(q, o);
        if (st == NDL_OK) st = answer(o, q, &plan);
        ndl_plan_question_fini(q);
        free(q);
    }
    ndl_plan_fini(&plan);
    return st;
}
