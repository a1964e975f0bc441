/*
 * profile_file.c - a profile in its file: three tables and a signature.
 *
 * What is read back was perhaps written by nobody we know: it becomes a
 * profile only if every number of it could have been measured.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "noodle/load.h"
#include "noodle/profile.h"
#include "noodle/store.h"
#include "noodle/table.h"

enum {
    VERSION_MAJOR = 1, /* a higher one is refused */
    VERSION_MINOR = 0,
    MAX_RANKS = 4096, /* n * n links are the most that a table holds */
    MAX_THREADS = 4096
};

static const double max_sec = 3600.0; /* of anything that a probe measures */

typedef struct rank_row {
    char host[NDL_COLUMN_TEXT_BYTES];
    int32_t rank, node, n_threads, load;
    int64_t memory_bytes;
    double speed, map_bytes_per_sec, copy_bytes_per_sec;
} rank_row;

typedef struct sample_row {
    int32_t rank;
    ndl_sample sample;
} sample_row;

typedef struct link_row {
    int32_t from, to;
    ndl_link link;
} link_row;

_Static_assert((int)NDL_COLUMN_TEXT_BYTES == (int)NDL_PROFILE_HOST,
               "a host fits into its column");

#define COLUMN(row, field, name, type, unit)                                   \
    {                                                                          \
        name, NDL_COLUMN_##type, unit, offsetof(row, field)                    \
    }

static const ndl_column rank_columns[] = {
    COLUMN(rank_row, rank, "rank", I32, ""),
    COLUMN(rank_row, host, "host", TEXT, ""),
    COLUMN(rank_row, node, "node", I32, ""),
    COLUMN(rank_row, n_threads, "threads", I32, ""),
    COLUMN(rank_row, load, "load", I32, ""),
    COLUMN(rank_row, memory_bytes, "memory", I64, "B"),
    COLUMN(rank_row, speed, "speed", F64, ""),
    COLUMN(rank_row, map_bytes_per_sec, "map_bandwidth", F64, "B/s"),
    COLUMN(rank_row, copy_bytes_per_sec, "copy_bandwidth", F64, "B/s"),
};

static const ndl_column sample_columns[] = {
    COLUMN(sample_row, rank, "rank", I32, ""),
    COLUMN(sample_row, sample.kind, "kind", I32, ""),
    COLUMN(sample_row, sample.rows, "rows", I32, ""),
    COLUMN(sample_row, sample.sequences, "sequences", I32, ""),
    COLUMN(sample_row, sample.context, "context", I32, ""),
    COLUMN(sample_row, sample.crowded, "crowded", I32, ""),
    COLUMN(sample_row, sample.repeats, "repeats", I32, ""),
    COLUMN(sample_row, sample.sec, "min_time", F64, "s"),
    COLUMN(sample_row, sample.median_sec, "median_time", F64, "s"),
};

static const ndl_column link_columns[] = {
    COLUMN(link_row, from, "from", I32, ""),
    COLUMN(link_row, to, "to", I32, ""),
    COLUMN(link_row, link.latency_sec, "latency", F64, "s"),
    COLUMN(link_row, link.bytes_per_sec, "bandwidth", F64, "B/s"),
    COLUMN(link_row, link.same_node, "same_node", I32, ""),
};

/* A table of the file, with the rows in memory. */
typedef struct table_kind {
    const char *group;
    const ndl_column *columns;
    int n_columns;
    size_t row_bytes;
} table_kind;

#define KIND(group, columns, row)                                              \
    {                                                                          \
        group, columns, (int)(sizeof columns / sizeof *columns), sizeof(row)   \
    }

static const table_kind rank_table = KIND("/ranks", rank_columns, rank_row);
static const table_kind sample_table =
    KIND("/samples", sample_columns, sample_row);
static const table_kind link_table = KIND("/links", link_columns, link_row);

/* ---- save ---- */

static ndl_status put_created(ndl_store *s)
{
    char text[32] = "";
    struct tm utc;
    const time_t now = time(NULL);
    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return ndl_store_put_text(s, "/", "created", text);
}

static ndl_status put_root(ndl_store *s, const ndl_profile *p)
{
    const int64_t version[2] = { VERSION_MAJOR, VERSION_MINOR };
    char *signature = json_dumps(p->signature, JSON_SORT_KEYS);
    ndl_status st = NDL_OK;
    if (!signature)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    NDL_TRY_GOTO(done, st,
                 ndl_store_put_text(s, "/", "noodle_format", "profile"));
    NDL_TRY_GOTO(done, st,
                 ndl_store_put_ints(s, "/", "format_version", version, 2));
    NDL_TRY_GOTO(done, st, ndl_store_put_text(s, "/", "writer", "noodle-mpi"));
    NDL_TRY_GOTO(done, st, put_created(s));
    NDL_TRY_GOTO(done, st, ndl_store_put_text(s, "/", "signature", signature));
    st = ndl_store_put_u64(s, "/", "took_usec", (uint64_t)(p->took_sec * 1e6));
done:
    free(signature);
    return st;
}

static ndl_status put_table(ndl_store *s, const table_kind *k, const void *rows,
                            int64_t n)
{
    ndl_table *t = NULL;
    NDL_TRY(ndl_table_make(&t, s, k->group, k->columns, k->n_columns,
                           k->row_bytes));
    const ndl_status st = n > 0 ? ndl_table_append(t, rows, n) : NDL_OK;
    ndl_table_close(&t);
    return st;
}

static ndl_status put_ranks(ndl_store *s, const ndl_profile *p)
{
    rank_row *rows = calloc((size_t)p->n_ranks, sizeof *rows);
    if (!rows) return NDL_FAIL(NDL_EOS, "profile: out of memory");
    for (int i = 0; i < p->n_ranks; i++) {
        const ndl_profile_rank *r = &p->ranks[i];
        rows[i] = (rank_row){ .rank = r->rank,
                              .node = r->node,
                              .n_threads = r->n_threads,
                              .load = r->load,
                              .memory_bytes = (int64_t)r->memory_bytes,
                              .speed = r->speed,
                              .map_bytes_per_sec = r->map_bytes_per_sec,
                              .copy_bytes_per_sec = r->copy_bytes_per_sec };
        snprintf(rows[i].host, sizeof rows[i].host, "%.*s",
                 NDL_PROFILE_HOST - 1, r->host);
    }
    const ndl_status st = put_table(s, &rank_table, rows, p->n_ranks);
    free(rows);
    return st;
}

static ndl_status put_samples(ndl_store *s, const ndl_profile *p)
{
    int64_t n = 0;
    sample_row *rows =
        calloc((size_t)p->n_ranks, NDL_PROFILE_SAMPLES * sizeof *rows);
    if (!rows) return NDL_FAIL(NDL_EOS, "profile: out of memory");
    for (int i = 0; i < p->n_ranks; i++)
        for (int k = 0; k < p->ranks[i].n_samples; k++)
            rows[n++] = (sample_row){ i, p->ranks[i].samples[k] };
    const ndl_status st = put_table(s, &sample_table, rows, n);
    free(rows);
    return st;
}

static ndl_status put_links(ndl_store *s, const ndl_profile *p)
{
    const size_t n = (size_t)p->n_ranks;
    link_row *rows = calloc(n * n, sizeof *rows);
    if (!rows) return NDL_FAIL(NDL_EOS, "profile: out of memory");
    for (size_t i = 0; i < n * n; i++)
        rows[i] = (link_row){ (int32_t)(i / n), (int32_t)(i % n), p->links[i] };
    const ndl_status st = put_table(s, &link_table, rows, (int64_t)(n * n));
    free(rows);
    return st;
}

ndl_status ndl_profile_save(const ndl_profile *p, const char *path)
{
    ndl_store *s = NULL;
    ndl_status st = NDL_OK;
    NDL_ASSERT(p->n_ranks >= 1 && p->n_ranks <= MAX_RANKS && p->signature);
    NDL_TRY(ndl_store_create(&s, path));
    NDL_TRY_GOTO(done, st, put_root(s, p));
    NDL_TRY_GOTO(done, st, put_ranks(s, p));
    NDL_TRY_GOTO(done, st, put_samples(s, p));
    NDL_TRY_GOTO(done, st, put_links(s, p));
    st = ndl_store_commit(&s);
done:
    ndl_store_close(&s);
    return st;
}

/* ---- load ---- */

static ndl_status bad(const ndl_store *s, const char *group, int64_t row,
                      const char *flaw)
{
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s, row %" PRId64 ": %s: measure again with "
                    "`noodle-mpi profile`",
                    ndl_store_path(s), group, row, flaw);
}

static ndl_status check_format(ndl_store *s)
{
    char *format = NULL;
    int64_t v[2];
    bool ours = ndl_store_has_attr(s, "/", "noodle_format");
    if (ours) {
        NDL_TRY(ndl_store_get_text(s, "/", "noodle_format", &format));
        ours = strcmp(format, "profile") == 0;
        free(format);
    }
    if (!ours)
        return NDL_FAIL(NDL_EDATA,
                        "%s: is no profile: give a file that `noodle-mpi "
                        "profile` wrote",
                        ndl_store_path(s));
    NDL_TRY(ndl_store_get_ints(s, "/", "format_version", v, 2));
    if (v[0] == VERSION_MAJOR && v[1] >= 0) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: has format version %" PRId64 ".%" PRId64
                    ", this program reads %d: measure again with `noodle-mpi "
                    "profile`",
                    ndl_store_path(s), v[0], v[1], VERSION_MAJOR);
}

static ndl_status get_signature(ndl_store *s, json_t **out)
{
    char *text = NULL;
    const char *key;
    json_t *value, *signature = NULL;
    NDL_TRY(ndl_store_get_text(s, "/", "signature", &text));
    const ndl_status st =
        ndl_json_parse(&signature, text, strlen(text), ndl_store_path(s));
    free(text);
    NDL_TRY(st);
    bool texts = json_is_object(signature);
    json_object_foreach(signature, key, value) texts =
        texts && json_is_string(value);
    if (texts) {
        *out = signature;
        return NDL_OK;
    }
    json_decref(signature);
    return NDL_FAIL(NDL_EDATA,
                    "%s: signature is no object of texts: measure again with "
                    "`noodle-mpi profile`",
                    ndl_store_path(s));
}

static ndl_status get_root(ndl_store *s, ndl_profile *p)
{
    uint64_t usec = 0;
    NDL_TRY(check_format(s));
    NDL_TRY(get_signature(s, &p->signature));
    NDL_TRY(ndl_store_get_u64(s, "/", "took_usec", &usec));
    p->took_sec = (double)usec * 1e-6;
    return NDL_OK;
}

/* All rows of a table, between `least` and `most` of them. */
static ndl_status get_table(ndl_store *s, const table_kind *k,
                            const int64_t limits[2], void **out, int64_t *n)
{
    ndl_table *t = NULL;
    void *rows = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_table_open(&t, s, k->group, k->columns, k->n_columns,
                           k->row_bytes));
    const int64_t count = ndl_table_n_rows(t);
    if (count < limits[0] || count > limits[1]) {
        st = NDL_FAIL(NDL_EDATA,
                      "%s: %s has %" PRId64 " rows instead of %" PRId64
                      " to %" PRId64 ": measure again with `noodle-mpi "
                      "profile`",
                      ndl_store_path(s), k->group, count, limits[0], limits[1]);
        goto done;
    }
    rows = calloc((size_t)count + 1, k->row_bytes);
    if (!rows) st = NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    if (st == NDL_OK && count > 0) st = ndl_table_get(t, 0, count, rows);
    if (st != NDL_OK) goto done;
    *n = count;
    *out = rows;
    rows = NULL;
done:
    free(rows);
    ndl_table_close(&t);
    return st;
}

static bool is_rate(double v)
{
    return isfinite(v) && v >= 0.0;
}

static const char *rank_flaw(const rank_row *r, int n_ranks)
{
    if (r->rank < 0 || r->rank >= n_ranks) return "rank is out of range";
    if (r->host[0] == '\0') return "host is empty";
    if (r->node < -1 || r->node >= n_ranks) return "node is out of range";
    if (r->n_threads < 0 || r->n_threads > MAX_THREADS)
        return "threads are out of range";
    if (r->load < NDL_LOAD_AUTO || r->load > NDL_LOAD_COPY)
        return "load is no way of loading";
    if (r->memory_bytes < 0) return "memory is negative";
    if (!(r->speed > 0.0 && r->speed <= 1.0))
        return "speed is not above 0 and at most 1";
    if (!is_rate(r->map_bytes_per_sec)) return "map_bandwidth is no rate";
    if (!is_rate(r->copy_bytes_per_sec)) return "copy_bandwidth is no rate";
    return NULL;
}

static ndl_status take_rank(ndl_profile *p, const rank_row *r,
                            const char **flaw)
{
    *flaw = rank_flaw(r, p->n_ranks);
    if (!*flaw && p->ranks[r->rank].host[0]) *flaw = "rank is there twice";
    if (*flaw) return NDL_EDATA;
    ndl_profile_rank *out = &p->ranks[r->rank];
    out->rank = r->rank;
    out->node = r->node;
    out->n_threads = r->n_threads;
    out->load = r->load;
    out->memory_bytes = (uint64_t)r->memory_bytes;
    out->speed = r->speed;
    out->map_bytes_per_sec = r->map_bytes_per_sec;
    out->copy_bytes_per_sec = r->copy_bytes_per_sec;
    memcpy(out->host, r->host, sizeof out->host);
    return NDL_OK;
}

static ndl_status get_ranks(ndl_store *s, ndl_profile *p)
{
    void *rows = NULL;
    int64_t n = 0;
    const char *flaw = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY(get_table(s, &rank_table, (int64_t[]){ 1, MAX_RANKS }, &rows, &n));
    p->n_ranks = (int)n;
    p->ranks = calloc((size_t)n, sizeof *p->ranks);
    if (!p->ranks)
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    for (int64_t i = 0; st == NDL_OK && i < n; i++)
        if (take_rank(p, (const rank_row *)rows + i, &flaw) != NDL_OK)
            st = bad(s, rank_table.group, i, flaw);
    free(rows);
    return st;
}

static const char *take_sample(ndl_profile *p, const sample_row *row)
{
    if (row->rank < 0 || row->rank >= p->n_ranks) return "rank is out of range";
    ndl_profile_rank *r = &p->ranks[row->rank];
    if (r->n_threads == 0) return "its rank hosts nothing";
    if (r->n_samples == NDL_PROFILE_SAMPLES)
        return "its rank has too many samples";
    const char *flaw = ndl_sample_flaw(&row->sample);
    if (!flaw) r->samples[r->n_samples++] = row->sample;
    return flaw;
}

/* A plan needs all kinds of layers: without one it would think it free. */
static const char *rank_lacks(const ndl_profile_rank *r)
{
    static const char *const lacks[NDL_N_LAYER_KINDS] = {
        [NDL_LAYER_EMBED] = "has no sample of the embedding",
        [NDL_LAYER_BLOCK] = "has no sample of a block",
        [NDL_LAYER_HEAD] = "has no sample of the head",
    };
    bool has[NDL_N_LAYER_KINDS] = { false };
    for (int i = 0; i < r->n_samples; i++) has[r->samples[i].kind] = true;
    for (int k = 0; r->n_threads > 0 && k < NDL_N_LAYER_KINDS; k++)
        if (!has[k]) return lacks[k];
    return NULL;
}

static ndl_status get_samples(ndl_store *s, ndl_profile *p)
{
    const int64_t most = (int64_t)p->n_ranks * NDL_PROFILE_SAMPLES;
    void *rows = NULL;
    int64_t n = 0;
    ndl_status st = NDL_OK;
    NDL_TRY(get_table(s, &sample_table, (int64_t[]){ 0, most }, &rows, &n));
    for (int64_t i = 0; st == NDL_OK && i < n; i++) {
        const char *flaw = take_sample(p, (const sample_row *)rows + i);
        if (flaw) st = bad(s, sample_table.group, i, flaw);
    }
    free(rows);
    for (int i = 0; st == NDL_OK && i < p->n_ranks; i++) {
        ndl_cost cost;
        const ndl_profile_rank *r = &p->ranks[i];
        const char *flaw = rank_lacks(r);
        if (flaw)
            st = bad(s, rank_table.group, i, flaw);
        else if (r->n_threads > 0)
            st = ndl_cost_fit(&cost, r->samples, r->n_samples);
    }
    return st;
}

static const char *take_link(ndl_profile *p, bool *seen, const link_row *row)
{
    const ndl_link *l = &row->link;
    if (row->from < 0 || row->from >= p->n_ranks) return "from is out of range";
    if (row->to < 0 || row->to >= p->n_ranks) return "to is out of range";
    const size_t at = (size_t)row->from * (size_t)p->n_ranks + (size_t)row->to;
    if (seen[at]) return "the pair is there twice";
    if (!(l->latency_sec >= 0.0 && l->latency_sec <= max_sec))
        return "latency is no time up to an hour";
    if (!is_rate(l->bytes_per_sec)) return "bandwidth is no rate";
    if (l->same_node != 0 && l->same_node != 1)
        return "same_node is not 0 or 1";
    seen[at] = true;
    p->links[at] = *l;
    return NULL;
}

static ndl_status get_links(ndl_store *s, ndl_profile *p)
{
    const int64_t all = (int64_t)p->n_ranks * p->n_ranks;
    void *rows = NULL;
    int64_t n = 0;
    ndl_status st = NDL_OK;
    NDL_TRY(get_table(s, &link_table, (int64_t[]){ all, all }, &rows, &n));
    bool *seen = calloc((size_t)all, sizeof *seen);
    p->links = calloc((size_t)all, sizeof *p->links);
    if (!seen || !p->links)
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    for (int64_t i = 0; st == NDL_OK && i < n; i++) {
        const char *flaw = take_link(p, seen, (const link_row *)rows + i);
        if (flaw) st = bad(s, link_table.group, i, flaw);
    }
    free(seen);
    free(rows);
    return st;
}

ndl_status ndl_profile_load(ndl_profile *out, const char *path)
{
    ndl_store *s = NULL;
    ndl_profile p = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY(ndl_store_open(&s, path));
    NDL_TRY_GOTO(done, st, get_root(s, &p));
    NDL_TRY_GOTO(done, st, get_ranks(s, &p));
    NDL_TRY_GOTO(done, st, get_samples(s, &p));
    NDL_TRY_GOTO(done, st, get_links(s, &p));
    *out = p;
    p = (ndl_profile){ 0 };
done:
    ndl_profile_fini(&p);
    ndl_store_close(&s);
    return st;
}
