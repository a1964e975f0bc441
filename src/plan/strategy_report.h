/* strategy_report.h - a solution as a plan: seconds, memory, reasons. */
#ifndef NOODLE_STRATEGY_REPORT_H
#define NOODLE_STRATEGY_REPORT_H

#include "strategy_solve.h"

/**
 * Without notes.  `task->cluster` is the one that the stages' kinds refer to.
 * @param[out] out  the caller frees it with ndl_plan_fini.
 * @return NDL_OK; NDL_ESOFTWARE if the solution breaks a limit; NDL_EOS.
 */
ndl_status ndl_strategy_report(ndl_plan *out, const ndl_strategy_task *task,
                               const ndl_solution *s);

#endif /* NOODLE_STRATEGY_REPORT_H */
