/* metrics_kit.h - a plan of three stages and rows of metrics whose every
 * value follows from their number. */
#ifndef NOODLE_TEST_METRICS_KIT_H
#define NOODLE_TEST_METRICS_KIT_H

#include <stdio.h>
#include <string.h>

#include "noodle/metrics.h"

enum { KIT_STAGES = 3, KIT_RANKS = 4 };

static inline ndl_plan kit_plan(ndl_plan_stage stages[KIT_STAGES])
{
    for (int i = 0; i < KIT_STAGES; i++) {
        stages[i] = (ndl_plan_stage){ .rank = i + 1,
                                      .first_layer = 4 * i,
                                      .n_layers = 4,
                                      .embed = i == 0,
                                      .head = i == KIT_STAGES - 1,
                                      .n_threads = 2,
                                      .params = 1000 + i,
                                      .weight_bytes = 4000000000u,
                                      .decode_sec = 0.25,
                                      .host = "node" };
        snprintf(stages[i].why, sizeof stages[i].why, "reason %d", i + 1);
    }
    return (ndl_plan){ .n_stages = KIT_STAGES,
                       .n_idle = 1,
                       .stages = stages,
                       .strategy = "exact",
                       .source = "measured",
                       .balance = 0.75,
                       .bottleneck = 2,
                       .n_notes = 1,
                       .notes = { "a note" } };
}

static inline void kit_ranks(ndl_metrics_rank ranks[KIT_RANKS])
{
    for (int i = 0; i < KIT_RANKS; i++) {
        ranks[i] = (ndl_metrics_rank){ .rank = i,
                                       .node = i / 2,
                                       .n_cpus = 8,
                                       .n_threads = 2,
                                       .stage = i,
                                       .memory_bytes = (int64_t)i << 40 };
        snprintf(ranks[i].host, sizeof ranks[i].host, "node%d", i / 2);
    }
}

/* Create the file with that plan, those ranks and two facts. */
static inline ndl_status kit_create(ndl_metrics **m, const char *path,
                                    const ndl_metrics_fact *config,
                                    int n_config)
{
    const ndl_metrics_fact system[] = { { "cpu", "avx2" }, { "hdf5", "1.10" } };
    ndl_plan_stage stages[KIT_STAGES];
    ndl_metrics_rank ranks[KIT_RANKS];
    const ndl_plan plan = kit_plan(stages);
    kit_ranks(ranks);
    const ndl_metrics_setup setup = { .path = path,
                                      .plan = &plan,
                                      .ranks = ranks,
                                      .n_ranks = KIT_RANKS,
                                      .config = config,
                                      .n_config = n_config,
                                      .system = system,
                                      .n_system = 2 };
    return ndl_metrics_create(m, &setup);
}

static inline ndl_metrics_step kit_step(int64_t i)
{
    const double x = (double)i;
    return (ndl_metrics_step){ .batch = i / KIT_STAGES,
                               .stage = (int32_t)(i % KIT_STAGES) + 1,
                               .rows = (int32_t)(i % 17),
                               .sequences = (int32_t)(i % 5),
                               .crowd = (int32_t)(i % 3),
                               .end_sec = x,
                               .receive_sec = 0.0625,
                               .busy_sec = 0.5 + (double)(i % 2),
                               .send_sec = 0.125,
                               .bubble_sec = 0.25,
                               .other_sec = 0.03125,
                               .expected_sec = i % 4 ? 0.5 : 0 };
}

static inline ndl_metrics_layer kit_layer(int64_t i)
{
    return (ndl_metrics_layer){ .stage = 1,
                                .layer = (int32_t)(i % 14),
                                .steps = i,
                                .rows = 2 * i,
                                .sum_sec = (double)i / 3,
                                .min_sec = 1e-6,
                                .max_sec = 2e-6,
                                .end_sec = (double)i };
}

static inline ndl_metrics_request kit_request(int64_t i)
{
    ndl_metrics_request r = { .request = (int32_t)i,
                              .prompt_tokens = 10,
                              .new_tokens = (int32_t)i + 1,
                              .ttft_sec = 0.5,
                              .tpot_sec = 0.01,
                              .end_sec = (double)i };
    snprintf(r.finish, sizeof r.finish, i % 2 ? "length" : "stop");
    return r;
}

#endif /* NOODLE_TEST_METRICS_KIT_H */
