/* hardware_report.h - what a survey found, for people and for programs. */
#ifndef NDL_HARDWARE_REPORT_H
#define NDL_HARDWARE_REPORT_H

#include <stdio.h>

#include "noodle/json.h"
#include "noodle/survey.h"

/* So many ranks have every link in the table; more have a summary.  JSON has
 * every link for more of them. */
enum { NDL_HARDWARE_LINKS = 8, NDL_HARDWARE_JSON_LINKS = 64 };

/* Least, median and greatest of the links of one kind. */
typedef struct ndl_link_range {
    size_t n;
    double latency_sec[3], bytes_per_sec[3];
} ndl_link_range;

/** Links within nodes, or between them; each pair counts once.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_hardware_link_range(const ndl_survey *s, bool same_node,
                                   ndl_link_range *out);

/** A table for each node, one of the ranks, one of the links. */
ndl_status ndl_hardware_print(const ndl_survey *s, FILE *out);

/** The same; NULL: out of memory. */
json_t *ndl_hardware_json(const ndl_survey *s);

#endif /* NDL_HARDWARE_REPORT_H */
