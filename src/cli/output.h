/*
 * output.h - the product goes to stdout, and whether it got there.
 *
 * While the pipeline runs nobody may wait for a reader: rank 0 would give no
 * sign of life.  What a slow reader does not take is held back and follows
 * later.  A reader that has gone (EPIPE) ends the run quietly; every other
 * failure is an error of the run.  Both set the wish to stop.
 */
#ifndef NDL_OUTPUT_H
#define NDL_OUTPUT_H

#include <stddef.h>

#include "noodle/session.h"
#include "noodle/status.h"

/* Zeroed before the first use. */
typedef struct ndl_output {
    ndl_stop stop; /* what a failure means for the run */
    char *held;    /* (n_held) not yet taken           */
    size_t n_held, cap;
} ndl_output;

/* Write without waiting; what cannot go now goes with a later call. */
void ndl_output_offer(ndl_output *o, const char *bytes, size_t n);

/* Write what is held, waiting for the reader, and free it. */
void ndl_output_finish(ndl_output *o);

/* Write a text that is the whole product of a command.
 * @return NDL_OK, also if the reader has gone; NDL_EIO. */
ndl_status ndl_output_text(const char *text);

#endif /* NDL_OUTPUT_H */
