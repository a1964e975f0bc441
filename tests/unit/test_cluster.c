/* test_cluster.c - nodes from a file, from a profile, and what is refused. */
#include "noodle/cluster.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/folder.h"

static const ndl_model model = { .arch = "llama",
                                 .n_layers = 4,
                                 .width = 256,
                                 .n_heads = 8,
                                 .n_kv_heads = 4,
                                 .head_dim = 32,
                                 .ffn = 512,
                                 .vocab = 1000,
                                 .context = 512,
                                 .norm = NDL_NORM_RMS,
                                 .norm_eps = 1e-5f,
                                 .mlp = NDL_MLP_SWIGLU,
                                 .rope = { .kind = NDL_ROPE_PLAIN,
                                           .theta = 1e4 },
                                 .bos = -1 };

static ndl_status parse(ndl_cluster *c, const char *text,
                        const ndl_profile *profile)
{
    ndl_status_clear();
    return ndl_cluster_parse(c, text, strlen(text), "dir/nodes.yaml", &model,
                             ndl_mix_plain(NDL_BF16),
                             (ndl_kv_types){ NDL_BF16, NDL_BF16 }, profile);
}

static void parse_well(ndl_cluster *c, const char *text)
{
    if (parse(c, text, NULL) != NDL_OK)
        fail_msg("%s: %s", text, ndl_status_message());
}

static void refuse_with(const char *text, const ndl_profile *profile,
                        const char *says)
{
    ndl_cluster c = { .n = -5 };
    if (parse(&c, text, profile) != NDL_EDATA) fail_msg("taken: %s", text);
    assert_int_equal(c.n, -5);
    const char *m = ndl_status_message();
    assert_non_null(strstr(m, "dir/nodes.yaml: "));
    if (!strstr(m, says)) fail_msg("\"%s\" is not in: %s", says, m);
}

static void refuse(const char *text, const char *says)
{
    refuse_with(text, NULL, says);
}

/* A file with one node, one of whose fields is `field`. */
static void refuse_field(const char *field, const char *says)
{
    static const char *const fields[] = { "name: big", "memory: 64 GiB",
                                          "compute: 1 TFLOP/s",
                                          "bandwidth: 100 GB/s" };
    char text[512] = "nodes: [{";
    const size_t key = strcspn(field, ":");
    for (size_t i = 0; i < 4; i++)
        if (strncmp(fields[i], field, key + 1) != 0) {
            strcat(text, fields[i]);
            strcat(text, ", ");
        }
    strcat(text, field);
    strcat(text, "}]");
    refuse(text, says);
}

static const char example[] =
    "link: {latency: 2us, bandwidth: 12 GB/s}     # default of all pairs\n"
    "nodes:\n"
    "  - {name: big, count: 4, type: cpu, memory: 512 GiB, threads: 64,\n"
    "     compute: 4 TFLOP/s, bandwidth: 400 GB/s}\n"
    "  - {name: old, count: 8, type: any, memory: 128 GiB,\n"
    "     compute: 500 GFLOP/s, bandwidth: 50 GB/s}\n"
    "links:\n"
    "  - {from: big, to: old, latency: 5us, bandwidth: 3 GB/s}  # both ways\n"
    "  - {from: old, to: old, bandwidth: 1 GB/s}\n";

static void a_file_gives_nodes_and_links(void **state)
{
    (void)state;
    ndl_cluster c;
    parse_well(&c, example);
    assert_int_equal(c.n, 2);
    assert_int_equal(ndl_cluster_size(&c), 12);
    assert_string_equal(c.source, "nodes.yaml");
    assert_string_equal(c.nodes[0].name, "big");
    assert_int_equal(c.nodes[0].type, NDL_NODE_CPU);
    assert_int_equal(c.nodes[0].rank, -1);
    assert_int_equal(c.nodes[0].count, 4);
    assert_int_equal(c.nodes[0].n_threads, 64);
    assert_int_equal(c.nodes[0].memory_bytes, UINT64_C(512) << 30);
    assert_int_equal(c.nodes[1].type, NDL_NODE_ANY);
    assert_int_equal(c.nodes[1].n_threads, 0);
    const struct {
        double latency, bandwidth;
    } wanted[4] = {
        { 2e-6, 12e9 }, { 5e-6, 3e9 }, { 5e-6, 3e9 }, { 2e-6, 1e9 }
    };
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(c.links[i].latency_sec - wanted[i].latency) < 1e-12);
        assert_true(fabs(c.links[i].bytes_per_sec - wanted[i].bandwidth) < 1);
    }
    for (int i = 0; i < 2; i++)
        assert_true(fabs(c.entry[i].bytes_per_sec - 12e9) < 1);
    ndl_cluster_fini(&c);
    assert_null(c.nodes);
}

static void times_are_those_of_the_peaks(void **state)
{
    (void)state;
    const ndl_work step = ndl_work_decode(1, 16, 1.0);
    const ndl_cost_peaks peaks = { 4e12, 400e9, 10e-6 };
    ndl_cluster c;
    ndl_cost cost;
    parse_well(&c, example);
    assert_int_equal(ndl_cost_estimate(&cost, &model, ndl_mix_plain(NDL_BF16),
                                       (ndl_kv_types){ NDL_BF16, NDL_BF16 },
                                       &peaks),
                     NDL_OK);
    assert_true(ndl_cost_sec(&c.nodes[0].cost, NDL_LAYER_BLOCK, &step) ==
                ndl_cost_sec(&cost, NDL_LAYER_BLOCK, &step));
    assert_true(ndl_cost_sec(&c.nodes[1].cost, NDL_LAYER_HEAD, &step) >
                ndl_cost_sec(&c.nodes[0].cost, NDL_LAYER_HEAD, &step));
    ndl_cluster_fini(&c);
    parse_well(&c, "nodes: [{name: a, memory: 1 GiB, compute: 4e12, "
                   "bandwidth: 400e9, overhead: 1 s}]");
    assert_true(ndl_cost_sec(&c.nodes[0].cost, NDL_LAYER_BLOCK, &step) >= 1.0);
    ndl_cluster_fini(&c);
}

static void links_that_nobody_gave_are_ethernet(void **state)
{
    (void)state;
    ndl_cluster c;
    parse_well(&c, "{\"nodes\":[{\"name\":\"a\",\"memory\":1000000,"
                   "\"compute\":1e12,\"bandwidth\":100000000000}]}");
    assert_int_equal(c.n, 1);
    assert_int_equal(c.nodes[0].count, 1);
    assert_true(c.links[0].latency_sec == 20e-6);
    assert_true(c.links[0].bytes_per_sec == 1.25e9);
    assert_true(c.entry[0].bytes_per_sec == 1.25e9);
    ndl_cluster_fini(&c);
}

static void figures_of_a_node_are_named_when_wrong(void **state)
{
    (void)state;
    refuse_field("memory: -1 GiB", "node big: memory: -1 GiB is not allowed");
    refuse_field("memory: 0", "more than 0 and at most 1 EiB");
    refuse_field("memory: 1e19", "node big: memory: ");
    refuse_field("memory: 2000000 TiB", "at most 1 EiB");
    refuse_field("memory: .nan", "node big: memory: .nan is");
    refuse_field("memory: 64 gigs", "64 gigs is not allowed");
    refuse_field("memory: [1]", "node big: memory: ");
    refuse_field("memory: null", "node big: memory: ");
    refuse_field("compute: 1e19", "at most 1e18 FLOP/s");
    refuse_field("compute: -4", "node big: compute: ");
    refuse_field("compute: 4 GB/s", "like 1.5 TFLOP/s");
    refuse_field("compute: .inf", ".inf is not allowed");
    refuse_field("bandwidth: 1e16", "at most 1e15 B/s");
    refuse_field("bandwidth: 0", "node big: bandwidth: ");
    refuse_field("overhead: 11 s", "0 to 10 s");
    refuse_field("overhead: -1", "node big: overhead: ");
    refuse_field("count: 0", "from 1 to 4096");
    refuse_field("count: 4097", "from 1 to 4096");
    refuse_field("count: 1.5", "a whole number");
    refuse_field("count: \"2\"", "a whole number");
    refuse_field("threads: 0", "from 1 to 4096");
    refuse_field("threads: true", "from 1 to 4096");
    refuse_field("type: tpu", "cpu, gpu, igpu or any");
    refuse_field("type: 1", "not a text");
    refuse_field("name: ''", "is empty");
    refuse_field("name: 'a,b'", "a comma");
    refuse_field("name: 17", "node 1 of the list: name: not a text");
    refuse_field("name: \"\\u00e4\"", "printable ASCII");
    refuse_field("name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "aaaaaaaaaa",
                 "at most 63 characters");
    refuse_field("speed: 1", "without like");
    refuse_field("memroy: 1", "node big: memroy: unknown field: allowed are "
                              "name, count, type, memory");
}

static void a_field_that_is_missing_is_named(void **state)
{
    (void)state;
    refuse("nodes: [{memory: 1, compute: 1, bandwidth: 1}]",
           "node 1 of the list: name: is missing");
    refuse("nodes: [{name: a, compute: 1, bandwidth: 1}]",
           "node a: memory: is missing");
    refuse("nodes: [{name: a, memory: 1, bandwidth: 1}]",
           "node a: compute: is missing");
    refuse("nodes: [{name: a, memory: 1, compute: 1}]",
           "node a: bandwidth: is missing");
}

static void the_file_as_a_whole_is_checked(void **state)
{
    (void)state;
    refuse("[]", "not an object");
    refuse("link: {latency: 1us}", "nodes: not a list");
    refuse("nodes: []", "nodes: not a list of 1 to");
    refuse("nodes: {name: a}", "nodes: not a list");
    refuse("nodes: [1]", "node 1 of the list: not an object");
    refuse("nods: []", "nods: unknown field: allowed are nodes, link, links");
    refuse("a: [", "not valid YAML");
    refuse("nodes: [*a]", "aliases");
}

#define A                                                                      \
    "{name: a, memory: 1 GiB, compute: 1 TFLOP/s, bandwidth: 1 GB/s, "         \
    "count: 4096}"
#define B "{name: b, memory: 1 GiB, compute: 1 TFLOP/s, bandwidth: 1 GB/s}"

static void names_are_unique_and_nodes_not_too_many(void **state)
{
    (void)state;
    refuse("nodes: [" B ", " B "]", "node 2 of the list: name: a second node");
    refuse("nodes: [" A ", " B "]", "node b: count: more than 4096 nodes");
}

static void links_are_checked(void **state)
{
    (void)state;
    refuse("nodes: [" B "]\nlinks: {from: b, to: b}", "links: not a list");
    refuse("nodes: [" B "]\nlinks: [{from: b, to: c}]",
           "link 1 of the list: to: no node is called c");
    refuse("nodes: [" B "]\nlinks: [{to: b}]", "from: is missing");
    refuse("nodes: [" B "]\nlinks: [{from: b, to: b, latency: -1}]",
           "link 1 of the list: latency: not allowed");
    refuse("nodes: [" B "]\nlinks: [{from: b, to: b, speed: 1}]",
           "speed: unknown field: allowed are from, to, latency, bandwidth");
    refuse("nodes: [" B "]\nlinks: [{from: b, to: b}, {from: b, to: b}]",
           "link 2 of the list: to: this pair has a link already");
    refuse("nodes: [" B "]\nlink: {bandwidth: 0}", "link: bandwidth: ");
    refuse("nodes: [" B "]\nlink: {latency: 11s}", "link: latency: 11s is");
    refuse("nodes: [" B "]\nlink: 3", "link: not an object");
    refuse("nodes: [" B "]\nlink: {from: b}", "link: from: unknown field");
}

/* Three ranks on two hosts; rank 0 hosts nothing. */
static ndl_profile_rank ranks[3];
static ndl_link links[9];

static ndl_profile profile_of(void)
{
    memset(ranks, 0, sizeof ranks);
    for (int r = 0; r < 3; r++) {
        ndl_profile_rank *k = &ranks[r];
        snprintf(k->host, sizeof k->host, "node%d", r == 2 ? 18 : 17);
        k->rank = r;
        k->speed = 1.0;
        k->memory_bytes = (uint64_t)(r + 1) << 30;
        if (r == 0) continue;
        k->n_threads = 8 * r;
        k->n_samples = NDL_N_LAYER_KINDS;
        for (int i = 0; i < NDL_N_LAYER_KINDS; i++)
            k->samples[i] = (ndl_sample){ .kind = i,
                                          .rows = 1,
                                          .sequences = 1,
                                          .crowded = 1,
                                          .repeats = 3,
                                          .sec = 1e-3 * r,
                                          .median_sec = 1e-3 * r };
    }
    for (int i = 0; i < 9; i++)
        links[i] = (ndl_link){ 1e-6 * (i + 1), 1e9 * (10 - i), 0, 0 };
    return (ndl_profile){ .n_ranks = 3, .ranks = ranks, .links = links };
}

static void measured_ranks_that_host_become_nodes(void **state)
{
    (void)state;
    const ndl_profile p = profile_of();
    const ndl_work step = ndl_work_decode(1, 0, 1.0);
    ndl_cluster c;
    assert_int_equal(ndl_cluster_measured(&c, &p), NDL_OK);
    assert_int_equal(c.n, 2);
    assert_int_equal(ndl_cluster_size(&c), 2);
    assert_string_equal(c.source, "measured");
    assert_string_equal(c.nodes[1].name, "node18");
    assert_int_equal(c.nodes[0].rank, 1);
    assert_int_equal(c.nodes[1].rank, 2);
    assert_int_equal(c.nodes[1].n_threads, 16);
    assert_int_equal(c.nodes[1].memory_bytes, UINT64_C(3) << 30);
    assert_true(fabs(ndl_cost_sec(&c.nodes[1].cost, NDL_LAYER_BLOCK, &step) -
                     2e-3) < 1e-9);
    /* From rank 2 to rank 1: row 2, column 1. */
    assert_true(c.links[2].latency_sec == links[7].latency_sec);
    assert_true(c.links[1].bytes_per_sec == links[5].bytes_per_sec);
    /* Of rank 0 to rank 2 (2) and back (6), the slower. */
    assert_true(c.entry[1].latency_sec == links[6].latency_sec);
    assert_true(c.entry[1].bytes_per_sec == links[6].bytes_per_sec);
    ndl_cluster_fini(&c);
}

static void a_profile_without_hosts_makes_no_cluster(void **state)
{
    (void)state;
    ndl_profile p = profile_of();
    ndl_cluster c = { .n = -5 };
    for (int r = 0; r < 3; r++) ranks[r].n_threads = 0;
    ndl_status_clear();
    assert_int_equal(ndl_cluster_measured(&c, &p), NDL_EDATA);
    p = profile_of();
    ranks[2].samples[1].sec = NAN;
    ndl_status_clear();
    assert_int_equal(ndl_cluster_measured(&c, &p), NDL_EDATA);
    assert_int_equal(c.n, -5);
}

static void like_takes_measured_times_divided_by_speed(void **state)
{
    (void)state;
    const ndl_profile p = profile_of();
    const ndl_work step = ndl_work_decode(1, 0, 1.0);
    ndl_cluster c;
    assert_int_equal(parse(&c,
                           "nodes:\n"
                           "- {name: same, memory: 1 GiB, like: node17}\n"
                           "- {name: half, memory: 1 GiB, like: node18, "
                           "speed: 0.5}\n",
                           &p),
                     NDL_OK);
    assert_true(fabs(ndl_cost_sec(&c.nodes[0].cost, NDL_LAYER_HEAD, &step) -
                     1e-3) < 1e-9);
    assert_true(fabs(ndl_cost_sec(&c.nodes[1].cost, NDL_LAYER_HEAD, &step) -
                     4e-3) < 1e-9);
    assert_int_equal(c.nodes[1].memory_bytes, UINT64_C(1) << 30);
    ndl_cluster_fini(&c);
}

static void like_is_checked(void **state)
{
    (void)state;
    const ndl_profile p = profile_of();
    refuse("nodes: [{name: a, memory: 1, like: node17}]",
           "node a: like: needs measured times");
    refuse_with("nodes: [{name: a, memory: 1, like: node19}]", &p,
                "node a: like: host node19 is not in the profile, whose first "
                "is node17");
    refuse_with("nodes: [{name: a, memory: 1, like: node17, compute: 1}]", &p,
                "node a: like: stands beside compute");
    refuse_with("nodes: [{name: a, memory: 1, like: node17, speed: 0}]", &p,
                "node a: speed: not allowed: give a number from 0.001 to 1000");
    refuse_with("nodes: [{name: a, like: node17}]", &p, "memory: is missing");
}

static void a_message_takes_latency_and_its_bytes(void **state)
{
    (void)state;
    const ndl_link link = { 1e-3, 1e6, 0, 0 }, unknown = { 1e-3, 0, 0, 0 };
    assert_true(fabs(ndl_link_sec(&link, 500.0) - 1.5e-3) < 1e-12);
    assert_true(ndl_link_sec(&unknown, 1e9) == 1e-3);
}

static void load_names_the_file(void **state)
{
    (void)state;
    test_folder folder;
    ndl_cluster c;
    assert_int_equal(test_folder_make(&folder), 0);
    FILE *f = fopen(test_folder_at(&folder, "n.yaml"), "wb");
    assert_non_null(f);
    fputs(example, f);
    fclose(f);
    ndl_status_clear();
    assert_int_equal(ndl_cluster_load(&c, folder.file, &model,
                                      ndl_mix_plain(NDL_F32),
                                      (ndl_kv_types){ NDL_F32, NDL_F32 }, NULL),
                     NDL_OK);
    assert_string_equal(c.source, "n.yaml");
    ndl_cluster_fini(&c);
    assert_int_equal(ndl_cluster_load(&c, test_folder_at(&folder, "none"),
                                      &model, ndl_mix_plain(NDL_F32),
                                      (ndl_kv_types){ NDL_F32, NDL_F32 }, NULL),
                     NDL_ENOINPUT);
    assert_non_null(strstr(ndl_status_message(), folder.file));
    assert_int_equal(test_folder_remove(&folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gives_nodes_and_links),
        cmocka_unit_test(times_are_those_of_the_peaks),
        cmocka_unit_test(links_that_nobody_gave_are_ethernet),
        cmocka_unit_test(figures_of_a_node_are_named_when_wrong),
        cmocka_unit_test(a_field_that_is_missing_is_named),
        cmocka_unit_test(the_file_as_a_whole_is_checked),
        cmocka_unit_test(names_are_unique_and_nodes_not_too_many),
        cmocka_unit_test(links_are_checked),
        cmocka_unit_test(measured_ranks_that_host_become_nodes),
        cmocka_unit_test(a_profile_without_hosts_makes_no_cluster),
        cmocka_unit_test(like_takes_measured_times_divided_by_speed),
        cmocka_unit_test(like_is_checked),
        cmocka_unit_test(a_message_takes_latency_and_its_bytes),
        cmocka_unit_test(load_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
