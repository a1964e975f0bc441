/* plan_text.h - short texts of a stage, for table and picture; private to
 * src/plan. */
#ifndef NDL_PLAN_TEXT_H
#define NDL_PLAN_TEXT_H

#include "noodle/plan.h"

enum { NDL_PLAN_TEXT = 64 }; /* bytes of a text, with the zero */

/** "0-11", "12 + head", "embed", "head" into buf; returns buf. */
char *ndl_plan_layers_text(const ndl_plan_stage *s, char buf[NDL_PLAN_TEXT]);

/** The host in printable ASCII: its name may be any bytes. */
char *ndl_plan_host_text(const ndl_plan_stage *s, char buf[NDL_PLAN_TEXT]);

/** "12.4 ms"; "-" if it is unknown (0). */
char *ndl_plan_sec_text(double sec, char buf[NDL_PLAN_TEXT]);

/** Is it known how long the stages take? */
bool ndl_plan_has_times(const ndl_plan *p);

#endif /* NDL_PLAN_TEXT_H */
