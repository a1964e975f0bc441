/*
 * advice.h - what bounds a plan, what would make it better, and why there is
 * none: all by solving again under changed conditions.
 */
#ifndef NOODLE_ADVICE_H
#define NOODLE_ADVICE_H

#include "alike.h"
#include "strategy_solve.h"

typedef struct ndl_advice {
    const ndl_strategy_task *task;  /* as solved; kinds may be merged       */
    const ndl_strategy_task *given; /* as the caller put it                 */
    const ndl_alike *alike;         /* how kinds of `given` may be merged   */
    const ndl_strategy_next *next;  /* or NULL                              */
    const ndl_solution *solution;   /* in kinds of `given`; NULL: no plan   */
    double figure;                  /* ndl_advice_figure() of the solution in
                                       kinds of `task` */
} ndl_advice;

/** What users see of the strategy's objective, less is better: the period, the
 * latency, or the fullest node's share of its memory. */
double ndl_advice_figure(const ndl_plan *plan, ndl_strategy strategy);

/** Add the notes to a plan.  Stops early, with fewer notes, at the task's
 * until_sec.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_advice_give(ndl_plan *plan, const ndl_advice *a);

/**
 * Say why there is no plan.
 * @return NDL_EUSAGE: the pins; NDL_EUNAVAIL: memory or another limit, with
 *         what would help; NDL_EOS.
 */
ndl_status ndl_advice_explain(const ndl_advice *a);

/** A node's name with nothing but printable characters; returns buf. */
char *ndl_advice_name(const ndl_node *node, char buf[NDL_NODE_NAME]);

/**
 * The task of a smaller dtype, as it would be solved.
 * @param[out] alike  what it borrows from; the caller frees it.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_advice_next(ndl_strategy_task *out, ndl_alike *alike,
                           const ndl_advice *a, const ndl_strategy_next *next);

/**
 * The cluster with kind `kind` at `count` nodes.  A rank has no measured link
 * to another of its kind: the slowest of its links stands for that.
 * @param[out] out  the caller frees it with ndl_cluster_fini.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_advice_more(ndl_cluster *out, const ndl_cluster *c, int kind,
                           int count);

#endif /* NOODLE_ADVICE_H */
