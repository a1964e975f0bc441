/* profile_kit.h - a profile that might have been measured: rank 0 hosts
 * nothing, rank 2 is slow and on a node of its own. */
#ifndef NOODLE_TESTS_PROFILE_KIT_H
#define NOODLE_TESTS_PROFILE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels.h"
#include "noodle/load.h"
#include "noodle/profile.h"

static const ndl_model profile_kit_shape = { .arch = "llama",
                                             .n_layers = 4,
                                             .width = 48,
                                             .n_heads = 6,
                                             .n_kv_heads = 2,
                                             .head_dim = 32,
                                             .ffn = 100,
                                             .vocab = 301,
                                             .context = 600 };

static inline ndl_sample profile_kit_sample(int kind, int rows, int crowded,
                                            double sec)
{
    return (ndl_sample){ kind, rows, 1, 0, crowded, 3, sec, 2.0 * sec };
}

static inline void profile_kit_rank(ndl_profile_rank *r, int rank)
{
    *r = (ndl_profile_rank){ .rank = rank,
                             .node = rank > 1,
                             .n_threads = rank ? 2 : 0,
                             .load = NDL_LOAD_COPY,
                             .memory_bytes = UINT64_C(1) << (30 + rank),
                             .speed = rank == 2 ? 0.5 : 1.0,
                             .map_bytes_per_sec = 1e9,
                             .copy_bytes_per_sec = 1.5e9 };
    snprintf(r->host, sizeof r->host, "node%d", rank > 1);
    if (rank == 0) return;
    r->samples[r->n_samples++] =
        profile_kit_sample(NDL_LAYER_BLOCK, 1, 1, 2e-3);
    r->samples[r->n_samples++] =
        profile_kit_sample(NDL_LAYER_BLOCK, 32, 1, 8e-3);
    r->samples[r->n_samples++] =
        profile_kit_sample(NDL_LAYER_BLOCK, 1, 0, 1e-3);
    r->samples[r->n_samples++] =
        profile_kit_sample(NDL_LAYER_EMBED, 1, 1, 1e-6);
    r->samples[r->n_samples++] =
        profile_kit_sample(NDL_LAYER_HEAD, 1, 1, 3e-3 * rank);
}

static inline ndl_profile_facts profile_kit_facts(const ndl_profile *p)
{
    return (ndl_profile_facts){ .model = &profile_kit_shape,
                                .mix = ndl_mix_plain(NDL_BF16),
                                .kv_types = { NDL_BF16, NDL_BF16 },
                                .cpu_flags = NDL_CPU_AVX2,
                                .kernels = "avx2",
                                .n_ranks = p->n_ranks,
                                .ranks = p->ranks,
                                .load = "auto" };
}

static inline ndl_profile profile_kit_make(int n)
{
    ndl_profile p = { .took_sec = 1.25, .n_ranks = n };
    const size_t all = (size_t)n * (size_t)n;
    p.ranks = calloc((size_t)n, sizeof *p.ranks);
    p.links = calloc(all, sizeof *p.links);
    assert_non_null(p.ranks);
    assert_non_null(p.links);
    for (int i = 0; i < n; i++) profile_kit_rank(&p.ranks[i], i);
    for (size_t i = 0; i < all; i++)
        if (i / (size_t)n != i % (size_t)n)
            p.links[i] =
                (ndl_link){ 1e-6 * (double)(i + 1), 1e9, i % 2 == 0, 0 };
    const ndl_profile_facts f = profile_kit_facts(&p);
    p.signature = ndl_profile_signature(&f);
    assert_non_null(p.signature);
    return p;
}

#endif /* NOODLE_TESTS_PROFILE_KIT_H */
