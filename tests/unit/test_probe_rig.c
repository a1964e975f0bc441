/* test_probe_rig.c - how large a thing to measure is, and that it runs. */
#include "../../src/run/probe_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "noodle/layout.h"

static const uint64_t plenty = UINT64_C(1) << 40, enough = 100 << 20;

static const ndl_model big = { .arch = "llama",
                               .n_layers = 16,
                               .width = 2048,
                               .n_heads = 32,
                               .n_kv_heads = 8,
                               .head_dim = 64,
                               .ffn = 8192,
                               .vocab = 128256,
                               .context = 131072,
                               .norm = NDL_NORM_RMS,
                               .norm_eps = 1e-5f,
                               .mlp = NDL_MLP_SWIGLU,
                               .rope = { .kind = NDL_ROPE_PLAIN, .theta = 1e4 },
                               .tied = true };

static ndl_model small_model(void)
{
    ndl_model m = big;
    m.n_layers = 3;
    m.width = 48;
    m.n_heads = 3;
    m.n_kv_heads = 1;
    m.head_dim = 16;
    m.ffn = 100;
    m.vocab = 301;
    return m;
}

static ndl_probe_setup setup_of(const ndl_model *m)
{
    return (ndl_probe_setup){ .model = m,
                              .mix = ndl_mix_plain(NDL_BF16),
                              .kv_types = { NDL_BF16, NDL_BF16 },
                              .n_threads = 1,
                              .speed = 1.0,
                              .load = NDL_LOAD_COPY,
                              .chunk_rows = 128,
                              .context = 4096,
                              .n_slots = 64 };
}

static uint64_t block_bytes(const ndl_model *m)
{
    const ndl_part one = { 0, 1, false, false };
    uint64_t bytes = 0;
    assert_int_equal(ndl_layout_bytes(m, ndl_mix_plain(NDL_BF16), &one, &bytes),
                     NDL_OK);
    return bytes;
}

static void ring_is_larger_than_the_caches(void **state)
{
    (void)state;
    const ndl_probe_setup s = setup_of(&big);
    ndl_probe_rig r;
    assert_int_equal(ndl_probe_rig_design(&r, &s, plenty, enough), NDL_OK);
    assert_in_range(r.model.n_layers, 2, 8);
    assert_true((uint64_t)r.model.n_layers * block_bytes(&big) > enough);
    assert_int_equal(r.limits.n_slots, NDL_PROBE_SEQUENCES);
    assert_int_equal(r.limits.context, NDL_PROBE_CONTEXT);
    assert_int_equal(r.limits.max_rows, 128);
    assert_in_range(r.n_few, 0, r.model.n_layers - 1);
}

static void weights_must_exceed_a_share_and_the_whole_of_the_cache(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20;
    const ndl_topology none = { 0 };
    const ndl_topology t = { .l3_bytes = 96 * mib, .l3_sharing = 32 };
    assert_true(ndl_probe_rig_beyond(&none, 4) == 64 * mib);
    assert_true(ndl_probe_rig_beyond(&t, 1) == 192 * mib);
    assert_true(ndl_probe_rig_beyond(&t, 24) == 4 * 72 * mib);
    assert_true(ndl_probe_rig_beyond(&t, 32) == 4 * 96 * mib);
    assert_true(ndl_probe_rig_beyond(&t, 99) == 4 * 96 * mib);
    const ndl_topology huge = { .l3_bytes = UINT64_C(1) << 40 };
    assert_true(ndl_probe_rig_beyond(&huge, 1) == 512 * mib);
}

static void ring_has_no_more_layers_than_the_model(void **state)
{
    (void)state;
    for (int n = 1; n <= 3; n++) {
        ndl_model m = small_model();
        m.n_layers = n;
        const ndl_probe_setup s = setup_of(&m);
        ndl_probe_rig r;
        assert_int_equal(ndl_probe_rig_design(&r, &s, plenty, enough), NDL_OK);
        assert_int_equal(r.model.n_layers, n);
        assert_true(r.n_few < n);
    }
}

static void long_vocabulary_is_measured_in_part(void **state)
{
    (void)state;
    const ndl_probe_setup s = setup_of(&big);
    ndl_model m = small_model();
    ndl_probe_rig r;
    assert_int_equal(ndl_probe_rig_design(&r, &s, plenty, enough), NDL_OK);
    assert_int_equal(r.model.vocab % NDL_PANEL, 0);
    assert_true(r.model.vocab < big.vocab);
    assert_true(fabs(r.head_scale * r.model.vocab - big.vocab) < 1e-6);
    const ndl_probe_setup t = setup_of(&m);
    assert_int_equal(ndl_probe_rig_design(&r, &t, plenty, enough), NDL_OK);
    assert_int_equal(r.model.vocab, 301);
    assert_true(r.head_scale == 1.0);
}

static void little_memory_makes_a_small_rig_or_none(void **state)
{
    (void)state;
    const ndl_probe_setup s = setup_of(&big);
    int last = 8, slots = NDL_PROBE_SEQUENCES;
    bool fits = true;
    for (uint64_t bytes = UINT64_C(1) << 30; bytes > 1 << 20; bytes /= 2) {
        ndl_probe_rig r;
        const ndl_status st = ndl_probe_rig_design(&r, &s, bytes, enough);
        assert_true(fits || st == NDL_EOS);
        fits = st == NDL_OK;
        if (!fits) continue;
        assert_true(r.model.n_layers >= 1 && r.model.n_layers <= last);
        assert_true(r.limits.n_slots >= 1 && r.limits.n_slots <= slots);
        assert_true((uint64_t)r.model.n_layers * block_bytes(&big) <= bytes);
        last = r.model.n_layers;
        slots = r.limits.n_slots;
    }
    assert_false(fits);
    assert_non_null(strstr(ndl_status_message(), "MiB may be used"));
    ndl_status_clear();
}

static void strange_limits_become_possible_ones(void **state)
{
    (void)state;
    static const int values[] = { -5, 0, 1, 2, 17, 1 << 30 };
    const ndl_model m = small_model();
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++) {
            ndl_probe_setup s = setup_of(&m);
            ndl_probe_rig r;
            s.chunk_rows = values[i];
            s.context = values[k];
            s.n_slots = values[(i + k) % 6];
            assert_int_equal(ndl_probe_rig_design(&r, &s, plenty, enough),
                             NDL_OK);
            assert_in_range(r.limits.max_rows, 1, NDL_PROBE_ROWS);
            assert_in_range(r.limits.context, 1, NDL_PROBE_CONTEXT);
            assert_in_range(r.limits.n_slots, 1, NDL_PROBE_SEQUENCES);
            assert_true(r.limits.max_spans >= r.limits.n_slots);
            assert_true(r.limits.max_rows >= r.limits.n_slots);
        }
}

static void short_prompts_share_a_chunk(void **state)
{
    (void)state;
    const ndl_model m = small_model();
    ndl_probe_setup s = setup_of(&m);
    ndl_probe_rig r;
    s.chunk_rows = 512;
    s.context = 33;
    s.n_slots = 6;
    assert_int_equal(ndl_probe_rig_prompts(&s), 6);
    assert_int_equal(ndl_probe_rig_design(&r, &s, plenty, enough), NDL_OK);
    assert_int_equal(r.limits.max_rows, 6 * 33);
    s.n_slots = 16;
    assert_int_equal(ndl_probe_rig_prompts(&s), 15);
    s.context = 512;
    assert_int_equal(ndl_probe_rig_prompts(&s), 1);
    s.context = 4096;
    assert_int_equal(ndl_probe_rig_prompts(&s), 1);
}

static void every_kind_of_run_takes_time(void **state)
{
    (void)state;
    static const ndl_sample what[] = {
        { NDL_LAYER_EMBED, 40, 1, 0, 1, 0, 0, 0 },
        { NDL_LAYER_BLOCK, 40, 1, 300, 1, 0, 0, 0 },
        { NDL_LAYER_BLOCK, 8, 1, 0, 1, 0, 0, 0 },
        { NDL_LAYER_BLOCK, 16, 16, 1023, 1, 0, 0, 0 },
        { NDL_LAYER_HEAD, 16, 1, 0, 1, 0, 0, 0 },
    };
    const ndl_model m = small_model();
    ndl_kernels kernels;
    ndl_kernels_init(&kernels, ndl_cpu_flags());
    for (int slow = 0; slow < 2; slow++) {
        ndl_probe_setup s = setup_of(&m);
        ndl_probe_rig r;
        s.kernels = &kernels;
        s.speed = slow ? 0.01 : 1.0;
        assert_int_equal(ndl_probe_rig_open(&r, &s, plenty), NDL_OK);
        assert_int_equal(r.load, NDL_LOAD_COPY);
        assert_true(r.facts.map_bytes_per_sec > 0.0);
        for (int i = 0; i < 5; i++) {
            const double sec = ndl_probe_rig_run(&r, &what[i]);
            assert_true(sec > 0.0 && sec < 60.0);
        }
        for (size_t i = 0; i < 40 * 48; i++) assert_true(isfinite(r.x[i]));
        ndl_probe_rig_close(&r);
        assert_null(r.x);
    }
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ring_is_larger_than_the_caches),
        TEST(weights_must_exceed_a_share_and_the_whole_of_the_cache),
        TEST(ring_has_no_more_layers_than_the_model),
        TEST(long_vocabulary_is_measured_in_part),
        TEST(little_memory_makes_a_small_rig_or_none),
        TEST(strange_limits_become_possible_ones),
        TEST(short_prompts_share_a_chunk),
        TEST(every_kind_of_run_takes_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
