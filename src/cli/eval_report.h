/* eval_report.h - what eval has found, for people and for programs.  Private to
 * src/cli. */
#ifndef NDL_EVAL_REPORT_H
#define NDL_EVAL_REPORT_H

#include <stdio.h>

#include "eval_text.h"
#include "noodle/evaluation.h"
#include "noodle/json.h"
#include "noodle/kv_types.h"

typedef struct ndl_eval_report {
    const ndl_eval_text *text;
    const char *model, *against; /* paths; against NULL: nothing compared */
    ndl_kv_types kv_types, base_kv_types;
    size_t n_tokens; /* that count */
    ndl_perplexity perplexity;
    ndl_comparison comparison; /* if there is `against` */
} ndl_eval_report;

void ndl_eval_report_print(const ndl_eval_report *r, FILE *out);

/** New reference; NULL if out of memory.  What is no number is null. */
json_t *ndl_eval_report_json(const ndl_eval_report *r);

#endif /* NDL_EVAL_REPORT_H */
