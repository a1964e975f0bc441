/*
 * plan_question.h - what the options of `plan` ask: which model, which nodes,
 * which work, and what the plan is to be best at.
 */
#ifndef NDL_PLAN_QUESTION_H
#define NDL_PLAN_QUESTION_H

#include "noodle/strategy.h"
#include "strategy_options.h"

/* The same with smaller weights. */
typedef struct ndl_plan_smaller {
    ndl_cluster cluster;
    ndl_plan_costs costs;
    ndl_strategy_next next; /* of the two above; then: the element after it */
} ndl_plan_smaller;

enum { NDL_PLAN_SMALLER = 3 }; /* of f32: bf16, int8, int4 */

/* Everything that a plan is made of; zeroed before it is filled. */
typedef struct ndl_plan_question {
    ndl_model model;
    ndl_mix mix;
    ndl_kv_types kv_types;
    ndl_profile profile; /* n_ranks 0: none */
    ndl_cluster cluster;
    ndl_plan_costs costs;
    ndl_workload workload;
    int context, n_slots;
    ndl_strategy_options wishes;
    ndl_plan_smaller smaller[NDL_PLAN_SMALLER]; /* the largest first */
    int n_smaller;
} ndl_plan_question;

/**
 * Fill it from the options; reads the files that they name.
 * @return NDL_OK; NDL_EUSAGE naming the option; NDL_ENOINPUT, NDL_EDATA,
 *         NDL_ECONFIG (a profile of another model), NDL_EOS.
 */
ndl_status ndl_plan_question_read(ndl_plan_question *q, const ndl_options *o);
void ndl_plan_question_fini(ndl_plan_question *q);

#endif /* NDL_PLAN_QUESTION_H */
