/*
 * metrics_columns.c - the columns of every table of metrics.h: names, types
 * and units.  Who reads the file relies on them: a change is a new version.
 */
#include <stddef.h>

#include "metrics_parts.h"

/* clang-format off */
#define COLUMN(type, field, unit) \
    { #field, NDL_COLUMN_##type, unit, offsetof(ROW, field) }
#define SHAPE(name, group) \
    const ndl_metrics_shape ndl_metrics_##name##_shape = { \
        group, name, sizeof name / sizeof *name, sizeof(ROW) \
    }
/* clang-format on */

#define ROW ndl_metrics_step
static const ndl_column steps[] = {
    COLUMN(I64, batch, ""),        COLUMN(I32, stage, ""),
    COLUMN(I32, rows, ""),         COLUMN(I32, sequences, ""),
    COLUMN(I32, crowd, ""),        COLUMN(F64, end_sec, "s"),
    COLUMN(F64, receive_sec, "s"), COLUMN(F64, busy_sec, "s"),
    COLUMN(F64, send_sec, "s"),    COLUMN(F64, bubble_sec, "s"),
    COLUMN(F64, other_sec, "s"),   COLUMN(F64, expected_sec, "s"),
};
SHAPE(steps, "/steps");
#undef ROW

#define ROW ndl_metrics_layer
static const ndl_column layers[] = {
    COLUMN(I32, stage, ""),    COLUMN(I32, layer, ""),
    COLUMN(I64, steps, ""),    COLUMN(I64, rows, ""),
    COLUMN(F64, sum_sec, "s"), COLUMN(F64, min_sec, "s"),
    COLUMN(F64, max_sec, "s"), COLUMN(F64, end_sec, "s"),
};
SHAPE(layers, "/layers");
#undef ROW

#define ROW ndl_metrics_request
static const ndl_column requests[] = {
    COLUMN(I32, request, ""),    COLUMN(I32, prompt_tokens, ""),
    COLUMN(I32, new_tokens, ""), COLUMN(TEXT, finish, ""),
    COLUMN(F64, ttft_sec, "s"),  COLUMN(F64, tpot_sec, "s"),
    COLUMN(F64, end_sec, "s"),
};
SHAPE(requests, "/requests");
#undef ROW

#define ROW ndl_metrics_account
static const ndl_column accounts[] = {
    COLUMN(I32, request, ""),   COLUMN(I32, stage, ""),
    COLUMN(I64, rows, ""),      COLUMN(I64, steps, ""),
    COLUMN(F64, busy_sec, "s"), COLUMN(F64, end_sec, "s"),
};
SHAPE(accounts, "/accounts");
#undef ROW

#define ROW ndl_metrics_stage
static const ndl_column plan[] = {
    COLUMN(I32, stage, ""),
    COLUMN(I32, rank, ""),
    COLUMN(TEXT, host, ""),
    COLUMN(I32, first_layer, ""),
    COLUMN(I32, n_layers, ""),
    COLUMN(I32, embed, ""),
    COLUMN(I32, head, ""),
    COLUMN(I32, n_threads, ""),
    COLUMN(I64, params, ""),
    COLUMN(I64, weight_bytes, "B"),
    COLUMN(I64, kv_bytes, "B"),
    COLUMN(I64, buffer_bytes, "B"),
    COLUMN(I64, free_bytes, "B"),
    COLUMN(F64, prompt_sec, "s"),
    COLUMN(F64, decode_sec, "s"),
    COLUMN(F64, request_sec, "s"),
    COLUMN(F64, link_sec, "s"),
    COLUMN(I64, steps, ""),
    COLUMN(I64, rows, ""),
    COLUMN(F64, step_busy_sec, "s"),
    COLUMN(F64, step_expected_sec, "s"),
    COLUMN(F64, ratio, ""),
    COLUMN(F64, receive_sec, "s"),
    COLUMN(F64, busy_sec, "s"),
    COLUMN(F64, send_sec, "s"),
    COLUMN(F64, bubble_sec, "s"),
    COLUMN(F64, other_sec, "s"),
};
SHAPE(plan, "/plan");
#undef ROW

#define ROW ndl_metrics_rank
static const ndl_column ranks[] = {
    COLUMN(I32, rank, ""),          COLUMN(TEXT, host, ""),
    COLUMN(I32, node, ""),          COLUMN(I32, n_cpus, ""),
    COLUMN(I32, n_threads, ""),     COLUMN(I32, stage, ""),
    COLUMN(I64, memory_bytes, "B"),
};
SHAPE(ranks, "/ranks");
#undef ROW
