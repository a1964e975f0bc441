/* test_profile_file.c - a profile's file: what comes back, what is refused. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "../support/profile_kit.h"
#include "noodle/store.h"
#include "noodle/table.h"

#include "../support/scratch.h"

enum { RANKS = 3 };

static void profile_comes_back_from_its_file(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS), q = { 0 };
    assert_int_equal(ndl_profile_save(&p, path), NDL_OK);
    assert_int_equal(ndl_profile_load(&q, path), NDL_OK);
    assert_int_equal(q.n_ranks, RANKS);
    assert_true(fabs(q.took_sec - 1.25) < 1e-6);
    assert_true(json_equal(p.signature, q.signature));
    assert_memory_equal(p.ranks, q.ranks, RANKS * sizeof *p.ranks);
    assert_memory_equal(p.links, q.links, RANKS * RANKS * sizeof *p.links);
    assert_int_equal(ndl_profile_match(&q, p.signature, path), NDL_OK);
    assert_int_equal(test_folder_count(&folder), 1);
    ndl_profile_fini(&q);
    ndl_profile_fini(&p);
    ndl_profile_fini(&p);
}

static void profile_of_one_idle_rank_is_one(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(1), q = { 0 };
    assert_int_equal(ndl_profile_save(&p, path), NDL_OK);
    assert_int_equal(ndl_profile_load(&q, path), NDL_OK);
    assert_int_equal(q.n_ranks, 1);
    ndl_profile_fini(&q);
    ndl_profile_fini(&p);
}

static void saving_replaces_what_was_there(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS), q = { 0 };
    assert_int_equal(ndl_profile_save(&p, path), NDL_OK);
    p.ranks[1].samples[0].sec = 1.5e-3;
    assert_int_equal(ndl_profile_save(&p, path), NDL_OK);
    assert_int_equal(ndl_profile_load(&q, path), NDL_OK);
    assert_true(q.ranks[1].samples[0].sec == 1.5e-3);
    ndl_profile_fini(&q);
    ndl_profile_fini(&p);
}

static void saving_into_a_missing_folder_fails(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(1);
    char nowhere[400];
    snprintf(nowhere, sizeof nowhere, "%s/none/p.h5", folder.path);
    assert_int_equal(ndl_profile_save(&p, nowhere), NDL_ECREATE);
    ndl_profile_fini(&p);
}

/* ---- hostile files ---- */

static void refuses_file(const char *words)
{
    ndl_profile q = { .n_ranks = 99 };
    ndl_status_clear();
    assert_int_equal(ndl_profile_load(&q, path), NDL_EDATA);
    assert_int_equal(q.n_ranks, 99);
    assert_null(q.ranks);
    if (!strstr(ndl_status_message(), words))
        fail_msg("'%s' is not in '%s'", words, ndl_status_message());
    assert_null(strchr(ndl_status_message(), '\n'));
}

/* Saving looks at nothing, so that a wrong profile makes a wrong file. */
static void refuses(ndl_profile *p, const char *words)
{
    assert_int_equal(ndl_profile_save(p, path), NDL_OK);
    ndl_profile_fini(p);
    refuses_file(words);
}

/* p is a new profile each time; `what` makes it absurd. */
#define REFUSES(words, what)                                                   \
    do {                                                                       \
        ndl_profile p = profile_kit_make(RANKS);                               \
        what;                                                                  \
        refuses(&p, words);                                                    \
    } while (0)

static void every_field_of_a_rank_is_checked(void **state)
{
    (void)state;
    REFUSES("/ranks, row 1: rank is out of range", p.ranks[1].rank = 3);
    REFUSES("rank is out of range", p.ranks[1].rank = -1);
    REFUSES("rank is there twice", p.ranks[1].rank = 2);
    REFUSES("host is empty", p.ranks[0].host[0] = '\0');
    REFUSES("node is out of range", p.ranks[0].node = 3);
    REFUSES("node is out of range", p.ranks[0].node = -2);
    REFUSES("threads are out of range", p.ranks[2].n_threads = -1);
    REFUSES("threads are out of range", p.ranks[2].n_threads = 1 << 20);
    REFUSES("load", p.ranks[2].load = 3);
    REFUSES("load", p.ranks[2].load = -1);
    REFUSES("memory", p.ranks[2].memory_bytes = UINT64_MAX);
    REFUSES("speed", p.ranks[2].speed = 0.0);
    REFUSES("speed", p.ranks[2].speed = 1.5);
    REFUSES("speed", p.ranks[2].speed = NAN);
    REFUSES("map_bandwidth", p.ranks[2].map_bytes_per_sec = -1.0);
    REFUSES("map_bandwidth", p.ranks[2].map_bytes_per_sec = NAN);
    REFUSES("copy_bandwidth", p.ranks[2].copy_bytes_per_sec = INFINITY);
}

static void every_field_of_a_sample_is_checked(void **state)
{
    (void)state;
    REFUSES("/samples, row 1: sec", p.ranks[1].samples[1].sec = NAN);
    REFUSES("sec", p.ranks[1].samples[1].sec = -1.0);
    REFUSES("sec", p.ranks[1].samples[1].sec = 0.0);
    REFUSES("sec", p.ranks[1].samples[1].sec = 5e-324);
    REFUSES("sec", p.ranks[1].samples[1].sec = 4000.0);
    REFUSES("median_sec", p.ranks[1].samples[1].median_sec = INFINITY);
    REFUSES("kind", p.ranks[1].samples[1].kind = 3);
    REFUSES("rows", p.ranks[1].samples[1].rows = 0);
    REFUSES("sequences", p.ranks[1].samples[1].sequences = 5);
    REFUSES("context", p.ranks[1].samples[1].context = -1);
    REFUSES("crowded", p.ranks[1].samples[1].crowded = 7);
    REFUSES("repeats", p.ranks[1].samples[1].repeats = 0);
}

static void samples_must_fit_their_rank(void **state)
{
    (void)state;
    REFUSES("hosts nothing", p.ranks[1].n_threads = 0);
    REFUSES("no sample of the embedding", p.ranks[0].n_threads = 1);
    REFUSES("no sample of a block",
            for (int i = 0; i < 3; i++) p.ranks[1].samples[i].kind =
                NDL_LAYER_EMBED);
    REFUSES("no sample of the head", p.ranks[1].n_samples--);
    REFUSES("no sample of the embedding",
            p.ranks[1].samples[3].kind = NDL_LAYER_HEAD);
    REFUSES("row counts", {
        ndl_profile_rank *r = &p.ranks[1];
        for (int i = 0; i <= NDL_COST_KNOTS; i++)
            r->samples[r->n_samples++] =
                profile_kit_sample(NDL_LAYER_BLOCK, 100 + i, 1, 1.0);
    });
}

static void every_field_of_a_link_is_checked(void **state)
{
    (void)state;
    REFUSES("/links, row 5: latency", p.links[5].latency_sec = NAN);
    REFUSES("latency", p.links[5].latency_sec = -1e-6);
    REFUSES("latency", p.links[5].latency_sec = 4000.0);
    REFUSES("bandwidth", p.links[5].bytes_per_sec = -1.0);
    REFUSES("bandwidth", p.links[5].bytes_per_sec = INFINITY);
    REFUSES("same_node", p.links[5].same_node = 2);
}

static void signature_must_be_an_object_of_texts(void **state)
{
    (void)state;
    REFUSES("signature",
            json_object_set_new(p.signature, "threads", json_integer(3)));
    REFUSES("signature", {
        json_decref(p.signature);
        p.signature = json_pack("[ss]", "version", "hosts");
    });
}

/* ---- files of another make ---- */

typedef struct raw_link {
    int32_t from, to, same_node, reserved;
    double latency, bandwidth;
} raw_link;

typedef struct raw_sample {
    int32_t rank, one, zero, reserved;
    double sec;
} raw_sample;

typedef struct raw_rank {
    char host[NDL_COLUMN_TEXT_BYTES];
    int32_t rank, zero;
    int64_t memory;
    double one;
} raw_rank;

#define COLUMN(row, field, name, type)                                         \
    {                                                                          \
        name, NDL_COLUMN_##type, "", offsetof(row, field)                      \
    }

static const ndl_column link_columns[] = {
    COLUMN(raw_link, from, "from", I32),
    COLUMN(raw_link, to, "to", I32),
    COLUMN(raw_link, same_node, "same_node", I32),
    COLUMN(raw_link, latency, "latency", F64),
    COLUMN(raw_link, bandwidth, "bandwidth", F64),
};

static const ndl_column sample_columns[] = {
    COLUMN(raw_sample, rank, "rank", I32),
    COLUMN(raw_sample, one, "kind", I32),
    COLUMN(raw_sample, one, "rows", I32),
    COLUMN(raw_sample, one, "sequences", I32),
    COLUMN(raw_sample, zero, "context", I32),
    COLUMN(raw_sample, one, "crowded", I32),
    COLUMN(raw_sample, one, "repeats", I32),
    COLUMN(raw_sample, sec, "min_time", F64),
    COLUMN(raw_sample, sec, "median_time", F64),
};

static const ndl_column rank_columns[] = {
    COLUMN(raw_rank, rank, "rank", I32),
    COLUMN(raw_rank, host, "host", TEXT),
    COLUMN(raw_rank, zero, "node", I32),
    COLUMN(raw_rank, zero, "threads", I32),
    COLUMN(raw_rank, zero, "load", I32),
    COLUMN(raw_rank, memory, "memory", I64),
    COLUMN(raw_rank, one, "speed", F64),
    COLUMN(raw_rank, one, "map_bandwidth", F64),
    COLUMN(raw_rank, one, "copy_bandwidth", F64),
};

/* What a file of two idle ranks is made of, to leave out or to double. */
typedef struct raw_file {
    const char *format, *signature;
    int64_t major;
    int n_ranks, n_samples, n_links;
    raw_rank ranks[4];
    raw_sample samples[4];
    raw_link links[8];
} raw_file;

static raw_file raw(void)
{
    raw_file f = { .format = "profile",
                   .signature = "{}",
                   .major = 1,
                   .n_ranks = 2,
                   .n_links = 4 };
    for (int i = 0; i < 4; i++) {
        f.ranks[i] = (raw_rank){ "h", i, 0, 5, 1.0 };
        f.samples[i] = (raw_sample){ 0, 1, 0, 0, 1.0 };
        f.links[i] = (raw_link){ i / 2, i % 2, 1, 0, 1e-6, 1e9 };
    }
    return f;
}

static void put(ndl_store *s, const char *group, const ndl_column *columns,
                int n_columns, size_t row_bytes, const void *rows, int n)
{
    ndl_table *t = NULL;
    assert_int_equal(
        ndl_table_make(&t, s, group, columns, n_columns, row_bytes), NDL_OK);
    assert_int_equal(ndl_table_append(t, rows, n), NDL_OK);
    ndl_table_close(&t);
}

static void write_raw(const raw_file *f)
{
    ndl_store *s = NULL;
    const int64_t version[2] = { f->major, 0 };
    assert_int_equal(ndl_store_create(&s, path), NDL_OK);
    if (f->format) ndl_store_put_text(s, "/", "noodle_format", f->format);
    ndl_store_put_ints(s, "/", "format_version", version, 2);
    ndl_store_put_u64(s, "/", "took_usec", 1);
    if (f->signature) ndl_store_put_text(s, "/", "signature", f->signature);
    if (f->n_ranks >= 0)
        put(s, "/ranks", rank_columns, 9, sizeof *f->ranks, f->ranks,
            f->n_ranks);
    if (f->n_samples >= 0)
        put(s, "/samples", sample_columns, 9, sizeof *f->samples, f->samples,
            f->n_samples);
    if (f->n_links >= 0)
        put(s, "/links", link_columns, 5, sizeof *f->links, f->links,
            f->n_links);
    assert_int_equal(ndl_store_commit(&s), NDL_OK);
}

#define REFUSES_RAW(words, what)                                               \
    do {                                                                       \
        raw_file f = raw();                                                    \
        what;                                                                  \
        write_raw(&f);                                                         \
        refuses_file(words);                                                   \
    } while (0)

static void tables_of_another_make_are_read(void **state)
{
    (void)state;
    const raw_file f = raw();
    ndl_profile q = { 0 };
    write_raw(&f);
    assert_int_equal(ndl_profile_load(&q, path), NDL_OK);
    assert_int_equal(q.n_ranks, 2);
    assert_int_equal(q.ranks[1].memory_bytes, 5);
    ndl_profile_fini(&q);
}

static void other_formats_and_versions_are_refused(void **state)
{
    (void)state;
    REFUSES_RAW("is no profile", f.format = NULL);
    REFUSES_RAW("is no profile", f.format = "weights");
    REFUSES_RAW("format version 2.0", f.major = 2);
    REFUSES_RAW("format version 0.0", f.major = 0);
    REFUSES_RAW("signature", f.signature = NULL);
    REFUSES_RAW(path, f.signature = "{");
    REFUSES_RAW(path, f.signature = "{\"a\":\"1\",\"a\":\"2\"}");
    REFUSES_RAW(path, f.signature = "3");
    REFUSES_RAW("signature", f.signature = "[]");
}

static void counts_of_tables_must_agree(void **state)
{
    (void)state;
    REFUSES_RAW("/ranks", f.n_ranks = -1);
    REFUSES_RAW("/samples", f.n_samples = -1);
    REFUSES_RAW("/links", f.n_links = -1);
    REFUSES_RAW("/ranks has 0 rows", f.n_ranks = 0);
    REFUSES_RAW("/links has 4 rows instead of 9", f.n_ranks = 3);
    REFUSES_RAW("/links has 3 rows", f.n_links = 3);
    REFUSES_RAW("/links has 5 rows", f.n_links = 5);
    REFUSES_RAW("pair is there twice", f.links[3] = f.links[2]);
    REFUSES_RAW("/links, row 1: to", f.links[1].to = 2);
    REFUSES_RAW("/links, row 1: to", f.links[1].to = -1);
    REFUSES_RAW("/links, row 2: from", f.links[2].from = INT32_MAX);
    REFUSES_RAW("hosts nothing", f.n_samples = 1);
    REFUSES_RAW("/samples, row 0: rank", {
        f.n_samples = 1;
        f.samples[0].rank = 2;
    });
    REFUSES_RAW("/samples, row 0: rank", {
        f.n_samples = 1;
        f.samples[0].rank = -1;
    });
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    ndl_profile q = { 0 };
    assert_int_equal(ndl_profile_load(&q, path), NDL_ENOINPUT);
    FILE *f = fopen(path, "w");
    fputs("no HDF5", f);
    fclose(f);
    refuses_file(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(profile_comes_back_from_its_file),
        IN_SCRATCH(profile_of_one_idle_rank_is_one),
        IN_SCRATCH(saving_replaces_what_was_there),
        IN_SCRATCH(saving_into_a_missing_folder_fails),
        IN_SCRATCH(every_field_of_a_rank_is_checked),
        IN_SCRATCH(every_field_of_a_sample_is_checked),
        IN_SCRATCH(samples_must_fit_their_rank),
        IN_SCRATCH(every_field_of_a_link_is_checked),
        IN_SCRATCH(signature_must_be_an_object_of_texts),
        IN_SCRATCH(tables_of_another_make_are_read),
        IN_SCRATCH(other_formats_and_versions_are_refused),
        IN_SCRATCH(counts_of_tables_must_agree),
        IN_SCRATCH(files_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
