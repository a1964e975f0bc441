/* profile_print.c - a profile for people (tables) and for programs (JSON). */
#include <math.h>
#include <stdlib.h>

#include "noodle/doubles.h"
#include "noodle/load.h"
#include "noodle/profile.h"

enum { PAIRS_OF_RANKS = 8, HOST_COLUMNS = 16 };

/* What a rank's curves say of the layers that people ask for. */
typedef struct figures {
    ndl_cost cost;
    int rows; /* of the longest prompt chunk; 0: none */
    double prompt_sec, prompt_alone_sec; /* a row of it, a block */
    double decode_sec, decode_alone_sec; /* a block */
    double head_sec, embed_sec;          /* one row */
} figures;

static const char *const kind_names[NDL_N_LAYER_KINDS] = {
    [NDL_LAYER_EMBED] = "embedding",
    [NDL_LAYER_BLOCK] = "block",
    [NDL_LAYER_HEAD] = "head",
};

static ndl_status take_figures(figures *out, const ndl_profile_rank *r)
{
    figures f = { 0 };
    NDL_TRY(ndl_cost_fit(&f.cost, r->samples, r->n_samples));
    for (int i = 0; i < r->n_samples; i++) {
        const ndl_sample *s = &r->samples[i];
        if (s->kind == NDL_LAYER_BLOCK && s->sequences == 1 && s->rows > f.rows)
            f.rows = s->rows;
    }
    const ndl_work prompt = ndl_work_prompt(0, f.rows, true, 1.0);
    const ndl_work prompt_alone = ndl_work_prompt(0, f.rows, true, 0.0);
    const ndl_work decode = ndl_work_decode(1, 0, 1.0);
    const ndl_work decode_alone = ndl_work_decode(1, 0, 0.0);
    const double rows = f.rows > 0 ? f.rows : 1.0;
    f.prompt_sec = ndl_cost_sec(&f.cost, NDL_LAYER_BLOCK, &prompt) / rows;
    f.prompt_alone_sec =
        ndl_cost_sec(&f.cost, NDL_LAYER_BLOCK, &prompt_alone) / rows;
    f.decode_sec = ndl_cost_sec(&f.cost, NDL_LAYER_BLOCK, &decode);
    f.decode_alone_sec = ndl_cost_sec(&f.cost, NDL_LAYER_BLOCK, &decode_alone);
    f.head_sec = ndl_cost_sec(&f.cost, NDL_LAYER_HEAD, &decode);
    f.embed_sec = ndl_cost_sec(&f.cost, NDL_LAYER_EMBED, &decode);
    *out = f;
    return NDL_OK;
}

/* A host's name may be any bytes: tables and JSON take printable ones. */
static const char *host_text(const ndl_profile_rank *r,
                             char buf[NDL_PROFILE_HOST])
{
    int i = 0;
    for (; i < NDL_PROFILE_HOST - 1 && r->host[i]; i++)
        buf[i] = r->host[i] >= ' ' && r->host[i] < 127 ? r->host[i] : '?';
    buf[i] = '\0';
    return buf;
}

static ndl_status print_rank(const ndl_profile_rank *r, FILE *out)
{
    char host[NDL_PROFILE_HOST];
    figures f;
    fprintf(out, "%4d  %-*.*s  %7d", r->rank, HOST_COLUMNS, HOST_COLUMNS,
            host_text(r, host), r->n_threads);
    if (r->n_threads == 0) {
        fputs("  hosts no stage\n", out);
        return NDL_OK;
    }
    NDL_TRY(take_figures(&f, r));
    fprintf(out, "  %-4s  %10.1f  %10.3f  %10.3f  %9.3f  %9.2f",
            ndl_load_name((ndl_load)r->load), f.prompt_sec * 1e6,
            f.decode_sec * 1e3, f.decode_alone_sec * 1e3, f.head_sec * 1e3,
            f.embed_sec * 1e6);
    fprintf(out, "  %5.1f %% %5.1f %%", f.cost.median_error * 100.0,
            f.cost.max_error * 100.0);
    if (r->speed < 1.0) fprintf(out, "  speed %g", r->speed);
    fputc('\n', out);
    return NDL_OK;
}

/* Least, median and greatest of one figure of some links. */
static void print_spread(FILE *out, const char *name, double *v, size_t n)
{
    ndl_doubles_sort(v, n);
    fprintf(out, "  %s %.3g, %.3g, %.3g", name, v[0], ndl_doubles_median(v, n),
            v[n - 1]);
}

static ndl_status print_summary(const ndl_profile *p, int same_node, FILE *out)
{
    const size_t n = (size_t)p->n_ranks;
    double *latency = malloc(2 * n * n * sizeof *latency);
    double *bandwidth = latency + n * n;
    size_t count = 0;
    if (!latency) return NDL_FAIL(NDL_EOS, "profile: out of memory");
    for (size_t i = 0; i < n * n; i++) {
        const ndl_link *l = &p->links[i];
        if (i / n == i % n || l->same_node != same_node) continue;
        if (l->bytes_per_sec <= 0.0) continue;
        latency[count] = l->latency_sec * 1e6;
        bandwidth[count++] = l->bytes_per_sec * 1e-9;
    }
    if (count > 0) {
        fprintf(out, "%s (least, median, greatest):",
                same_node ? "within nodes " : "between nodes");
        print_spread(out, "us", latency, count);
        print_spread(out, "GB/s", bandwidth, count);
        fputc('\n', out);
    }
    free(latency);
    return NDL_OK;
}

static void print_pairs(const ndl_profile *p, FILE *out)
{
    fputs("\nfrom    to  latency us    GB/s\n", out);
    for (int i = 0; i < p->n_ranks; i++)
        for (int j = 0; j < p->n_ranks; j++) {
            const ndl_link *l = &p->links[i * p->n_ranks + j];
            if (i == j) continue;
            fprintf(out, "%4d  %4d  %10.2f  %6.2f  %s\n", i, j,
                    l->latency_sec * 1e6, l->bytes_per_sec * 1e-9,
                    l->same_node ? "same node" : "between nodes");
        }
}

ndl_status ndl_profile_print(const ndl_profile *p, FILE *out)
{
    fprintf(out, "%4s  %-*s  %7s  %-4s  %10s  %10s  %10s  %9s  %9s  %s\n",
            "rank", HOST_COLUMNS, "host", "threads", "load", "prompt", "decode",
            "... alone", "head", "embedding", "fit's error");
    fprintf(out, "%4s  %-*s  %7s  %-4s  %10s  %10s  %10s  %9s  %9s  %s\n", "",
            HOST_COLUMNS, "", "", "", "us/row", "ms/block", "ms/block", "ms",
            "us/row", " median     max");
    for (int i = 0; i < p->n_ranks; i++) NDL_TRY(print_rank(&p->ranks[i], out));
    if (p->n_ranks > 1 && p->n_ranks <= PAIRS_OF_RANKS) print_pairs(p, out);
    if (p->n_ranks > PAIRS_OF_RANKS) {
        fputc('\n', out);
        NDL_TRY(print_summary(p, 1, out));
        NDL_TRY(print_summary(p, 0, out));
    }
    fprintf(out, "\nmeasured in %.2f s\n", p->took_sec);
    return ferror(out) ? NDL_FAIL(NDL_EIO, "profile: cannot write") : NDL_OK;
}

static json_t *sample_json(const ndl_sample *s)
{
    return json_pack("{ss si si si sb si sf sf}", "kind", kind_names[s->kind],
                     "rows", s->rows, "sequences", s->sequences, "context",
                     s->context, "crowded", s->crowded, "repeats", s->repeats,
                     "sec", s->sec, "median_sec", s->median_sec);
}

static json_t *samples_json(const ndl_profile_rank *r)
{
    json_t *all = json_array();
    for (int i = 0; i < r->n_samples; i++)
        if (json_array_append_new(all, sample_json(&r->samples[i])) != 0) {
            json_decref(all);
            return NULL;
        }
    return all;
}

/* Null for a rank that hosts nothing, or whose samples make no curve. */
static json_t *fit_json(const ndl_profile_rank *r)
{
    figures f;
    if (r->n_threads == 0) return json_null();
    if (take_figures(&f, r) != NDL_OK) {
        ndl_status_clear(); /* told by the null */
        return json_null();
    }
    return json_pack("{si sf sf sf sf sf sf sf sf}", "prompt_rows", f.rows,
                     "prompt_row_sec", f.prompt_sec, "prompt_row_alone_sec",
                     f.prompt_alone_sec, "decode_block_sec", f.decode_sec,
                     "decode_block_alone_sec", f.decode_alone_sec, "head_sec",
                     f.head_sec, "embedding_sec", f.embed_sec, "median_error",
                     f.cost.median_error, "max_error", f.cost.max_error);
}

static json_t *rank_json(const ndl_profile_rank *r)
{
    char host[NDL_PROFILE_HOST];
    return json_pack("{si ss si si ss sI sf sf sf so so}", "rank", r->rank,
                     "host", host_text(r, host), "node", r->node, "threads",
                     r->n_threads, "load", ndl_load_name((ndl_load)r->load),
                     "memory_bytes", (json_int_t)r->memory_bytes, "speed",
                     r->speed, "map_bytes_per_sec", r->map_bytes_per_sec,
                     "copy_bytes_per_sec", r->copy_bytes_per_sec, "fit",
                     fit_json(r), "samples", samples_json(r));
}

static json_t *ranks_json(const ndl_profile *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_ranks; i++)
        if (json_array_append_new(all, rank_json(&p->ranks[i])) != 0) {
            json_decref(all);
            return NULL;
        }
    return all;
}

static json_t *links_json(const ndl_profile *p)
{
    json_t *all = json_array();
    const int64_t n = p->n_ranks;
    for (int64_t i = 0; i < n * n; i++) {
        const ndl_link *l = &p->links[i];
        if (i / n == i % n) continue;
        json_t *one = json_pack("{sI sI sf sf sb}", "from", (json_int_t)(i / n),
                                "to", (json_int_t)(i % n), "latency_sec",
                                l->latency_sec, "bytes_per_sec",
                                l->bytes_per_sec, "same_node", l->same_node);
        if (json_array_append_new(all, one) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

json_t *ndl_profile_json(const ndl_profile *p)
{
    return json_pack("{sO sf so so}", "signature", p->signature, "took_sec",
                     p->took_sec, "ranks", ranks_json(p), "links",
                     links_json(p));
}
