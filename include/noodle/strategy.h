/*
 * strategy.h - what a plan is to be best at.
 *
 * Each strategy is an objective that is solved exactly (partition.h); ties and
 * second objectives in the order given here.  "Time" of a stage is its busy
 * time for one request of the workload while all stages are at work: its prompt
 * in chunks of chunk_rows (which short prompts share), and its share of the
 * decode steps, each of which serves ceil(sequences / stages) requests.  Times
 * within 1e-12 are equal.
 *
 *   balanced          every node works (as many stages as there are nodes, or
 *                     layers, or as limits and memory allow); the slowest stage
 *                     as fast as it can be; then the least sum of the squares
 *                     of the stage times (free order: with the nodes in the
 *                     order that was found for the slowest stage)
 *   bottleneck-first  the slowest layer (whose time on the node that is fastest
 *                     for it is greatest) on a node than which as few kinds as
 *                     possible are faster for it; then the slowest stage as
 *                     fast as it can be; then the least sum
 *   memory-aware      the fullest node as empty as it can be (share of its
 *                     memory); then the slowest stage as fast as it can be;
 *                     then the least sum
 *   latency           one request alone: its prompt in chunks through the
 *                     pipeline and then token by token, links included, in the
 *                     least time; every chunk counts as the mean one, so that
 *                     N take sum + (N - 1) * slowest; nodes may be left out
 *   throughput        many requests: the slowest stage or link as fast as it
 *                     can be; then the least sum of stages and links; nodes may
 *                     be left out
 *
 * Sums are over stages and the links between them.
 */
#ifndef NOODLE_STRATEGY_H
#define NOODLE_STRATEGY_H

#include <stdbool.h>

#include "noodle/cluster.h"
#include "noodle/plan.h"
#include "noodle/status.h"

typedef enum ndl_strategy {
    NDL_STRATEGY_BALANCED,
    NDL_STRATEGY_BOTTLENECK,
    NDL_STRATEGY_MEMORY,
    NDL_STRATEGY_LATENCY,
    NDL_STRATEGY_THROUGHPUT,
    NDL_N_STRATEGIES
} ndl_strategy;

/* A layer that must be on a node: 0 embedding, 1 .. L blocks, L + 1 head. */
typedef struct ndl_pin {
    int layer;
    int node; /* index in the cluster */
} ndl_pin;

typedef struct ndl_strategy_setup {
    ndl_strategy strategy;
    bool free_order;  /* stages in any order of nodes; else cluster order */
    double stage_sec; /* limit of the decode step of a stage, of its share of
                         the sequences, all stages at work; 0: none */
    int min_stages, max_stages; /* 0: no limit */
    const ndl_pin *pins;
    int n_pins;
    double max_sec; /* of planning; 0: 10 */
} ndl_strategy_setup;

/** "balanced", "bottleneck-first", "memory-aware", "latency", "throughput". */
const char *ndl_strategy_name(ndl_strategy s);
bool ndl_strategy_parse(const char *name, ndl_strategy *out);

/* The same model with smaller weights. */
typedef struct ndl_strategy_next ndl_strategy_next;
struct ndl_strategy_next {
    const ndl_plan_costs *costs;
    const ndl_cluster *cluster;
    const char *dtype;             /* its name               */
    const ndl_strategy_next *then; /* smaller still, or NULL */
};

/**
 * Plan.  Fills stages with times, reasons, memory; the figures of the whole;
 * and notes: what bounds it, what one more node of the scarcest kind or the
 * next smaller dtype would bring (solved, not guessed).
 *
 * @param costs  memory of the model's parts.
 * @param next   the same for the next smaller dtype with its cluster, or NULL;
 *               what comes after it is asked where that does not fit either.
 * @return NDL_OK; NDL_EUNAVAIL: it does not fit or a limit cannot be met,
 *         saying which and what would help (how many nodes of which kind);
 *         NDL_EUSAGE: an impossible pin, workload or setup; NDL_EDATA: a time
 *         that is negative or not finite; NDL_EOS.
 */
ndl_status ndl_strategy_plan(ndl_plan *out, const ndl_strategy_setup *setup,
                             const ndl_plan_costs *costs,
                             const ndl_cluster *cluster,
                             const ndl_workload *workload,
                             const ndl_strategy_next *next);

/**
 * Give a plan that was made otherwise (split by the user, or by parameters)
 * the times that it would take on measured ranks.
 * @return NDL_OK; NDL_ECONFIG if a stage's rank is not in the cluster;
 *         NDL_EOS; the plan is untouched then.
 */
ndl_status ndl_strategy_judge(ndl_plan *plan, const ndl_plan_costs *costs,
                              const ndl_cluster *cluster,
                              const ndl_workload *workload);

#endif /* NOODLE_STRATEGY_H */
