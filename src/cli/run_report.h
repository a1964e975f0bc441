/* run_report.h - what a run took: for people on stderr, for programs in JSON.
 */
#ifndef NDL_RUN_REPORT_H
#define NDL_RUN_REPORT_H

#include <stdio.h>

#include "noodle/json.h"
#include "noodle/session.h"
#include "texts.h"

/* Rates over a whole run. */
typedef struct ndl_timings {
    size_t prompt_tokens, decode_tokens; /* decode: after each first token */
    double prompt_sec; /* from READY to the last first token     */
    double decode_sec; /* from the first first token to the end  */
    double ttft_median_sec, ttft_max_sec;
    double total_sec;
} ndl_timings;

ndl_timings ndl_timings_of(const ndl_texts *t, const ndl_session_result *r);

/** Per stage, busy, wait and bytes moved. */
void ndl_run_report_stages(const ndl_session_result *r, FILE *out);

/** Timings and, per stage, busy, wait and bytes moved. */
void ndl_run_report_print(const ndl_texts *t, const ndl_session_result *r,
                          FILE *out);

/** Everything as one object; a new reference, NULL if out of memory. */
json_t *ndl_run_report_json(const ndl_texts *t, const ndl_session_result *r);

#endif /* NDL_RUN_REPORT_H */
