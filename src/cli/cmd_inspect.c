/* cmd_inspect.c - noodle-mpi inspect FILE: what a weights file holds. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "noodle/plan.h"
#include "noodle/weights.h"
#include "output.h"

/* The page is made in memory, so that a failed write is found once. */
typedef struct page {
    ndl_store *store;
    FILE *out;
} page;

static char *text_or_empty(ndl_store *s, const char *object, const char *name)
{
    char *text = NULL;
    if (!ndl_store_has_attr(s, object, name)) return strdup("");
    if (ndl_store_get_text(s, object, name, &text) == NDL_OK) return text;
    ndl_status_clear();
    return strdup("?");
}

static void print_attribute(page *p, const char *label, const char *name)
{
    char *text = text_or_empty(p->store, "/", name);
    if (text && text[0]) fprintf(p->out, "%-12s %s\n", label, text);
    free(text);
}

static const char *type_name(ndl_store_type t)
{
    switch (t) {
    case NDL_STORE_F32: return "f32";
    case NDL_STORE_BF16: return "bf16";
    case NDL_STORE_U8: return "u8";
    case NDL_STORE_U16: return "u16";
    case NDL_STORE_U32: return "u32";
    case NDL_STORE_I32: return "i32";
    }
    return "?";
}

static ndl_status print_dataset(void *arg, const char *name)
{
    page *p = arg;
    ndl_store_info info;
    char bytes[32], shape[64] = "";
    int64_t rows = 0, cols = 0;
    NDL_TRY(ndl_store_query(p->store, name, &info));
    if (ndl_store_has_attr(p->store, name, "rows") &&
        ndl_store_has_attr(p->store, name, "cols")) {
        NDL_TRY(ndl_store_get_ints(p->store, name, "rows", &rows, 1));
        NDL_TRY(ndl_store_get_ints(p->store, name, "cols", &cols, 1));
        snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64, rows, cols);
    } else {
        snprintf(shape, sizeof shape, "%" PRIu64, info.dims[0]);
    }
    char *layout = text_or_empty(p->store, name, "layout");
    char *sources = text_or_empty(p->store, name, "sources");
    fprintf(p->out, "%-26s %-5s %-16s %-7s %10s  %s\n", name,
            type_name(info.type), shape, layout ? layout : "",
            ndl_plan_bytes_text(info.bytes, bytes, sizeof bytes),
            sources ? sources : "");
    free(layout);
    free(sources);
    return NDL_OK;
}

static void print_shape(page *p, const ndl_model *m, ndl_mix mix)
{
    char dtype[NDL_MIX_TEXT];
    ndl_mix_write(mix, dtype);
    fprintf(p->out, "%-12s %s\n", "dtype", dtype);
    fprintf(p->out, "%-12s %.2f M\n", "parameters",
            (double)ndl_model_params(m) * 1e-6);
    fprintf(p->out,
            "%-12s %d blocks, width %d, %d heads, %d key/value heads, head "
            "size %d, ffn %d\n",
            "shape", m->n_layers, m->width, m->n_heads, m->n_kv_heads,
            m->head_dim, m->ffn);
    fprintf(p->out, "%-12s %d tokens%s, context %d\n", "vocabulary", m->vocab,
            m->tied ? ", tied" : "", m->context);
}

static ndl_status print_page(page *p)
{
    ndl_model model;
    ndl_mix mix;
    int64_t version[2] = { 0, 0 };
    NDL_TRY(ndl_weights_read_model(p->store, &model, &mix));
    NDL_TRY(ndl_store_get_ints(p->store, "/", "format_version", version, 2));
    fprintf(p->out, "%-12s %s\n%-12s weights %" PRId64 ".%" PRId64 "\n", "file",
            ndl_store_path(p->store), "format", version[0], version[1]);
    print_attribute(p, "family", "arch");
    print_attribute(p, "source", "source");
    print_attribute(p, "writer", "writer");
    print_attribute(p, "created", "created");
    print_shape(p, &model, mix);
    fprintf(p->out, "\n%-26s %-5s %-16s %-7s %10s  %s\n", "dataset", "type",
            "shape", "layout", "bytes", "sources");
    return ndl_store_each(p->store, "/", print_dataset, p);
}

ndl_status ndl_cmd_inspect(ndl_cli *cli)
{
    page p = { NULL, NULL };
    char *text = NULL;
    size_t n = 0;
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, ndl_store_open(&p.store, cli->options->args[0]));
    p.out = open_memstream(&text, &n);
    if (!p.out) {
        st = NDL_FAIL(NDL_EOS, "out of memory");
        goto done;
    }
    st = print_page(&p);
    fclose(p.out);
    if (st == NDL_OK) st = ndl_output_text(text);
done:
    free(text);
    ndl_store_close(&p.store);
    return st;
}
