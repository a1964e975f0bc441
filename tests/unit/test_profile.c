/* test_profile.c - facts about profile.h: signature, table, JSON. */
#define _GNU_SOURCE /* open_memstream */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../support/profile_kit.h"

enum { RANKS = 3 };

static int forget(void **state)
{
    (void)state;
    ndl_status_clear();
    return 0;
}

/* ---- signature ---- */

static void refuses_facts(const ndl_profile *p, const ndl_profile_facts *now,
                          const char *const *words, int n)
{
    json_t *signature = ndl_profile_signature(now);
    assert_non_null(signature);
    ndl_status_clear();
    assert_int_equal(ndl_profile_match(p, signature, "old.h5"), NDL_ECONFIG);
    for (int i = 0; i < n; i++)
        if (!strstr(ndl_status_message(), words[i]))
            fail_msg("'%s' is not in '%s'", words[i], ndl_status_message());
    json_decref(signature);
}

#define DIFFERS(what, ...)                                                     \
    do {                                                                       \
        ndl_profile p = profile_kit_make(RANKS), q = profile_kit_make(RANKS);  \
        ndl_model m = profile_kit_shape;                                       \
        ndl_profile_facts now = profile_kit_facts(&q);                         \
        const char *const words[] = { "old.h5", "measure again",               \
                                      __VA_ARGS__ };                           \
        now.model = &m;                                                        \
        what;                                                                  \
        refuses_facts(&p, &now, words, sizeof words / sizeof *words);          \
        ndl_profile_fini(&p);                                                  \
        ndl_profile_fini(&q);                                                  \
    } while (0)

static void stale_signature_names_what_differs(void **state)
{
    (void)state;
    DIFFERS(now.kernels = "ref", "kernels (then avx2, now ref)");
    DIFFERS(now.cpu_flags = 0, "cpu_flags (then avx2, now none)");
    DIFFERS(now.cpu_flags |= 1u << 30, "cpu_flags");
    DIFFERS(now.mix = ndl_mix_plain(NDL_F32), "dtype (then bf16, now f32)");
    DIFFERS(now.kv_types.k = now.kv_types.v = NDL_F32,
            "kv_dtype (then bf16, now f32)");
    DIFFERS(now.kv_types.v = NDL_INT8, "kv_dtype (then bf16, now bf16/int8)");
    DIFFERS(now.load = "copy", "load (then auto, now copy)");
    DIFFERS(now.n_ranks = 2, "hosts", "threads", "speeds");
    DIFFERS(q.ranks[2].n_threads = 7, "threads (then 0, 2 x2, now 0, 2, 7)");
    DIFFERS(q.ranks[1].speed = 0.25,
            "speeds (then 1 x2, 0.5, now 1, 0.25, 0.5)");
    DIFFERS(strcpy(q.ranks[2].host, "other"),
            "hosts (then node0 x2, node1, now node0 x2, other)");
    DIFFERS(m.n_layers++, "shape (then llama of 4 blocks");
    DIFFERS(m.vocab++, "shape");
    DIFFERS(m.rope.theta = 2.0, "shape");
    DIFFERS(m.qkv_bias = true, "shape");
    DIFFERS(
        {
            now.kernels = "ref";
            now.mix = ndl_mix_plain(NDL_F32);
        },
        "kernels (then avx2, now ref)", "dtype (then bf16, now f32)");
}

static void special_tokens_do_not_change_the_shape(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS);
    ndl_model m = profile_kit_shape;
    ndl_profile_facts now = profile_kit_facts(&p);
    now.model = &m;
    m.n_eos = 2;
    m.eos[0] = m.bos = 7;
    json_t *signature = ndl_profile_signature(&now);
    assert_int_equal(ndl_profile_match(&p, signature, "p"), NDL_OK);
    json_decref(signature);
    ndl_profile_fini(&p);
}

static void a_field_that_one_side_lacks_differs(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS);
    json_t *now = json_copy(p.signature);
    json_object_set_new(now, "moon", json_string("full"));
    assert_int_equal(ndl_profile_match(&p, now, "p"), NDL_ECONFIG);
    assert_non_null(
        strstr(ndl_status_message(), "moon (then nothing, now full)"));
    ndl_status_clear();
    json_object_del(now, "moon");
    json_object_del(now, "kernels");
    assert_int_equal(ndl_profile_match(&p, now, "p"), NDL_ECONFIG);
    assert_non_null(
        strstr(ndl_status_message(), "kernels (then avx2, now nothing)"));
    json_decref(now);
    ndl_profile_fini(&p);
}

static void
thousands_of_hosts_make_a_short_signature_that_tells_them(void **state)
{
    (void)state;
    const int n = 3000;
    ndl_profile p = { .n_ranks = n };
    p.ranks = calloc((size_t)n, sizeof *p.ranks);
    for (int i = 0; i < n; i++)
        snprintf(p.ranks[i].host, sizeof p.ranks[i].host, "host%04d", i);
    const ndl_profile_facts f = profile_kit_facts(&p);
    p.signature = ndl_profile_signature(&f);
    char *text = json_dumps(p.signature, 0);
    assert_true(strlen(text) < 8000);
    free(text);
    strcpy(p.ranks[n - 1].host, "another");
    json_t *now = ndl_profile_signature(&f);
    assert_int_equal(ndl_profile_match(&p, now, "p"), NDL_ECONFIG);
    assert_non_null(strstr(ndl_status_message(), "hosts (then ..."));
    json_decref(now);
    ndl_profile_fini(&p);
}

static void hosts_of_strange_bytes_have_a_signature(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS);
    memset(p.ranks[1].host, 0xff, sizeof p.ranks[1].host);
    const ndl_profile_facts f = profile_kit_facts(&p);
    json_t *signature = ndl_profile_signature(&f);
    assert_non_null(signature);
    json_decref(signature);
    json_t *whole = ndl_profile_json(&p);
    assert_non_null(whole);
    json_decref(whole);
    ndl_profile_fini(&p);
}

/* ---- for people and programs ---- */

static char *printed(const ndl_profile *p)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    assert_int_equal(ndl_profile_print(p, f), NDL_OK);
    fclose(f);
    return text;
}

static void table_has_a_line_for_each_rank_and_pair(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS);
    char *text = printed(&p);
    assert_non_null(
        strstr(text, "   0  node0                   0  hosts no stage\n"));
    /* 8 ms for 32 rows are 250 us a row; 2 ms together, 1 ms alone. */
    assert_non_null(strstr(
        text, "   1  node0                   2  copy       250.0       2.000"
              "       1.000      3.000       1.00    0.0 %   0.0 %\n"));
    assert_non_null(strstr(text, "speed 0.5\n"));
    assert_non_null(
        strstr(text, "   0     1        2.00    1.00  between nodes\n"));
    assert_non_null(
        strstr(text, "   2     0        7.00    1.00  same node\n"));
    assert_non_null(strstr(text, "measured in 1.25 s\n"));
    free(text);
    ndl_profile_fini(&p);
}

static void many_pairs_become_a_summary(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(9);
    char *text = printed(&p);
    assert_null(strstr(text, "from    to"));
    assert_non_null(strstr(text, "within nodes  (least, median, greatest):  us "
                                 "3, "));
    assert_non_null(strstr(text, "between nodes (least, median, greatest):  us "
                                 "2, "));
    assert_non_null(strstr(text, "80  GB/s 1, 1, 1\n"));
    free(text);
    ndl_profile_fini(&p);
}

static void a_full_device_is_an_error(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(1);
    FILE *f = fopen("/dev/full", "w");
    if (!f) skip();
    setvbuf(f, NULL, _IONBF, 0);
    assert_int_equal(ndl_profile_print(&p, f), NDL_EIO);
    fclose(f);
    ndl_profile_fini(&p);
}

static void json_tells_all(void **state)
{
    (void)state;
    ndl_profile p = profile_kit_make(RANKS);
    json_t *all = ndl_profile_json(&p);
    assert_non_null(all);
    assert_true(json_equal(json_object_get(all, "signature"), p.signature));
    json_t *ranks = json_object_get(all, "ranks");
    assert_int_equal(json_array_size(ranks), RANKS);
    assert_int_equal(json_array_size(json_object_get(all, "links")), 6);
    json_t *one = json_array_get(ranks, 1);
    assert_int_equal(json_array_size(json_object_get(one, "samples")), 5);
    assert_true(json_is_null(json_object_get(json_array_get(ranks, 0), "fit")));
    json_t *fit = json_object_get(one, "fit");
    assert_true(
        fabs(json_real_value(json_object_get(fit, "decode_block_alone_sec")) -
             1e-3) < 1e-9);
    char *text = json_dumps(all, 0);
    assert_non_null(strstr(text, "\"kind\": \"embedding\""));
    free(text);
    json_decref(all);
    ndl_profile_fini(&p);
}

#define TEST(name) cmocka_unit_test_setup(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stale_signature_names_what_differs),
        TEST(special_tokens_do_not_change_the_shape),
        TEST(a_field_that_one_side_lacks_differs),
        TEST(thousands_of_hosts_make_a_short_signature_that_tells_them),
        TEST(hosts_of_strange_bytes_have_a_signature),
        TEST(table_has_a_line_for_each_rank_and_pair),
        TEST(many_pairs_become_a_summary),
        TEST(a_full_device_is_an_error),
        TEST(json_tells_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
