/*
 * plan_json.c - plan.h: a plan as JSON, to a file and back.
 *
 * What is written can be read again, whatever is in the plan: texts become
 * printable ASCII, and figures stay within the limits that reading checks.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "noodle/file.h"
#include "noodle/plan.h"

enum {
    MAX_FILE_BYTES = 16 << 20,
    MAX_STAGES = NDL_MAX_LAYERS + 2,
    MAX_RANK = 1 << 24,
    MAX_TOKENS = 1 << 30
};

static const int64_t max_bytes = INT64_C(1) << 60;
static const int64_t max_params = INT64_C(1000000000000000);
static const double max_sec = 1e12, max_rate = 1e15, max_gap = 1e9;

/* A host's name may be any bytes, and a cut text may end inside a letter. */
static json_t *text_json(const char *text, size_t cap)
{
    char clean[256];
    size_t n = 0;
    for (; n < cap - 1 && n < sizeof clean && text[n]; n++) {
        const unsigned char c = (unsigned char)text[n];
        clean[n] = (char)(c >= 32 && c < 127 ? c : '?');
    }
    return json_stringn(clean, n);
}

static json_t *real_json(double v, double max)
{
    return json_real(v >= 0 && v <= max ? v : isnan(v) || v < 0 ? 0.0 : max);
}

static json_t *bytes_json(uint64_t v)
{
    return json_integer(v > (uint64_t)max_bytes ? max_bytes : (json_int_t)v);
}

static json_t *stage_json(const ndl_plan_stage *s, int number)
{
    return json_pack(
        "{si si so si si sb sb si sI so so so so so so so so so}", "stage",
        number, "rank", s->rank, "host", text_json(s->host, sizeof s->host),
        "first_layer", s->first_layer, "n_layers", s->n_layers, "embed",
        s->embed, "head", s->head, "threads", s->n_threads, "parameters",
        (json_int_t)s->params, "weight_bytes", bytes_json(s->weight_bytes),
        "kv_bytes", bytes_json(s->kv_bytes), "buffer_bytes",
        bytes_json(s->buffer_bytes), "free_bytes", bytes_json(s->free_bytes),
        "prompt_sec", real_json(s->prompt_sec, max_sec), "decode_sec",
        real_json(s->decode_sec, max_sec), "busy_sec",
        real_json(s->busy_sec, max_sec), "link_sec",
        real_json(s->link_sec, max_sec), "why",
        text_json(s->why, sizeof s->why));
}

/* Append or drop; NULL if there is no memory. */
static json_t *append(json_t *list, json_t *v)
{
    if (json_array_append_new(list, v) == 0) return list;
    json_decref(list);
    return NULL;
}

static json_t *stages_json(const ndl_plan *p)
{
    json_t *list = json_array();
    for (int i = 0; list && i < p->n_stages; i++)
        list = append(list, stage_json(&p->stages[i], i + 1));
    return list;
}

static json_t *notes_json(const ndl_plan *p)
{
    json_t *list = json_array();
    for (int i = 0; list && i < p->n_notes; i++)
        list = append(list, text_json(p->notes[i], sizeof p->notes[i]));
    return list;
}

json_t *ndl_plan_json(const ndl_plan *p)
{
    const ndl_workload *w = &p->workload;
    return json_pack(
        "{ss si si si so so s{si si si si} so so so so so si so so}", "format",
        "noodle-plan", "format_version", 1, "n_stages", p->n_stages,
        "idle_ranks", p->n_idle, "strategy",
        text_json(p->strategy, sizeof p->strategy), "source",
        text_json(p->source, sizeof p->source), "workload", "prompt_tokens",
        w->prompt_tokens, "new_tokens", w->new_tokens, "sequences",
        w->sequences, "chunk_rows", w->chunk_rows, "period_sec",
        real_json(p->period_sec, max_sec), "latency_sec",
        real_json(p->latency_sec, max_sec), "tokens_per_sec",
        real_json(p->tokens_per_sec, max_rate), "balance",
        real_json(p->balance, 1.0), "gap", real_json(p->gap, max_gap),
        "bottleneck", p->bottleneck + 1, "stages", stages_json(p), "notes",
        notes_json(p));
}

static ndl_status write_text(FILE *f, const char *text, const char *path)
{
    if (fputs(text, f) < 0 || fputc('\n', f) < 0)
        return NDL_FAIL(NDL_EIO, "%s: cannot write: check the free space",
                        path);
    return NDL_OK;
}

ndl_status ndl_plan_save(const ndl_plan *p, const char *path)
{
    ndl_file_part part = { 0 };
    json_t *j = ndl_plan_json(p);
    char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
    ndl_status st =
        text ? NDL_OK : NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    if (st == NDL_OK) st = ndl_file_part_open(&part, path);
    if (st == NDL_OK) st = write_text(part.file, text, path);
    if (st == NDL_OK) st = ndl_file_part_commit(&part);
    ndl_file_part_discard(&part);
    free(text);
    json_decref(j);
    return st;
}

/* Fields of the same kind go by tables: name and place. */
typedef struct place {
    const char *name;
    size_t offset;
} place;

#define STAGE(field) offsetof(ndl_plan_stage, field)
#define PLAN(field)  offsetof(ndl_plan, field)

static ndl_status read_reals(const ndl_entry *f, const place *places,
                             double max, void *out)
{
    for (; places->name; places++)
        NDL_TRY(ndl_entry_real(f, places->name, 0.0, max,
                               (double *)((char *)out + places->offset)));
    return NDL_OK;
}

static ndl_status read_stage_sizes(const ndl_entry *f, ndl_plan_stage *s)
{
    static const place times[] = { { "prompt_sec", STAGE(prompt_sec) },
                                   { "decode_sec", STAGE(decode_sec) },
                                   { "busy_sec", STAGE(busy_sec) },
                                   { "link_sec", STAGE(link_sec) },
                                   { NULL, 0 } };
    static const place sizes[] = { { "weight_bytes", STAGE(weight_bytes) },
                                   { "kv_bytes", STAGE(kv_bytes) },
                                   { "buffer_bytes", STAGE(buffer_bytes) },
                                   { "free_bytes", STAGE(free_bytes) },
                                   { NULL, 0 } };
    int64_t v = 0;
    NDL_TRY(ndl_entry_count(f, "parameters", max_params, &s->params));
    for (const place *p = sizes; p->name; p++) {
        NDL_TRY(ndl_entry_count(f, p->name, max_bytes, &v));
        *(uint64_t *)((char *)s + p->offset) = (uint64_t)v;
    }
    return read_reals(f, times, max_sec, s);
}

static ndl_status read_stage_fields(const ndl_entry *f, int number,
                                    ndl_plan_stage *s)
{
    static const char *const known[] = {
        "stage",    "rank",         "host",       "first_layer", "n_layers",
        "embed",    "head",         "threads",    "parameters",  "weight_bytes",
        "kv_bytes", "buffer_bytes", "free_bytes", "prompt_sec",  "decode_sec",
        "busy_sec", "link_sec",     "why",        NULL
    };
    int n = 0;
    NDL_TRY(ndl_entry_check(f, known));
    NDL_TRY(ndl_entry_int(f, "stage", number, number, &n));
    NDL_TRY(ndl_entry_int(f, "rank", -1, MAX_RANK, &s->rank));
    NDL_TRY(ndl_entry_text(f, "host", s->host, sizeof s->host));
    NDL_TRY(
        ndl_entry_int(f, "first_layer", 0, NDL_MAX_LAYERS, &s->first_layer));
    NDL_TRY(ndl_entry_int(f, "n_layers", 0, NDL_MAX_LAYERS, &s->n_layers));
    NDL_TRY(ndl_entry_bool(f, "embed", &s->embed));
    NDL_TRY(ndl_entry_bool(f, "head", &s->head));
    NDL_TRY(ndl_entry_int(f, "threads", 0, 65536, &s->n_threads));
    NDL_TRY(read_stage_sizes(f, s));
    return ndl_entry_text(f, "why", s->why, sizeof s->why);
}

/* The place of a stage in the chain, after `n_before` blocks. */
static ndl_status check_place(const ndl_entry *f, const ndl_plan_stage *s,
                              int n_before, bool last)
{
    char reason[128];
    if (s->first_layer != n_before) {
        snprintf(reason, sizeof reason,
                 "not allowed: blocks go in order without a gap: give %d",
                 n_before);
        return ndl_entry_fail(f, "first_layer", reason);
    }
    if (s->n_layers == 0 && !s->embed && !s->head)
        return ndl_entry_fail(f, "n_layers",
                              "a stage of nothing: give at least 1 block, or "
                              "the embedding or the head alone");
    if (s->head != last)
        return ndl_entry_fail(f, "head",
                              "not allowed: the last stage, and no other, has "
                              "the head");
    return NDL_OK;
}

static int compare_ints(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Each rank once; or none at all, when the nodes are virtual. */
static ndl_status check_ranks(const ndl_plan *p, const char *what)
{
    ndl_status st = NDL_OK;
    int *ranks = malloc((size_t)p->n_stages * sizeof *ranks);
    if (!ranks) return NDL_FAIL(NDL_EOS, "%s: out of memory", what);
    for (int i = 0; i < p->n_stages; i++) ranks[i] = p->stages[i].rank;
    qsort(ranks, (size_t)p->n_stages, sizeof *ranks, compare_ints);
    if (ranks[0] == -1 && ranks[p->n_stages - 1] != -1)
        st = NDL_FAIL(NDL_EDATA,
                      "%s: stages: rank: -1 beside ranks: give all stages a "
                      "rank, or none",
                      what);
    for (int i = 1; i < p->n_stages && st == NDL_OK; i++)
        if (ranks[i] >= 0 && ranks[i] == ranks[i - 1])
            st = NDL_FAIL(NDL_EDATA,
                          "%s: stages: rank: %d has two stages: give each "
                          "stage a rank of its own",
                          what, ranks[i]);
    free(ranks);
    return st;
}

static ndl_status read_stages(const json_t *list, const char *what, ndl_plan *p)
{
    int n_blocks = 0;
    for (int i = 0; i < p->n_stages; i++) {
        ndl_plan_stage *s = &p->stages[i];
        char where[32];
        snprintf(where, sizeof where, "stage %d", i + 1);
        const ndl_entry f = { what, where, json_array_get(list, (size_t)i) };
        NDL_TRY(read_stage_fields(&f, i + 1, s));
        if (s->embed != (i == 0))
            return ndl_entry_fail(&f, "embed",
                                  "not allowed: the first stage, and no "
                                  "other, has the embedding");
        NDL_TRY(check_place(&f, s, n_blocks, i == p->n_stages - 1));
        n_blocks += s->n_layers;
        if (n_blocks > NDL_MAX_LAYERS)
            return ndl_entry_fail(&f, "n_layers",
                                  "more blocks than a model "
                                  "can have: give fewer");
    }
    if (n_blocks == 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: stages: no blocks: give every block "
                        "to a stage",
                        what);
    return check_ranks(p, what);
}

static ndl_status read_notes(const ndl_entry *f, ndl_plan *p)
{
    const json_t *list = json_object_get(f->object, "notes");
    if (!json_is_array(list) || json_array_size(list) > NDL_PLAN_NOTES)
        return ndl_entry_fail(f, "notes",
                              "is missing or not a list of at most 8 texts: "
                              "give [] for none");
    for (size_t i = 0; i < json_array_size(list); i++) {
        /* A list's element is read as a field, so that all texts have one
         * judge. */
        json_t *one = json_pack("{sO}", "note", json_array_get(list, i));
        const ndl_entry note = { f->what, "notes", one };
        if (!one) return NDL_FAIL(NDL_EOS, "%s: out of memory", f->what);
        const ndl_status st =
            ndl_entry_text(&note, "note", p->notes[i], sizeof p->notes[i]);
        json_decref(one);
        NDL_TRY(st);
        p->n_notes++;
    }
    return NDL_OK;
}

static ndl_status read_workload(const ndl_entry *plan, ndl_workload *w)
{
    static const char *const known[] = { "prompt_tokens", "new_tokens",
                                         "sequences", "chunk_rows", NULL };
    const json_t *j = json_object_get(plan->object, "workload");
    const ndl_entry f = { plan->what, "workload", j };
    if (!j) return ndl_entry_fail(plan, "workload", "is missing: give it");
    NDL_TRY(ndl_entry_check(&f, known));
    NDL_TRY(ndl_entry_int(&f, known[0], 0, MAX_TOKENS, &w->prompt_tokens));
    NDL_TRY(ndl_entry_int(&f, known[1], 0, MAX_TOKENS, &w->new_tokens));
    NDL_TRY(ndl_entry_int(&f, known[2], 0, MAX_TOKENS, &w->sequences));
    return ndl_entry_int(&f, known[3], 0, MAX_TOKENS, &w->chunk_rows);
}

static ndl_status read_figures(const ndl_entry *f, ndl_plan *p)
{
    static const place times[] = { { "period_sec", PLAN(period_sec) },
                                   { "latency_sec", PLAN(latency_sec) },
                                   { NULL, 0 } };
    NDL_TRY(ndl_entry_text(f, "strategy", p->strategy, sizeof p->strategy));
    NDL_TRY(ndl_entry_text(f, "source", p->source, sizeof p->source));
    NDL_TRY(read_workload(f, &p->workload));
    NDL_TRY(read_reals(f, times, max_sec, p));
    NDL_TRY(
        ndl_entry_real(f, "tokens_per_sec", 0, max_rate, &p->tokens_per_sec));
    NDL_TRY(ndl_entry_real(f, "balance", 0, 1, &p->balance));
    NDL_TRY(ndl_entry_real(f, "gap", 0, max_gap, &p->gap));
    NDL_TRY(ndl_entry_int(f, "bottleneck", 0, p->n_stages, &p->bottleneck));
    p->bottleneck--; /* in the file stages count from 1, 0 is none */
    return NDL_OK;
}

static ndl_status check_format(const ndl_entry *f)
{
    static const char *const known[] = {
        "format",      "format_version", "n_stages", "idle_ranks",
        "strategy",    "source",         "workload", "period_sec",
        "latency_sec", "tokens_per_sec", "balance",  "gap",
        "bottleneck",  "stages",         "notes",    NULL
    };
    char format[32];
    int version = 0;
    NDL_TRY(ndl_entry_check(f, known));
    NDL_TRY(ndl_entry_text(f, "format", format, sizeof format));
    if (strcmp(format, "noodle-plan") != 0)
        return ndl_entry_fail(f, "format",
                              "not noodle-plan: give a file that "
                              "noodle-mpi plan -o wrote");
    return ndl_entry_int(f, "format_version", 1, 1, &version);
}

static ndl_status read_plan(const ndl_entry *f, ndl_plan *p)
{
    const json_t *list = json_object_get(f->object, "stages");
    const size_t n = json_array_size(list);
    NDL_TRY(check_format(f));
    if (!json_is_array(list) || n == 0 || n > MAX_STAGES)
        return ndl_entry_fail(f, "stages",
                              "is missing or not a list of 1 to 4098 stages: "
                              "give one");
    NDL_TRY(ndl_entry_int(f, "n_stages", (int)n, (int)n, &p->n_stages));
    NDL_TRY(ndl_entry_int(f, "idle_ranks", 0, MAX_RANK, &p->n_idle));
    p->stages = calloc(n, sizeof *p->stages);
    if (!p->stages) return NDL_FAIL(NDL_EOS, "%s: out of memory", f->what);
    NDL_TRY(read_figures(f, p));
    NDL_TRY(read_stages(list, f->what, p));
    return read_notes(f, p);
}

ndl_status ndl_plan_parse(ndl_plan *out, const char *text, size_t n,
                          const char *what)
{
    ndl_plan p = { 0 };
    json_t *root = NULL;
    NDL_TRY(ndl_json_parse(&root, text, n, what));
    const ndl_entry f = { what, "", root };
    const ndl_status st = read_plan(&f, &p);
    json_decref(root);
    if (st == NDL_OK)
        *out = p;
    else
        ndl_plan_fini(&p);
    return st;
}

ndl_status ndl_plan_load(ndl_plan *out, const char *path)
{
    char *text = NULL;
    size_t n = 0;
    NDL_TRY(ndl_file_read(&text, &n, path, MAX_FILE_BYTES));
    const ndl_status st = ndl_plan_parse(out, text, n, path);
    free(text);
    return st;
}
