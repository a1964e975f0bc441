/*
 * stage_head.h - what only the last stage does: logits, their file, sampling,
 * scoring.
 * Private to src/run.
 */
#ifndef NDL_STAGE_HEAD_H
#define NDL_STAGE_HEAD_H

#include "noodle/forward.h"
#include "noodle/pool.h"
#include "noodle/wire_setup.h"

typedef struct ndl_stage_head ndl_stage_head;

/* All borrowed for the object's life. */
typedef struct ndl_stage_head_setup {
    ndl_forward *forward;
    const ndl_model *model;
    const ndl_kernels *kernels;
    ndl_pool *pool;
    const ndl_wire_job *job;
} ndl_stage_head_setup;

/** A file of logits that is only compared with is removed as soon as it is
 *  open: it is gone when nobody reads it any more, however the run ends.
 *  @return NDL_OK; NDL_EOS; what npy.h returns. */
ndl_status ndl_stage_head_create(ndl_stage_head **out,
                                 const ndl_stage_head_setup *setup);
void ndl_stage_head_destroy(ndl_stage_head **h);

/**
 * Sample, write logits and score where the table says so.
 * @param[in]  b    a valid batch
 * @param[in]  x    its rows after the last block (n_rows, D)
 * @param[out] out  the TOKENS message, at most ndl_stage_head_answer_bytes
 * @return NDL_OK; NDL_EIO if the logits cannot be written or read; NDL_EPROTO;
 *         NDL_EDATA if logits to score are not finite.
 */
ndl_status ndl_stage_head_run(ndl_stage_head *h, ndl_wire_batch *b,
                              const float *x, void *out, size_t *len);

/** Bytes of the largest TOKENS message of a job. */
size_t ndl_stage_head_answer_bytes(const ndl_wire_job *job);

/** The stream has ended: the logits file is complete. */
ndl_status ndl_stage_head_finish(ndl_stage_head *h);

#endif /* NDL_STAGE_HEAD_H */
