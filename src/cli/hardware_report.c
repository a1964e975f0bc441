/* hardware_report.c - see hardware_report.h: the tables. */
#include "hardware_report.h"

#include <stdlib.h>
#include <string.h>

#include "noodle/doubles.h"
#include "noodle/plan.h"

static const ndl_link *link_of(const ndl_survey *s, int from, int to)
{
    return &s->links[(size_t)from * (size_t)s->n_ranks + (size_t)to];
}

/* ---- links of one kind ---- */

static void range_of(double *values, size_t n, double out[3])
{
    ndl_doubles_sort(values, n);
    out[0] = values[0];
    out[1] = ndl_doubles_median(values, n);
    out[2] = values[n - 1];
}

ndl_status ndl_hardware_link_range(const ndl_survey *s, bool same_node,
                                   ndl_link_range *out)
{
    const size_t n_ranks = (size_t)s->n_ranks;
    double *values = calloc(n_ranks * n_ranks + 1, sizeof *values);
    ndl_link_range range = { .n = 0 };
    if (!values) return NDL_FAIL(NDL_EOS, "links: out of memory");
    double *latency = values, *rate = values + n_ranks * (n_ranks - 1) / 2;
    for (int i = 0; i < s->n_ranks; i++)
        for (int k = i + 1; k < s->n_ranks; k++) {
            const ndl_link *l = link_of(s, i, k);
            if ((l->same_node != 0) != same_node) continue;
            latency[range.n] = l->latency_sec;
            rate[range.n++] = l->bytes_per_sec;
        }
    if (range.n > 0) {
        range_of(latency, range.n, range.latency_sec);
        range_of(rate, range.n, range.bytes_per_sec);
    }
    free(values);
    *out = range;
    return NDL_OK;
}

static void print_range(const char *name, const ndl_link_range *r, FILE *out)
{
    if (r->n == 0) return;
    fprintf(out, "%-13s  %8zu", name, r->n);
    for (int i = 0; i < 3; i++)
        fprintf(out, "  %8.2f", 1e6 * r->latency_sec[i]);
    for (int i = 0; i < 3; i++)
        fprintf(out, "  %8.2f", 1e-9 * r->bytes_per_sec[i]);
    fputc('\n', out);
}

static ndl_status print_ranges(const ndl_survey *s, FILE *out)
{
    ndl_link_range within, between;
    NDL_TRY(ndl_hardware_link_range(s, true, &within));
    NDL_TRY(ndl_hardware_link_range(s, false, &between));
    fprintf(out,
            "\n%-13s  %8s  %28s  %28s\n%-13s  %8s  %8s  %8s  %8s  %8s  %8s  "
            "%8s\n",
            "links", "", "latency, us", "bandwidth, GB/s", "", "number",
            "least", "median", "greatest", "least", "median", "greatest");
    print_range("within nodes", &within, out);
    print_range("between nodes", &between, out);
    return NDL_OK;
}

static void print_links(const ndl_survey *s, FILE *out)
{
    fprintf(out, "\n%-9s  %12s  %16s\n", "link", "latency, us",
            "bandwidth, GB/s");
    for (int i = 0; i < s->n_ranks; i++)
        for (int k = i + 1; k < s->n_ranks; k++) {
            const ndl_link *l = link_of(s, i, k);
            fprintf(out, "%3d - %-3d  %12.2f  %16.2f  %s\n", i, k,
                    1e6 * l->latency_sec, 1e-9 * l->bytes_per_sec,
                    l->same_node ? "same node" : "between nodes");
        }
}

/* ---- nodes ---- */

/* Least and greatest of a count over the ranks of a node. */
typedef struct span {
    int least, greatest;
} span;

static span span_of(const ndl_survey *s, int node, size_t offset)
{
    span r = { 0, 0 };
    bool is_first = true;
    for (int i = 0; i < s->n_ranks; i++) {
        if (s->ranks[i].node != node) continue;
        const int n =
            *(const int32_t *)((const char *)&s->ranks[i].topology + offset);
        if (is_first || n < r.least) r.least = n;
        if (is_first || n > r.greatest) r.greatest = n;
        is_first = false;
    }
    return r;
}

static void print_span(span r, const char *what, FILE *out)
{
    if (r.least == r.greatest)
        fprintf(out, "%d %s", r.least, what);
    else
        fprintf(out, "%d to %d %s", r.least, r.greatest, what);
}

static const char *bytes_text(uint64_t bytes, char *buf, size_t cap)
{
    return ndl_plan_bytes_text(bytes, buf, cap);
}

static void print_processors(const ndl_survey *s, const ndl_survey_rank *r,
                             FILE *out)
{
    const ndl_topology *t = &r->topology;
    fprintf(out,
            "  processors    %d package%s, %d cores, %d threads; a rank may "
            "use ",
            t->n_packages, t->n_packages == 1 ? "" : "s", t->n_cores, t->n_pus);
    print_span(span_of(s, r->node, offsetof(ndl_topology, n_cores_allowed)),
               "cores", out);
    fputs(", ", out);
    print_span(span_of(s, r->node, offsetof(ndl_topology, n_pus_allowed)),
               "threads\n", out);
    fprintf(out, "  instructions  %s\n",
            r->machine.isa[0] ? r->machine.isa : "none beyond the base");
}

static void print_numa(const ndl_topology *t, FILE *out)
{
    char text[32];
    const int most = 8;
    fprintf(out, "  NUMA          %d node%s:", t->n_numa,
            t->n_numa == 1 ? "" : "s");
    for (int i = 0; i < t->n_numa && i < most; i++)
        fprintf(out, "%s %s", i ? "," : "",
                bytes_text(t->numa_bytes[i], text, sizeof text));
    fputs(t->n_numa > most ? ", ...\n" : "\n", out);
}

static void print_caches(const ndl_topology *t, FILE *out)
{
    char text[32];
    const char *sep = " ";
    fputs("  caches       ", out);
    if (t->l1d_bytes) {
        fprintf(out, "%sL1d %s", sep,
                bytes_text(t->l1d_bytes, text, sizeof text));
        sep = ", ";
    }
    if (t->l2_bytes) {
        fprintf(out, "%sL2 %s of %d thread%s", sep,
                bytes_text(t->l2_bytes, text, sizeof text), t->l2_sharing,
                t->l2_sharing == 1 ? "" : "s");
        sep = ", ";
    }
    if (t->l3_bytes) {
        fprintf(out, "%sL3 %s of %d thread%s", sep,
                bytes_text(t->l3_bytes, text, sizeof text), t->l3_sharing,
                t->l3_sharing == 1 ? "" : "s");
        sep = ", ";
    }
    fputs(sep[0] == ',' ? "\n" : " unknown\n", out);
}

static void print_memory(const ndl_survey_rank *r, FILE *out)
{
    char text[32];
    fprintf(out, "  memory        %s",
            bytes_text(r->topology.memory_bytes, text, sizeof text));
    fprintf(out, ", %s free", bytes_text(r->free_bytes, text, sizeof text));
    if (r->topology.cgroup_bytes)
        fprintf(out, ", limit of the control group %s",
                bytes_text(r->topology.cgroup_bytes, text, sizeof text));
    fputc('\n', out);
}

static void print_gpus(const ndl_topology *t, FILE *out)
{
    char text[32];
    fprintf(out, "  GPUs          %s", t->n_gpus ? "" : "none\n");
    for (int i = 0; i < t->n_gpus && i < NDL_TOPOLOGY_GPUS; i++) {
        fprintf(out, "%s%s", i ? "                " : "", t->gpus[i].name);
        if (t->gpus[i].memory_bytes)
            fprintf(out, ", %s",
                    bytes_text(t->gpus[i].memory_bytes, text, sizeof text));
        fputc('\n', out);
    }
    if (t->n_gpus > NDL_TOPOLOGY_GPUS)
        fprintf(out, "                and %d more\n",
                t->n_gpus - NDL_TOPOLOGY_GPUS);
}

static bool is_first_of_node(const ndl_survey *s, int rank)
{
    for (int i = 0; i < rank; i++)
        if (s->ranks[i].node == s->ranks[rank].node) return false;
    return true;
}

static void print_nodes(const ndl_survey *s, FILE *out)
{
    for (int i = 0; i < s->n_ranks; i++) {
        const ndl_survey_rank *r = &s->ranks[i];
        if (!is_first_of_node(s, i)) continue;
        fprintf(out, "%snode %d: %s, %s\n", i ? "\n" : "", r->node, r->host,
                r->topology.cpu_model);
        print_processors(s, r, out);
        print_numa(&r->topology, out);
        print_caches(&r->topology, out);
        print_memory(r, out);
        print_gpus(&r->topology, out);
    }
}

/* ---- ranks ---- */

static void print_ranks(const ndl_survey *s, FILE *out)
{
    fprintf(out, "\n%20s  %37s  %17s\n", "", "all threads of the rank",
            "one thread");
    fprintf(out, "%4s  %4s  %7s  %8s  %8s  %8s  %7s  %8s  %7s\n", "", "", "",
            "f32", "bf16", "int8", "read", "f32", "read");
    fprintf(out, "%4s  %4s  %7s  %8s  %8s  %8s  %7s  %8s  %7s\n", "rank",
            "node", "threads", "GFLOP/s", "GFLOP/s", "GOP/s", "GB/s", "GFLOP/s",
            "GB/s");
    for (int i = 0; i < s->n_ranks; i++) {
        const ndl_survey_rank *r = &s->ranks[i];
        const ndl_machine *m = &r->machine;
        fprintf(out,
                "%4d  %4d  %7d  %8.1f  %8.1f  %8.1f  %7.1f  %8.1f  %7.1f\n",
                r->rank, r->node, r->n_threads, 1e-9 * m->f32_flop,
                1e-9 * m->bf16_flop, 1e-9 * m->int8_op, 1e-9 * m->read_bytes,
                1e-9 * m->core_f32_flop, 1e-9 * m->core_read_bytes);
    }
}

/* The launcher's doing, as a rule. */
static void print_warnings(const ndl_survey *s, FILE *out)
{
    if (s->n_ranks > 0 && s->ranks[0].crowded)
        fputs("\nThere are more ranks than processors: each figure is that of "
              "a rank's turns, and\nthey do not add up.\n",
              out);
}

ndl_status ndl_hardware_print(const ndl_survey *s, FILE *out)
{
    print_nodes(s, out);
    print_ranks(s, out);
    print_warnings(s, out);
    if (s->n_ranks > NDL_HARDWARE_LINKS) return print_ranges(s, out);
    if (s->n_ranks > 1) print_links(s, out);
    return NDL_OK;
}
