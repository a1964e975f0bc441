/*
 * plan.h - which rank hosts which layers.
 *
 * Owns the decision, not the facts: the caller says what layers cost and what
 * ranks have, plan.c chooses, the stages obey.  Everything here is a pure
 * function of its arguments, so every plan can be replayed in a unit test.
 *
 * Layers are the blocks; the embedding goes with the first stage and the head
 * (final norm, LM head) with the last, which may host the head alone.
 */
#ifndef NOODLE_PLAN_H
#define NOODLE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "noodle/json.h"
#include "noodle/model.h"
#include "noodle/status.h"

/* What the parts of a model cost. */
typedef struct ndl_plan_costs {
    int n_blocks;
    int64_t block_params, head_params; /* that a token passes through        */
    int64_t embed_params;              /* looked up, not passed through      */
    uint64_t block_bytes, embed_bytes, head_bytes; /* of weights in the file */
    int64_t shared_params; /* of a tied matrix, counted in both head and */
    uint64_t shared_bytes; /* embedding: a stage of both has it once     */
    uint64_t kv_bytes;     /* of one block: all slots, whole context */
    uint64_t buffer_bytes; /* of any stage, whatever its layers      */
    uint64_t logits_bytes; /* of the last stage on top               */
} ndl_plan_costs;

/* A rank that may host a stage, in pipeline order. */
typedef struct ndl_plan_rank {
    int rank;
    uint64_t free_bytes; /* its share of its node's free memory */
    int n_threads;
    char host[64];
} ndl_plan_rank;

typedef struct ndl_plan_stage {
    int rank;
    int first_layer, n_layers;
    bool embed, head;
    int n_threads;
    int64_t params; /* stored for this stage, embedding included */
    uint64_t weight_bytes, kv_bytes, buffer_bytes, free_bytes;
    char host[64];
    char why[96];
} ndl_plan_stage;

typedef struct ndl_plan {
    int n_stages, n_idle; /* ranks offered, but without a stage */
    ndl_plan_stage *stages;
} ndl_plan;

/**
 * Split so that the stage with the most parameters has as few as possible
 * (parameters that a token passes through; the embedding is looked up), every
 * stage within its rank's free memory.  Exact for ranks in the given order; a
 * rank takes as much as that allows, and those left without are idle.
 *
 * @param[out] out  the caller frees it with ndl_plan_fini; untouched on error.
 * @return NDL_OK; NDL_EUNAVAIL if it does not fit, saying what is needed, what
 *         there is and what would help; NDL_EOS.
 * Deterministic: equal inputs give equal plans on every machine.
 */
ndl_status ndl_plan_equal(ndl_plan *out, const ndl_plan_costs *costs,
                          const ndl_plan_rank *ranks, int n_ranks);

/**
 * Split as the user says: "3,2,3" blocks a stage, in rank order; a last 0 is a
 * stage of the head alone.
 * @return NDL_OK; NDL_EUSAGE if it is malformed, has more stages than ranks,
 *         or does not add up to the model's blocks; NDL_EUNAVAIL (memory).
 */
ndl_status ndl_plan_split(ndl_plan *out, const char *split,
                          const ndl_plan_costs *costs,
                          const ndl_plan_rank *ranks, int n_ranks);

void ndl_plan_fini(ndl_plan *p);

/** The plan as a table: stage, rank, host, layers, parameters, memory, why. */
void ndl_plan_print(const ndl_plan *p, FILE *out);

/** The plan as JSON; NULL if out of memory.  A new reference. */
json_t *ndl_plan_json(const ndl_plan *p);

/** "3.1 GiB", "512 KiB" into buf; returns buf. */
char *ndl_plan_bytes_text(uint64_t bytes, char *buf, size_t cap);

#endif /* NOODLE_PLAN_H */
