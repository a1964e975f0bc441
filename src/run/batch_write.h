/* batch_write.h - what the scheduler chose becomes a message to stage 1.
 * Private to src/run. */
#ifndef NDL_BATCH_WRITE_H
#define NDL_BATCH_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/scheduler.h"
#include "noodle/wire_setup.h"

/** Bytes of a row on its way to stage 1: its id, and what follows it in a job
 * that scores. */
uint32_t ndl_batch_row_bytes(const ndl_wire_job *job);

/**
 * Write a BATCH message.
 * @param[in]  requests  by their number
 * @param[out] out       room for the batch's rows and sequences, aligned to 64
 * @return its bytes.
 */
size_t ndl_batch_write(const ndl_wire_job *job, const ndl_request *requests,
                       const ndl_scheduler_batch *b, void *out);

#endif /* NDL_BATCH_WRITE_H */
