/* progress_line.h - how far a long work is, on stderr: one line that changes on
 * a terminal, a line every ten seconds elsewhere. */
#ifndef NDL_PROGRESS_LINE_H
#define NDL_PROGRESS_LINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "noodle/status.h"

typedef struct ndl_progress_line {
    const char *what; /* "import gpt2" */
    bool is_terminal, is_shown;
    double start_sec, last_sec;
    const volatile sig_atomic_t *signal; /* ends the work when it is set */
} ndl_progress_line;

void ndl_progress_line_begin(ndl_progress_line *p, const char *what,
                             const volatile sig_atomic_t *signal);

/** Is it time for a line?  Then the next one is due later. */
bool ndl_progress_line_is_due(ndl_progress_line *p);

/** Show "what: text". */
void ndl_progress_line_print(ndl_progress_line *p, const char *text);

/** An ndl_progress_fn; `arg` is the ndl_progress_line. */
ndl_status ndl_progress_line_show(void *arg, uint64_t done, uint64_t all);

/** Wipe the line. */
void ndl_progress_line_end(ndl_progress_line *p);

#endif /* NDL_PROGRESS_LINE_H */
