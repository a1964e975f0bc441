/* plan_print.c - a plan for people (table) and for programs (JSON). */
#include <string.h>

#include "noodle/plan.h"

static void layers_text(const ndl_plan_stage *s, char *buf, size_t cap)
{
    if (s->n_layers == 0)
        snprintf(buf, cap, "%s", "head");
    else if (s->n_layers == 1)
        snprintf(buf, cap, "%d%s", s->first_layer, s->head ? " + head" : "");
    else
        snprintf(buf, cap, "%d-%d%s", s->first_layer,
                 s->first_layer + s->n_layers - 1, s->head ? " + head" : "");
}

static void params_text(int64_t n, char *buf, size_t cap)
{
    if (n >= 1000000000)
        snprintf(buf, cap, "%.2f G", (double)n * 1e-9);
    else if (n >= 1000000)
        snprintf(buf, cap, "%.2f M", (double)n * 1e-6);
    else
        snprintf(buf, cap, "%.1f k", (double)n * 1e-3);
}

/* A host's name may be any bytes: a table and JSON take printable ones. */
static const char *host_text(const ndl_plan_stage *s, char buf[64])
{
    for (int i = 0; i < 64; i++) {
        const unsigned char c = (unsigned char)s->host[i];
        buf[i] = (char)(c == 0 || (c >= 32 && c < 127) ? c : '?');
    }
    buf[63] = '\0';
    return buf;
}

void ndl_plan_print(const ndl_plan *p, FILE *out)
{
    fprintf(out, "%-5s  %4s  %-16s  %-14s  %9s  %10s  %10s  %7s  %s\n", "stage",
            "rank", "host", "layers", "params", "memory", "free", "threads",
            "why");
    for (int i = 0; i < p->n_stages; i++) {
        const ndl_plan_stage *s = &p->stages[i];
        char layers[32], params[32], need[32], have[32], host[64];
        layers_text(s, layers, sizeof layers);
        params_text(s->params, params, sizeof params);
        ndl_plan_bytes_text(s->weight_bytes + s->kv_bytes + s->buffer_bytes,
                            need, sizeof need);
        ndl_plan_bytes_text(s->free_bytes, have, sizeof have);
        fprintf(out, "%-5d  %4d  %-16.16s  %-14s  %9s  %10s  %10s  %7d  %s\n",
                i + 1, s->rank, host_text(s, host), layers, params, need, have,
                s->n_threads, s->why);
    }
    if (p->n_idle > 0)
        fprintf(out, "%d rank%s idle: the split needs no more\n", p->n_idle,
                p->n_idle == 1 ? "" : "s");
}

static json_t *stage_json(const ndl_plan_stage *s, int number)
{
    char host[64];
    return json_pack(
        "{si si ss si si sb sb si sI sI sI sI sI ss}", "stage", number, "rank",
        s->rank, "host", host_text(s, host), "first_layer", s->first_layer,
        "n_layers", s->n_layers, "embed", s->embed, "head", s->head, "threads",
        s->n_threads, "parameters", (json_int_t)s->params, "weight_bytes",
        (json_int_t)s->weight_bytes, "kv_bytes", (json_int_t)s->kv_bytes,
        "buffer_bytes", (json_int_t)s->buffer_bytes, "free_bytes",
        (json_int_t)s->free_bytes, "why", s->why);
}

json_t *ndl_plan_json(const ndl_plan *p)
{
    json_t *stages = json_array();
    for (int i = 0; i < p->n_stages; i++)
        if (json_array_append_new(stages, stage_json(&p->stages[i], i + 1))) {
            json_decref(stages);
            return NULL;
        }
    return json_pack("{si si so}", "n_stages", p->n_stages, "idle_ranks",
                     p->n_idle, "stages", stages);
}
