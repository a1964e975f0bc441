/* hardware_json.c - the JSON of hardware_report.h. */
#include <stdlib.h>
#include <string.h>

#include "hardware_report.h"

/* 0 stands for what is not known, or not there. */
static json_t *bytes_json(uint64_t bytes)
{
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *numa_json(const ndl_topology *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_numa && i < NDL_TOPOLOGY_NUMA; i++)
        json_array_append_new(list, json_integer((json_int_t)t->numa_bytes[i]));
    return list;
}

static json_t *gpus_json(const ndl_topology *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_gpus && i < NDL_TOPOLOGY_GPUS; i++)
        json_array_append_new(
            list,
            json_pack("{so so}", "name", ndl_json_text(t->gpus[i].name),
                      "memory_bytes", bytes_json(t->gpus[i].memory_bytes)));
    return list;
}

/* "avx2 fma" as ["avx2", "fma"]. */
static json_t *words_json(const char *words)
{
    json_t *list = json_array();
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        json_array_append_new(list, json_stringn(words, n));
    }
    return list;
}

static json_t *node_json(const ndl_survey_rank *r)
{
    const ndl_topology *t = &r->topology;
    return json_pack("{si so so si si si si so so so so si so si so so so so}",
                     "node", r->node, "host", ndl_json_text(r->host), "cpu",
                     ndl_json_text(t->cpu_model), "packages", t->n_packages,
                     "cores", t->n_cores, "threads", t->n_pus, "numa_nodes",
                     t->n_numa, "numa_bytes", numa_json(t), "instructions",
                     words_json(r->machine.isa), "l1d_bytes",
                     bytes_json(t->l1d_bytes), "l2_bytes",
                     bytes_json(t->l2_bytes), "l2_sharing", t->l2_sharing,
                     "l3_bytes", bytes_json(t->l3_bytes), "l3_sharing",
                     t->l3_sharing, "memory_bytes", bytes_json(t->memory_bytes),
                     "cgroup_bytes", bytes_json(t->cgroup_bytes), "free_bytes",
                     bytes_json(r->free_bytes), "gpus", gpus_json(t));
}

static json_t *nodes_json(const ndl_survey *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n_ranks; i++) {
        bool is_new = true;
        for (int k = 0; k < i; k++)
            if (s->ranks[k].node == s->ranks[i].node) is_new = false;
        if (is_new) json_array_append_new(list, node_json(&s->ranks[i]));
    }
    return list;
}

static json_t *rank_json(const ndl_survey_rank *r)
{
    const ndl_topology *t = &r->topology;
    const ndl_machine *m = &r->machine;
    return json_pack(
        "{si si so si sb si si si sf sf sf sf sf sf}", "rank", r->rank, "node",
        r->node, "host", ndl_json_text(r->host), "n_threads", r->n_threads,
        "crowded", (int)(r->crowded != 0), "cores_allowed", t->n_cores_allowed,
        "threads_allowed", t->n_pus_allowed, "numa_allowed", t->n_numa_allowed,
        "f32_flop_per_sec", m->f32_flop, "bf16_flop_per_sec", m->bf16_flop,
        "int8_op_per_sec", m->int8_op, "read_bytes_per_sec", m->read_bytes,
        "core_f32_flop_per_sec", m->core_f32_flop, "core_read_bytes_per_sec",
        m->core_read_bytes);
}

static json_t *ranks_json(const ndl_survey *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n_ranks; i++)
        json_array_append_new(list, rank_json(&s->ranks[i]));
    return list;
}

static json_t *links_json(const ndl_survey *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->n_ranks; i++)
        for (int k = i + 1; k < s->n_ranks; k++) {
            const ndl_link *l =
                &s->links[(size_t)i * (size_t)s->n_ranks + (size_t)k];
            json_array_append_new(
                list,
                json_pack("{s[ii] sf sf sb}", "ranks", i, k, "latency_sec",
                          l->latency_sec, "bytes_per_sec", l->bytes_per_sec,
                          "same_node", (int)(l->same_node != 0)));
        }
    return list;
}

static json_t *values_json(const double v[3])
{
    return json_pack("{sf sf sf}", "least", v[0], "median", v[1], "greatest",
                     v[2]);
}

static json_t *range_json(const ndl_survey *s, bool same_node)
{
    ndl_link_range r;
    if (ndl_hardware_link_range(s, same_node, &r) != NDL_OK) return NULL;
    if (r.n == 0) return json_null();
    return json_pack("{sI so so}", "links", (json_int_t)r.n, "latency_sec",
                     values_json(r.latency_sec), "bytes_per_sec",
                     values_json(r.bytes_per_sec));
}

json_t *ndl_hardware_json(const ndl_survey *s)
{
    json_t *links =
        s->n_ranks <= NDL_HARDWARE_JSON_LINKS ? links_json(s) : json_null();
    return json_pack("{so so so so so}", "nodes", nodes_json(s), "ranks",
                     ranks_json(s), "links", links, "links_within_nodes",
                     range_json(s, true), "links_between_nodes",
                     range_json(s, false));
}
