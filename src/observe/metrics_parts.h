/*
 * metrics_parts.h - what the files of the metrics share: the rows of /plan,
 * which no other folder sees, and what is written once at READY.
 */
#ifndef NOODLE_METRICS_PARTS_H
#define NOODLE_METRICS_PARTS_H

#include "noodle/metrics.h"
#include "noodle/table.h"

enum { NDL_METRICS_VERSION_MAJOR = 1, NDL_METRICS_VERSION_MINOR = 1 };

/* A stage: what the plan expects of it, and what the steps add up to. */
typedef struct ndl_metrics_stage {
    int32_t stage, rank, first_layer, n_layers, embed, head, n_threads;
    int32_t reserved;
    int64_t params, weight_bytes, kv_bytes, buffer_bytes, free_bytes;
    double prompt_sec, decode_sec, request_sec, link_sec;
    char host[64];
    /* Measured; zero until the end of the run. */
    int64_t steps, rows;
    double step_busy_sec, step_expected_sec; /* means                      */
    double ratio; /* busy over expected, of the steps with an expected time */
    double receive_sec, busy_sec, send_sec, bubble_sec, other_sec; /* sums  */
} ndl_metrics_stage;

/** Attributes of the root, /plan, /config, /system and /slurm. */
ndl_status ndl_metrics_put_facts(ndl_store *s, const ndl_metrics_setup *setup);

/** Rows of /plan, before anything was measured.
 * @param[out] rows  (plan->n_stages) */
void ndl_metrics_plan_rows(const ndl_plan *plan, ndl_metrics_stage *rows);

/* What a table is made of; its columns have the names of the fields. */
typedef struct ndl_metrics_shape {
    const char *group;
    const ndl_column *columns;
    int n_columns;
    size_t row_bytes;
} ndl_metrics_shape;

extern const ndl_metrics_shape ndl_metrics_steps_shape,
    ndl_metrics_layers_shape, ndl_metrics_requests_shape,
    ndl_metrics_accounts_shape, ndl_metrics_plan_shape, ndl_metrics_ranks_shape;

#endif /* NOODLE_METRICS_PARTS_H */
